/** Which tasks get clients, by their health. Pure: the same on every node with the same catalog. */
import type { Catalog, TaskRecord, VisibleTask } from "../catalog/index.ts";
import type { ServiceSpec } from "../model/index.ts";

type Task = Pick<TaskRecord, "isDraining" | "health">;

/** By order of its operator, of its node, or of the task itself. */
export function isTaskDraining({ isDraining, health }: Task, isNodeDraining: boolean): boolean {
  return isDraining || isNodeDraining || health?.state === "draining";
}

/**
 * None of the tasks is healthy and some are unhealthy, whose clients are better off with these than with none. Those
 * whose first probe is still due are not used.
 */
export function isInPanic<T extends Task>(
  { check, panic }: Pick<ServiceSpec, "check" | "panic">,
  tasks: readonly T[],
  isDraining: (task: T) => boolean,
): boolean {
  if (check === null || !panic) return false;
  const serving = tasks.filter((task) => !isDraining(task));
  return serving.some(({ health }) => health?.state === "unhealthy") && !serving.some(isHealthy);
}

/** Services whose unhealthy tasks are used, because none is healthy. */
export function servicesInPanic(
  catalog: Pick<Catalog, "services" | "tasksOf" | "nodes">,
  names: Iterable<string> = catalog.services().keys(),
): string[] {
  return [...names].filter((name) => {
    const spec = catalog.services().get(name)?.spec;
    if (spec == null || spec.check === null) return false;
    const isDraining = (task: VisibleTask) =>
      isTaskDraining(task, catalog.nodes().get(task.owner)?.isDraining === true);
    return isInPanic(spec, catalog.tasksOf(name), isDraining);
  });
}

export function isOutOfRotation(task: Task, isPanicking: boolean): boolean {
  if (isPanicking && task.health?.state === "unhealthy") return false;
  return task.health?.state === "starting" || task.health?.state === "unhealthy";
}

/** Also one that nobody checks. */
function isHealthy({ health }: Task): boolean {
  return health === undefined || health.state === "healthy";
}

export function shareKey(owner: string, service: string, task: string): string {
  return `${owner} ${service} ${task}`;
}

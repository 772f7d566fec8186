/** The view of the cluster as it would be after a change of one service by command. Pure. */
import type { ServiceSpec, TaskDeclaration } from "../admin/index.ts";
import type { ClusterView, ViewService, ViewTask } from "./cluster-view.ts";

export interface ServiceChange {
  readonly name: string;
  /** null: stays as it is. */
  readonly spec: ServiceSpec | null;
  /** Of this node. */
  readonly addTasks: readonly TaskDeclaration[];
  readonly removeTasks: readonly string[];
}

export function viewWithChange(view: ClusterView, change: ServiceChange): ClusterView {
  const { name, spec, addTasks, removeTasks } = change;
  const before = view.services.find((service) => service.name === name);
  const self = view.self.name;
  const kept = (before?.tasks ?? []).filter((task) => task.node !== self || !removeTasks.includes(task.name));
  const added = addTasks.map((task): ViewTask => ({ ...task, node: self, isDraining: false }));
  const rules: Omit<ViewService, "tasks"> | undefined =
    spec === null ? before : { ...spec, name, lostPorts: new Set<string>() };
  if (rules === undefined) return view;
  const after = { ...rules, tasks: [...kept, ...added] };
  const others = view.services.filter((service) => service.name !== name);
  return { ...view, services: [...others, after] };
}

/** What a configuration file declares, as the catalog keeps it; and what the catalog would look like with it. */
import type {
  FileChanges,
  FileDeclarations,
  ServiceSpec,
  TaskRecord,
  VisibleService,
  VisibleTask,
} from "../../catalog/index.ts";
import type { Config, ServiceConfig } from "../../config/index.ts";

export function declarationsOf(config: Config): FileDeclarations {
  return {
    services: new Map(config.services.map((service) => [service.name, specOf(service)])),
    tasks: config.services.flatMap((service) => service.tasks.map((task) => taskOf(service.name, task))),
  };
}

/** The services and tasks of the catalog after the changes. */
export function withChanges(
  services: ReadonlyMap<string, Pick<VisibleService, "spec">>,
  tasks: readonly VisibleTask[],
  changes: FileChanges,
  self: string,
): {
  readonly services: ReadonlyMap<string, Pick<VisibleService, "spec">>;
  readonly tasks: readonly Omit<VisibleTask, "stamp">[];
} {
  const after = new Map(services);
  for (const name of changes.removeServices) after.delete(name);
  for (const { name, spec } of changes.writeServices) after.set(name, { spec });
  const key = (task: { readonly service: string; readonly name: string }) => `${task.service} ${task.name}`;
  const touched = new Set([...changes.removeTasks, ...changes.writeTasks].map(key));
  const kept = tasks.filter((task) => task.owner !== self || !touched.has(key(task)));
  return {
    services: after,
    tasks: [...kept, ...changes.writeTasks.map((task) => ({ ...task, owner: self }))],
  };
}

function specOf({ name: _name, tasks: _tasks, ...spec }: ServiceConfig): ServiceSpec {
  return spec;
}

function taskOf(service: string, task: ServiceConfig["tasks"][number]): TaskRecord {
  return { ...task, service, origin: "file" };
}

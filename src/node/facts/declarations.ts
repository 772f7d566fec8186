/** What a configuration file declares, as the catalog keeps it; and what the catalog would look like with it. */

import type {
  Catalog,
  Declaration,
  FileChanges,
  FileDeclarations,
  TaskRecord,
  VisibleService,
  VisibleTask,
} from "../../catalog/index.ts";
import { MAX_FILE_LENGTH } from "../../catalog/index.ts";
import type { Config, ServiceConfig } from "../../config/index.ts";
import type { ServiceSpec } from "../../model/index.ts";

/** @param file its path */
export function declarationsOf(config: Config, file: string): FileDeclarations {
  return {
    file: file.replace(/\p{Cc}/gu, "?").slice(-MAX_FILE_LENGTH),
    services: new Map(config.services.map((service) => [service.name, specOf(service)])),
    tasks: config.services.flatMap((service) => service.tasks.map((task) => taskOf(service.name, task))),
  };
}

/** The services of the catalog after the changes. */
export function servicesWith(
  catalog: Pick<Catalog, "self" | "services" | "servicesWith" | "ownDeclarations">,
  { declare, undeclare }: FileChanges,
  nowMs: number,
): ReadonlyMap<string, VisibleService> {
  if (declare.length + undeclare.length === 0) return catalog.services();
  const declared = catalog.ownDeclarations();
  return catalog.servicesWith(
    new Map([
      ...undeclare.map((name) => [name, null] as const),
      ...declare.map((declaration) => {
        const { name, spec, file } = declaration;
        const changed = changedBy(declaration, catalog.self, declared.get(name)?.changed);
        return [name, { spec, file, changed, updatedAtMs: nowMs }] as const;
      }),
    ]),
  );
}

/** The tasks of the catalog after the changes. */
export function tasksWith(
  tasks: readonly VisibleTask[],
  { removeTasks, writeTasks }: FileChanges,
  self: string,
): readonly Omit<VisibleTask, "stamp">[] {
  const key = (task: { readonly service: string; readonly name: string }) => `${task.service} ${task.name}`;
  const touched = new Set([...removeTasks, ...writeTasks].map(key));
  const kept = tasks.filter((task) => task.owner !== self || !touched.has(key(task)));
  return [...kept, ...writeTasks.map((task) => ({ ...task, owner: self }))];
}

/** What is written of each service. */
export function byService({ declare, writeTasks }: FileChanges): [service: string, changes: FileChanges][] {
  const names = new Set([...declare.map(({ name }) => name), ...writeTasks.map(({ service }) => service)]);
  const declared = new Map(declare.map((declaration) => [declaration.name, [declaration]]));
  const tasks = Map.groupBy(writeTasks, ({ service }) => service);
  return [...names].map((name) => [
    name,
    { declare: declared.get(name) ?? [], undeclare: [], writeTasks: tasks.get(name) ?? [], removeTasks: [] },
  ]);
}

function changedBy(
  { age }: Declaration,
  node: string,
  before: VisibleService["stamp"] | undefined,
): VisibleService["stamp"] {
  if (age === "newest") return { counter: Number.MAX_SAFE_INTEGER, node };
  return before ?? { counter: 0, node };
}

function specOf({ name: _name, tasks: _tasks, ...spec }: ServiceConfig): ServiceSpec {
  return spec;
}

function taskOf(service: string, task: ServiceConfig["tasks"][number]): TaskRecord {
  return { ...task, service, origin: "file" };
}

/**
 * What a (re)loaded file changes: pure. A file says what it says until it is edited; so only what differs from the file
 * loaded before is written, and an old file on a restarted node does not undo what has happened since.
 */
import { encodeRecord, taskKey } from "./record-codec.ts";
import type { ServiceRecord, ServiceSpec, TaskRecord } from "./records.ts";
import { areSpecsEqual } from "./service-codec.ts";
import type { CatalogWriter } from "./transaction.ts";

/** What a file declares. */
export interface FileDeclarations {
  /** By name. */
  readonly services: ReadonlyMap<string, ServiceSpec>;
  /** Of this node, origin `file`, healthy. Unique by service and name. */
  readonly tasks: readonly TaskRecord[];
}

export interface FileChanges {
  readonly writeServices: readonly { readonly name: string; readonly spec: ServiceSpec }[];
  readonly removeServices: readonly string[];
  readonly writeTasks: readonly TaskRecord[];
  readonly removeTasks: readonly { readonly service: string; readonly name: string }[];
  /** Declared otherwise in the file than they are now, and left as they are: it is not known which is newer. */
  readonly kept: readonly string[];
}

export interface FileComparison {
  /** null: not known, at the very first load or because state was lost. */
  readonly previous: FileDeclarations | null;
  readonly next: FileDeclarations;
  /** As they are in the catalog now; after its first sync, or what others have is not known yet. */
  readonly services: ReadonlyMap<string, ServiceRecord>;
  /** This node's, of any origin. */
  readonly ownTasks: readonly TaskRecord[];
  /** When the file was last written, if known: without `previous` it decides who is newer. */
  readonly fileChangedAtMs: number | null;
}

export function compareFile(comparison: FileComparison): FileChanges {
  return { ...compareServices(comparison), ...compareTasks(comparison) };
}

/** Writes the changes, in one transaction with whatever else the caller writes. */
export function applyFileChanges(writer: CatalogWriter, changes: FileChanges, nowMs: number): void {
  for (const { service, name } of changes.removeTasks) writer.removeTask(service, name);
  for (const name of changes.removeServices) writer.removeService(name);
  for (const { name, spec } of changes.writeServices) writer.writeService(name, spec, "file", nowMs);
  for (const task of changes.writeTasks) writer.writeTask(task);
}

type ServiceChanges = Pick<FileChanges, "writeServices" | "removeServices" | "kept">;

function compareServices({ previous, next, services, fileChangedAtMs }: FileComparison): ServiceChanges {
  const writeServices: { name: string; spec: ServiceSpec }[] = [];
  const kept: string[] = [];
  for (const [name, spec] of next.services) {
    const before = previous?.services.get(name);
    if (before !== undefined && areSpecsEqual(before, spec)) continue;
    const current = services.get(name);
    if (current !== undefined && areSpecsEqual(current.spec, spec)) continue;
    const isNewer =
      previous !== null || current === undefined || (fileChangedAtMs ?? 0) > current.updatedAtMs;
    if (isNewer) writeServices.push({ name, spec });
    else kept.push(name);
  }
  const removeServices = [...(previous?.services.keys() ?? [])].filter(
    (name) => !next.services.has(name) && services.get(name)?.origin === "file",
  );
  return { writeServices, removeServices, kept };
}

/** This node alone writes its tasks, so what the catalog has of them is never newer than what the file says. */
function compareTasks({
  previous,
  next,
  ownTasks,
}: FileComparison): Pick<FileChanges, "writeTasks" | "removeTasks"> {
  const current = byKey(ownTasks);
  const before = byKey(previous?.tasks ?? []);
  const declared = byKey(next.tasks);
  const writeTasks = next.tasks.flatMap((task) => {
    const key = taskKey(task.service, task.name);
    const present = current.get(key);
    if (present === undefined) return [task];
    const isSame = encodeRecord("task", before.get(key) ?? present) === encodeRecord("task", task);
    return isSame && present.origin === "file" ? [] : [task];
  });
  const removeTasks = ownTasks
    .filter((task) => task.origin === "file" && !declared.has(taskKey(task.service, task.name)))
    .map(({ service, name }) => ({ service, name }));
  return { writeTasks, removeTasks };
}

function byKey(tasks: readonly TaskRecord[]): Map<string, TaskRecord> {
  return new Map(tasks.map((task) => [taskKey(task.service, task.name), task]));
}

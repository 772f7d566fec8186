/**
 * What a (re)loaded file changes: pure. A file says what it says until it is edited: what differs from this node's
 * declarations is written, as the newest. A restart with the same file writes nothing, so it does not undo what others
 * have changed since.
 *
 * A node that does not know its own declarations yet (the first start, or state was lost) declares its services at once
 * but as pending: the oldest definition, so that no other definition is undone. They are declared again once it has
 * heard the other nodes.
 */

import type { ServiceSpec } from "../model/index.ts";
import { areSpecsEqual } from "../model/index.ts";
import { UNKNOWN_COUNTER, type VisibleService } from "./definitions.ts";
import { taskKey } from "./record-codec.ts";
import type { DeclarationRecord, TaskRecord } from "./records.ts";
import type { CatalogWriter, Declaration } from "./transaction.ts";

/** What a file declares. */
export interface FileDeclarations {
  /** Path on this node. */
  readonly file: string;
  /** By name. */
  readonly services: ReadonlyMap<string, ServiceSpec>;
  /** Of this node, origin `file`, healthy. Unique by service and name. */
  readonly tasks: readonly TaskRecord[];
}

export interface FileChanges {
  readonly declare: readonly Declaration[];
  readonly undeclare: readonly string[];
  readonly writeTasks: readonly TaskRecord[];
  readonly removeTasks: readonly { readonly service: string; readonly name: string }[];
}

export interface FileComparison {
  readonly next: FileDeclarations;
  /** This node's declarations, as the catalog has them. */
  readonly declared: ReadonlyMap<string, DeclarationRecord>;
  /** Those of them that were written before this node had heard the others. */
  readonly pending: ReadonlySet<string>;
  /** Every service of the catalog. */
  readonly services: ReadonlyMap<string, VisibleService>;
  /** This node's, of any origin. */
  readonly ownTasks: readonly TaskRecord[];
  /** Of the file loaded before, in this life of the process. */
  readonly previousTasks: readonly TaskRecord[];
  readonly age: FileAge;
}

/**
 * What is known of the file loaded before. `unsynced`: no other node has been heard yet, so nothing can be compared.
 * `known`: whatever differs from it has been edited since. A time: when the file was written, ms since 1970 (null: not
 * known either), which decides whether it is newer than what others have.
 */
export type FileAge = "unsynced" | "known" | { readonly changedAtMs: number | null };

export function compareFile(comparison: FileComparison): FileChanges {
  const { next, declared } = comparison;
  return {
    declare: [...next.services].flatMap(([name, spec]) => compareService(name, spec, comparison)),
    undeclare: [...declared.keys()].filter((name) => !next.services.has(name)),
    ...compareTasks(comparison),
  };
}

/** Writes the changes, in one transaction with whatever else the caller writes. */
export function applyFileChanges(writer: CatalogWriter, changes: FileChanges, nowMs: number): void {
  for (const { service, name } of changes.removeTasks) writer.removeTask(service, name);
  for (const name of changes.undeclare) writer.undeclare(name);
  for (const declaration of changes.declare) writer.declare(declaration, nowMs);
  for (const task of changes.writeTasks) writer.writeTask(task);
}

function compareService(name: string, spec: ServiceSpec, comparison: FileComparison): Declaration[] {
  const { declared, pending, age, next } = comparison;
  const { file } = next;
  const current = declared.get(name);
  const isSame = current !== undefined && areSpecsEqual(current.spec, spec);
  const declaration = { name, spec, file };
  if (isSame && !pending.has(name)) return current.file === file ? [] : [{ ...declaration, age: "kept" }];
  if (age === "unsynced") return [{ ...declaration, age: "pending" }];
  if (age === "known") return [{ ...declaration, age: "newest" }];
  const isRemembered = isSame && current.changed.counter > UNKNOWN_COUNTER; // by the others
  const isNewest = !isRemembered && isNewerThanOthers(name, spec, age.changedAtMs, comparison);
  return [{ ...declaration, age: isNewest ? "newest" : "kept" }];
}

/** By the time of the file: no earlier one is known to compare it with. */
function isNewerThanOthers(
  name: string,
  spec: ServiceSpec,
  changedAtMs: number | null,
  { services }: FileComparison,
): boolean {
  const inForce = services.get(name)?.definitions.find(({ changed }) => changed.counter > UNKNOWN_COUNTER);
  if (inForce === undefined || areSpecsEqual(inForce.spec, spec)) return true;
  return (changedAtMs ?? 0) > inForce.updatedAtMs;
}

/** This node alone writes its tasks, so what the catalog has of them is never newer than what the file says. */
function compareTasks({
  next,
  ownTasks,
  previousTasks,
}: FileComparison): Pick<FileChanges, "writeTasks" | "removeTasks"> {
  const current = byKey(ownTasks);
  const before = byKey(previousTasks);
  const declared = byKey(next.tasks);
  const writeTasks = next.tasks.flatMap((task) => {
    const key = taskKey(task.service, task.name);
    const present = current.get(key);
    if (present === undefined) return [task];
    const isSame = areTasksEqual(before.get(key) ?? present, task);
    const { health } = present; // the file does not say
    return isSame && present.origin === "file" ? [] : [health === undefined ? task : { ...task, health }];
  });
  const removeTasks = ownTasks
    .filter((task) => task.origin === "file" && !declared.has(taskKey(task.service, task.name)))
    .map(({ service, name }) => ({ service, name }));
  return { writeTasks, removeTasks };
}

function byKey(tasks: readonly TaskRecord[]): Map<string, TaskRecord> {
  return new Map(tasks.map((task) => [taskKey(task.service, task.name), task]));
}

function areTasksEqual(one: TaskRecord, other: TaskRecord): boolean {
  const { host, port, weight, isBackup, isDraining, origin } = other;
  return (
    (one.isBackup === true) === (isBackup === true) &&
    one.host === host &&
    one.port === port &&
    one.weight === weight &&
    one.isDraining === isDraining &&
    one.origin === origin
  );
}

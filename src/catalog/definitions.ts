/**
 * One service out of its definitions: pure, and the same answer on every node. Files of several nodes may declare one
 * service, and a command may have made it too; the definition changed last is in force. The service exists as long as
 * one of them does.
 */
import type { Origin, ServiceSpec, Stamp } from "../model/index.ts";
import { compareStamps, compareTexts } from "./entry.ts";
import { MAX_COUNTER } from "./limits.ts";
import type { DeclarationRecord, ServiceRecord } from "./records.ts";

export interface Definition {
  /** The node with the file, or the one on which the command was run. */
  readonly node: string;
  /** null: made by command. */
  readonly file: string | null;
  readonly spec: ServiceSpec;
  readonly changed: Stamp;
  readonly created: Stamp;
  readonly createdAtMs: number;
  readonly updatedAtMs: number;
}

export interface VisibleService extends ServiceRecord {
  /** `file` as long as a file declares it. */
  readonly origin: Origin;
  /** Of the definition in force. */
  readonly stamp: Stamp;
  /** The one in force, then the others, newest first. */
  readonly definitions: readonly Definition[];
}

/** Older than every known change. */
export const UNKNOWN_COUNTER = 0;
/** `created` of a declaration whose node has not yet heard what others have: younger than every other service. */
export const YOUNGEST_COUNTER = MAX_COUNTER;

export function definitionByCommand(record: ServiceRecord, stamp: Stamp): Definition {
  const { spec, created, createdAtMs, updatedAtMs } = record;
  return { node: stamp.node, file: null, spec, changed: stamp, created, createdAtMs, updatedAtMs };
}

export function definitionByFile(record: DeclarationRecord, node: string): Definition {
  const { spec, file, changed, created, createdAtMs, updatedAtMs } = record;
  return { node, file, spec, changed, created, createdAtMs, updatedAtMs };
}

/** @param definitions at least one */
export function resolveService(name: string, definitions: readonly Definition[]): VisibleService {
  const sorted = [...definitions].sort(compareDefinitions);
  const { spec, changed, updatedAtMs } = sorted[0]!;
  const oldest = sorted.reduce((one, other) => (compareStamps(other.created, one.created) < 0 ? other : one));
  return {
    name,
    spec,
    origin: sorted.some(({ file }) => file !== null) ? "file" : "api",
    stamp: changed,
    created: oldest.created,
    createdAtMs: oldest.createdAtMs,
    updatedAtMs,
    definitions: sorted,
  };
}

/** Newest first. */
function compareDefinitions(one: Definition, other: Definition): number {
  return (
    compareStamps(other.changed, one.changed) ||
    compareTexts(one.node, other.node) ||
    Number(one.file !== null) - Number(other.file !== null)
  );
}

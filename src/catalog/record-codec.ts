/**
 * Records ↔ the value of their entry, a msgpack map. The bytes are kept and relayed as they came, so that what a newer
 * version added survives nodes that do not know it, and every node computes the same hash. What the entry's key says
 * already (names) is not in the value.
 */
import {
  DEFAULT_RULES,
  describeFault,
  isMemberName,
  isServiceName,
  isTaskName,
  type ServiceSpec,
  type Stamp,
  sortedLabels,
  toPortRuns,
} from "../model/index.ts";
import { decodeWhole, encodeValue, isMap } from "../wire/index.ts";
import { type EntryKind, isKnown, type RowKind } from "./kinds.ts";
import { MAX_VALUE_BYTES } from "./limits.ts";
import { recordSchemas } from "./record-schemas.ts";
import type {
  DeclarationRecord,
  NodeDirective,
  NodeRecord,
  OverlayRecord,
  RelayRecord,
  ServiceRecord,
  TaskRecord,
} from "./records.ts";

/** By the kind of its entry. */
export interface RecordOf {
  readonly service: ServiceRecord;
  readonly directive: NodeDirective;
  readonly task: TaskRecord;
  readonly node: NodeRecord;
  readonly declaration: DeclarationRecord;
}
export type AnyRecord = RecordOf[EntryKind];

/** `fault`: why this version cannot read the record, which is kept all the same. `problem`: it is not a record at all. */
export type DecodedRecord<K extends EntryKind = EntryKind> =
  | { readonly record: RecordOf[K] }
  | { readonly record: null; readonly fault: string }
  | { readonly problem: string };

export function taskKey(service: string, name: string): string {
  return `${service}\0${name}`;
}

/** null when it is a valid key of such an entry, else what is wrong with it. */
export function checkKey(kind: EntryKind, key: string): string | null {
  switch (kind) {
    case "service":
    case "declaration":
      return isServiceName(key) ? null : `${JSON.stringify(key)} is not a service name`;
    case "directive":
      return isMemberName(key) ? null : `${JSON.stringify(key)} is not a node name`;
    case "node":
      return key === "" ? null : "a node has one record only";
    case "task": {
      const [service, name] = splitTaskKey(key);
      if (!isServiceName(service)) return `${JSON.stringify(service)} is not a service name`;
      return isTaskName(name) ? null : `${JSON.stringify(name)} is not a task name`;
    }
  }
}

/** A record as every node reads it, and its bytes. null: this version cannot read it. */
export interface EncodedRecord<K extends EntryKind = EntryKind> {
  readonly record: RecordOf[K] | null;
  readonly value: Uint8Array;
}

export function encodeRecord<K extends EntryKind>(kind: K, record: RecordOf[K]): Uint8Array {
  return encodeValue(toFields(kind, record as AnyRecord));
}

/** For an entry of this node, or what is wrong with it. `key` is valid: checkKey has said so. */
export function prepareRecord<K extends EntryKind>(
  kind: K,
  key: string,
  record: RecordOf[K],
): EncodedRecord<K> | { readonly problem: string } {
  const read = readFields(kind, key, toFields(kind, record as AnyRecord));
  if ("fault" in read) return { problem: read.fault };
  const value = encodeRecord(kind, read.record);
  const isTooLarge = value.length > MAX_VALUE_BYTES;
  return isTooLarge
    ? { problem: `is larger than ${MAX_VALUE_BYTES / 1024} KiB` }
    : { record: read.record, value };
}

/** Never throws, whatever the bytes. `key` is valid: checkKey has said so. */
export function decodeRecord<K extends EntryKind>(kind: K, key: string, value: Uint8Array): DecodedRecord<K>;
export function decodeRecord(kind: RowKind, key: string, value: Uint8Array): DecodedRecord;
export function decodeRecord(kind: RowKind, key: string, value: Uint8Array): DecodedRecord {
  const fields = decodeWhole(value);
  if (!isMap(fields)) return { problem: "is not a msgpack map" };
  return isKnown(kind)
    ? readFields(kind, key, fields)
    : { record: null, fault: "its kind is of a newer version" };
}

function readFields<K extends EntryKind>(
  kind: K,
  key: string,
  fields: unknown,
): Exclude<DecodedRecord<K>, { problem: string }> {
  const result = recordSchemas[kind].safeParse(fields);
  if (!result.success) return { record: null, fault: describeFault(result.error) };
  return { record: { ...namesIn(kind, key), ...result.data } as unknown as RecordOf[K] };
}

export function specFields(spec: ServiceSpec): unknown {
  return {
    publish: toPortRuns(spec.publish),
    balance: spec.balance,
    prefer: spec.prefer,
    sendProxy: spec.sendProxy,
    acceptProxy: spec.acceptProxy,
    allow: spec.allow,
    deny: spec.deny,
    bind: spec.bind,
    nodes: sortedLabels(spec.nodes),
    maxConnections: spec.maxConnections,
    idleTimeoutMs: spec.idleTimeoutMs,
    drainTimeoutMs: spec.drainTimeoutMs,
    ...(spec.perClient !== undefined && { perClient: spec.perClient }),
    udp: spec.udp,
    ...healthFields(spec),
  };
}

/** Only what differs from the default, as nodes of an older version write it. */
function healthFields({ check, panic, slowStartMs }: ServiceSpec): object {
  return {
    ...(check !== null && { check }),
    ...(panic !== DEFAULT_RULES.panic && { panic }),
    ...(slowStartMs !== DEFAULT_RULES.slowStartMs && { slowStartMs }),
  };
}

function toFields(kind: EntryKind, record: AnyRecord): unknown {
  switch (kind) {
    case "service":
      return serviceFields(record as ServiceRecord);
    case "declaration":
      return {
        ...serviceFields(record as DeclarationRecord),
        changed: stampFields((record as DeclarationRecord).changed),
        file: (record as DeclarationRecord).file,
      };
    case "directive":
      return { directive: (record as NodeDirective).directive };
    case "task": {
      const { host, port, weight, isBackup, isDraining, origin, health } = record as TaskRecord;
      return {
        ...{ host, port, weight, isDraining, origin },
        ...(isBackup === true && { isBackup }),
        ...(health !== undefined && { health }),
      };
    }
    case "node": {
      const { labels, relay, overlay, downTasks, ...rest } = record as NodeRecord;
      const down = downTasks.map(({ service, task, ports }) => [service, task, ports]);
      return {
        labels: sortedLabels(labels),
        relay: relayFields(relay),
        overlay: overlayFields(overlay),
        ...rest,
        ...(down.length > 0 && { downTasks: down }),
      };
    }
  }
}

function serviceFields({ spec, created, createdAtMs, updatedAtMs }: ServiceRecord): object {
  return { spec: specFields(spec), created: stampFields(created), createdAtMs, updatedAtMs };
}

function stampFields({ counter, node }: Stamp): [counter: number, node: string] {
  return [counter, node];
}

function relayFields(relay: RelayRecord | null): RelayRecord | null {
  if (relay === null) return null;
  const { address, port, udpPort } = relay;
  return { address, port, ...(udpPort !== undefined && { udpPort }) };
}

function overlayFields(overlay: OverlayRecord | null): OverlayRecord | null {
  if (overlay === null) return null;
  const { driver, address, vni, port, encrypt, publicKey } = overlay;
  return { driver, address, vni, port, encrypt, publicKey };
}

/** The names that the key of the entry holds. */
function namesIn(kind: EntryKind, key: string): Partial<TaskRecord> {
  if (kind === "service" || kind === "declaration") return { name: key };
  if (kind !== "task") return {};
  const [service, name] = splitTaskKey(key);
  return { service, name };
}

function splitTaskKey(key: string): [service: string, name: string] {
  const end = key.indexOf("\0");
  return end < 0 ? [key, ""] : [key.slice(0, end), key.slice(end + 1)];
}

/**
 * Records ↔ the value of their entry: JSON in printable ASCII, everything else escaped. The value is kept and handed
 * on as it came, so that what a newer version added to it survives nodes that do not know it, and every node
 * computes the same hash. What the entry's key says already (names) is not in the value.
 */
import {
  describeFault,
  isMemberName,
  isServiceName,
  isTaskName,
  type ServiceSpec,
  type Stamp,
  sortedLabels,
  toPortRuns,
} from "../model/index.ts";
import { MAX_VALUE_BYTES, MAX_VALUE_DEPTH } from "./limits.ts";
import { recordSchemas } from "./record-schemas.ts";
import type {
  DeclarationRecord,
  NodeRecord,
  NodeWish,
  OverlayRecord,
  RelayRecord,
  ServiceRecord,
  TaskRecord,
} from "./records.ts";

/** By the kind of its entry. */
export interface RecordOf {
  readonly service: ServiceRecord;
  readonly wish: NodeWish;
  readonly task: TaskRecord;
  readonly node: NodeRecord;
  readonly declaration: DeclarationRecord;
}
export type EntryKind = keyof RecordOf;
export type AnyRecord = RecordOf[EntryKind];

export type DecodedRecord<K extends EntryKind> =
  | { readonly record: RecordOf[K] }
  | { readonly problem: string };

const TOO_LARGE = { problem: `is larger than ${MAX_VALUE_BYTES / 1024} KiB` };

const QUOTE = 0x22;
const OPEN_BRACKET = 0x5b;
const BACKSLASH = 0x5c;
const CLOSE_BRACKET = 0x5d;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;

export function taskKey(service: string, name: string): string {
  return `${service}\0${name}`;
}

/** null when it is a valid key of such an entry, else what is wrong with it. */
export function checkKey(kind: EntryKind, key: string): string | null {
  switch (kind) {
    case "service":
    case "declaration":
      return isServiceName(key) ? null : `${JSON.stringify(key)} is not a service name`;
    case "wish":
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

/** A record as every node reads it, and its text. */
export interface EncodedRecord<K extends EntryKind = EntryKind> {
  readonly record: RecordOf[K];
  readonly text: string;
}

export function encodeRecord<K extends EntryKind>(kind: K, record: RecordOf[K]): string {
  return escaped(JSON.stringify(toJson(kind, record as AnyRecord)));
}

/** For an entry of this node, or what is wrong with it. `key` is valid: checkKey has said so. */
export function prepareRecord<K extends EntryKind>(
  kind: K,
  key: string,
  record: RecordOf[K],
): EncodedRecord<K> | { readonly problem: string } {
  const value = toJson(kind, record as AnyRecord);
  const read = readValue(kind, key, value);
  if ("problem" in read) return read;
  const text = escaped(JSON.stringify(value));
  return text.length > MAX_VALUE_BYTES ? TOO_LARGE : { record: read.record, text };
}

/** Never throws, whatever the text. `key` is valid: checkKey has said so. */
export function decodeRecord<K extends EntryKind>(kind: K, key: string, text: string): DecodedRecord<K> {
  if (text.length > MAX_VALUE_BYTES) return TOO_LARGE;
  if (!isShallow(text)) return { problem: `nests deeper than ${MAX_VALUE_DEPTH}` };
  try {
    return readValue(kind, key, JSON.parse(text));
  } catch {
    return { problem: "is not JSON" };
  }
}

function readValue<K extends EntryKind>(kind: K, key: string, value: unknown): DecodedRecord<K> {
  const result = recordSchemas[kind].safeParse(value);
  if (!result.success) return { problem: describeFault(result.error) };
  return { record: { ...namesIn(kind, key), ...result.data } as unknown as RecordOf[K] };
}

function escaped(text: string): string {
  return text.replace(
    /[^\x20-\x7e]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

export function isPrintableAscii(text: string): boolean {
  return !/[^\x20-\x7e]/.test(text);
}

export function specToJson(spec: ServiceSpec): unknown {
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
    udp: spec.udp,
  };
}

function toJson(kind: EntryKind, record: AnyRecord): unknown {
  switch (kind) {
    case "service":
      return serviceToJson(record as ServiceRecord);
    case "declaration":
      return {
        ...serviceToJson(record as DeclarationRecord),
        changed: stampToJson((record as DeclarationRecord).changed),
        file: (record as DeclarationRecord).file,
      };
    case "wish":
      return { wish: (record as NodeWish).wish };
    case "task": {
      const { host, port, weight, isDraining, origin } = record as TaskRecord;
      return { host, port, weight, isDraining, origin };
    }
    case "node": {
      const { labels, relay, overlay, downTasks, ...rest } = record as NodeRecord;
      const down = downTasks.map(({ service, task, ports }) => [service, task, ports]);
      return {
        labels: sortedLabels(labels),
        relay: relayToJson(relay),
        overlay: overlayToJson(overlay),
        ...rest,
        ...(down.length > 0 && { downTasks: down }),
      };
    }
  }
}

function serviceToJson({ spec, created, createdAtMs, updatedAtMs }: ServiceRecord): object {
  return { spec: specToJson(spec), created: stampToJson(created), createdAtMs, updatedAtMs };
}

function stampToJson({ counter, node }: Stamp): [counter: number, node: string] {
  return [counter, node];
}

function relayToJson(relay: RelayRecord | null): RelayRecord | null {
  if (relay === null) return null;
  const { address, port, udpPort } = relay;
  return { address, port, ...(udpPort !== undefined && { udpPort }) };
}

function overlayToJson(overlay: OverlayRecord | null): OverlayRecord | null {
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

/** Brackets inside texts do not count. What is no JSON at all may come out either way. */
function isShallow(text: string): boolean {
  let depth = 0;
  let isInText = false;
  for (let i = 0; i < text.length; i++) {
    const character = text.charCodeAt(i);
    if (character === BACKSLASH) i++;
    else if (character === QUOTE) isInText = !isInText;
    else if (isInText) continue;
    else if (character === OPEN_BRACKET || character === OPEN_BRACE) {
      if (++depth > MAX_VALUE_DEPTH) return false;
    } else if (character === CLOSE_BRACKET || character === CLOSE_BRACE) depth--;
  }
  return true;
}

/**
 * Entries as bytes: a body that is hashed, relayed and stored as it came, and beside it the age of a tombstone.
 *
 *     body   msgpack [kind, key, node, counter, replaces, value]
 *       kind      a number (entry.ts): 0 service, 1 directive, 32 task, 33 node, 34 declaration
 *       key       service name | node name | service NUL name | "" | service name
 *       node      writer; of owned kinds also the owner
 *       replaces  [counter, node] of each version before this one; of services only
 *       value     bin: the record (record-codec.ts); nil: a tombstone
 *     age    seconds since a tombstone was written, so that a node that learns it late does not keep it longer
 *
 * Newer versions may use other kinds, records with other fields, and elements behind the value: an entry is kept as
 * long as its head is right and its value a msgpack map, whether or not the record can be read.
 */
import type { Stamp } from "../model/index.ts";
import { isMemberName } from "../model/index.ts";
import { decodeWhole, encodeValue } from "../wire/index.ts";
import { type Entry, type EntryHash, type EntryHead, isTombstone, recordBytes } from "./entry.ts";
import { isKnown, kindNumber, kindOf, type RowKind } from "./kinds.ts";
import { MAX_COUNTER, MAX_REPLACED, MAX_VALUE_BYTES } from "./limits.ts";
import { checkKey, decodeRecord, type EncodedRecord } from "./record-codec.ts";
import type { DeclarationRecord } from "./records.ts";

const MAX_KEY_LENGTH = 512;
/** Everything of a body but its value. */
const MAX_HEAD_BYTES = 4096;
/** A year; older ones are long forgotten. */
const MAX_AGE_S = 366 * 24 * 3600;
/** Of the array around body and age, the length of the body, and the age. */
const WIRE_OVERHEAD_BYTES = 11;
const HASH_SEED_HIGH = 0x706f7274;
const HASH_SEED_LOW = 0x6d657368;

/** An entry as messages and snapshots have it. */
export type WireTuple = readonly [body: Uint8Array, ageS: number];

/** As read, before its record has been looked at; its body is a view of the message. */
export type WireEntry = EntryHead;

export function toWire(entry: EntryHead, steadyMs: number): WireTuple {
  const ageS = isTombstone(entry) ? Math.max(0, Math.floor((steadyMs - entry.bornAtMs) / 1000)) : 0;
  return [entry.body, ageS];
}

/** Upper bound of what the entry takes in a message. */
export function entryBytes({ body }: EntryHead): number {
  return body.length + WIRE_OVERHEAD_BYTES;
}

/**
 * null: not an entry of any version. `previous`: the entry before it; long runs are of one writer, whose name is then
 * kept once.
 */
export function fromWire(tuple: unknown, steadyMs: number, previous?: WireEntry): WireEntry | null {
  if (!Array.isArray(tuple) || !(tuple[0] instanceof Uint8Array)) return null;
  const [body, ageS] = tuple as [Uint8Array, unknown];
  if (typeof ageS !== "number" || !(ageS >= 0)) return null;
  const head = readHead(body, previous);
  return head && { ...head, hash: hashOf(body), bornAtMs: steadyMs - Math.min(ageS, MAX_AGE_S) * 1000 };
}

function readHead(body: Uint8Array, previous?: WireEntry): Omit<EntryHead, "hash" | "bornAtMs"> | null {
  const decoded = decodeWhole(body);
  if (!Array.isArray(decoded)) return null;
  const [number, key, name, counter, replaced, value] = decoded as unknown[];
  const kind = kindOf(number);
  const replaces = readReplaced(replaced);
  if (kind === null || typeof key !== "string" || typeof name !== "string" || replaces === null) return null;
  if (typeof counter !== "number" || !(value instanceof Uint8Array || value === null)) return null;
  if (body.length - (value?.length ?? 0) > MAX_HEAD_BYTES) return null;
  const valueAt = value === null ? 0 : value.byteOffset - body.byteOffset;
  return {
    kind,
    key,
    stamp: { counter, node: name === previous?.stamp.node ? previous.stamp.node : name },
    replaces,
    body,
    valueAt,
    valueEnd: valueAt + (value?.length ?? 0),
  };
}

/** The entry with its record if it can be read, in memory of its own; or why it cannot be held. */
export function openEntry(wire: WireEntry): Entry | { readonly problem: string } {
  const problem = checkHead(wire);
  if (problem !== null) return { problem };
  const decoded = isTombstone(wire) ? { record: null } : decodeRecord(wire.kind, wire.key, recordBytes(wire));
  if ("problem" in decoded) return decoded;
  const { record } = decoded;
  const late = findLateChange(wire.kind, record, wire.stamp);
  return late === null ? { ...wire, body: new Uint8Array(wire.body), record } : { problem: late };
}

/** Otherwise no later change, of any node, would ever be newer. null: nothing is wrong. */
function findLateChange(kind: RowKind, record: Entry["record"], stamp: Stamp): string | null {
  if (kind !== "declaration" || record === null) return null;
  const { changed } = record as DeclarationRecord;
  return changed.counter <= stamp.counter ? null : "changed: is later than its last write";
}

/** A new version of a row, by this node. null: its tombstone. The problem names what is wrong with it. */
export function makeEntry(
  kind: RowKind,
  key: string,
  stamp: Stamp,
  encoded: EncodedRecord | null,
  bornAtMs: number,
  replaces: readonly Stamp[] = [],
): Entry | { readonly problem: string } {
  const head = entryHead(kind, key, stamp, encoded?.value ?? null, bornAtMs, replaces);
  const record = encoded?.record ?? null;
  const problem = checkHead(head) ?? findLateChange(kind, record, stamp);
  return problem === null ? { ...head, record } : { problem };
}

/** The same content with another stamp. */
export function restamped(entry: Entry, stamp: Stamp): Entry {
  const { kind, key, bornAtMs, replaces, record } = entry;
  const value = isTombstone(entry) ? null : recordBytes(entry);
  return { ...entryHead(kind, key, stamp, value, bornAtMs, replaces), record };
}

/** The tombstone of a row. */
export function buried({ kind, key, replaces }: Entry, stamp: Stamp, bornAtMs: number): Entry {
  return { ...entryHead(kind, key, stamp, null, bornAtMs, replaces), record: null };
}

export function entryHead(
  kind: RowKind,
  key: string,
  stamp: Stamp,
  value: Uint8Array | null,
  bornAtMs: number,
  replaces: readonly Stamp[] = [],
): EntryHead {
  const earlier = replaces.map(({ counter, node }) => [counter, node]);
  const encoded = encodeValue([kindNumber(kind), key, stamp.node, stamp.counter, earlier, value]);
  const body = new Uint8Array(encoded); // which is a view of a much larger buffer
  const valueAt = value === null ? 0 : body.length - value.length;
  const valueEnd = value === null ? 0 : body.length;
  return { kind, key, stamp, replaces, body, valueAt, valueEnd, hash: hashOf(body), bornAtMs };
}

function hashOf(bytes: Uint8Array): EntryHash {
  return {
    high: Bun.hash.xxHash32(bytes, HASH_SEED_HIGH),
    low: Bun.hash.xxHash32(bytes, HASH_SEED_LOW),
  };
}

function readReplaced(replaced: unknown): Stamp[] | null {
  if (!Array.isArray(replaced) || replaced.length > MAX_REPLACED) return null;
  const stamps = replaced.map((stamp) => (Array.isArray(stamp) ? stamp : []));
  return stamps.every(([counter, node]) => Number.isSafeInteger(counter) && typeof node === "string")
    ? stamps.map(([counter, node]) => ({ counter, node }))
    : null;
}

function checkHead(entry: EntryHead): string | null {
  const { kind, key, stamp, replaces } = entry;
  const { counter, node } = stamp;
  if (!isMemberName(node)) return `${JSON.stringify(node)} is not a node name`;
  if (!Number.isInteger(counter) || counter < 1 || counter > MAX_COUNTER) {
    return `counter ${counter} is outside 1..2^52`;
  }
  if (key.length > MAX_KEY_LENGTH) return `its key has ${key.length} characters`;
  if (replaces.length > MAX_REPLACED) return `it names ${replaces.length} earlier versions`;
  if (replaces.some((stamp) => !isMemberName(stamp.node))) return "an earlier version has no node name";
  if (entry.valueEnd - entry.valueAt > MAX_VALUE_BYTES) return `is larger than ${MAX_VALUE_BYTES / 1024} KiB`;
  return isKnown(kind) ? checkKey(kind, key) : null;
}

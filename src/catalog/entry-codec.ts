/**
 * Entries as bytes. The hash is taken over these bytes without the age, so encoding is unambiguous: numbers and
 * lengths are LEB128 in shortest form, texts printable ASCII (bytes.ts).
 *
 *     kind u8        0 service, 1 wish, 2 task, 3 node, 4 declaration; bit 7 set: tombstone
 *     node text      writer; for tasks, nodes and declarations also the owner
 *     counter varint
 *     key text       service name | node name | service NUL name | "" | service name
 *     value text     JSON of the record (record-codec.ts), or for tombstones:
 *     age varint     seconds since it was written, so that whoever learns it late does not keep it longer
 */
import { type ByteReader, ByteWriter } from "./bytes.ts";
import type { Entry, EntryHash, EntryHead, EntryKind } from "./entry.ts";
import { MAX_COUNTER, MAX_NODE_NAME_LENGTH, MAX_VALUE_BYTES } from "./limits.ts";
import { isNodeName } from "./names.ts";
import { checkKey, decodeRecord, encodeRecord, isPrintableAscii, type RecordOf } from "./record-codec.ts";
import type { DeclarationRecord, Stamp } from "./records.ts";

export const LEAST_ENTRY_BYTES = 6;
const KINDS: readonly EntryKind[] = ["service", "wish", "task", "node", "declaration"];
const TOMBSTONE = 0x80;
const MAX_KEY_LENGTH = 512;
/** A year; older ones are long forgotten. */
const MAX_AGE_S = 366 * 24 * 3600;
const HASH_SEED_HIGH = 0x706f7274;
const HASH_SEED_LOW = 0x6d657368;

/** As read, before its value has been looked at. */
export interface WireEntry extends EntryHead {
  /** What is wrong with it already; null: nothing so far. */
  readonly problem: string | null;
}

export function writeEntry(writer: ByteWriter, entry: EntryHead, steadyMs: number): void {
  writeHashed(writer, entry.kind, entry.key, entry.stamp, entry.text);
  if (entry.text === null) writer.varint(Math.max(0, Math.floor((steadyMs - entry.bornAtMs) / 1000)));
}

/** Upper bound of what writeEntry takes. */
export function entryBytes(entry: EntryHead): number {
  return 24 + entry.stamp.node.length + entry.key.length + (entry.text?.length ?? 0);
}

/**
 * The reader is broken afterwards when there was no complete entry. `previous`: the entry before it; long runs are of
 * one writer, whose name is then kept once.
 */
export function readEntry(reader: ByteReader, steadyMs: number, previous?: WireEntry): WireEntry {
  const start = reader.at;
  const flags = reader.byte();
  const name = reader.text(MAX_NODE_NAME_LENGTH);
  const node = name === previous?.stamp.node ? previous.stamp.node : name;
  const counter = reader.varint();
  const key = reader.text(MAX_KEY_LENGTH);
  const isTombstone = (flags & TOMBSTONE) !== 0;
  const text = isTombstone ? null : reader.text(MAX_VALUE_BYTES);
  const end = reader.at;
  const ageS = isTombstone ? reader.varint() : 0;
  const kind = KINDS[flags & ~TOMBSTONE];
  return {
    kind: kind ?? "node",
    key,
    stamp: { counter, node },
    text,
    hash: reader.isBroken ? { high: 0, low: 0 } : hashOf(reader.between(start, end)),
    bornAtMs: steadyMs - Math.min(ageS, MAX_AGE_S) * 1000,
    problem: kind === undefined ? "its kind is unknown" : checkHead(kind, key, node, counter),
  };
}

/** The entry with its record, or why it cannot be held. */
export function openEntry(wire: WireEntry): Entry | { readonly problem: string } {
  if (wire.problem !== null) return { problem: wire.problem };
  const { kind, key, stamp, text, hash, bornAtMs } = wire;
  if (text === null) return { kind, key, stamp, text, hash, bornAtMs, record: null };
  if (!isPrintableAscii(text)) return { problem: "is no printable ASCII" };
  const decoded = decodeRecord(kind, key, text);
  if ("problem" in decoded) return decoded;
  const problem = kind === "declaration" ? checkAge(decoded.record as DeclarationRecord, stamp) : null;
  return problem === null ? { kind, key, stamp, text, hash, bornAtMs, record: decoded.record } : { problem };
}

/** Else no later change, of any node, would ever be newer. */
function checkAge({ changed }: DeclarationRecord, stamp: Stamp): string | null {
  return changed.counter <= stamp.counter ? null : "changed: is later than its last write";
}

/** A new version of a row, by this node. null: its tombstone. The problem names what the record has wrong. */
export function makeEntry<K extends EntryKind>(
  kind: K,
  key: string,
  stamp: Stamp,
  record: RecordOf[K] | null,
  bornAtMs: number,
): Entry | { readonly problem: string } {
  const text = record === null ? null : encodeRecord(kind, record);
  const problem = checkHead(kind, key, stamp.node, stamp.counter);
  return openEntry({ ...entryHead(kind, key, stamp, text, bornAtMs), problem });
}

/** The same content with another stamp. */
export function restamped(entry: Entry, stamp: Stamp): Entry {
  return { ...entry, ...entryHead(entry.kind, entry.key, stamp, entry.text, entry.bornAtMs) };
}

export function entryHead(
  kind: EntryKind,
  key: string,
  stamp: Stamp,
  text: string | null,
  bornAtMs: number,
): EntryHead {
  const writer = new ByteWriter();
  writeHashed(writer, kind, key, stamp, text);
  return { kind, key, stamp, text, bornAtMs, hash: hashOf(writer.since(0)) };
}

function writeHashed(
  writer: ByteWriter,
  kind: EntryKind,
  key: string,
  stamp: Stamp,
  text: string | null,
): void {
  writer.byte(KINDS.indexOf(kind) | (text === null ? TOMBSTONE : 0));
  writer.text(stamp.node);
  writer.varint(stamp.counter);
  writer.text(key);
  if (text !== null) writer.text(text);
}

function hashOf(bytes: Uint8Array): EntryHash {
  return {
    high: Bun.hash.xxHash32(bytes, HASH_SEED_HIGH),
    low: Bun.hash.xxHash32(bytes, HASH_SEED_LOW),
  };
}

function checkHead(kind: EntryKind, key: string, node: string, counter: number): string | null {
  if (!isNodeName(node)) return `${JSON.stringify(node)} is no node name`;
  if (counter < 1 || counter > MAX_COUNTER) return `counter ${counter} is outside 1..2^52`;
  return checkKey(kind, key);
}

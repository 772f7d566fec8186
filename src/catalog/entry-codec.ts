/**
 * Entries as bytes. The hash is taken over these bytes without the age, so encoding is unambiguous: numbers and
 * lengths are LEB128 in shortest form, texts printable ASCII (bytes.ts).
 *
 *     kind u8        0 service, 1 wish, 2 task, 3 node, 4 declaration; bit 7 set: tombstone
 *     node text      writer; for tasks, nodes and declarations also the owner
 *     counter varint
 *     key text       service name | node name | service NUL name | "" | service name
 *     replaces       of services only: count varint, count × (counter varint, node text)
 *     value text     JSON of the record (record-codec.ts), or for tombstones:
 *     age varint     seconds since it was written, so that whoever learns it late does not keep it longer
 */
import type { Stamp } from "../model/index.ts";
import { isMemberName, MAX_NODE_NAME_LENGTH } from "../model/index.ts";
import { type ByteReader, ByteWriter } from "./bytes.ts";
import type { Entry, EntryHash, EntryHead, EntryKind } from "./entry.ts";
import { MAX_COUNTER, MAX_REPLACED, MAX_VALUE_BYTES } from "./limits.ts";
import { checkKey, decodeRecord, type EncodedRecord, isPrintableAscii } from "./record-codec.ts";
import type { DeclarationRecord } from "./records.ts";

export const LEAST_ENTRY_BYTES = 6;
const KINDS: readonly EntryKind[] = ["service", "wish", "task", "node", "declaration"];
const TOMBSTONE = 0x80;
const LEAST_STAMP_BYTES = 2;
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
  writeHashed(writer, entry);
  if (entry.text === null) writer.varint(Math.max(0, Math.floor((steadyMs - entry.bornAtMs) / 1000)));
}

/** Upper bound of what writeEntry takes. */
export function entryBytes(entry: EntryHead): number {
  const replacedBytes = entry.replaces.reduce((sum, { node }) => sum + 10 + node.length, 0);
  return 25 + entry.stamp.node.length + entry.key.length + replacedBytes + (entry.text?.length ?? 0);
}

/**
 * The reader is broken afterwards when there was no complete entry. `previous`: the entry before it; long runs are of
 * one writer, whose name is then kept once.
 */
export function readEntry(
  reader: ByteReader,
  steadyMs: number,
  previous?: WireEntry,
  hasReplaced = true,
): WireEntry {
  const start = reader.at;
  const flags = reader.byte();
  const name = reader.text(MAX_NODE_NAME_LENGTH);
  const node = name === previous?.stamp.node ? previous.stamp.node : name;
  const counter = reader.varint();
  const key = reader.text(MAX_KEY_LENGTH);
  const kind = KINDS[flags & ~TOMBSTONE];
  const replaces = kind === "service" && hasReplaced ? readReplaced(reader) : [];
  const isTombstone = (flags & TOMBSTONE) !== 0;
  const text = isTombstone ? null : reader.text(MAX_VALUE_BYTES);
  const end = reader.at;
  const ageS = isTombstone ? reader.varint() : 0;
  return {
    kind: kind ?? "node",
    key,
    stamp: { counter, node },
    replaces,
    text,
    hash: reader.isBroken ? { high: 0, low: 0 } : hashOf(reader.between(start, end)),
    bornAtMs: steadyMs - Math.min(ageS, MAX_AGE_S) * 1000,
    problem: kind === undefined ? "its kind is unknown" : checkHead({ kind, key, replaces }, node, counter),
  };
}

/** The entry with its record, or why it cannot be held. */
export function openEntry(wire: WireEntry): Entry | { readonly problem: string } {
  if (wire.problem !== null) return { problem: wire.problem };
  const { problem: _problem, ...head } = wire;
  const { kind, key, stamp, text } = head;
  if (text === null) return { ...head, record: null };
  if (!isPrintableAscii(text)) return { problem: "is not printable ASCII" };
  const decoded = decodeRecord(kind, key, text);
  if ("problem" in decoded) return decoded;
  const problem = kind === "declaration" ? checkAge(decoded.record as DeclarationRecord, stamp) : null;
  return problem === null ? { ...head, record: decoded.record } : { problem };
}

/** Else no later change, of any node, would ever be newer. */
function checkAge({ changed }: DeclarationRecord, stamp: Stamp): string | null {
  return changed.counter <= stamp.counter ? null : "changed: is later than its last write";
}

/** A new version of a row, by this node. null: its tombstone. The problem names what is wrong with it. */
export function makeEntry(
  kind: EntryKind,
  key: string,
  stamp: Stamp,
  encoded: EncodedRecord | null,
  bornAtMs: number,
  replaces: readonly Stamp[] = [],
): Entry | { readonly problem: string } {
  const { record, text } = encoded ?? { record: null, text: null };
  const problem =
    checkHead({ kind, key, replaces }, stamp.node, stamp.counter) ??
    (kind === "declaration" && record !== null ? checkAge(record as DeclarationRecord, stamp) : null);
  return problem === null
    ? { ...entryHead(kind, key, stamp, text, bornAtMs, replaces), record }
    : { problem };
}

/** The same content with another stamp. */
export function restamped(entry: Entry, stamp: Stamp): Entry {
  return { ...entry, ...entryHead(entry.kind, entry.key, stamp, entry.text, entry.bornAtMs, entry.replaces) };
}

export function entryHead(
  kind: EntryKind,
  key: string,
  stamp: Stamp,
  text: string | null,
  bornAtMs: number,
  replaces: readonly Stamp[] = [],
): EntryHead {
  const writer = new ByteWriter();
  writeHashed(writer, { kind, key, stamp, replaces, text });
  return { kind, key, stamp, replaces, text, bornAtMs, hash: hashOf(writer.since(0)) };
}

function writeHashed(
  writer: ByteWriter,
  { kind, key, stamp, replaces, text }: Pick<EntryHead, "kind" | "key" | "stamp" | "replaces" | "text">,
): void {
  writer.byte(KINDS.indexOf(kind) | (text === null ? TOMBSTONE : 0));
  writer.text(stamp.node);
  writer.varint(stamp.counter);
  writer.text(key);
  if (kind === "service") writeReplaced(writer, replaces);
  if (text !== null) writer.text(text);
}

function hashOf(bytes: Uint8Array): EntryHash {
  return {
    high: Bun.hash.xxHash32(bytes, HASH_SEED_HIGH),
    low: Bun.hash.xxHash32(bytes, HASH_SEED_LOW),
  };
}

function writeReplaced(writer: ByteWriter, replaces: readonly Stamp[]): void {
  writer.varint(replaces.length);
  for (const { counter, node } of replaces) {
    writer.varint(counter);
    writer.text(node);
  }
}

function readReplaced(reader: ByteReader): Stamp[] {
  const count = reader.count(LEAST_STAMP_BYTES);
  const stamps: Stamp[] = [];
  for (let i = 0; i < count && !reader.isBroken; i++) {
    stamps.push({ counter: reader.varint(), node: reader.text(MAX_NODE_NAME_LENGTH) });
  }
  return stamps;
}

function checkHead(
  { kind, key, replaces }: Pick<EntryHead, "kind" | "key" | "replaces">,
  node: string,
  counter: number,
): string | null {
  if (!isMemberName(node)) return `${JSON.stringify(node)} is not a node name`;
  if (counter < 1 || counter > MAX_COUNTER) return `counter ${counter} is outside 1..2^52`;
  if (replaces.length > MAX_REPLACED) return `it names ${replaces.length} earlier versions`;
  if (replaces.some((stamp) => !isMemberName(stamp.node))) return "an earlier version has no node name";
  return checkKey(kind, key);
}

/**
 * What catalogs tell each other, as user messages of the memberlist protocol (their first byte is 10 or above). Each
 * starts with its type and the version of the encoding; numbers, texts and fingerprints as in bytes.ts, entries as in
 * entry-codec.ts. A message that is not exactly so is refused as a whole.
 *
 *     10 updates    entry...                                                  gossip
 *     11 root       sender text | clock varint | flags u8 | root hash 8       "this is all I hold"; UDP or push/pull
 *                   flags: 1 answer even if equal
 *     12 parts      sender | clock | after text | through text | count | count × (partition text, hash 8, dead varint s)
 *                   all partitions whose id is above `after` and not above `through` ("" = no upper end); TCP
 *     13 summary    sender | request varint | count | count × (partition text, count, count × fingerprint 6)
 *                   "of these partitions I hold these entries: what else is there?"; TCP
 *     14 entries    sender | clock | request | done varint | flags u8 | count, count × fingerprint 6 | entry...   TCP
 *                   the first `done` partitions of the summary are answered; the fingerprints are wanted in return.
 *                   flags: 1 the sender's own partition is among them and complete. request 0: not an answer.
 */
import { isMemberName, MAX_NODE_NAME_LENGTH } from "../model/index.ts";
import { ByteReader, ByteWriter } from "./bytes.ts";
import type { EntryHash, EntryHead } from "./entry.ts";
import { LEAST_ENTRY_BYTES, readEntry, type WireEntry, writeEntry } from "./entry-codec.ts";

export const ENCODING_VERSION = 2;
/** None is larger, by either side's will. */
export const MAX_MESSAGE_BYTES = 256 * 1024;
export const UPDATES_HEADER_BYTES = 2;

const TYPES = ["updates", "root", "parts", "summary", "entries"] as const;
const FIRST_TYPE = 10;
const MAX_PARTITION_LENGTH = MAX_NODE_NAME_LENGTH + 1;
const LEAST_PART_BYTES = 10;
const LEAST_SUMMARY_BYTES = 2;
const FINGERPRINT_BYTES = 6;

export interface Updates {
  readonly type: "updates";
  readonly entries: readonly WireEntry[];
}

export interface Root {
  readonly type: "root";
  readonly sender: string;
  readonly clock: number;
  readonly wantsAnswer: boolean;
  readonly hash: EntryHash;
}

export interface Part {
  readonly id: string;
  readonly hash: EntryHash;
  /** Seconds since the sender saw the owner die; 0: it lives. */
  readonly deadForS: number;
}

export interface Parts {
  readonly type: "parts";
  readonly sender: string;
  readonly clock: number;
  readonly after: string;
  readonly through: string;
  readonly parts: readonly Part[];
}

export interface PartitionSummary {
  readonly id: string;
  readonly fingerprints: readonly number[];
}

export interface Summary {
  readonly type: "summary";
  readonly sender: string;
  readonly request: number;
  readonly partitions: readonly PartitionSummary[];
}

export interface Entries {
  readonly type: "entries";
  readonly sender: string;
  readonly clock: number;
  readonly request: number;
  readonly doneCount: number;
  readonly isOwnComplete: boolean;
  readonly wanted: readonly number[];
  readonly entries: readonly WireEntry[];
}

export type Message = Updates | Root | Parts | Summary | Entries;
/** Why a payload is no message. `type`: of something else or newer; `version`: of a newer encoding. */
export type Malformed = "type" | "version" | "malformed";

/** For encoding: entries need no more than their head. */
export type Outgoing<M extends Message> = Omit<M, "type" | "entries"> &
  (M extends { entries: unknown } ? { readonly entries: readonly EntryHead[] } : unknown);

export function isCatalogMessage(payload: Uint8Array): boolean {
  const type = payload[0] ?? 0;
  return type >= FIRST_TYPE && type < FIRST_TYPE + TYPES.length;
}

export function startUpdates(writer: ByteWriter): void {
  start(writer, "updates");
}

export function encodeRoot(root: Outgoing<Root>): Uint8Array {
  const writer = start(new ByteWriter(), "root");
  writer.text(root.sender);
  writer.varint(root.clock);
  writer.byte(root.wantsAnswer ? 1 : 0);
  writeHash(writer, root.hash);
  return writer.bytes();
}

export function encodeParts(parts: Outgoing<Parts>): Uint8Array {
  const writer = start(new ByteWriter(), "parts");
  writer.text(parts.sender);
  writer.varint(parts.clock);
  writer.text(parts.after);
  writer.text(parts.through);
  writer.varint(parts.parts.length);
  for (const part of parts.parts) {
    writer.text(part.id);
    writeHash(writer, part.hash);
    writer.varint(part.deadForS);
  }
  return writer.bytes();
}

export function encodeSummary(summary: Outgoing<Summary>): Uint8Array {
  const writer = start(new ByteWriter(), "summary");
  writer.text(summary.sender);
  writer.varint(summary.request);
  writer.varint(summary.partitions.length);
  for (const { id, fingerprints } of summary.partitions) {
    writer.text(id);
    writeFingerprints(writer, fingerprints);
  }
  return writer.bytes();
}

export function encodeEntries(message: Outgoing<Entries>, steadyMs: number): Uint8Array {
  const writer = start(new ByteWriter(), "entries");
  writer.text(message.sender);
  writer.varint(message.clock);
  writer.varint(message.request);
  writer.varint(message.doneCount);
  writer.byte(message.isOwnComplete ? 1 : 0);
  writeFingerprints(writer, message.wanted);
  for (const entry of message.entries) writeEntry(writer, entry, steadyMs);
  return writer.bytes();
}

/** Never throws. Entries are framed but their values not looked at yet. */
export function decodeMessage(payload: Uint8Array, steadyMs: number): Message | Malformed {
  const type = TYPES[(payload[0] ?? 0) - FIRST_TYPE];
  if (type === undefined) return "type";
  if (payload[1] !== ENCODING_VERSION) return "version";
  if (payload.length > MAX_MESSAGE_BYTES) return "malformed";
  const reader = new ByteReader(payload, UPDATES_HEADER_BYTES);
  const message = readMessage(reader, type, steadyMs);
  if (reader.isBroken || reader.remaining > 0) return "malformed";
  return "sender" in message && !isMemberName(message.sender) ? "malformed" : message;
}

function readMessage(reader: ByteReader, type: Message["type"], steadyMs: number): Message {
  switch (type) {
    case "updates":
      return { type, entries: readEntries(reader, steadyMs) };
    case "root":
      return {
        type,
        sender: reader.text(MAX_NODE_NAME_LENGTH),
        clock: reader.varint(),
        wantsAnswer: (reader.byte() & 1) !== 0,
        hash: readHash(reader),
      };
    case "parts":
      return {
        type,
        sender: reader.text(MAX_NODE_NAME_LENGTH),
        clock: reader.varint(),
        after: reader.text(MAX_PARTITION_LENGTH),
        through: reader.text(MAX_PARTITION_LENGTH),
        parts: readMany(reader, LEAST_PART_BYTES, readPart),
      };
    case "summary":
      return {
        type,
        sender: reader.text(MAX_NODE_NAME_LENGTH),
        request: reader.varint(),
        partitions: readMany(reader, LEAST_SUMMARY_BYTES, readPartitionSummary),
      };
    case "entries":
      return {
        type,
        sender: reader.text(MAX_NODE_NAME_LENGTH),
        clock: reader.varint(),
        request: reader.varint(),
        doneCount: reader.varint(),
        isOwnComplete: (reader.byte() & 1) !== 0,
        wanted: readFingerprints(reader),
        entries: readEntries(reader, steadyMs),
      };
  }
}

function start(writer: ByteWriter, type: Message["type"]): ByteWriter {
  writer.byte(FIRST_TYPE + TYPES.indexOf(type));
  writer.byte(ENCODING_VERSION);
  return writer;
}

function writeHash(writer: ByteWriter, hash: EntryHash): void {
  writer.uint32(hash.high);
  writer.uint32(hash.low);
}

function readHash(reader: ByteReader): EntryHash {
  return { high: reader.uint32(), low: reader.uint32() };
}

function readPart(reader: ByteReader): Part {
  return { id: reader.text(MAX_PARTITION_LENGTH), hash: readHash(reader), deadForS: reader.varint() };
}

function readPartitionSummary(reader: ByteReader): PartitionSummary {
  return { id: reader.text(MAX_PARTITION_LENGTH), fingerprints: readFingerprints(reader) };
}

function writeFingerprints(writer: ByteWriter, fingerprints: readonly number[]): void {
  writer.varint(fingerprints.length);
  for (const fingerprint of fingerprints) writer.fingerprint(fingerprint);
}

function readFingerprints(reader: ByteReader): number[] {
  return readMany(reader, FINGERPRINT_BYTES, (from) => from.fingerprint());
}

function readMany<T>(reader: ByteReader, leastBytes: number, read: (reader: ByteReader) => T): T[] {
  const count = reader.count(leastBytes);
  const values: T[] = [];
  for (let i = 0; i < count && !reader.isBroken; i++) values.push(read(reader));
  return values;
}

/** To the end of the message. */
function readEntries(reader: ByteReader, steadyMs: number): WireEntry[] {
  const entries: WireEntry[] = [];
  while (reader.remaining >= LEAST_ENTRY_BYTES) entries.push(readEntry(reader, steadyMs, entries.at(-1)));
  return entries;
}

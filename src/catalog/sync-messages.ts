/**
 * The messages between catalogs, sent as user messages of the memberlist protocol (first byte 10 or above): type
 * byte, version of the encoding, and a msgpack array. Entries as in entry-codec.ts, a hash is two uint32, fingerprints
 * are bin of 6 bytes each. Elements behind those listed are of a newer version and ignored; a message that is wrong in
 * any other way is refused as a whole.
 *
 *     10 updates    [entry…]                                              gossip
 *     11 root       sender, clock, wantsAnswer, root hash                 "this is all I hold"; UDP or push/pull
 *     12 parts      sender, clock, after, through, [[partition, hash, dead s]…]
 *                   all partitions whose id is above `after` and not above `through` ("" = no upper end); TCP
 *     13 summary    sender, request, [[partition, fingerprints]…]
 *                   "of these partitions I hold these entries: what else is there?"; TCP
 *     14 entries    sender, clock, request, done, isOwnComplete, wanted fingerprints, [entry…]   TCP
 *                   the first `done` partitions of the summary are answered; the fingerprints are wanted in return.
 *                   isOwnComplete: the sender's own partition is among them and complete. request 0: not an answer.
 */
import { isMemberName, MAX_NODE_NAME_LENGTH } from "../model/index.ts";
import { decodeWhole, encodeValue } from "../wire/index.ts";
import type { EntryHash, EntryHead } from "./entry.ts";
import { fromWire, toWire, type WireEntry } from "./entry-codec.ts";

export const ENCODING_VERSION = 3;
/** None is larger, by either side's will. */
export const MAX_MESSAGE_BYTES = 256 * 1024;
/** Type, version and the heads of the two arrays. */
export const UPDATES_HEADER_BYTES = 6;

const TYPES = ["updates", "root", "parts", "summary", "entries"] as const;
const FIRST_TYPE = 10;
const FIELDS_AT = 2;
const MAX_PARTITION_LENGTH = MAX_NODE_NAME_LENGTH + 1;
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
/** Why a payload is not a catalog message. `type`: unknown or newer; `version`: of a newer encoding. */
export type Malformed = "type" | "version" | "malformed";

/** For encoding: entries need no more than their head. */
export type Outgoing<M extends Message> = Omit<M, "type" | "entries"> &
  (M extends { entries: unknown } ? { readonly entries: readonly EntryHead[] } : unknown);

export function encodeUpdates(entries: readonly EntryHead[], steadyMs: number): Uint8Array {
  return encodeMessage("updates", [entries.map((entry) => toWire(entry, steadyMs))]);
}

export function encodeRoot({ sender, clock, wantsAnswer, hash }: Outgoing<Root>): Uint8Array {
  return encodeMessage("root", [sender, clock, wantsAnswer, hashTuple(hash)]);
}

export function encodeParts({ sender, clock, after, through, parts }: Outgoing<Parts>): Uint8Array {
  const tuples = parts.map(({ id, hash, deadForS }) => [id, hashTuple(hash), deadForS]);
  return encodeMessage("parts", [sender, clock, after, through, tuples]);
}

export function encodeSummary({ sender, request, partitions }: Outgoing<Summary>): Uint8Array {
  const tuples = partitions.map(({ id, fingerprints }) => [id, packFingerprints(fingerprints)]);
  return encodeMessage("summary", [sender, request, tuples]);
}

export function encodeEntries(message: Outgoing<Entries>, steadyMs: number): Uint8Array {
  const { sender, clock, request, doneCount, isOwnComplete, wanted, entries } = message;
  const tuples = entries.map((entry) => toWire(entry, steadyMs));
  const fields = [sender, clock, request, doneCount, isOwnComplete, packFingerprints(wanted), tuples];
  return encodeMessage("entries", fields);
}

function encodeMessage(type: Message["type"], fields: readonly unknown[]): Uint8Array {
  const body = encodeValue(fields);
  const message = new Uint8Array(FIELDS_AT + body.length);
  message[0] = FIRST_TYPE + TYPES.indexOf(type);
  message[1] = ENCODING_VERSION;
  message.set(body, FIELDS_AT);
  return message;
}

/** Never throws. Entries are framed but their records not looked at yet. */
export function decodeMessage(payload: Uint8Array, steadyMs: number): Message | Malformed {
  const type = TYPES[(payload[0] ?? 0) - FIRST_TYPE];
  if (type === undefined) return "type";
  if (payload[1] !== ENCODING_VERSION) return "version";
  if (payload.length > MAX_MESSAGE_BYTES) return "malformed";
  const fields = decodeWhole(payload, FIELDS_AT);
  return (Array.isArray(fields) && readMessage(type, new Fields(fields), steadyMs)) || "malformed";
}

function readMessage(type: Message["type"], fields: Fields, steadyMs: number): Message | null {
  const message = readFields(type, fields, steadyMs);
  return fields.areValid ? message : null;
}

function readFields(type: Message["type"], fields: Fields, steadyMs: number): Message {
  switch (type) {
    case "updates":
      return { type, entries: fields.entries(steadyMs) };
    case "root":
      return {
        type,
        sender: fields.name(),
        clock: fields.count(),
        wantsAnswer: fields.flag(),
        hash: fields.hash(),
      };
    case "parts":
      return {
        type,
        sender: fields.name(),
        clock: fields.count(),
        after: fields.text(MAX_PARTITION_LENGTH),
        through: fields.text(MAX_PARTITION_LENGTH),
        parts: fields.list((part) => ({
          id: part.text(MAX_PARTITION_LENGTH),
          hash: part.hash(),
          deadForS: part.count(),
        })),
      };
    case "summary":
      return {
        type,
        sender: fields.name(),
        request: fields.count(),
        partitions: fields.list((partition) => ({
          id: partition.text(MAX_PARTITION_LENGTH),
          fingerprints: partition.fingerprints(),
        })),
      };
    case "entries":
      return {
        type,
        sender: fields.name(),
        clock: fields.count(),
        request: fields.count(),
        doneCount: fields.count(),
        isOwnComplete: fields.flag(),
        wanted: fields.fingerprints(),
        entries: fields.entries(steadyMs),
      };
  }
}

/** The elements of a decoded array, one after the other. After the first that does not fit, `areValid` is false. */
class Fields {
  areValid = true;
  readonly #elements: readonly unknown[];
  #next = 0;

  constructor(elements: readonly unknown[]) {
    this.#elements = elements;
  }

  count(): number {
    const value = this.#take();
    return Number.isSafeInteger(value) && (value as number) >= 0 ? (value as number) : this.#fail(0);
  }

  flag(): boolean {
    const value = this.#take();
    return typeof value === "boolean" ? value : this.#fail(false);
  }

  text(maxLength: number): string {
    const value = this.#take();
    return typeof value === "string" && value.length <= maxLength ? value : this.#fail("");
  }

  /** Of a member. */
  name(): string {
    const value = this.text(MAX_NODE_NAME_LENGTH);
    return isMemberName(value) ? value : this.#fail("");
  }

  hash(): EntryHash {
    const value = this.#take();
    const [high, low] = Array.isArray(value) ? (value as unknown[]) : [];
    return isUint32(high) && isUint32(low) ? { high, low } : this.#fail({ high: 0, low: 0 });
  }

  fingerprints(): number[] {
    const value = this.#take();
    const isPacked = value instanceof Uint8Array && value.length % FINGERPRINT_BYTES === 0;
    return isPacked ? unpackFingerprints(value) : this.#fail([]);
  }

  entries(steadyMs: number): WireEntry[] {
    const value = this.#take();
    const entries: WireEntry[] = [];
    for (const tuple of Array.isArray(value) ? value : this.#fail([])) {
      const entry = fromWire(tuple, steadyMs, entries.at(-1));
      if (entry === null) return this.#fail([]);
      entries.push(entry);
    }
    return entries;
  }

  /** A list of arrays. */
  list<T>(read: (element: Fields) => T): T[] {
    const value = this.#take();
    if (!Array.isArray(value)) return this.#fail([]);
    return value.map((element) => {
      const fields = new Fields(Array.isArray(element) ? element : []);
      const item = read(fields);
      this.areValid &&= fields.areValid;
      return item;
    });
  }

  #take(): unknown {
    return this.#elements[this.#next++];
  }

  #fail<T>(instead: T): T {
    this.areValid = false;
    return instead;
  }
}

function hashTuple({ high, low }: EntryHash): [high: number, low: number] {
  return [high, low];
}

function isUint32(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) >= 0 && (value as number) < 2 ** 32;
}

function packFingerprints(fingerprints: readonly number[]): Uint8Array {
  const packed = Buffer.allocUnsafe(fingerprints.length * FINGERPRINT_BYTES);
  fingerprints.forEach((fingerprint, index) => {
    packed.writeUIntBE(fingerprint, index * FINGERPRINT_BYTES, FINGERPRINT_BYTES);
  });
  return packed;
}

function unpackFingerprints(packed: Uint8Array): number[] {
  const bytes = Buffer.from(packed.buffer, packed.byteOffset, packed.length);
  const count = bytes.length / FINGERPRINT_BYTES;
  return Array.from({ length: count }, (_, index) =>
    bytes.readUIntBE(index * FINGERPRINT_BYTES, FINGERPRINT_BYTES),
  );
}

/**
 * Message bodies: msgpack maps whose keys are field names. Read: keys in any order, missing fields are zero, unknown
 * keys are ignored; nil is the zero value of every type. Strings and byte slices may arrive as str or bin, because
 * members written in Go use the str family for both, and byte slices also as arrays of integers.
 *
 * Nothing here throws on bytes from the network, and nothing that is read refers to the buffer it came in.
 */
import { type DecodedValue, encodeValue, isMap, ValueDecoder } from "../msgpack.ts";
import { ByteBuilder } from "./byte-builder.ts";

/** "count" is an int that is never negative, "lamport" a u64 clamped to the largest safe integer, "int" any int64. */
type FieldKind = "string" | "bytes" | "bool" | "u8" | "u16" | "u32" | "count" | "lamport" | "int";
type FieldKinds = Readonly<Record<string, FieldKind>>;

type ValueOf<Kind> = Kind extends "string"
  ? string
  : Kind extends "bytes"
    ? Uint8Array | null
    : Kind extends "bool"
      ? boolean
      : number;

export type RecordOf<Kinds extends FieldKinds> = { -readonly [Name in keyof Kinds]: ValueOf<Kinds[Name]> };

/** Keys are read as Latin-1, so no key of a peer begins with this. */
const NO_LATIN_1 = "\u0100";
/** In place of the one key that is special to JavaScript objects. */
const PROTO_KEY = `${NO_LATIN_1}__proto__`;
/** In place of a key that is no string. */
const INVALID_KEY = NO_LATIN_1;

const LARGEST: Readonly<Record<string, number>> = { u8: 0xff, u16: 0xffff, u32: 0xffff_ffff };

const DECODER = new ValueDecoder({
  rawStrings: true,
  keyDecoder: { canBeCached: () => true, decode: decodeKey },
  mapKeyConverter: (key: unknown) =>
    key instanceof Uint8Array ? decodeKey(key, 0, key.length) : typeof key === "string" ? key : INVALID_KEY,
});

const ASCII = /^[\0-\x7f]*$/;
const STRICT_UTF8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** The type byte, the fields except those that are undefined, and raw bytes behind them. */
export function encodeBody(
  type: number,
  fields: Readonly<Record<string, unknown>>,
  rest: Uint8Array = new Uint8Array(),
): Uint8Array {
  return withType(type, encodeValue(fields), rest);
}

/** The parts behind a type byte. */
export function withType(type: number, ...parts: readonly Uint8Array[]): Uint8Array {
  const out = new ByteBuilder(parts.reduce((sum, { length }) => sum + length, 1));
  out.push(type);
  for (const part of parts) out.append(part);
  return out.bytes;
}

/**
 * The value at `at`; null: see ValueDecoder. Its strings are bytes, the keys of its maps are Latin-1: use RecordFormat,
 * fieldOf, listOf and entriesOf.
 */
export function decodeValue(bytes: Uint8Array, at: number): DecodedValue | null {
  return DECODER.decodeAt(bytes, at);
}

/** Which fields a body has, by name. */
export class RecordFormat<Kinds extends FieldKinds> {
  readonly #kinds: readonly (readonly [name: string, kind: FieldKind])[];

  constructor(kinds: Kinds) {
    this.#kinds = Object.entries(kinds);
  }

  /** The body at `at`; null when it is damaged. */
  decode(bytes: Uint8Array, at: number): RecordOf<Kinds> | null {
    const decoded = decodeValue(bytes, at);
    return decoded && this.read(decoded.value);
  }

  /** Null when the value is not a map, or a field is of another kind or out of range. */
  read(body: unknown): RecordOf<Kinds> | null {
    if (!isMapOrNil(body) || (body !== null && INVALID_KEY in body)) return null;
    const record: Record<string, unknown> = {};
    for (const [name, kind] of this.#kinds) {
      const value = readField(fieldOf(body, name), kind);
      if (value === undefined) return null;
      record[name] = value;
    }
    return record as RecordOf<Kinds>;
  }
}

/** A field of a decoded map; null when it is missing. @param name none that every object has, such as "constructor" */
export function fieldOf(body: unknown, name: string): unknown {
  return isMapOrNil(body) ? (body?.[name] ?? null) : null;
}

/** A list of a decoded map, empty when it is missing; null when it is something else or longer than `max`. */
export function listOf(body: unknown, name: string, max: number): readonly unknown[] | null {
  const list = fieldOf(body, name) ?? [];
  return Array.isArray(list) && list.length <= max ? list : null;
}

/** Keys and values of a decoded map, without those whose key is not UTF-8; null when it is not a map. */
export function entriesOf(body: unknown): (readonly [key: string, value: unknown])[] | null {
  if (!isMapOrNil(body)) return null;
  return Object.entries(body ?? {}).flatMap(([property, value]) => {
    if (property === INVALID_KEY) return [];
    const key = property === PROTO_KEY ? "__proto__" : property;
    const text = ASCII.test(key) ? key : textOf(Buffer.from(key, "latin1"));
    return text === null ? [] : [[text, value]];
  });
}

/** Null when the bytes are not UTF-8, and so would not come out again as they came. */
export function textOf(bytes: unknown): string | null {
  if (!(bytes instanceof Uint8Array)) return null;
  try {
    return STRICT_UTF8.decode(bytes);
  } catch {
    return null;
  }
}

/** An integer within the safe ones, the nearest where it is larger; undefined when it is something else. */
export function integerOf(value: unknown): number | undefined {
  if (value === null) return 0;
  if (typeof value !== "number" || !Number.isInteger(value)) return undefined;
  return Math.max(Number.MIN_SAFE_INTEGER, Math.min(value, Number.MAX_SAFE_INTEGER)) + 0;
}

function readField(
  value: unknown,
  kind: FieldKind,
): string | Uint8Array | boolean | number | null | undefined {
  if (kind === "string") return value === null ? "" : (textOf(value) ?? undefined);
  if (kind === "bytes") return bytesOf(value);
  if (kind === "bool") return boolOf(value);
  const integer = integerOf(value);
  if (kind === "int" || integer === undefined) return integer;
  return integer >= 0 && integer <= (LARGEST[kind] ?? Number.MAX_SAFE_INTEGER) ? integer : undefined;
}

/** A copy: the value is a view, and slice() of a Buffer would be one too. */
function bytesOf(value: unknown): Uint8Array | null | undefined {
  if (value === null) return null;
  if (value instanceof Uint8Array) return new Uint8Array(value);
  const isBytes =
    Array.isArray(value) && value.every((byte) => Number.isInteger(byte) && byte >= 0 && byte <= 0xff);
  return isBytes ? Uint8Array.from(value) : undefined;
}

function boolOf(value: unknown): boolean | undefined {
  if (value === true || value === 1) return true;
  return value === false || value === 0 || value === null ? false : undefined;
}

function isMapOrNil(value: unknown): value is Readonly<Record<string, unknown>> | null {
  return value === null || isMap(value);
}

function decodeKey(bytes: Uint8Array, offset: number, length: number): string {
  const key = Buffer.prototype.toString.call(bytes, "latin1", offset, offset + length);
  return key === "__proto__" ? PROTO_KEY : key;
}

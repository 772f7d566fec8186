/**
 * A message body as a table of its fields. Bodies are msgpack maps: keys are the field names, written in byte order;
 * a field with "?" is left out when empty. Read: any order, missing keys are zero, unknown keys are passed over.
 */
import type { MsgpackReader } from "./msgpack-reader.ts";
import type { MsgpackWriter } from "./msgpack-writer.ts";

/** "count" is an int that is never negative, "lamport" a u64 clamped to the largest safe integer, "int" any int64. */
type FieldKind = "string" | "bytes" | "bool" | "u8" | "u16" | "u32" | "count" | "lamport" | "int";
type OptionalKind = `${FieldKind}?`;
type FieldKinds = Readonly<Record<string, FieldKind | OptionalKind>>;

type ValueOf<Kind> = Kind extends "string" | "string?"
  ? string
  : Kind extends "bytes" | "bytes?"
    ? Uint8Array | null
    : Kind extends "bool" | "bool?"
      ? boolean
      : number;

type RecordOf<Kinds extends FieldKinds> = { -readonly [Name in keyof Kinds]: ValueOf<Kinds[Name]> };
type Value = ValueOf<FieldKind>;

const LARGEST: Readonly<Record<string, number>> = {
  u8: 0xff,
  u16: 0xffff,
  u32: 0xffff_ffff,
  count: Number.MAX_SAFE_INTEGER,
  lamport: Number.MAX_SAFE_INTEGER,
};

export class RecordFormat<Kinds extends FieldKinds> {
  readonly #kinds: ReadonlyMap<string, FieldKind>;
  readonly #optional: ReadonlySet<string>;

  /** The names must be in byte order. */
  constructor(kinds: Kinds) {
    const entries = Object.entries(kinds);
    this.#kinds = new Map(entries.map(([name, kind]) => [name, kind.replace("?", "") as FieldKind]));
    this.#optional = new Set(entries.flatMap(([name, kind]) => (kind.endsWith("?") ? [name] : [])));
  }

  write(writer: MsgpackWriter, record: Readonly<RecordOf<Kinds>>): void {
    const values = record as Readonly<Record<string, Value>>;
    const names = [...this.#kinds.keys()].filter(
      (name) => !this.#optional.has(name) || !isEmpty(values[name]!),
    );
    writer.mapOf(names.length);
    for (const name of names) {
      writer.string(name);
      writeValue(writer, values[name]!);
    }
  }

  /** Null when the bytes are no such record; the reader stands behind it otherwise. */
  read(reader: MsgpackReader): RecordOf<Kinds> | null {
    const values: Record<string, Value> = {};
    for (const [name, kind] of this.#kinds) values[name] = zeroOf(kind);
    const entries = reader.mapLength();
    for (let i = 0; i < entries && !reader.failed; i++) {
      const name = reader.string();
      const kind = this.#kinds.get(name);
      if (kind === undefined) reader.skip();
      else values[name] = readValue(reader, kind);
    }
    return reader.failed ? null : (values as RecordOf<Kinds>);
  }
}

function zeroOf(kind: FieldKind): Value {
  if (kind === "string") return "";
  if (kind === "bytes") return null;
  return kind === "bool" ? false : 0;
}

function isEmpty(value: Value): boolean {
  return (
    value === null ||
    value === 0 ||
    value === false ||
    (typeof value === "object" ? value.length === 0 : value === "")
  );
}

function writeValue(writer: MsgpackWriter, value: Value): void {
  if (typeof value === "string") writer.string(value);
  else if (typeof value === "number") writer.int(value);
  else if (typeof value === "boolean") writer.bool(value);
  else writer.bytesOrNil(value);
}

function readValue(reader: MsgpackReader, kind: FieldKind): Value {
  if (kind === "string") return reader.string();
  if (kind === "bytes") return reader.bytes();
  if (kind === "bool") return reader.bool();
  return kind === "int" ? reader.int() : reader.uint(LARGEST[kind]!);
}

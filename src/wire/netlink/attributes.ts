/**
 * Netlink attributes, the type-length-value lists behind every rtnetlink header. Numbers are in host order, which is
 * little-endian wherever this program runs, but for those that say otherwise. [RFC 3549 §2.2, libnl "Attributes"]
 *
 *      0        2          4
 *     +--------+----------+-----------+---------------+
 *     | length | N O type | value …   | 0 to 3 bytes  |     length: header and value, without the padding
 *     +--------+----------+-----------+---------------+     N: a list of attributes is nested in it, O: big-endian
 *
 * Reading never throws: a value of another size than asked for is absent.
 */

const HEADER_BYTES = 4;
const TYPE_MASK = 0x3fff;
const NESTED = 0x8000;
const LENGTH_MAX = 0xffff;

export class Attributes {
  readonly #values: ReadonlyMap<number, Uint8Array>;

  private constructor(values: ReadonlyMap<number, Uint8Array>) {
    this.#values = values;
  }

  /** Reads bytes[at …]; values are views. The last attribute of a type counts. null: an attribute leaves the bytes. */
  static parse(bytes: Uint8Array, at = 0): Attributes | null {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const values = new Map<number, Uint8Array>();
    while (at + HEADER_BYTES <= bytes.length) {
      const length = view.getUint16(at, true);
      if (length < HEADER_BYTES || at + length > bytes.length) return null;
      values.set(view.getUint16(at + 2, true) & TYPE_MASK, bytes.subarray(at + HEADER_BYTES, at + length));
      at += aligned(length);
    }
    return new Attributes(values);
  }

  bytes(type: number): Uint8Array | undefined {
    return this.#values.get(type)?.slice();
  }

  uint8(type: number): number | undefined {
    return this.#sized(type, 1)?.getUint8(0);
  }

  uint16(type: number): number | undefined {
    return this.#sized(type, 2)?.getUint16(0, true);
  }

  uint16BigEndian(type: number): number | undefined {
    return this.#sized(type, 2)?.getUint16(0);
  }

  uint32(type: number): number | undefined {
    return this.#sized(type, 4)?.getUint32(0, true);
  }

  /** UTF-8 up to the first zero byte. */
  text(type: number): string | undefined {
    const value = this.#values.get(type);
    if (value === undefined) return undefined;
    const end = value.indexOf(0);
    return new TextDecoder().decode(end < 0 ? value : value.subarray(0, end));
  }

  /** undefined: it is absent or no list. */
  nested(type: number): Attributes | undefined {
    const value = this.#values.get(type);
    return value === undefined ? undefined : (Attributes.parse(value) ?? undefined);
  }

  #sized(type: number, size: number): DataView | undefined {
    const value = this.#values.get(type);
    return value?.length === size ? new DataView(value.buffer, value.byteOffset, size) : undefined;
  }
}

/** A payload's fixed head of `headBytes` and the attributes behind it; null: too short, or an attribute leaves the payload. */
export function splitMessage(
  payload: Uint8Array,
  headBytes: number,
): { readonly head: DataView; readonly attributes: Attributes } | null {
  if (payload.length < headBytes) return null;
  const attributes = Attributes.parse(payload, headBytes);
  if (attributes === null) return null;
  return { head: new DataView(payload.buffer, payload.byteOffset, headBytes), attributes };
}

/** Collects a message's fixed part and its attributes; undefined values are left out. */
export class AttributeWriter {
  #bytes: Uint8Array;
  #length: number;

  /** @param head the fixed part in front of the attributes */
  constructor(head: Uint8Array = new Uint8Array(0)) {
    this.#bytes = new Uint8Array(Math.max(256, 2 * head.length));
    this.#bytes.set(head);
    this.#length = aligned(head.length);
  }

  bytes(type: number, value: Uint8Array | undefined): this {
    if (value !== undefined) this.#append(type, value);
    return this;
  }

  uint8(type: number, value: number | undefined): this {
    return value === undefined ? this : this.bytes(type, Uint8Array.of(value));
  }

  uint16(type: number, value: number | undefined): this {
    return value === undefined ? this : this.bytes(type, Uint8Array.of(value, value >> 8));
  }

  uint16BigEndian(type: number, value: number | undefined): this {
    return value === undefined ? this : this.bytes(type, Uint8Array.of(value >> 8, value));
  }

  uint32BigEndian(type: number, value: number): this {
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setUint32(0, value);
    return this.bytes(type, bytes);
  }

  uint32(type: number, value: number | undefined): this {
    return value === undefined ? this : this.bytes(type, uint32Bytes(value));
  }

  flag(type: number, value: boolean | undefined): this {
    return value === undefined ? this : this.uint8(type, value ? 1 : 0);
  }

  /** With the zero byte at its end. */
  text(type: number, value: string | undefined): this {
    return value === undefined ? this : this.bytes(type, new TextEncoder().encode(`${value}\0`));
  }

  /** What `write` writes, as one attribute. */
  nested(type: number, write: ((list: AttributeWriter) => void) | undefined): this {
    if (write === undefined) return this;
    const list = new AttributeWriter();
    write(list);
    return this.bytes(type | NESTED, list.finish());
  }

  /** Head and attributes, the last padded too. */
  finish(): Uint8Array {
    return this.#bytes.slice(0, this.#length);
  }

  #append(type: number, value: Uint8Array): void {
    const length = HEADER_BYTES + value.length;
    if (length > LENGTH_MAX) throw new RangeError(`attribute ${type} of ${value.length} bytes is too long`);
    const end = this.#length + aligned(length);
    if (end > this.#bytes.length) this.#bytes = grown(this.#bytes, 2 * end);
    const view = new DataView(this.#bytes.buffer);
    view.setUint16(this.#length, length, true);
    view.setUint16(this.#length + 2, type, true);
    this.#bytes.set(value, this.#length + HEADER_BYTES);
    this.#length = end;
  }
}

/** Lengths are rounded up to what the next item is aligned to. */
export function aligned(length: number): number {
  return (length + 3) & ~3;
}

function uint32Bytes(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value, true);
  return bytes;
}

function grown(bytes: Uint8Array, size: number): Uint8Array {
  const larger = new Uint8Array(size);
  larger.set(bytes);
  return larger;
}

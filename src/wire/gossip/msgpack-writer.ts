/**
 * Writes msgpack the way members written in Go do and can read: strings and byte slices in the old raw family only
 * (never str 8, never bin), integers in their shortest unsigned form, nil for a slice that is not there.
 */
import { ByteBuilder } from "./byte-builder.ts";

export class MsgpackWriter {
  readonly #out = new ByteBuilder();

  /** What has been written; a view that is good until the next write. */
  get bytes(): Uint8Array {
    return this.#out.bytes;
  }

  /** A byte outside of msgpack, such as the message type. */
  byte(value: number): this {
    this.#out.push(value);
    return this;
  }

  /** Bytes outside of msgpack, or values that are encoded already. */
  verbatim(bytes: Uint8Array): this {
    this.#out.append(bytes);
    return this;
  }

  mapOf(entries: number): this {
    return entries < 16 ? this.byte(0x80 | entries) : this.#head(0xde, entries);
  }

  arrayOf(elements: number): this {
    return elements < 16 ? this.byte(0x90 | elements) : this.#head(0xdc, elements);
  }

  nil(): this {
    return this.byte(0xc0);
  }

  bool(value: boolean): this {
    return this.byte(value ? 0xc3 : 0xc2);
  }

  /** A safe integer. */
  int(value: number): this {
    if (value < 0) return this.#negative(value);
    if (value < 0x80) return this.byte(value);
    if (value < 2 ** 8) return this.#uint(0xcc, value, 1);
    if (value < 2 ** 16) return this.#uint(0xcd, value, 2);
    if (value < 2 ** 32) return this.#uint(0xce, value, 4);
    return this.#wide(0xcf, value);
  }

  /** A byte string: one byte per character. */
  string(text: string): this {
    this.#rawHead(text.length);
    this.#out.appendLatin1(text);
    return this;
  }

  bytesOrNil(bytes: Uint8Array | null): this {
    if (bytes === null) return this.nil();
    this.#rawHead(bytes.length);
    this.#out.append(bytes);
    return this;
  }

  #rawHead(length: number): void {
    if (length < 32) this.byte(0xa0 | length);
    else this.#head(0xda, length);
  }

  /** A count of 16 bits, or of 32 under the descriptor after it. */
  #head(descriptor: number, count: number): this {
    return count < 2 ** 16 ? this.#uint(descriptor, count, 2) : this.#uint(descriptor + 1, count, 4);
  }

  #uint(descriptor: number, value: number, width: 1 | 2 | 4): this {
    this.#out.push(descriptor);
    this.#out.pushUint(value, width);
    return this;
  }

  #negative(value: number): this {
    if (value >= -0x20) return this.byte(value & 0xff);
    if (value >= -(2 ** 7)) return this.#uint(0xd0, value, 1);
    if (value >= -(2 ** 15)) return this.#uint(0xd1, value, 2);
    if (value >= -(2 ** 31)) return this.#uint(0xd2, value, 4);
    return this.#wide(0xd3, value);
  }

  #wide(descriptor: number, value: number): this {
    this.#uint(descriptor, Math.floor(value / 2 ** 32), 4);
    this.#out.pushUint(value % 2 ** 32, 4);
    return this;
  }
}

/**
 * Reads msgpack from bytes nobody vouches for. It never throws: after the first mistake `failed` is true and every
 * read gives the zero value. Nil stands for the zero value of every type; strings and byte slices may come as raw,
 * str, bin (and byte slices as arrays of integers), integers signed or unsigned, as long as they fit.
 *
 * Byte slices are copies: what is read does not hold on to the buffer it came in.
 */
import { ValueScanner } from "./value-scanner.ts";

const NIL = 0xc0;

export class MsgpackReader {
  readonly #bytes: Uint8Array;
  #offset: number;
  #failed = false;

  constructor(bytes: Uint8Array, offset = 0) {
    this.#bytes = bytes;
    this.#offset = offset;
  }

  get failed(): boolean {
    return this.#failed;
  }

  /** Index after the last value read. */
  get offset(): number {
    return this.#offset;
  }

  get remainingBytes(): number {
    return this.#bytes.length - this.#offset;
  }

  /** Number of entries, each a key and a value: at most `max`, and at most the bytes that are left. */
  mapLength(max = Number.POSITIVE_INFINITY): number {
    return this.#containerLength(0x80, 0xde, max);
  }

  /** Number of elements: at most `max`, and at most the bytes that are left. */
  arrayLength(max = Number.POSITIVE_INFINITY): number {
    return this.#containerLength(0x90, 0xdc, max);
  }

  bool(): boolean {
    const descriptor = this.#byte();
    if (descriptor === 0xc3 || descriptor === 1) return true;
    if (descriptor !== 0xc2 && descriptor !== 0 && descriptor !== NIL) this.#fail();
    return false;
  }

  /** An integer within [0, max]; a larger or a negative one is a mistake, as it is for members written in Go. */
  uint(max: number): number {
    const value = this.int();
    if (value >= 0 && value <= max) return value;
    this.#fail();
    return 0;
  }

  /** An integer of up to 64 bits. What a number cannot hold exactly becomes the nearest safe integer. */
  int(): number {
    const descriptor = this.#byte();
    if (descriptor <= 0x7f) return descriptor;
    if (descriptor >= 0xe0) return descriptor - 256;
    if (descriptor >= 0xcc && descriptor <= 0xcf) return this.#uintOf(1 << (descriptor - 0xcc));
    if (descriptor >= 0xd0 && descriptor <= 0xd3) return this.#intOf(1 << (descriptor - 0xd0));
    if (descriptor !== NIL) this.#fail();
    return 0;
  }

  /** A byte string: one character per byte, none above U+00FF. */
  string(): string {
    const length = this.#rawLength(this.#byte());
    if (length <= 0) return "";
    const start = this.#take(length);
    return this.#failed ? "" : latin1(this.#bytes, start, start + length);
  }

  /** Null for nil. */
  bytes(): Uint8Array | null {
    const descriptor = this.#byte();
    if (isArray(descriptor)) return this.#byteArray();
    const length = this.#rawLength(descriptor);
    if (length < 0) return null;
    const start = this.#take(length);
    return this.#failed ? null : this.#copy(start, start + length);
  }

  /** Passes over one value of any kind, however deeply nested. */
  skip(): void {
    const scanner = new ValueScanner(this.#offset, 1);
    if (this.#failed || scanner.scan(this.#bytes, this.#bytes.length) !== "complete") this.#fail();
    else this.#offset = scanner.offset;
  }

  /** The next `length` bytes, which are not msgpack, as a copy. */
  verbatim(length: number): Uint8Array {
    const start = this.#take(length);
    return this.#copy(start, this.#failed ? start : start + length);
  }

  /** Not slice(): a Buffer's is a view. */
  #copy(start: number, end: number): Uint8Array {
    return new Uint8Array(this.#bytes.subarray(start, end));
  }

  #containerLength(fixDescriptor: number, wideDescriptor: number, max: number): number {
    const descriptor = this.#byte();
    let length = 0;
    if ((descriptor & 0xf0) === fixDescriptor) length = descriptor & 0x0f;
    else if (descriptor === wideDescriptor) length = this.#uintOf(2);
    else if (descriptor === wideDescriptor + 1) length = this.#uintOf(4);
    else if (descriptor !== NIL) this.#fail();
    if (length > Math.min(max, this.remainingBytes)) this.#fail();
    return this.#failed ? 0 : length;
  }

  #byteArray(): Uint8Array | null {
    this.#offset--;
    const bytes = new Uint8Array(this.arrayLength());
    for (let i = 0; i < bytes.length && !this.#failed; i++) bytes[i] = this.uint(0xff);
    return this.#failed ? null : bytes;
  }

  /** Length of a string or byte slice; -1 for nil and after a mistake. */
  #rawLength(descriptor: number): number {
    if (descriptor >= 0xa0 && descriptor <= 0xbf) return descriptor & 0x1f;
    if (descriptor === 0xd9 || descriptor === 0xc4) return this.#uintOf(1);
    if (descriptor === 0xda || descriptor === 0xc5) return this.#uintOf(2);
    if (descriptor === 0xdb || descriptor === 0xc6) return this.#uintOf(4);
    if (descriptor !== NIL) this.#fail();
    return -1;
  }

  #uintOf(width: number): number {
    const start = this.#take(width);
    if (this.#failed) return 0;
    let value = 0;
    for (let i = start; i < start + width; i++) value = value * 256 + this.#bytes[i]!;
    return Math.min(value, Number.MAX_SAFE_INTEGER);
  }

  #intOf(width: number): number {
    const isNegative = this.remainingBytes > 0 && this.#bytes[this.#offset]! >= 0x80;
    if (width < 8) return this.#uintOf(width) - (isNegative ? 2 ** (8 * width) : 0);
    const high = this.#uintOf(4) - (isNegative ? 2 ** 32 : 0);
    const value = high * 2 ** 32 + this.#uintOf(4);
    return Math.max(Number.MIN_SAFE_INTEGER, Math.min(value, Number.MAX_SAFE_INTEGER));
  }

  /** A mistake reads as nil. */
  #byte(): number {
    const at = this.#take(1);
    return this.#failed ? NIL : this.#bytes[at]!;
  }

  /** Where the next `length` bytes begin. */
  #take(length: number): number {
    const start = this.#offset;
    if (this.#failed || length > this.remainingBytes) this.#fail();
    else this.#offset += length;
    return start;
  }

  #fail(): void {
    this.#failed = true;
  }
}

function isArray(descriptor: number): boolean {
  return (descriptor & 0xf0) === 0x90 || descriptor === 0xdc || descriptor === 0xdd;
}

function latin1(bytes: Uint8Array, start: number, end: number): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start).toString("latin1");
}

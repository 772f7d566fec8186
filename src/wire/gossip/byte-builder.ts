/** Bytes that grow: what writers append to and stream readers collect in. It doubles, so a byte is copied about twice. */

const FIRST_CAPACITY_BYTES = 64;
/** A loop is faster for less. */
const LONG_COPY_BYTES = 32;

export class ByteBuilder {
  #buffer: Uint8Array;
  #length = 0;
  #expectedBytes = Number.POSITIVE_INFINITY;

  constructor(capacityBytes = FIRST_CAPACITY_BYTES) {
    this.#buffer = new Uint8Array(Math.max(1, capacityBytes));
  }

  get length(): number {
    return this.#length;
  }

  /** What has been appended; a view that is good until the next append. */
  get bytes(): Uint8Array {
    return this.#buffer.subarray(0, this.#length);
  }

  /** So many bytes are expected in all: it does not grow beyond that unless more come. Nothing is allocated for it. */
  expect(totalBytes: number): void {
    this.#expectedBytes = totalBytes;
  }

  push(byte: number): void {
    this.#reserve(1);
    this.#buffer[this.#length++] = byte;
  }

  /** The lowest `width` bytes of an unsigned integer, big-endian. */
  pushUint(value: number, width: 1 | 2 | 4): void {
    for (let shift = 8 * (width - 1); shift >= 0; shift -= 8) this.push((value >>> shift) & 0xff);
  }

  append(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.#buffer.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  /** One byte per character; its code must be below 256. */
  appendLatin1(text: string): void {
    this.#reserve(text.length);
    for (let i = 0; i < text.length; i++) this.#buffer[this.#length++] = text.charCodeAt(i);
  }

  /** Appends `length` bytes of its own, from `start` on; they may reach into what is being appended. */
  appendCopyOf(start: number, length: number): void {
    this.#reserve(length);
    const isLong = length >= LONG_COPY_BYTES;
    const before = isLong ? Math.min(length, this.#length - start) : 0;
    if (isLong) this.#buffer.copyWithin(this.#length, start, start + before);
    this.#length += before;
    for (let i = before; i < length; i++) this.#buffer[this.#length++] = this.#buffer[start + i]!;
  }

  #reserve(extraBytes: number): void {
    const neededBytes = this.#length + extraBytes;
    if (neededBytes <= this.#buffer.length) return;
    const roomBytes = Math.min(2 * this.#buffer.length, this.#expectedBytes);
    const larger = new Uint8Array(Math.max(neededBytes, roomBytes));
    larger.set(this.bytes);
    this.#buffer = larger;
  }
}

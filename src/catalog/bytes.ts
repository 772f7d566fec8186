/**
 * The few encodings all messages of the catalog are made of: unsigned LEB128 numbers below 2^53 in their shortest
 * form, texts of printable ASCII (and NUL, the separator inside keys) with their length in front, 48-bit fingerprints.
 */

const MAX_VARINT_BYTES = 8;
const FINGERPRINT_BYTES = 6;
const INITIAL_BYTES = 512;

/** Grows as needed; `bytes()` copies out what was written. */
export class ByteWriter {
  #buffer = Buffer.allocUnsafe(INITIAL_BYTES);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  byte(value: number): void {
    this.#reserve(1);
    this.#buffer[this.#length++] = value;
  }

  varint(value: number): void {
    this.#reserve(MAX_VARINT_BYTES);
    let rest = value;
    while (rest >= 0x80) {
      this.#buffer[this.#length++] = (rest % 0x80) | 0x80;
      rest = Math.floor(rest / 0x80);
    }
    this.#buffer[this.#length++] = rest;
  }

  /** ASCII only; whoever calls has checked it. */
  text(value: string): void {
    this.varint(value.length);
    this.#reserve(value.length);
    this.#length += this.#buffer.write(value, this.#length, "latin1");
  }

  fingerprint(value: number): void {
    this.#reserve(FINGERPRINT_BYTES);
    this.#buffer.writeUIntBE(value, this.#length, FINGERPRINT_BYTES);
    this.#length += FINGERPRINT_BYTES;
  }

  uint32(value: number): void {
    this.#reserve(4);
    this.#buffer.writeUInt32BE(value >>> 0, this.#length);
    this.#length += 4;
  }

  raw(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.#buffer.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  bytes(): Uint8Array {
    return Uint8Array.prototype.slice.call(this.#buffer, 0, this.#length);
  }

  /** What was written since `start`, valid until the next write. */
  since(start: number): Uint8Array {
    return this.#buffer.subarray(start, this.#length);
  }

  #reserve(count: number): void {
    if (this.#length + count <= this.#buffer.length) return;
    const larger = Buffer.allocUnsafe(Math.max(this.#buffer.length * 2, this.#length + count));
    larger.set(this.#buffer.subarray(0, this.#length));
    this.#buffer = larger;
  }
}

/** After the first thing that does not fit, `isBroken` is set and everything reads as 0 or "". */
export class ByteReader {
  isBroken = false;
  readonly #bytes: Buffer;
  #at: number;

  constructor(bytes: Uint8Array, at = 0) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
    this.#at = at;
  }

  get at(): number {
    return this.#at;
  }

  get remaining(): number {
    return this.isBroken ? 0 : this.#bytes.length - this.#at;
  }

  byte(): number {
    if (this.remaining < 1) return this.#break();
    return this.#bytes[this.#at++]!;
  }

  varint(): number {
    let value = 0;
    let unit = 1;
    for (let count = 1; count <= MAX_VARINT_BYTES; count++) {
      const byte = this.byte();
      value += (byte & 0x7f) * unit;
      if (byte < 0x80) {
        const isShortest = byte !== 0 || count === 1;
        return isShortest && value <= Number.MAX_SAFE_INTEGER ? value : this.#break();
      }
      unit *= 0x80;
    }
    return this.#break();
  }

  text(maxLength: number): string {
    const length = this.varint();
    if (length > maxLength || length > this.remaining) this.#break();
    if (this.isBroken) return "";
    this.#at += length;
    return this.#bytes.toString("latin1", this.#at - length, this.#at);
  }

  fingerprint(): number {
    if (this.remaining < FINGERPRINT_BYTES) return this.#break();
    this.#at += FINGERPRINT_BYTES;
    return this.#bytes.readUIntBE(this.#at - FINGERPRINT_BYTES, FINGERPRINT_BYTES);
  }

  uint32(): number {
    if (this.remaining < 4) return this.#break();
    this.#at += 4;
    return this.#bytes.readUInt32BE(this.#at - 4);
  }

  /** A count of things that take at least `leastBytes` each, so that no count promises more than there is. */
  count(leastBytes: number): number {
    const count = this.varint();
    return count * leastBytes <= this.remaining ? count : this.#break();
  }

  /** A view of what lies between two places. */
  between(start: number, end: number): Uint8Array {
    return this.#bytes.subarray(start, end);
  }

  #break(): 0 {
    this.isBroken = true;
    return 0;
  }
}

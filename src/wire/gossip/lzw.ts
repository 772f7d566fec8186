/**
 * Reads LZW as in GIF: codes least significant bit first, 8-bit literals, 9 to 12 bits wide. [Go compress/lzw, LSB]
 *
 *     0…255 literals | 256 clear | 257 end | 258…4095 strings seen before
 *
 * Encoder and decoder count codes in `high` (257 at first) and define string `high` as the previous code's string and the
 * first byte after it. The width grows for the next code as soon as `high` reaches 2^width: no early change as in TIFF.
 */
import { ByteBuilder } from "./byte-builder.ts";

const CLEAR = 256;
const END = 257;
const FIRST_WIDTH = 9;
const MAX_WIDTH = 12;
const LAST_CODE = 2 ** MAX_WIDTH - 1;

/** "damaged": an impossible code, or no end code. "too-large": more than the cap. */
export type LzwProblem = "damaged" | "too-large";

/**
 * Goes over the codes twice: the first time it only adds up lengths, so what is damaged or too large costs no memory,
 * and what is neither is allocated once. Ignores bytes after the end code.
 */
export function lzwDecompress(input: Uint8Array, maxBytes: number): Uint8Array | LzwProblem {
  const length = new Decoder(input, null).run(maxBytes);
  if (typeof length === "string") return length;
  const out = new ByteBuilder(length);
  new Decoder(input, out).run(maxBytes);
  return out.bytes;
}

/** The first byte of what would come out; null when nothing would. */
export function lzwFirstByte(input: Uint8Array): number | null {
  return new Decoder(input, null).firstByte();
}

class Decoder {
  readonly #input: Uint8Array;
  /** null: only lengths are wanted. */
  readonly #out: ByteBuilder | null;
  #outBytes = 0;
  /** Every string is somewhere in the output already: that is where a code's string begins, and how long it is. */
  readonly #starts = new Uint32Array(LAST_CODE + 1);
  readonly #lengths = new Uint16Array(LAST_CODE + 1);
  #inputAt = 0;
  #bits = 0;
  #bitCount = 0;
  #high = END;
  #width = FIRST_WIDTH;
  /** The previous code's string; length 0 when no string is to be made of it. */
  #lastStart = 0;
  #lastLength = 0;

  constructor(input: Uint8Array, out: ByteBuilder | null) {
    this.#input = input;
    this.#out = out;
  }

  /** The number of bytes. */
  run(maxBytes: number): number | LzwProblem {
    for (;;) {
      const code = this.#read();
      if (code === END) return this.#outBytes;
      if (code < 0 || code > this.#high) return "damaged";
      if (code === CLEAR) this.#clear();
      else {
        if (this.#outBytes + this.#lengthOf(code) > maxBytes) return "too-large";
        this.#expand(code);
      }
    }
  }

  firstByte(): number | null {
    let code = this.#read();
    while (code === CLEAR) code = this.#read();
    return code >= 0 && code < CLEAR ? code : null;
  }

  #clear(): void {
    this.#high = END;
    this.#width = FIRST_WIDTH;
    this.#lastLength = 0;
  }

  #lengthOf(code: number): number {
    if (code < CLEAR) return 1;
    return code === this.#high && this.#lastLength > 0 ? this.#lastLength + 1 : this.#lengths[code]!;
  }

  #expand(code: number): void {
    if (this.#lastLength > 0) {
      // Its last byte is the first of what is written now; a code that is just being defined refers to itself so.
      this.#starts[this.#high] = this.#lastStart;
      this.#lengths[this.#high] = this.#lastLength + 1;
    }
    this.#lastStart = this.#outBytes;
    this.#lastLength = this.#lengthOf(code);
    this.#outBytes += this.#lastLength;
    if (code < CLEAR) this.#out?.push(code);
    else this.#out?.appendCopyOf(this.#starts[code]!, this.#lengths[code]!);
    this.#countCode();
  }

  /** With all codes in use, no more strings are defined until a clear code comes. */
  #countCode(): void {
    if (this.#high === LAST_CODE) this.#lastLength = 0;
    else if (++this.#high === 1 << this.#width) this.#width++;
  }

  /** -1 at the end of the input. */
  #read(): number {
    while (this.#bitCount < this.#width) {
      if (this.#inputAt === this.#input.length) return -1;
      this.#bits |= this.#input[this.#inputAt++]! << this.#bitCount;
      this.#bitCount += 8;
    }
    const code = this.#bits & ((1 << this.#width) - 1);
    this.#bits >>>= this.#width;
    this.#bitCount -= this.#width;
    return code;
  }
}

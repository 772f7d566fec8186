/**
 * Writes LZW as members written in Go do, for tests of the decoder: our nodes send nothing compressed. Begins with a
 * clear code, as current Go does. [Go compress/lzw, LSB]
 */
import { COMPRESS } from "../../../src/wire/gossip/message-type.ts";
import { encodeBody } from "../../../src/wire/gossip/msgpack.ts";

const CLEAR = 256;
const END = 257;
const FIRST_WIDTH = 9;
const MAX_WIDTH = 12;
const LAST_CODE = 2 ** MAX_WIDTH - 1;
/** Four times the codes, so that searches stay short. */
const TABLE_CELLS = 4 * 2 ** MAX_WIDTH;
const TABLE_MASK = TABLE_CELLS - 1;

export function lzwCompress(input: Uint8Array): Uint8Array {
  const encoder = new Encoder();
  for (const byte of input) encoder.add(byte);
  return encoder.finish();
}

/** A compressed message, or the message as it is where that would not make it shorter. */
export function compressIfShorter(message: Uint8Array): Uint8Array {
  const compressed = encodeBody(COMPRESS, { Algo: 0, Buf: lzwCompress(message) });
  return compressed.length < message.length ? compressed : message;
}

class Encoder {
  readonly #out: number[] = [];
  /** Open addressing; a cell is the string's prefix code, last byte and own code (12 + 8 + 12 bits), 0 when free. */
  readonly #table = new Uint32Array(TABLE_CELLS);
  #high = END;
  #width = FIRST_WIDTH;
  #bits = 0;
  #bitCount = 0;
  /** Code of the longest string that the input ends with; -1 before the first byte. */
  #pending = -1;

  constructor() {
    this.#write(CLEAR);
  }

  add(byte: number): void {
    if (this.#pending < 0) {
      this.#pending = byte;
      return;
    }
    const key = (this.#pending << 8) | byte;
    const cell = this.#find(key);
    if (this.#table[cell] !== 0) {
      this.#pending = this.#table[cell]! & LAST_CODE;
      return;
    }
    this.#write(this.#pending);
    this.#pending = byte;
    if (this.#countCode()) this.#table[cell] = (key << MAX_WIDTH) | this.#high;
  }

  finish(): Uint8Array {
    if (this.#pending >= 0) {
      this.#write(this.#pending);
      this.#countCode();
    }
    this.#write(END);
    if (this.#bitCount > 0) this.#out.push(this.#bits);
    return Uint8Array.from(this.#out);
  }

  /** The cell of the key, or the free one where it would be. */
  #find(key: number): number {
    let cell = (key ^ (key >> MAX_WIDTH)) & TABLE_MASK;
    while (this.#table[cell] !== 0 && this.#table[cell]! >>> MAX_WIDTH !== key)
      cell = (cell + 1) & TABLE_MASK;
    return cell;
  }

  /** False when the codes were used up and everything begins anew. */
  #countCode(): boolean {
    this.#high++;
    if (this.#high === 1 << this.#width) this.#width++;
    if (this.#high < LAST_CODE) return true;
    this.#write(CLEAR);
    this.#high = END;
    this.#width = FIRST_WIDTH;
    this.#table.fill(0);
    return false;
  }

  #write(code: number): void {
    this.#bits |= code << this.#bitCount;
    this.#bitCount += this.#width;
    while (this.#bitCount >= 8) {
      this.#out.push(this.#bits & 0xff);
      this.#bits >>>= 8;
      this.#bitCount -= 8;
    }
  }
}

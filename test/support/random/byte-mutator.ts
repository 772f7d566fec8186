/** Damages bytes the way fuzzers do: a few changes each, often none, so that all depths of a decoder are reached. */
import type { Seeded } from "./seed.ts";

/** Bytes that mean something to msgpack or to a length. */
const TELLING = [
  0, 1, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc4, 0xc6, 0xc9, 0xcd, 0xcf, 0xd3, 0xd8,
].concat([0xd9, 0xdb, 0xdd, 0xdf, 0xe0, 0xff, 6, 7, 8, 9, 10, 12, 0xf4]);

export class ByteMutator {
  readonly #seeded: Seeded;

  constructor(seeded: Seeded) {
    this.#seeded = seeded;
  }

  /** A changed copy; `other` is what pieces may be taken from. */
  mutate(bytes: Uint8Array, other: Uint8Array): Uint8Array {
    let mutated: Uint8Array = bytes.slice();
    for (let count = this.#seeded.pick([0, 0, 1, 1, 2, 5]); count > 0; count--) {
      mutated = this.#change(mutated, other);
    }
    return mutated;
  }

  #change(bytes: Uint8Array, other: Uint8Array): Uint8Array {
    const seeded = this.#seeded;
    const at = seeded.below(bytes.length + 1);
    switch (seeded.below(7)) {
      case 0: // flip a bit
        if (at < bytes.length) bytes[at]! ^= 1 << seeded.below(8);
        return bytes;
      case 1: // replace a byte
        if (at < bytes.length) bytes[at] = seeded.pick(TELLING);
        return bytes;
      case 2: // count up or down
        if (at < bytes.length) bytes[at]! += seeded.below(2) === 0 ? 1 : -1;
        return bytes;
      case 3: // insert
        return Uint8Array.of(...bytes.subarray(0, at), seeded.pick(TELLING), ...bytes.subarray(at));
      case 4: // remove
        return Uint8Array.of(...bytes.subarray(0, at), ...bytes.subarray(at + 1 + seeded.below(4)));
      case 5: // cut short
        return bytes.slice(0, at);
      default: {
        // end as the other does
        const otherAt = seeded.below(other.length + 1);
        return Uint8Array.of(...bytes.subarray(0, at), ...other.subarray(otherAt));
      }
    }
  }
}

/** HKDF with SHA-256: keys from a secret. [RFC 5869] */

const HASH_BYTES = 32;
/** The digest of a hasher is written into at least this much room. */
const ROOM_BYTES = 64;

export class Hkdf {
  /** Keyed with the pseudorandom key; copied for each block. [RFC 5869 §2.2] */
  readonly #keyed: Bun.CryptoHasher;
  readonly #block = new Uint8Array(ROOM_BYTES);

  constructor(secret: Uint8Array, salt: string | Uint8Array) {
    const pseudorandomKey = new Bun.CryptoHasher("sha256", salt).update(secret).digest();
    this.#keyed = new Bun.CryptoHasher("sha256", pseudorandomKey);
  }

  /** @param info the parts of it, in order; all but one should be of fixed length. At most 255 blocks. [RFC 5869 §2.3] */
  expand(bytes: number, ...info: readonly (string | Uint8Array)[]): Uint8Array {
    const output = new Uint8Array(bytes);
    for (let at = 0, number = 1; at < bytes; at += HASH_BYTES, number++) {
      const hasher = this.#keyed.copy();
      if (at > 0) hasher.update(this.#block.subarray(0, HASH_BYTES));
      for (const part of info) hasher.update(part);
      hasher.update(Uint8Array.of(number)).digest(this.#block);
      output.set(this.#block.subarray(0, Math.min(HASH_BYTES, bytes - at)), at);
    }
    return output;
  }
}

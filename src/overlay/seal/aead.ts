/**
 * AES-256-GCM [NIST SP 800-38D] over one seal. The nonce is four zeros and the counter, which never repeats under a
 * key; the tag follows the ciphertext.
 */
import { type Gcm, SEAL_TAG_BYTES } from "../../wire/index.ts";

export interface SealedBytes {
  /** As long as what was sealed; the caller's, but when it is short: then it is good until the next seal. */
  readonly ciphertext: Uint8Array;
  /** SEAL_TAG_BYTES */
  readonly tag: Uint8Array;
}

export class Aead {
  constructor(readonly gcm: Gcm) {}

  /** @param bound what is authenticated with it and travels in clear */
  seal(key: Uint8Array, counter: number, bound: Uint8Array, plaintext: Uint8Array): SealedBytes {
    const sealing = this.gcm.for(plaintext.length).startSeal(key, this.gcm.nonce.ofCounter(counter), bound);
    return { ciphertext: sealing.update(plaintext), tag: sealing.tag() };
  }

  /** The plaintext of ciphertext and tag; null: it is not authentic. */
  open(key: Uint8Array, counter: number, bound: Uint8Array, sealed: Uint8Array): Uint8Array | null {
    const tagAt = sealed.length - SEAL_TAG_BYTES;
    const [ciphertext, tag] = [sealed.subarray(0, tagAt), sealed.subarray(tagAt)];
    return this.gcm.for(tagAt).open(key, this.gcm.nonce.ofCounter(counter), bound, ciphertext, tag);
  }

  /** Frees ciphertext or plaintext that has been used. */
  release(message: Uint8Array): void {
    this.gcm.release(message);
  }
}

/**
 * AES-256-GCM [NIST SP 800-38D] over one seal. The nonce is four zeros and the counter, which never repeats under a
 * key; the tag follows the ciphertext. node:crypto gives new buffers for every call: 1 us of the 8 us for 64 KiB.
 */
import { GCM_NONCE_BYTES, gcmCipher, gcmDecipher, SEAL_TAG_BYTES } from "../../wire/index.ts";

const COUNTER_AT = 4;

export interface SealedBytes {
  /** As long as what was sealed; the caller's. */
  readonly ciphertext: Uint8Array;
  /** SEAL_TAG_BYTES */
  readonly tag: Uint8Array;
}

export class Aead {
  readonly #nonce = new Uint8Array(GCM_NONCE_BYTES);
  readonly #nonceView = new DataView(this.#nonce.buffer);

  /** @param bound what is authenticated with it and travels in clear */
  seal(key: Uint8Array, counter: number, bound: Uint8Array, plaintext: Uint8Array): SealedBytes {
    const cipher = gcmCipher(key, this.#nonceOf(counter));
    cipher.setAAD(bound);
    const ciphertext = cipher.update(plaintext);
    cipher.final();
    return { ciphertext, tag: cipher.getAuthTag() };
  }

  /** The plaintext of ciphertext and tag; null: it is not authentic. */
  open(key: Uint8Array, counter: number, bound: Uint8Array, sealed: Uint8Array): Uint8Array | null {
    const tagAt = sealed.length - SEAL_TAG_BYTES;
    const decipher = gcmDecipher(key, this.#nonceOf(counter));
    decipher.setAAD(bound);
    decipher.setAuthTag(sealed.subarray(tagAt));
    const plaintext = decipher.update(sealed.subarray(0, tagAt));
    try {
      decipher.final();
      return plaintext;
    } catch {
      return null;
    }
  }

  #nonceOf(counter: number): Uint8Array {
    this.#nonceView.setUint32(COUNTER_AT, Math.floor(counter / 2 ** 32));
    this.#nonceView.setUint32(COUNTER_AT + 4, counter >>> 0);
    return this.#nonce;
  }
}

/**
 * AES-256-GCM with a tag of 16 bytes [NIST SP 800-38D], one object for each message.
 *
 * Each leaves a kilobyte to the garbage collector, and what the library holds for it until then. They are counted, so
 * that threads which make many can collect them in time.
 */
import { type CipherGCM, createCipheriv, createDecipheriv, type DecipherGCM } from "node:crypto";

export const GCM_TAG_BYTES = 16;
export const GCM_NONCE_BYTES = 12;

const ALGORITHM = "aes-256-gcm";
const OPTIONS = { authTagLength: GCM_TAG_BYTES } as const;

let objects = 0;

/** @param nonce 12 bytes, never again with this key */
export function gcmCipher(key: Uint8Array, nonce: Uint8Array): CipherGCM {
  objects++;
  return createCipheriv(ALGORITHM, key, nonce, OPTIONS);
}

export function gcmDecipher(key: Uint8Array, nonce: Uint8Array): DecipherGCM {
  objects++;
  return createDecipheriv(ALGORITHM, key, nonce, OPTIONS);
}

/** Ciphers and deciphers that this thread has made. */
export function gcmObjects(): number {
  return objects;
}

/**
 * AES-GCM as members use it. [memberlist security.go]
 *
 *     version 1:  01 | nonce 12 | ciphertext                        | tag 16
 *     version 0:  00 | nonce 12 | ciphertext, PKCS #7 padded to 16  | tag 16
 *
 * The version byte is not authenticated. We write version 1 and read both.
 */
import { createCipheriv, createDecipheriv } from "node:crypto";
import type { Keyring } from "./keyring.ts";

export type EncryptionVersion = 0 | 1;

export const NONCE_BYTES = 12;
/** What encryption version 1 adds to a plaintext. */
export const SEAL_BYTES = 29;

const TAG_BYTES = 16;
const BLOCK_BYTES = 16;
const PLAIN_AT = 1 + NONCE_BYTES;
const MIN_SEALED_BYTES: Readonly<Record<EncryptionVersion, number>> = {
  0: SEAL_BYTES + BLOCK_BYTES,
  1: SEAL_BYTES,
};

export interface SealOptions {
  /** 16, 24 or 32 bytes. */
  readonly key: Uint8Array;
  /** 12 random bytes, never used twice with one key. */
  readonly nonce: Uint8Array;
  /** Authenticated but not sent: nothing on UDP, the frame's header on TCP. */
  readonly additionalData: Uint8Array;
  readonly version?: EncryptionVersion;
}

export function seal(plaintext: Uint8Array, options: SealOptions): Uint8Array {
  const { key, nonce, additionalData, version = 1 } = options;
  const cipher = createCipheriv(algorithmOf(key), key, nonce, { authTagLength: TAG_BYTES });
  cipher.setAAD(additionalData);
  const padded = version === 0 ? pad(plaintext) : plaintext;
  const sealed = new Uint8Array(padded.length + SEAL_BYTES);
  sealed[0] = version;
  sealed.set(nonce, 1);
  sealed.set(cipher.update(padded), PLAIN_AT);
  cipher.final();
  sealed.set(cipher.getAuthTag(), PLAIN_AT + padded.length);
  return sealed;
}

/** The plaintext, in memory of its own; null when no key of the ring opens it. */
export function open(sealed: Uint8Array, keyring: Keyring, additionalData: Uint8Array): Uint8Array | null {
  const version = sealed[0];
  if ((version !== 0 && version !== 1) || sealed.length < MIN_SEALED_BYTES[version]) return null;
  for (const key of keyring.keys) {
    const padded = openWith(key, sealed, additionalData);
    if (padded !== null) return version === 0 ? unpad(padded) : padded;
  }
  return null;
}

function openWith(key: Uint8Array, sealed: Uint8Array, additionalData: Uint8Array): Uint8Array | null {
  const nonce = sealed.subarray(1, PLAIN_AT);
  const tagAt = sealed.length - TAG_BYTES;
  const decipher = createDecipheriv(algorithmOf(key), key, nonce, { authTagLength: TAG_BYTES });
  decipher.setAAD(additionalData);
  decipher.setAuthTag(sealed.subarray(tagAt));
  const plaintext = decipher.update(sealed.subarray(PLAIN_AT, tagAt));
  try {
    decipher.final();
  } catch {
    return null; // another key, or forged
  }
  return new Uint8Array(plaintext.buffer, plaintext.byteOffset, plaintext.length);
}

type Algorithm = "aes-128-gcm" | "aes-192-gcm" | "aes-256-gcm";

function algorithmOf(key: Uint8Array): Algorithm {
  return `aes-${(8 * key.length) as 128 | 192 | 256}-gcm`;
}

/** Always adds 1 to 16 bytes, each of them saying how many. [RFC 5652 §6.3] */
function pad(plaintext: Uint8Array): Uint8Array {
  const padBytes = BLOCK_BYTES - (plaintext.length % BLOCK_BYTES);
  const padded = new Uint8Array(plaintext.length + padBytes).fill(padBytes);
  padded.set(plaintext);
  return padded;
}

function unpad(padded: Uint8Array): Uint8Array | null {
  const padBytes = padded[padded.length - 1]!;
  if (padded.length % BLOCK_BYTES !== 0 || padBytes < 1 || padBytes > BLOCK_BYTES) return null;
  const end = padded.length - padBytes;
  return padded.subarray(end).every((byte) => byte === padBytes) ? padded.subarray(0, end) : null;
}

/**
 * TCP streams: one frame each way. Compressed first, then encrypted. [memberlist net.go]
 *
 *     frame = 10 | length u32 | sealed inner       when there are keys; the 5 bytes in front are authenticated too
 *           | inner
 *     inner = 9 | compressed message
 *           | message
 *
 * This file writes frames; stream-reader.ts reads them.
 */
import { ByteBuilder } from "./byte-builder.ts";
import { SEAL_BYTES, seal } from "./encryption.ts";
import type { Keyring } from "./keyring.ts";
import { ENCRYPT } from "./message-type.ts";

export interface FrameOptions {
  /** Null: plain. */
  readonly keyring: Keyring | null;
  /** 12 random bytes; asked for once per frame that is encrypted. */
  readonly nonce: () => Uint8Array;
}

/** Bytes of an encrypted frame in front of what is sealed. */
export const ENCRYPT_HEADER_BYTES = 5;

/** `message` begins with its type byte. Members take no frame and no message above 20 MiB. */
export function frameStream(message: Uint8Array, options: FrameOptions): Uint8Array {
  const { keyring, nonce } = options;
  if (keyring === null) return message;
  const length = message.length + SEAL_BYTES;
  const frame = new ByteBuilder(ENCRYPT_HEADER_BYTES + length);
  frame.push(ENCRYPT);
  frame.pushUint(length, 4);
  frame.append(seal(message, { key: keyring.primary, nonce: nonce(), additionalData: frame.bytes }));
  return frame.bytes;
}

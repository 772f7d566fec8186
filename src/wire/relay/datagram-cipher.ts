/**
 * Keys of a sealed UDP relay (version 2 of `datagram.ts`): AES-256-GCM [SP 800-38D], each datagram by itself. Its counter is the nonce, its first SEALED_HEAD_BYTES are authenticated, header and data cannot be read, and
 * the 16 bytes of the tag are where clear ones have theirs.
 *
 *     keys    as of a sealed TCP relay (`sealed-hello.ts`); info: one label for each direction, relay id, nonce, the entry
 *             node's and the exit node's public key
 */
import type { Gcm } from "../aes-gcm.ts";
import { COUNTER_AT, SEALED_BYTES, SEALED_HEAD_BYTES } from "./datagram.ts";
import type { PairSecret } from "./sealed-hello.ts";
import { type DatagramSeal, deriveReadyKey, type UdpRelayKeys } from "./tag.ts";

/** Seals and opens the datagrams of one direction, where they are. */
export class DatagramCipher implements DatagramSeal {
  readonly #key: Uint8Array;

  /** @param key 32 bytes, used for nothing else */
  constructor(
    key: Uint8Array,
    readonly gcm: Gcm,
  ) {
    this.#key = key;
  }

  seal(bytes: Uint8Array, headAt: number, headerLength: number, dataAt: number, dataLength: number): void {
    const nonce = this.gcm.nonce.ofPacketCounter(bytes, headAt + COUNTER_AT);
    const head = bytes.subarray(headAt, headAt + SEALED_HEAD_BYTES);
    const sealing = this.gcm.for(headerLength + dataLength).startSeal(this.#key, nonce, head);
    const headerAt = headAt + SEALED_BYTES;
    if (headerLength > 0)
      bytes.set(sealing.update(bytes.subarray(headerAt, headerAt + headerLength)), headerAt);
    if (dataLength > 0) {
      const data = sealing.update(bytes.subarray(dataAt, dataAt + dataLength));
      bytes.set(data, dataAt);
      this.gcm.release(data);
    }
    bytes.set(sealing.tag(), headAt + SEALED_HEAD_BYTES);
  }

  open(bytes: Uint8Array, at: number, length: number): boolean {
    const nonce = this.gcm.nonce.ofPacketCounter(bytes, at + COUNTER_AT);
    const sealedAt = at + SEALED_BYTES;
    const head = bytes.subarray(at, at + SEALED_HEAD_BYTES);
    const tag = bytes.subarray(at + SEALED_HEAD_BYTES, sealedAt);
    const ciphertext = bytes.subarray(sealedAt, at + length);
    const plain = this.gcm.for(ciphertext.length).open(this.#key, nonce, head, ciphertext, tag);
    if (plain === null) return false;
    bytes.set(plain, sealedAt);
    this.gcm.release(plain);
    return true;
  }
}

/** The contributions of both ends to a relay's keys. */
export interface UdpRelayExchange {
  readonly relayId: Uint8Array;
  readonly nonce: Uint8Array;
  readonly entryPublicKey: Uint8Array;
  readonly exitPublicKey: Uint8Array;
}

export function deriveSealedRelayKeys(
  relayKey: Uint8Array,
  secret: PairSecret,
  exchange: UdpRelayExchange,
): UdpRelayKeys {
  const { relayId, nonce, entryPublicKey, exitPublicKey } = exchange;
  const derive = (label: string) =>
    new DatagramCipher(
      secret.derive(`portmesh sealed udp relay ${label}\0`, relayId, nonce, entryPublicKey, exitPublicKey),
      secret.gcm,
    );
  const ready = deriveReadyKey(relayKey, relayId, nonce);
  return { ready, toExit: derive("to exit"), toEntry: derive("to entry") };
}

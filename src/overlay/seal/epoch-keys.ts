/**
 * The keys of one direction between two nodes: a chain that starts at their secret and gives one key after the other,
 * each used for a while and for so many bytes. [RFC 5869; the ratchet as in RFC 9420 §9]
 *
 *     secret ─▶ chain 0 ─▶ chain 1 ─▶ chain 2 …        a step cannot be taken back: who learns a chain
 *                  │          │          │             cannot open what was sent before it
 *                key 0      key 1      key 2           with an id of 4 bytes, which datagrams carry
 *
 * The sender moves on by itself; the receiver has the next KEYS_AHEAD keys ready, so nothing is lost and no
 * handshake is needed. While nothing shows that it is heard, the sender stays within them.
 */
import { Hkdf } from "../../wire/index.ts";

/** Keys after the one in use that a receiver has ready. */
export const KEYS_AHEAD = 3;
const KEY_BYTES = 32;
const CHAIN_BYTES = 32;
const ID_BYTES = 4;

export interface EpochKey {
  readonly epoch: number;
  /** What datagrams name it by; uint32. Two keys may share one. */
  readonly id: number;
  /** AES-256 */
  readonly key: Uint8Array;
}

export class EpochKeys {
  #chain: Uint8Array;
  #epoch = 0;

  /**
   * @param secret hex of 32 bytes, which only the two nodes have
   * @param from, to the overlay addresses of sender and receiver, so that the directions have different keys
   */
  constructor(secret: string, from: string, to: string) {
    this.#chain = derive(Uint8Array.fromHex(secret), `portmesh seal ${from} to ${to}`, CHAIN_BYTES);
  }

  /** The next key; each is given once. */
  next(): EpochKey {
    const epoch = this.#epoch++;
    const bytes = derive(this.#chain, "portmesh seal key", KEY_BYTES + ID_BYTES);
    this.#chain = derive(this.#chain, "portmesh seal next", CHAIN_BYTES);
    return { epoch, key: bytes.slice(0, KEY_BYTES), id: new DataView(bytes.buffer).getUint32(KEY_BYTES) };
  }
}

function derive(secret: Uint8Array, label: string, length: number): Uint8Array {
  return new Hkdf(secret, "").expand(length, label);
}

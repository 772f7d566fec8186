/**
 * The keys of both directions under a pair's secret, kept for as long as the secret may come back: a node that was
 * thought dead, or a cluster key that is first again, has the secret it had. Beginning anew would use nonces twice
 * and take replays; what was forgotten on one side only would not be understood by the other.
 *
 * Bounded by PAIRS_MAX; who was asked for longest ago is forgotten. Both nodes make new secrets when they start.
 */
import { EpochKeys } from "./epoch-keys.ts";
import { ReceivingChain } from "./receiving-keys.ts";
import { type RekeyLimits, SendingKey } from "./sending-key.ts";

/** Several secrets for as many peers as a node may have; some 3 KB each. */
export const PAIRS_MAX = 16_384;

export interface PairKeys {
  readonly sending: SendingKey;
  readonly receiving: ReceivingChain;
}

export interface PairEnds {
  /** Overlay addresses. */
  readonly ownAddress: string;
  readonly peerAddress: string;
  readonly nowMs: number;
  readonly limits?: RekeyLimits;
}

export class PairKeyCache {
  /** By addresses and secret; in the order in which they were last asked for. */
  readonly #pairs = new Map<string, PairKeys>();

  get size(): number {
    return this.#pairs.size;
  }

  /** @param secret hex of 32 bytes */
  keysOf(secret: string, ends: PairEnds): PairKeys {
    const { ownAddress, peerAddress } = ends;
    const id = `${ownAddress} ${peerAddress} ${secret}`;
    const keys = this.#pairs.get(id) ?? newKeys(secret, ends);
    this.#pairs.delete(id);
    this.#pairs.set(id, keys);
    if (this.#pairs.size > PAIRS_MAX) this.#pairs.delete(this.#pairs.keys().next().value!);
    return keys;
  }
}

function newKeys(secret: string, { ownAddress, peerAddress, nowMs, limits }: PairEnds): PairKeys {
  return {
    sending: new SendingKey(new EpochKeys(secret, ownAddress, peerAddress), nowMs, limits),
    receiving: new ReceivingChain(secret, peerAddress, ownAddress),
  };
}

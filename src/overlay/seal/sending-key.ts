/**
 * The key that this node seals with for one peer: counts what it has sealed, and moves to the next key of the chain
 * by time and by volume. The counter is the nonce, so a key is left long before it repeats, and before what AES-GCM
 * promises for one key is used up. [RFC 8446 §5.5: 2^24.5 records of 16 KiB; NIST SP 800-38D §8.3]
 */
import { type EpochKey, type EpochKeys, KEYS_AHEAD } from "./epoch-keys.ts";

export interface RekeyLimits {
  readonly ageMs: number;
  /** Of sealed bytes. */
  readonly bytes: number;
}

/** As WireGuard's REKEY_AFTER_TIME; and less than 2^24.5 records of 16 KiB, which are 400 GB. */
const REKEY_LIMITS: RekeyLimits = { ageMs: 120_000, bytes: 2 ** 37 };

/** One less than the receiver has ready: what confirms may have been said before the last step. */
const UNCONFIRMED_MAX = KEYS_AHEAD - 1;
/** So many times the volume are sealed under a key before it is replaced even without an answer: 2^40 bytes [RFC 8446 §5.5]. */
const UNCONFIRMED_VOLUMES = 8;

export class SendingKey {
  #key: EpochKey;
  #counter = 0;
  #bytes = 0;
  #sinceMs: number;
  /** Keys gone on to since the receiver was last known to hear. */
  #unconfirmed = 0;

  constructor(
    readonly keys: EpochKeys,
    nowMs: number,
    readonly limits: RekeyLimits = REKEY_LIMITS,
  ) {
    this.#key = keys.next();
    this.#sinceMs = nowMs;
  }

  get current(): EpochKey {
    return this.#key;
  }

  /** Of the last `take`; with the key it makes the nonce. */
  get counter(): number {
    return this.#counter;
  }

  /** The receiver has opened something of late. */
  onConfirmed(): void {
    this.#unconfirmed = 0;
  }

  ageMs(nowMs: number): number {
    return nowMs - this.#sinceMs;
  }

  /** Uses up one counter for a seal of so many bytes; the key may be another one than before. */
  take(bytes: number, nowMs: number): EpochKey {
    if (this.#isUsedUp(nowMs)) this.#goOn(nowMs);
    this.#counter++;
    this.#bytes += bytes;
    return this.#key;
  }

  #isUsedUp(nowMs: number): boolean {
    const { ageMs, bytes } = this.limits;
    if (this.#unconfirmed >= UNCONFIRMED_MAX) return this.#bytes >= bytes * UNCONFIRMED_VOLUMES;
    return this.#bytes >= bytes || nowMs - this.#sinceMs >= ageMs;
  }

  #goOn(nowMs: number): void {
    this.#unconfirmed++;
    this.#key = this.keys.next();
    this.#counter = 0;
    this.#bytes = 0;
    this.#sinceMs = nowMs;
  }
}

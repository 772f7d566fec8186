/**
 * The key that this node seals with for one peer: counts what it has sealed, and goes on to the next key of the chain
 * by time and by volume. The counter is the nonce, so a key is left long before it repeats, and before what AES-GCM
 * promises for one key is used up. [RFC 8446 §5.5: 2^24.5 records of 16 KiB; NIST SP 800-38D §8.3]
 */
import type { EpochKey, EpochKeys } from "./epoch-keys.ts";

export interface RekeyLimits {
  readonly ageMs: number;
  /** Of sealed bytes. */
  readonly bytes: number;
}

/** As WireGuard's REKEY_AFTER_TIME; and less than 2^24.5 records of 16 KiB, which are 400 GB. */
export const REKEY_LIMITS: RekeyLimits = { ageMs: 120_000, bytes: 2 ** 37 };

export class SendingKey {
  #key: EpochKey;
  #counter = 0;
  #bytes = 0;
  #sinceMs: number;

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

  ageMs(nowMs: number): number {
    return nowMs - this.#sinceMs;
  }

  /** Uses up one counter for a seal of so many bytes; the key may be another one than before. */
  take(bytes: number, nowMs: number): EpochKey {
    const { ageMs, bytes: maxBytes } = this.limits;
    if (this.#bytes >= maxBytes || nowMs - this.#sinceMs >= ageMs) this.#goOn(nowMs);
    this.#counter++;
    this.#bytes += bytes;
    return this.#key;
  }

  #goOn(nowMs: number): void {
    this.#key = this.keys.next();
    this.#counter = 0;
    this.#bytes = 0;
    this.#sinceMs = nowMs;
  }
}

/**
 * The fraction of what was sent that did not arrive, with old counts fading: what was counted a half-life ago weighs
 * half. The data path's counts and those of probes go into the same sums, so the one with more packets has more weight.
 */

const HALF_LIFE_MS = 15_000;
/** Below it there is nothing to say: less than one datagram is remembered. */
const MIN_SENT = 0.5;

export class LossEstimator {
  #sent = 0;
  #lost = 0;
  #countedMs = 0;

  /** 0…1 as of the last count; null: too little is known. */
  get fraction(): number | null {
    return this.#sent < MIN_SENT ? null : Math.min(1, Math.max(0, this.#lost / this.#sent));
  }

  /** Negative counts take back what has proved wrong: an answer that came late. */
  count(sent: number, lost: number, nowMs: number): void {
    const weight = 2 ** (-Math.max(0, nowMs - this.#countedMs) / HALF_LIFE_MS);
    this.#sent = Math.max(0, this.#sent * weight + sent);
    this.#lost = Math.max(0, this.#lost * weight + lost);
    this.#countedMs = Math.max(nowMs, this.#countedMs);
  }
}

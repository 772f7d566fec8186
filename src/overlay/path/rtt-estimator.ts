/** Round-trip times: smoothed and with a timeout as RFC 6298 has them, and the shortest of the last minutes. */

/** [RFC 6298 §2.3] */
const ALPHA = 1 / 8;
const BETA = 1 / 4;
const VARIANCES = 4;
/** A thread of this program may be busy for a while; RFC 6298's second would make a search needlessly slow. */
export const MIN_TIMEOUT_MS = 100;
export const MAX_TIMEOUT_MS = 2000;
/** Before the first sample. */
export const FIRST_TIMEOUT_MS = 300;
/** The minimum is of the current and the last period of this length: a path may become longer. */
const MINIMUM_PERIOD_MS = 120_000;

export class RttEstimator {
  #smoothedMs: number | null = null;
  #variationMs = 0;
  #periodStartMs = 0;
  #minimumMs = Number.POSITIVE_INFINITY;
  #lastMinimumMs = Number.POSITIVE_INFINITY;

  /** null: nothing has come back yet. */
  get smoothedMs(): number | null {
    return this.#smoothedMs;
  }

  /** null: nothing has come back yet. */
  get minimumMs(): number | null {
    const minimumMs = Math.min(this.#minimumMs, this.#lastMinimumMs);
    return minimumMs === Number.POSITIVE_INFINITY ? null : minimumMs;
  }

  /** How long an answer may take before it is missed. */
  get timeoutMs(): number {
    if (this.#smoothedMs === null) return FIRST_TIMEOUT_MS;
    const timeoutMs = this.#smoothedMs + VARIANCES * this.#variationMs;
    return Math.min(Math.max(timeoutMs, MIN_TIMEOUT_MS), MAX_TIMEOUT_MS);
  }

  add(sampleMs: number, nowMs: number): void {
    if (this.#smoothedMs === null) {
      this.#smoothedMs = sampleMs;
      this.#variationMs = sampleMs / 2;
    } else {
      this.#variationMs += BETA * (Math.abs(this.#smoothedMs - sampleMs) - this.#variationMs);
      this.#smoothedMs += ALPHA * (sampleMs - this.#smoothedMs);
    }
    this.#addMinimum(sampleMs, nowMs);
  }

  #addMinimum(sampleMs: number, nowMs: number): void {
    if (nowMs - this.#periodStartMs >= MINIMUM_PERIOD_MS) {
      this.#lastMinimumMs = this.#minimumMs;
      this.#minimumMs = Number.POSITIVE_INFINITY;
      this.#periodStartMs = nowMs;
    }
    this.#minimumMs = Math.min(this.#minimumMs, sampleMs);
  }
}

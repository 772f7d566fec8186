/**
 * Round-trip times: smoothed and with a timeout as RFC 6298 has them, and the shortest of the last minutes. Pure: the
 * caller measures and brings the time.
 */

/** [RFC 6298 §2.3] */
const ALPHA = 1 / 8;
const BETA = 1 / 4;
const VARIANCES = 4;
/** The minimum is of the current and the last period of this length: a path may become longer. */
const MINIMUM_PERIOD_MS = 120_000;

/** Of a timeout. */
export interface TimeoutBounds {
  /** Before the first sample. */
  readonly firstMs: number;
  readonly floorMs: number;
  readonly ceilingMs: number;
  /** At least so much above the smoothed time, however steady that is. [RFC 6298 §2.3: G] */
  readonly marginMs: number;
}

export class RttEstimator {
  #smoothedMs: number | null = null;
  #variationMs = 0;
  /** Timeouts since the last sample double it. */
  #backOff = 1;
  #periodStartMs = 0;
  #minimumMs = Number.POSITIVE_INFINITY;
  #lastMinimumMs = Number.POSITIVE_INFINITY;

  constructor(readonly bounds: TimeoutBounds) {}

  /** null: there has been no sample yet. */
  get smoothedMs(): number | null {
    return this.#smoothedMs;
  }

  /** null: there has been no sample yet. */
  get minimumMs(): number | null {
    const minimumMs = Math.min(this.#minimumMs, this.#lastMinimumMs);
    return minimumMs === Number.POSITIVE_INFINITY ? null : minimumMs;
  }

  /** How long an answer may take. */
  get timeoutMs(): number {
    const { firstMs, floorMs, ceilingMs, marginMs } = this.bounds;
    const estimateMs =
      this.#smoothedMs === null
        ? firstMs
        : this.#smoothedMs + Math.max(marginMs, VARIANCES * this.#variationMs);
    return Math.min(Math.max(estimateMs, floorMs) * this.#backOff, ceilingMs);
  }

  add(sampleMs: number, nowMs: number): void {
    this.#backOff = 1;
    if (this.#smoothedMs === null) {
      this.#smoothedMs = sampleMs;
      this.#variationMs = sampleMs / 2;
    } else {
      this.#variationMs += BETA * (Math.abs(this.#smoothedMs - sampleMs) - this.#variationMs);
      this.#smoothedMs += ALPHA * (sampleMs - this.#smoothedMs);
    }
    this.#addMinimum(sampleMs, nowMs);
  }

  /** The timeout has expired: twice as long until the next sample. [RFC 6298 §5.5] */
  backOff(): void {
    if (this.timeoutMs < this.bounds.ceilingMs) this.#backOff *= 2;
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

/**
 * How many datagrams one seal may have on a path, from what is lost on it. A seal is lost with any of its datagrams:
 *
 *     P(seal lost) = 1 - (1 - p)^n ≤ TOLERATED        n = ln(1 - TOLERATED) / ln(1 - p)
 *
 * TCP's rate goes with size / √loss [Mathis et al., CCR 27(3)], here √(n / p): larger seals are better until so many
 * of them are lost that connections stall on timeouts, which begins somewhat above TOLERATED. 0.1 % loss: 51 datagrams,
 * 1 %: 5, 5 %: 1.
 */

const TOLERATED = 0.05;
/** Reports fade: one of so long ago weighs half. */
const HALF_LIFE_MS = 2_000;
/** Datagrams that are remembered, at most: what a busy path was like must not outweigh what a stalled one is like. */
const MEMORY = 40_000;
/**
 * A report of so many times the loss says that the path has changed, and only FORGOTTEN of what was known counts on:
 * seals that are too large for a path stall it, and then there is little to learn from.
 */
const JUMP = 5;
const FORGOTTEN = 0.1;
/**
 * What is believed of a path before anything is known, as if so many datagrams had been sent and some of them lost: the
 * first seals have 10 datagrams at most.
 */
const PRIOR = { expected: 200, lost: 1 } as const;

export class SealSize {
  #expected = 0;
  #lost = 0;
  #reportedMs = 0;
  #parts = partsFor(PRIOR.lost / PRIOR.expected);

  /** Datagrams in one seal, at most. */
  get parts(): number {
    return this.#parts;
  }

  /** 0…1, of datagrams; null: too few were sent. */
  get loss(): number | null {
    return this.#expected < 1 ? null : Math.min(1, this.#lost / this.#expected);
  }

  /** The peer says what it should have had since its last report, and what of that has not come. */
  onReport(expected: number, lost: number, nowMs: number): void {
    const age = 2 ** (-Math.max(0, nowMs - this.#reportedMs) / HALF_LIFE_MS);
    const isJump = lost >= 2 && lost * this.#expected > JUMP * this.#lost * expected;
    const weight = Math.min(age, isJump ? FORGOTTEN : 1, MEMORY / Math.max(1, this.#expected));
    this.#reportedMs = nowMs;
    this.#expected = this.#expected * weight + expected;
    this.#lost = this.#lost * weight + lost;
    this.#parts = partsFor((this.#lost + PRIOR.lost) / (this.#expected + PRIOR.expected));
  }
}

export function partsFor(loss: number): number {
  if (loss <= 0) return Number.POSITIVE_INFINITY;
  if (loss >= TOLERATED) return 1;
  return Math.max(1, Math.floor(Math.log(1 - TOLERATED) / Math.log(1 - loss)));
}

/** Lets through `perSecond` in the long run and `burst` at once. */

export class TokenBucket {
  #tokens: number;
  #filledMs = 0;

  constructor(
    readonly perSecond: number,
    readonly burst: number,
  ) {
    this.#tokens = burst;
  }

  take(nowMs: number): boolean {
    const filled = this.#tokens + ((nowMs - this.#filledMs) * this.perSecond) / 1000;
    this.#tokens = Math.min(this.burst, filled);
    this.#filledMs = nowMs;
    if (this.#tokens < 1) return false;
    this.#tokens--;
    return true;
  }
}

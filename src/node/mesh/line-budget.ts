/**
 * Log lines of one kind: a burst, then one now and then. Lines over the budget are counted and summed up in one line, so
 * that others, who can make up any number of names, cannot fill the log.
 */
import type { Clock } from "../../sys/clock.ts";

const BURST_LINES = 100;
const REFILL_MS = 1_000;
const SUMMARY_MS = 10_000;

export class LineBudget {
  readonly #clock: Clock;
  readonly #onSummary: (count: number) => void;
  #left = BURST_LINES;
  #filledAtMs: number;
  #omitted = 0;

  /** @param onSummary with the number of lines left out */
  constructor(clock: Clock, onSummary: (count: number) => void) {
    this.#clock = clock;
    this.#onSummary = onSummary;
    this.#filledAtMs = clock.nowMs();
  }

  /** Whether this line may be written; else it is counted. */
  take(): boolean {
    this.#refill();
    if (this.#left >= 1) {
      this.#left--;
      return true;
    }
    if (this.#omitted === 0) this.#clock.after(SUMMARY_MS, () => this.#sumUp());
    this.#omitted++;
    return false;
  }

  /** A clock that is set back refills nothing. */
  #refill(): void {
    const nowMs = this.#clock.nowMs();
    const earned = Math.max(0, nowMs - this.#filledAtMs) / REFILL_MS;
    this.#left = Math.min(BURST_LINES, this.#left + earned);
    this.#filledAtMs = nowMs;
  }

  #sumUp(): void {
    const count = this.#omitted;
    this.#omitted = 0;
    this.#onSummary(count);
  }
}

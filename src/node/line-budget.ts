/**
 * Log lines of one kind: a burst, then one now and then. Lines over the budget are counted and summed up in one line, so
 * that others, who can make up any number of names, cannot fill the log.
 */
import type { Clock } from "../sys/clock.ts";

export interface LineBudgetOptions {
  /** Lines at once. */
  readonly burstLines: number;
  /** For one more. */
  readonly refillMs: number;
  /** From the first line that is left out to the sum. */
  readonly summaryMs: number;
}

const USUAL: LineBudgetOptions = { burstLines: 100, refillMs: 1_000, summaryMs: 10_000 };

export class LineBudget {
  readonly #clock: Clock;
  readonly #onSummary: (count: number) => void;
  readonly #options: LineBudgetOptions;
  #left: number;
  #filledAtMs: number;
  #omitted = 0;

  /** @param onSummary with the number of lines left out */
  constructor(clock: Clock, onSummary: (count: number) => void, options: LineBudgetOptions = USUAL) {
    this.#clock = clock;
    this.#onSummary = onSummary;
    this.#options = options;
    this.#left = options.burstLines;
    this.#filledAtMs = clock.nowMs();
  }

  /** Whether this line may be written; else it is counted. */
  take(): boolean {
    this.#refill();
    if (this.#left >= 1) {
      this.#left--;
      return true;
    }
    if (this.#omitted === 0) this.#clock.after(this.#options.summaryMs, () => this.#sumUp());
    this.#omitted++;
    return false;
  }

  /** A clock that is set back refills nothing. */
  #refill(): void {
    const nowMs = this.#clock.nowMs();
    const { burstLines, refillMs } = this.#options;
    const earned = Math.max(0, nowMs - this.#filledAtMs) / refillMs;
    this.#left = Math.min(burstLines, this.#left + earned);
    this.#filledAtMs = nowMs;
  }

  #sumUp(): void {
    const count = this.#omitted;
    this.#omitted = 0;
    this.#onSummary(count);
  }
}

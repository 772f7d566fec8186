/** Looks once a second how late the timers of this thread are: as late as its work keeps others waiting. */
import { counters } from "../../proxy/index.ts";
import type { Clock } from "../../sys/clock.ts";

const PERIOD_MS = 1000;

export class LoopLag {
  /** A histogram of counters.TIME_BUCKETS_MS. */
  readonly row = new Float64Array(counters.HISTOGRAM_FIELDS);
  #cancel: () => void = () => undefined;

  constructor(readonly clock: Clock) {
    this.#lookLater();
  }

  /** Of the process before this one. */
  continueFrom(row: readonly number[]): void {
    for (const [index, value] of row.entries()) if (index < this.row.length) this.row[index]! += value;
  }

  stop(): void {
    this.#cancel();
  }

  #lookLater(): void {
    const dueMs = this.clock.nowMs() + PERIOD_MS;
    this.#cancel = this.clock.after(PERIOD_MS, () => {
      counters.countTime(this.row, 0, Math.max(0, this.clock.nowMs() - dueMs));
      this.#lookLater();
    });
  }
}

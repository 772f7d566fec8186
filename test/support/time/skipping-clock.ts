/** The steady clock, which a test can put ahead: timers that are then due run at once. */
import { type Clock, steadyClock } from "../../../src/sys/clock.ts";

interface Timer {
  readonly atMs: number;
  readonly run: () => void;
  cancel: () => void;
}

export class SkippingClock implements Clock {
  #aheadMs = 0;
  readonly #timers = new Set<Timer>();

  nowMs(): number {
    return steadyClock.nowMs() + this.#aheadMs;
  }

  after(delayMs: number, run: () => void): () => void {
    const timer: Timer = { atMs: this.nowMs() + delayMs, run, cancel: () => {} };
    this.#timers.add(timer);
    this.#arm(timer);
    return () => {
      this.#timers.delete(timer);
      timer.cancel();
    };
  }

  skip(byMs: number): void {
    this.#aheadMs += byMs;
    for (const timer of this.#timers) {
      timer.cancel();
      this.#arm(timer);
    }
  }

  #arm(timer: Timer): void {
    timer.cancel = steadyClock.after(Math.max(0, timer.atMs - this.nowMs()), () => {
      this.#timers.delete(timer);
      timer.run();
    });
  }
}

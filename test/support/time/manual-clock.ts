/** A clock that stands still until the test moves it; timers run in order of their time. */
import type { NodeClock } from "../../../src/sys/clock.ts";

interface Timer {
  readonly atMs: number;
  readonly run: () => void;
}

export class ManualClock implements NodeClock {
  /** Nobody sets this one. */
  readonly steady = this;
  #nowMs = 1_000_000;
  readonly #timers = new Set<Timer>();

  nowMs(): number {
    return this.#nowMs;
  }

  after(delayMs: number, run: () => void): () => void {
    const timer = { atMs: this.#nowMs + delayMs, run };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  get timerCount(): number {
    return this.#timers.size;
  }

  /** Moves on without running any timer: they are all late then. */
  skip(ms: number): void {
    this.#nowMs += ms;
  }

  /** Between two timers everything that has been promised is carried out. */
  async advance(ms: number): Promise<void> {
    const endMs = this.#nowMs + ms;
    await settle();
    for (;;) {
      const next = [...this.#timers]
        .filter((timer) => timer.atMs <= endMs)
        .sort((a, b) => a.atMs - b.atMs)[0];
      if (next === undefined) break;
      this.#timers.delete(next);
      this.#nowMs = Math.max(this.#nowMs, next.atMs); // late after a skip
      next.run();
      await settle();
    }
    this.#nowMs = endMs;
  }
}

/** Lets promises that are due run: no time passes. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await Promise.resolve();
}

/** When ports that could not be bound are tried again: every attempt that opens none doubles the wait. */
import type { Clock } from "../sys/clock.ts";

const FIRST_MS = 1_000;
/** How long a port that has become free may stay closed. */
const MAX_MS = 30_000;

export class RetryTimer {
  #cancel: (() => void) | null = null;
  #waitMs = FIRST_MS;

  constructor(
    readonly clock: Clock,
    readonly onRetry: () => void,
  ) {}

  /** Does nothing while it is running. */
  start(): void {
    this.#cancel ??= this.clock.after(this.#waitMs, () => {
      this.#cancel = null;
      this.onRetry();
    });
  }

  stop(): void {
    this.#cancel?.();
    this.#cancel = null;
  }

  /** The last attempt has opened nothing. */
  backOff(): void {
    this.#waitMs = Math.min(this.#waitMs * 2, MAX_MS);
  }

  reset(): void {
    this.#waitMs = FIRST_MS;
  }
}

/** Time and timers, passed in so that tests can control them. */

export interface Clock {
  /** Milliseconds since some moment; of the system's clock since 1970. */
  nowMs(): number;
  /** Runs `run` once after `delayMs`; the returned function calls it off. */
  after(delayMs: number, run: () => void): () => void;
}

export function pause(clock: Clock, ms: number): Promise<void> {
  return new Promise((resolve) => {
    clock.after(ms, resolve);
  });
}

/** The clock of a node: the system's, which may be set at any time, and one for measuring. */
export interface NodeClock extends Clock {
  readonly steady: Clock;
}

/** Monotonic, with fractions of milliseconds: for measuring. */
export const steadyClock: Clock = { nowMs: () => performance.now(), after };

export const systemClock: NodeClock = { nowMs: Date.now, after, steady: steadyClock };

function after(delayMs: number, run: () => void): () => void {
  const timer = setTimeout(run, delayMs);
  return () => clearTimeout(timer);
}

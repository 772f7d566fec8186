/** The time and timers, handed to whoever waits so that tests can turn the hands themselves. */

export interface Clock {
  /** Milliseconds since some moment; of the system's clock since 1970. */
  nowMs(): number;
  /** Runs `run` once after `delayMs`; the returned function calls it off. */
  after(delayMs: number, run: () => void): () => void;
}

export const systemClock: Clock = { nowMs: Date.now, after };

/** For measuring: with fractions of milliseconds, and nobody sets it. */
export const steadyClock: Clock = { nowMs: () => performance.now(), after };

function after(delayMs: number, run: () => void): () => void {
  const timer = setTimeout(run, delayMs);
  return () => clearTimeout(timer);
}

/**
 * Time that only creeps forward: the steps between calls are added up, none of them negative or longer than a minute.
 * So a clock that is set, or a machine that slept, neither ends the life of every tombstone nor stretches it.
 */

const MAX_STEP_MS = 60_000;

export class SteadyTime {
  #nowMs = 0;
  #wallMs: number | null = null;

  /** Milliseconds of running time since this was made. */
  get nowMs(): number {
    return this.#nowMs;
  }

  /** ms since 1970, as this node's clock was set when it was advanced last. */
  get wallMs(): number {
    return this.#wallMs ?? 0;
  }

  advance(wallMs: number): void {
    const stepMs = wallMs - (this.#wallMs ?? wallMs);
    this.#wallMs = wallMs;
    if (stepMs > 0) this.#nowMs += Math.min(stepMs, MAX_STEP_MS);
  }
}

/** When the path to a peer is probed next: about every second while packets go there, every half minute else. */

const ACTIVE = { confirmMs: 1000, raiseMs: 60_000, retryMs: 5000 };
const IDLE = { confirmMs: 30_000, raiseMs: 600_000, retryMs: 30_000 };
/** Intervals are 0.85 to 1.15 times as long, so that peers that were met together are not probed together. */
const JITTER = 0.3;
/** Probes that are not urgent begin within this time. */
const IDLE_START_MS = 2000;

export class PathSchedule {
  readonly #random: () => number;
  #isActive = false;
  #sentMs = Number.NEGATIVE_INFINITY;
  /** null: not begun. */
  #flightMs: number | null = null;
  #raiseMs = Number.POSITIVE_INFINITY;

  /** @param random 0 ≤ x < 1 */
  constructor(random: () => number) {
    this.#random = random;
  }

  /** The next flight, of whatever the path's state asks for. */
  get flightMs(): number {
    return this.#flightMs ?? Number.NEGATIVE_INFINITY;
  }

  /** The next search for more than is in use. */
  get raiseMs(): number {
    return this.#raiseMs;
  }

  /** Begins with the first call. Becoming active is a reason to look, but once a second at most. */
  setActive(isActive: boolean, nowMs: number): void {
    this.#flightMs ??= isActive ? nowMs : nowMs + this.#random() * IDLE_START_MS;
    if (isActive && !this.#isActive) {
      this.hurry(nowMs);
      this.#raiseMs = Math.min(this.#raiseMs, nowMs + this.#jittered(ACTIVE.raiseMs));
    }
    this.#isActive = isActive;
  }

  onSent(nowMs: number): void {
    this.#sentMs = nowMs;
  }

  flyAt(atMs: number): void {
    this.#flightMs = atMs;
  }

  raiseAt(atMs: number): void {
    this.#raiseMs = atMs;
  }

  /** Now, or a second after the last probe, if nothing was due before. */
  hurry(nowMs: number): void {
    if (this.#flightMs === null) return;
    this.#flightMs = Math.min(this.#flightMs, Math.max(nowMs, this.#sentMs + ACTIVE.confirmMs));
  }

  confirmLater(nowMs: number): void {
    this.#flightMs = nowMs + this.#jittered(this.#intervals.confirmMs);
  }

  raiseLater(nowMs: number): void {
    this.#raiseMs = nowMs + this.#jittered(this.#intervals.raiseMs);
  }

  /** A peer that does not answer is tried after `delayMs`, which grows, up to a limit. */
  retryAfter(delayMs: number, nowMs: number): void {
    this.#flightMs = nowMs + Math.min(delayMs, this.#jittered(this.#intervals.retryMs));
  }

  get #intervals(): typeof ACTIVE {
    return this.#isActive ? ACTIVE : IDLE;
  }

  #jittered(intervalMs: number): number {
    return intervalMs * (1 + JITTER * (this.#random() - 0.5));
  }
}

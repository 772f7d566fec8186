/**
 * How well this node itself seems to be: 0 is well. A node whose own probes fail, that misses nacks or has to refute is
 * probably the slow one, and gives others more time [LIFEGUARD §IV-A].
 */
export class Awareness {
  #score = 0;

  /** @param limit the score stays below it */
  constructor(readonly limit: number) {}

  get score(): number {
    return this.#score;
  }

  add(delta: number): void {
    this.#score = Math.min(Math.max(0, this.#score + delta), this.limit - 1);
  }
}

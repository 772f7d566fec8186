/** Serf's logical clock: it never falls behind anything it has seen. */

/** No honest member is this far ahead; a clock that followed would have no room left. */
const ABSURD = 2 ** 52;

export class LamportClock {
  #next = 1;

  get now(): number {
    return this.#next;
  }

  /** Where another process of this node has left it. */
  continueAt(next: number): void {
    this.#next = Math.max(this.#next, next);
  }

  increment(): number {
    return this.#next++;
  }

  /** False when it is too far ahead to be true. */
  witness(seen: number): boolean {
    if (seen >= ABSURD) return false;
    if (seen >= this.#next) this.#next = seen + 1;
    return true;
  }
}

/** Things that will happen, the earliest first; of the same instant, in the order they were added. */

export class EventHeap {
  readonly #times: number[] = [];
  readonly #orders: number[] = [];
  readonly #runs: (() => void)[] = [];
  #order = 0;

  get length(): number {
    return this.#times.length;
  }

  /** Infinity: nothing. */
  get nextMs(): number {
    return this.#times[0] ?? Number.POSITIVE_INFINITY;
  }

  add(atMs: number, run: () => void): void {
    const order = this.#order++;
    let at = this.#times.length;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!this.#isBefore(atMs, order, parent)) break;
      this.#move(parent, at);
      at = parent;
    }
    this.#put(at, atMs, order, run);
  }

  /** The earliest; there is one. */
  take(): () => void {
    const first = this.#runs[0]!;
    const [atMs, order, run] = [this.#times.pop()!, this.#orders.pop()!, this.#runs.pop()!];
    const length = this.#times.length;
    if (length === 0) return first;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= length) break;
      const right = child + 1;
      if (right < length && this.#isBefore(this.#times[right]!, this.#orders[right]!, child)) child = right;
      if (this.#isBefore(atMs, order, child)) break;
      this.#move(child, at);
      at = child;
    }
    this.#put(at, atMs, order, run);
    return first;
  }

  #isBefore(atMs: number, order: number, other: number): boolean {
    const otherMs = this.#times[other]!;
    return atMs < otherMs || (atMs === otherMs && order < this.#orders[other]!);
  }

  #move(from: number, to: number): void {
    this.#put(to, this.#times[from]!, this.#orders[from]!, this.#runs[from]!);
  }

  #put(at: number, atMs: number, order: number, run: () => void): void {
    this.#times[at] = atMs;
    this.#orders[at] = order;
    this.#runs[at] = run;
  }
}

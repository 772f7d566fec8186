/**
 * Probes sent together and awaited together. The replies decide what a loss means: a size that was lost while a smaller
 * one arrived may be too large; a flight without any reply says nothing about sizes.
 */

export class Flight {
  #unsent: number[];
  readonly #flying = new Set<number>();
  readonly #answered = new Set<number>();
  #isTallied = false;
  #deadlineMs = Number.NEGATIVE_INFINITY;

  /**
   * @param sizes in the order of sending; of equal ones the first  @param goodSize all up to it are known to fit
   * @param copies probes of each size: one answer is enough
   */
  constructor(
    sizes: readonly number[],
    readonly goodSize: number,
    copies = 1,
  ) {
    const different = [...new Set(sizes)];
    this.#unsent = Array.from({ length: copies }, () => different).flat();
  }

  /** Something to send, or the time at which the last answer is due. */
  get nextMs(): number {
    return this.#unsent.length > 0 ? Number.NEGATIVE_INFINITY : this.#deadlineMs;
  }

  get isAnswered(): boolean {
    return this.#answered.size > 0;
  }

  /** Those sent and not answered. */
  get lost(): readonly number[] {
    return [...this.#flying];
  }

  hasAnswered(size: number): boolean {
    return this.#answered.has(size);
  }

  /** Its losses have been counted, so an answer from now on takes one back. */
  get isTallied(): boolean {
    return this.#isTallied;
  }

  /** How many of the sizes known to fit were answered, and how many were not: once, at the end. */
  tally(): { readonly answered: number; readonly lost: number } {
    this.#isTallied = true;
    const isGood = (size: number) => size <= this.goodSize;
    return { answered: [...this.#answered].filter(isGood).length, lost: this.lost.filter(isGood).length };
  }

  isOver(nowMs: number): boolean {
    return this.#unsent.length === 0 && (this.#flying.size === 0 || nowMs >= this.#deadlineMs);
  }

  /** The next size to send; null: all have been. */
  send(nowMs: number, timeoutMs: number): number | null {
    const size = this.#unsent.shift();
    if (size === undefined) return null;
    if (!this.#answered.has(size)) this.#flying.add(size);
    this.#deadlineMs = nowMs + timeoutMs;
    return size;
  }

  onAcked(size: number): void {
    if (this.#flying.delete(size)) this.#answered.add(size);
  }

  /** Is waited for no more, and counts neither way. */
  withdraw(size: number): void {
    this.#flying.delete(size);
    this.#unsent = this.#unsent.filter((unsent) => unsent !== size);
  }
}

/** The sessions of one service on this worker, least recently used first: who is evicted at the limit. */

export interface Recent<E> {
  older: E | null;
  newer: E | null;
}

export class RecentList<E extends Recent<E>> {
  #oldest: E | null = null;
  #newest: E | null = null;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get oldest(): E | null {
    return this.#oldest;
  }

  add(entry: E): void {
    this.#size++;
    this.#append(entry);
  }

  /** It has been used. */
  touch(entry: E): void {
    if (entry === this.#newest) return;
    this.#unlink(entry);
    this.#append(entry);
  }

  remove(entry: E): void {
    this.#size--;
    this.#unlink(entry);
  }

  #append(entry: E): void {
    entry.older = this.#newest;
    entry.newer = null;
    if (this.#newest === null) this.#oldest = entry;
    else this.#newest.newer = entry;
    this.#newest = entry;
  }

  #unlink(entry: E): void {
    if (entry.older === null) this.#oldest = entry.newer;
    else entry.older.newer = entry.newer;
    if (entry.newer === null) this.#newest = entry.older;
    else entry.newer.older = entry.older;
  }
}

/**
 * Sessions or connections in order of last use, least recent first: who is evicted at the limit. Intrusive, so neither
 * adding nor removing costs memory.
 *
 * A Set that many pass through keeps what has long left it: its table is replaced every few removals, each table leads
 * to its successor, and once one has got old every later one waits for a collection of the whole heap with it. So do
 * removed entries that lead to others, which is why theirs are cleared.
 */

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

  /** Oldest first. */
  *[Symbol.iterator](): Generator<E> {
    for (let entry = this.#oldest; entry !== null; entry = entry.newer) yield entry;
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
    entry.older = null;
    entry.newer = null;
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

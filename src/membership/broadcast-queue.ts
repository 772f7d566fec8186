/**
 * Messages on their way to everybody, a few recipients at a time. The freshest go first; a newer message about the same
 * subject replaces the older one; after enough transmissions a message is dropped, the infection has spread. [SWIM §4.1]
 *
 * Bounded by maxLength: the most often sent one makes room.
 */
interface Entry {
  /** Replaced by a later one of the same key; null: never. */
  readonly key: string | null;
  readonly bytes: Uint8Array;
  transmits: number;
  /** Higher is newer. */
  readonly order: number;
  readonly onGone: (() => void) | null;
}

export class BroadcastQueue {
  /** By transmits, ascending; within a tier the newest first. */
  #entries: Entry[] = [];
  #order = 0;

  constructor(readonly maxLength: number) {}

  get length(): number {
    return this.#entries.length;
  }

  /** `onGone`: it has been sent often enough, or something newer has taken its place. */
  add(key: string | null, bytes: Uint8Array, onGone: (() => void) | null = null): void {
    if (key !== null) this.#remove((entry) => entry.key === key);
    if (this.#entries.length >= this.maxLength) this.#entries.pop()?.onGone?.();
    this.#entries.unshift({ key, bytes, transmits: 0, order: this.#order++, onGone });
  }

  /** Up to `budgetBytes`, each costing `overheadBytes` more; each counts as sent once. */
  draw(budgetBytes: number, overheadBytes: number, limit: number): Uint8Array[] {
    const drawn: Entry[] = [];
    let left = budgetBytes;
    for (const entry of this.#entries) {
      const cost = entry.bytes.length + overheadBytes;
      if (cost > left) continue;
      left -= cost;
      drawn.push(entry);
      if (left <= overheadBytes) break;
    }
    if (drawn.length === 0) return [];
    for (const entry of drawn) entry.transmits++;
    this.#remove((entry) => entry.transmits >= limit);
    this.#entries.sort((a, b) => a.transmits - b.transmits || b.order - a.order);
    return drawn.map((entry) => entry.bytes);
  }

  #remove(isGone: (entry: Entry) => boolean): void {
    const gone = this.#entries.filter(isGone);
    if (gone.length === 0) return;
    this.#entries = this.#entries.filter((entry) => !isGone(entry));
    for (const entry of gone) entry.onGone?.();
  }
}

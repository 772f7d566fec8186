/**
 * Messages to all members, sent to a few at a time. Those sent least often go first, the freshest of them
 * before the others; a newer message about the same subject replaces the older one; after enough transmissions a
 * message is dropped, the infection has spread. [SWIM §4.1]
 *
 * Bounded by maxLength: the most often sent one makes room. A draw looks at what it takes and a few more, however much
 * is queued: packets go out far more often than there is news.
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

/** Messages that do not fit into what is left of a packet, before the packet goes as it is. */
const MAX_MISSES = 16;

export class BroadcastQueue {
  /** By transmits; each tier the oldest first. */
  readonly #tiers: Entry[][] = [];
  readonly #byKey = new Map<string, Entry>();
  #length = 0;
  #order = 0;

  /** @param maxBytes of one message: larger ones would never leave */
  constructor(
    readonly maxLength: number,
    readonly maxBytes: number,
  ) {}

  get length(): number {
    return this.#length;
  }

  /** `onGone`: it has been sent often enough, or something newer has taken its place. False when it is too large. */
  add(key: string | null, bytes: Uint8Array, onGone: (() => void) | null = null): boolean {
    if (bytes.length > this.maxBytes) return false;
    const replaced = key === null ? undefined : this.#byKey.get(key);
    if (replaced !== undefined) this.#remove(replaced);
    if (this.#length >= this.maxLength) this.#makeRoom();
    const entry: Entry = { key, bytes, transmits: 0, order: this.#order++, onGone };
    this.#insert(entry);
    replaced?.onGone?.();
    return true;
  }

  /** Up to `budgetBytes` in at most `maxCount`, each costing `overheadBytes` more; each counts as sent once. */
  draw(budgetBytes: number, overheadBytes: number, limit: number, maxCount = 255): Uint8Array[] {
    if (this.#length === 0) return [];
    const drawn = this.#choose(budgetBytes, overheadBytes, maxCount);
    const gone: Entry[] = [];
    for (const entry of drawn) {
      this.#remove(entry);
      entry.transmits++;
      if (entry.transmits >= limit) gone.push(entry);
      else this.#insert(entry);
    }
    for (const entry of gone) entry.onGone?.();
    return drawn.map((entry) => entry.bytes);
  }

  #choose(budgetBytes: number, overheadBytes: number, maxCount: number): Entry[] {
    const chosen: Entry[] = [];
    let left = budgetBytes;
    let misses = 0;
    for (const tier of this.#tiers) {
      for (let at = tier.length - 1; at >= 0; at--) {
        if (left <= overheadBytes || misses >= MAX_MISSES || chosen.length >= maxCount) return chosen;
        const entry = tier[at]!;
        const cost = entry.bytes.length + overheadBytes;
        if (cost > left) {
          misses++;
          continue;
        }
        left -= cost;
        chosen.push(entry);
      }
    }
    return chosen;
  }

  #insert(entry: Entry): void {
    while (this.#tiers.length <= entry.transmits) this.#tiers.push([]);
    const tier = this.#tiers[entry.transmits]!;
    tier.splice(placeOf(tier, entry.order), 0, entry);
    if (entry.key !== null) this.#byKey.set(entry.key, entry);
    this.#length++;
  }

  #remove(entry: Entry): void {
    const tier = this.#tiers[entry.transmits]!;
    tier.splice(placeOf(tier, entry.order), 1);
    if (entry.key !== null) this.#byKey.delete(entry.key);
    this.#length--;
  }

  #makeRoom(): void {
    const oldest = this.#tiers.findLast((tier) => tier.length > 0)?.[0];
    if (oldest === undefined) return;
    this.#remove(oldest);
    oldest.onGone?.();
  }
}

/** Where an entry of this order is, or belongs: a binary search. */
function placeOf(tier: readonly Entry[], order: number): number {
  let low = 0;
  let high = tier.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (tier[middle]!.order < order) low = middle + 1;
    else high = middle;
  }
  return low;
}

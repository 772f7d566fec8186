/**
 * Sessions by key: a hash table with chains through the entries themselves, so that a lookup touches no string and
 * allocates nothing. The hash is seeded, as clients choose their addresses and ports.
 */

export interface TableEntry<E> {
  /** Never changes. */
  readonly key: Int32Array;
  /** `SessionTable.hash` of the key */
  readonly hash: number;
  nextInBucket: E | null;
}

const FIRST_BUCKETS = 64;

export class SessionTable<E extends TableEntry<E>> implements Iterable<E> {
  /** A power of two, at least as many as entries. */
  #buckets: (E | null)[] = new Array(FIRST_BUCKETS).fill(null);
  #size = 0;

  /** @param seed random int32 */
  constructor(readonly seed: number) {}

  get size(): number {
    return this.#size;
  }

  /** int32 of the first `length` words. */
  hash(words: Int32Array, length: number): number {
    let hash = this.seed;
    for (let i = 0; i < length; i++) hash = mix(hash, words[i]!);
    return finalMix(hash ^ length);
  }

  /** @param hash of the first `length` words, which are the key */
  find(words: Int32Array, length: number, hash: number): E | null {
    let entry: E | null = this.#buckets[hash & (this.#buckets.length - 1)]!;
    while (entry !== null) {
      if (entry.hash === hash && isKey(entry.key, words, length)) return entry;
      entry = entry.nextInBucket;
    }
    return null;
  }

  /** The key must not be in the table. */
  add(entry: E): void {
    if (this.#size === this.#buckets.length) this.#grow();
    this.#size++;
    this.#link(entry);
  }

  /** Does nothing when it is not in the table. */
  remove(entry: E): void {
    const bucket = entry.hash & (this.#buckets.length - 1);
    let before: E | null = null;
    let at: E | null = this.#buckets[bucket]!;
    while (at !== null && at !== entry) {
      before = at;
      at = at.nextInBucket;
    }
    if (at === null) return;
    if (before === null) this.#buckets[bucket] = entry.nextInBucket;
    else before.nextInBucket = entry.nextInBucket;
    entry.nextInBucket = null;
    this.#size--;
  }

  /** The entry last returned may be removed, nothing else may change. */
  *[Symbol.iterator](): Generator<E> {
    for (const first of this.#buckets) {
      let entry = first;
      while (entry !== null) {
        const next: E | null = entry.nextInBucket;
        yield entry;
        entry = next;
      }
    }
  }

  #link(entry: E): void {
    const bucket = entry.hash & (this.#buckets.length - 1);
    entry.nextInBucket = this.#buckets[bucket]!;
    this.#buckets[bucket] = entry;
  }

  #grow(): void {
    const entries = [...this];
    this.#buckets = new Array(this.#buckets.length * 2).fill(null);
    for (const entry of entries) this.#link(entry);
  }
}

function isKey(key: Int32Array, words: Int32Array, length: number): boolean {
  if (key.length !== length) return false;
  for (let i = 0; i < length; i++) if (key[i] !== words[i]) return false;
  return true;
}

/** The block step of MurmurHash3_x86_32 (Appleby). */
function mix(hash: number, word: number): number {
  const spread = Math.imul(word, 0xcc9e2d51);
  hash ^= Math.imul((spread << 15) | (spread >>> 17), 0x1b873593);
  return (Math.imul((hash << 13) | (hash >>> 19), 5) + 0xe6546b64) | 0;
}

/** And its end. */
function finalMix(hash: number): number {
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return hash ^ (hash >>> 16);
}

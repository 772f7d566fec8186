/** Numbers below a limit, handed out by key: where a service or task keeps its counters. */
export class Slots {
  readonly #byKey = new Map<string, number>();
  readonly #free: number[] = [];
  #next = 0;

  constructor(
    readonly limit: number,
    readonly what: string,
  ) {}

  /** The same number for a key until it is released. Throws a RangeError past the limit. */
  take(key: string): number {
    const known = this.#byKey.get(key);
    if (known !== undefined) return known;
    const slot = this.#free.pop() ?? this.#next++;
    if (slot >= this.limit) {
      this.#next--;
      throw new RangeError(`cannot count more than ${this.limit} ${this.what}`);
    }
    this.#byKey.set(key, slot);
    return slot;
  }

  get(key: string): number | undefined {
    return this.#byKey.get(key);
  }

  /** The number of each key. */
  get entries(): ReadonlyMap<string, number> {
    return this.#byKey;
  }

  keys(): IterableIterator<string> {
    return this.#byKey.keys();
  }

  release(key: string): void {
    const slot = this.#byKey.get(key);
    if (slot === undefined) return;
    this.#byKey.delete(key);
    this.#free.push(slot);
  }
}

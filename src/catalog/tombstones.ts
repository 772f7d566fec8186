/** Tombstones ordered by stamp, at most so many: the oldest go first, on every node the same ones. */
import { compareVersions, type Entry } from "./entry.ts";

export class Tombstones {
  /** Ascending. Bounded by #limit. */
  readonly #entries: Entry[] = [];
  readonly #limit: number;

  constructor(limit: number) {
    this.#limit = limit;
  }

  get count(): number {
    return this.#entries.length;
  }

  /** Returns the one that is too many now, if any; the caller removes it. */
  add(entry: Entry): Entry | null {
    this.#entries.splice(this.#placeOf(entry), 0, entry);
    return this.#entries.length > this.#limit ? this.#entries[0]! : null;
  }

  remove(entry: Entry): void {
    const place = this.#placeOf(entry);
    for (let at = place; at < this.#entries.length; at++) {
      const candidate = this.#entries[at]!;
      if (candidate === entry) {
        this.#entries.splice(at, 1);
        return;
      }
      if (compareVersions(candidate, entry) !== 0) return; // one stamp, several rows: they lie side by side
    }
  }

  bornBefore(steadyMs: number): Entry[] {
    return this.#entries.filter((entry) => entry.bornAtMs < steadyMs);
  }

  /** The first place whose entry is not older. */
  #placeOf(entry: Entry): number {
    let low = 0;
    let high = this.#entries.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (compareVersions(this.#entries[middle]!, entry) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/**
 * Since when the first of cluster.keys is in use: at a start, since the file that it is in was last written, as far as the
 * node can tell; later, since the reload that brought it.
 */
export class KeyAge {
  #key: string | null = null;
  #sinceMs: number | null = null;

  /** @param nowMs when it came, ms since 1970; null: not known */
  follow(key: string | null, nowMs: number | null): void {
    if (key === this.#key) return;
    this.#key = key;
    this.#sinceMs = key === null ? null : nowMs;
  }

  get sinceMs(): number | null {
    return this.#sinceMs;
  }
}

/** What has been seen lately: at the limit the oldest is forgotten. */
export class RecentSet {
  readonly #keys = new Set<string>();

  constructor(readonly limit: number) {}

  /** False when it was there already. */
  add(key: string): boolean {
    if (this.#keys.has(key)) return false;
    this.#keys.add(key);
    if (this.#keys.size > this.limit) this.#keys.delete(this.#keys.values().next().value!);
    return true;
  }
}

/** Hosts whose gossip this node could not open in the last minute, for want of the right key; `doctor` shows them. */

const REMEMBERED_MS = 60_000;
/** Strangers can make up addresses; the one that was heard longest ago makes room. */
const MAX_HOSTS = 64;

const KEY_REASONS = ["cannot-decrypt", "not-encrypted", "encrypted"] as const;
export type KeyReason = (typeof KEY_REASONS)[number];

export interface KeyMismatch {
  /** Literal address. */
  readonly from: string;
  readonly reason: KeyReason;
}

export class KeyMismatches {
  readonly #heard = new Map<string, { readonly reason: KeyReason; readonly atMs: number }>();

  /** Something of this host was thrown away. */
  note(reason: string, from: string, nowMs: number): void {
    const known = KEY_REASONS.find((each) => each === reason);
    if (known === undefined) return;
    this.#heard.delete(from);
    this.#heard.set(from, { reason: known, atMs: nowMs });
    const [oldest] = this.#heard.keys();
    if (this.#heard.size > MAX_HOSTS && oldest !== undefined) this.#heard.delete(oldest);
  }

  current(nowMs: number): KeyMismatch[] {
    const fresh = [...this.#heard].filter(([, { atMs }]) => nowMs - atMs < REMEMBERED_MS);
    return fresh.map(([from, { reason }]) => ({ from, reason }));
  }
}

/**
 * Which counters have been seen, so that a datagram counts once: a ring of bits over the latest counters, as in
 * RFC 6479 §3.2, where moving on clears whole words and shifts nothing.
 *
 *     … older: stale │ at least 2048 counters, each seen or not │ newest │ newer: never seen
 */

/** Counters behind the newest that are still recorded one by one: the tolerated reordering. */
export const REPLAY_WINDOW = 2048;
/** One word more than the window, as the word being filled is cleared whole. A power of two would waste half. */
const WORDS = REPLAY_WINDOW / 32 + 1;

export type ReplayVerdict = "new" | "replayed" | "stale";

export class ReplayWindow {
  readonly #bits = new Uint32Array(WORDS);
  #newest = 0;

  /**
   * Takes a counter, 1 … 2^53 - 1, of a datagram that has proved authentic: a forged one would move the window.
   * Only with "new" may the datagram be used.
   */
  take(counter: number): ReplayVerdict {
    if (counter > this.#newest) this.#moveTo(counter);
    else if (counter + REPLAY_WINDOW <= this.#newest) return "stale";
    const word = Math.floor(counter / 32) % WORDS;
    const bit = 1 << (counter % 32);
    if ((this.#bits[word]! & bit) !== 0) return "replayed";
    this.#bits[word]! |= bit;
    return "new";
  }

  /** Whether `take` would say "new"; takes nothing. */
  isNew(counter: number): boolean {
    if (counter > this.#newest) return true;
    if (counter + REPLAY_WINDOW <= this.#newest) return false;
    return (this.#bits[Math.floor(counter / 32) % WORDS]! & (1 << (counter % 32))) === 0;
  }

  #moveTo(counter: number): void {
    const before = Math.floor(this.#newest / 32);
    const cleared = Math.min(Math.floor(counter / 32) - before, WORDS);
    for (let i = 1; i <= cleared; i++) this.#bits[(before + i) % WORDS] = 0;
    this.#newest = counter;
  }
}

/**
 * Garbage of a data path with little to do, collected in small portions: within a millisecond, after a thousand objects.
 * The engine would wait until there is as much as the heap holds, to which it counts all arenas: an idle node would
 * gather 30 MiB before. Where much is made the engine is left to it: a collection for every thousand objects would be
 * in the way of one exchange in a hundred, and be its p99.
 */
import { edenGC } from "bun:jsc";
import type { TurnEnder } from "./event-loop.ts";

const PORTION = 1024;
/** Who makes a portion in less time is busy. */
const BUSY_MS = 1000;

export class Collector implements TurnEnder {
  #seen = 0;
  #seenMs = Number.NEGATIVE_INFINITY;

  /**
   * @param made how many objects this thread has made that are garbage by now
   * @param nowMs steady
   */
  constructor(
    readonly made: () => number,
    readonly nowMs: () => number,
    readonly collect: () => void = edenGC,
  ) {}

  onTurnEnd(): void {
    const made = this.made();
    if (made - this.#seen < PORTION) return;
    const now = this.nowMs();
    const isBusy = now - this.#seenMs < BUSY_MS;
    this.#seen = made;
    this.#seenMs = now;
    if (!isBusy) this.collect();
  }
}

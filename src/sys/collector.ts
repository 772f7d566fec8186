/**
 * Garbage of the data path, collected in small portions: after a thousand objects, but only a few times a second. The
 * engine would wait until there is as much as the heap holds, to which it counts all arenas: 30 MiB at an idle node,
 * 100 at a busy one. A collection for every thousand would be in the way of one exchange in a hundred, and be its p99.
 */
import { edenGC } from "bun:jsc";
import type { TurnEnder } from "./event-loop.ts";

const PORTION = 1024;
const INTERVAL_MS = 250;

export class Collector implements TurnEnder {
  #collected = 0;
  #collectedMs = Number.NEGATIVE_INFINITY;

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
    if (made - this.#collected < PORTION) return;
    const now = this.nowMs();
    if (now - this.#collectedMs < INTERVAL_MS) return;
    this.#collected = made;
    this.#collectedMs = now;
    this.collect();
  }
}

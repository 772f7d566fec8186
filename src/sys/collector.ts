/**
 * Garbage of the data path, collected often and little: within a millisecond, after a thousand objects. The engine would
 * wait until there is as much as the heap holds, to which it counts all arenas, and then stop the thread for 4 ms; an
 * idle node would gather 30 MiB before.
 */
import { edenGC } from "bun:jsc";
import type { TurnEnder } from "./event-loop.ts";

const OBJECTS = 1024;

export class Collector implements TurnEnder {
  #collected = 0;

  /** @param made how many objects this thread has made that are garbage by now */
  constructor(
    readonly made: () => number,
    readonly collect: () => void = edenGC,
  ) {}

  onTurnEnd(): void {
    const made = this.made();
    if (made - this.#collected < OBJECTS) return;
    this.#collected = made;
    this.collect();
  }
}

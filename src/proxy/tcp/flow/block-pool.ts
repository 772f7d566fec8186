/**
 * Fixed blocks of memory for bytes that were read and could not be written yet.
 *
 * A direction of a connection holds one block, of a sealed one two, and reads nothing more until it is empty: that is
 * the back-pressure.
 */
import { Arena } from "../../../sys/arena.ts";

const ARENA_BYTES = 1024 * 1024;

export interface Block {
  readonly arena: Arena;
  readonly offset: number;
}

export class BlockPool {
  /** Last in, first out, so that the hottest one stays in cache; bounded by what was ever held at once. */
  readonly #free: Block[] = [];

  constructor(readonly blockBytes: number) {}

  take(): Block {
    if (this.#free.length === 0) this.#grow();
    return this.#free.pop()!;
  }

  giveBack(block: Block): void {
    this.#free.push(block);
  }

  /** Returns what free blocks hold to the system. */
  discardFree(): void {
    for (const { arena, offset } of this.#free) arena.discard(offset, this.blockBytes);
  }

  #grow(): void {
    const blocks = Math.ceil(ARENA_BYTES / this.blockBytes);
    const arena = new Arena(blocks * this.blockBytes);
    for (let i = 0; i < blocks; i++) this.#free.push({ arena, offset: i * this.blockBytes });
  }
}

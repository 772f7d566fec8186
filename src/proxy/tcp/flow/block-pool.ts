/**
 * Fixed-size blocks of memory for bytes that have been read but not written yet.
 *
 * One direction of a connection holds one block, two if it is sealed, and reads nothing more until the block is empty.
 * That is the back-pressure.
 */
import { Arena } from "../../../sys/arena.ts";

const ARENA_BYTES = 1024 * 1024;

export interface Block {
  readonly arena: Arena;
  readonly offset: number;
}

export class BlockPool {
  /** Last in, first out, so that the hottest one stays in cache; bounded by the most blocks ever in use at once. */
  readonly #free: Block[] = [];

  constructor(readonly blockBytes: number) {}

  take(): Block {
    if (this.#free.length === 0) this.#grow();
    return this.#free.pop()!;
  }

  giveBack(block: Block): void {
    this.#free.push(block);
  }

  /** Returns the memory of free blocks to the system. */
  discardFree(): void {
    for (const { arena, offset } of this.#free) arena.discard(offset, this.blockBytes);
  }

  #grow(): void {
    const blocks = Math.ceil(ARENA_BYTES / this.blockBytes);
    const arena = new Arena(blocks * this.blockBytes);
    for (let i = 0; i < blocks; i++) this.#free.push({ arena, offset: i * this.blockBytes });
  }
}

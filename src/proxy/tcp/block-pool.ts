/**
 * Fixed blocks of memory for bytes that were read and could not be written yet.
 *
 * A direction of a connection holds at most one block, and reads nothing more until it is empty: that is the
 * back-pressure.
 */
import { Arena } from "../../sys/arena.ts";

export const BLOCK_BYTES = 16 * 1024;
const BLOCKS_PER_ARENA = 64;

export interface Block {
  readonly arena: Arena;
  readonly offset: number;
}

export class BlockPool {
  /** bounded by twice the number of connections ever open at once */
  readonly #free: Block[] = [];

  take(): Block {
    if (this.#free.length === 0) this.#grow();
    return this.#free.pop()!;
  }

  giveBack(block: Block): void {
    this.#free.push(block);
  }

  #grow(): void {
    const arena = new Arena(BLOCKS_PER_ARENA * BLOCK_BYTES);
    for (let i = 0; i < BLOCKS_PER_ARENA; i++) this.#free.push({ arena, offset: arena.take(BLOCK_BYTES) });
  }
}

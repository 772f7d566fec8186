/** Random bytes in small portions, drawn from the system in large ones: the cost is per call. */
import { randomFillSync } from "node:crypto";

const STOCK_BYTES = 4_096;

export class Challenges {
  readonly #stock = new Uint8Array(STOCK_BYTES);
  #used = STOCK_BYTES;

  /** A view of `count` random bytes, valid until the next call. */
  take(count: number): Uint8Array {
    if (this.#used + count > STOCK_BYTES) {
      randomFillSync(this.#stock);
      this.#used = 0;
    }
    this.#used += count;
    return this.#stock.subarray(this.#used - count, this.#used);
  }
}

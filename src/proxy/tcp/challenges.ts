/** Unpredictable bytes in small portions: asking for many at once costs as much as asking for few. */
import { randomFillSync } from "node:crypto";

const STOCK_BYTES = 4_096;

export class Challenges {
  readonly #stock = new Uint8Array(STOCK_BYTES);
  #used = STOCK_BYTES;

  /** So many of them, a view: good until the next call. */
  take(count: number): Uint8Array {
    if (this.#used + count > STOCK_BYTES) {
      randomFillSync(this.#stock);
      this.#used = 0;
    }
    this.#used += count;
    return this.#stock.subarray(this.#used - count, this.#used);
  }
}

/** Unpredictable bytes in small portions: asking for many at once costs as much as asking for few. */
import { randomFillSync } from "node:crypto";

const STOCK_BYTES = 4_096;

export class Challenges {
  readonly #stock = new Uint8Array(STOCK_BYTES);
  #used = STOCK_BYTES;

  fill(challenge: Uint8Array): void {
    if (this.#used + challenge.length > STOCK_BYTES) {
      randomFillSync(this.#stock);
      this.#used = 0;
    }
    challenge.set(this.#stock.subarray(this.#used, this.#used + challenge.length));
    this.#used += challenge.length;
  }
}

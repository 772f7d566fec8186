/** Exchanges over TCP that are under way, by number; bounded: one that never ends makes room at MAX_OPEN. */
import type { Address } from "./address.ts";

const MAX_OPEN = 1_024;

export type Exchange =
  | { readonly kind: "push-pull"; readonly to: Address; readonly isJoin: boolean }
  | { readonly kind: "stream-ping"; readonly seq: number };

export class Exchanges {
  readonly #open = new Map<number, Exchange>();
  #next = 1;

  begin(exchange: Exchange): number {
    const number = this.#next++;
    this.#open.set(number, exchange);
    if (this.#open.size > MAX_OPEN) this.#open.delete(this.#open.keys().next().value!);
    return number;
  }

  end(number: number): Exchange | null {
    const exchange = this.#open.get(number) ?? null;
    this.#open.delete(number);
    return exchange;
  }
}

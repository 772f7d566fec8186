/**
 * Copies of datagrams that may have to be sent elsewhere: those that wait for a handshake, and the first ones of
 * sessions that the exit node has not accepted yet.
 */

/** Bounds of one relay; further datagrams are not kept. */
export const MAX_KEPT = 512;
const MAX_KEPT_BYTES = 1024 * 1024;

interface Kept<L> {
  readonly relayed: L;
  readonly data: Uint8Array;
}

export class KeptDatagrams<L> {
  /** Oldest first; bounded by MAX_KEPT and MAX_KEPT_BYTES. */
  #all: Kept<L>[] = [];
  #bytes = 0;

  /** Copies bytes[at … at + length); false: there is no room. */
  add(relayed: L, bytes: Uint8Array, at: number, length: number): boolean {
    if (this.#all.length >= MAX_KEPT || this.#bytes + length > MAX_KEPT_BYTES) return false;
    this.#all.push({ relayed, data: bytes.slice(at, at + length) });
    this.#bytes += length;
    return true;
  }

  /** Takes out those of one session, in their order. */
  take(relayed: L): readonly Uint8Array[] {
    if (this.#all.length === 0) return [];
    const taken = this.#all.filter((kept) => kept.relayed === relayed).map(({ data }) => data);
    if (taken.length === 0) return taken;
    this.#all = this.#all.filter((kept) => kept.relayed !== relayed);
    for (const data of taken) this.#bytes -= data.length;
    return taken;
  }

  /** All, in their order; they stay. */
  *[Symbol.iterator](): Generator<Kept<L>> {
    yield* this.#all;
  }
}

/** Probes under way, by id: an answer counts once, for the size that was sent, however late it comes. */
import type { Flight } from "./flight.ts";

/** A flight has up to 16 probes; of what is older no answer is waited for. */
const MAX_SENT = 64;
const MAX_ID = 0x7fffffff;

export interface SentProbe {
  readonly size: number;
  readonly sentMs: number;
  readonly flight: Flight;
}

export class SentProbes {
  /** In the order of sending; bounded by MAX_SENT, the oldest is forgotten. */
  readonly #byId = new Map<number, SentProbe>();
  #lastId: number;

  /** @param firstId 31 bits; ids of another run, or of a stranger, should not be met */
  constructor(firstId: number) {
    this.#lastId = firstId & MAX_ID;
  }

  /** The id it is to be sent with. */
  add(probe: SentProbe): number {
    this.#lastId = (this.#lastId + 1) & MAX_ID;
    this.#byId.set(this.#lastId, probe);
    if (this.#byId.size > MAX_SENT) this.#byId.delete(this.#byId.keys().next().value!);
    return this.#lastId;
  }

  /** null: unknown, forgotten, answered before, or of another size. */
  take(id: number, size: number): SentProbe | null {
    const probe = this.#byId.get(id);
    if (probe === undefined || probe.size !== size) return null;
    this.#byId.delete(id);
    return probe;
  }
}

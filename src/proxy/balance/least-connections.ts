/** Fewest open connections per weight; among equals the next in order, so that an idle service spreads as well. */
import { type Balancer, type Candidate, isEligible } from "./candidate.ts";

export class LeastConnections<C extends Candidate> implements Balancer<C> {
  readonly #candidates: readonly C[];
  /** Where the search starts: behind the one picked last, which is what makes ties go round. */
  #start: number;

  constructor(candidates: readonly C[], random: () => number) {
    this.#candidates = candidates;
    this.#start = Math.floor(random() * candidates.length);
  }

  pick(_clientHash: number, nowMs: number, tried: readonly C[] | null): C | null {
    const count = this.#candidates.length;
    let least = -1;
    let leastLoad = Number.POSITIVE_INFINITY;
    for (let step = 0; step < count; step++) {
      const i = this.#start + step < count ? this.#start + step : this.#start + step - count;
      const candidate = this.#candidates[i]!;
      if (!isEligible(candidate, nowMs, tried)) continue;
      const load = candidate.openConnections() / candidate.weight;
      if (load >= leastLoad) continue;
      least = i;
      leastLoad = load;
    }
    if (least < 0) return null;
    this.#start = least + 1 === count ? 0 : least + 1;
    return this.#candidates[least]!;
  }
}

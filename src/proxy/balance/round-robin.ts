/**
 * Round robin. With equal weights the next eligible one in order, O(1) while no task is passed over. With unequal
 * weights nginx's smooth variant (ngx_http_upstream_round_robin.c): of weights 5, 1, 1 comes A A B A C A A and never
 * five A in a row. Workers and reloads start at a random place, so that they do not all begin with the same task.
 */
import { type Balancer, type Candidate, isEligible } from "./candidate.ts";

export function createRoundRobin<C extends Candidate>(
  candidates: readonly C[],
  random: () => number,
): Balancer<C> {
  const hasEqualWeights = candidates.every((candidate) => candidate.weight === candidates[0]!.weight);
  return hasEqualWeights ? new InOrder(candidates, random) : new Smooth(candidates, random);
}

class InOrder<C extends Candidate> implements Balancer<C> {
  readonly #candidates: readonly C[];
  #next: number;

  constructor(candidates: readonly C[], random: () => number) {
    this.#candidates = candidates;
    this.#next = Math.floor(random() * candidates.length);
  }

  pick(_clientHash: number, nowMs: number, tried: readonly C[] | null): C | null {
    const count = this.#candidates.length;
    for (let step = 0; step < count; step++) {
      const candidate = this.#candidates[this.#next]!;
      this.#next = this.#next + 1 === count ? 0 : this.#next + 1;
      if (isEligible(candidate, nowMs, tried)) return candidate;
    }
    return null;
  }
}

class Smooth<C extends Candidate> implements Balancer<C> {
  readonly #candidates: readonly C[];
  /** Each pick every eligible candidate earns its weight, and the richest pays what all earned together. */
  readonly #credits: Float64Array;

  constructor(candidates: readonly C[], random: () => number) {
    this.#candidates = candidates;
    this.#credits = Float64Array.from(candidates, (candidate) => random() * candidate.weight);
  }

  pick(_clientHash: number, nowMs: number, tried: readonly C[] | null): C | null {
    let earned = 0;
    let richest = -1;
    for (let i = 0; i < this.#candidates.length; i++) {
      const candidate = this.#candidates[i]!;
      if (!isEligible(candidate, nowMs, tried)) continue;
      this.#credits[i]! += candidate.weight;
      earned += candidate.weight;
      if (richest < 0 || this.#credits[i]! > this.#credits[richest]!) richest = i;
    }
    if (richest < 0) return null;
    this.#credits[richest]! -= earned;
    return this.#candidates[richest]!;
  }
}

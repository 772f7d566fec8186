/** A random task, each with the probability weight / sum of the eligible weights. Keeps no state between picks. */
import { type Balancer, type Candidate, isEligible } from "./candidate.ts";

export class WeightedRandom<C extends Candidate> implements Balancer<C> {
  readonly #candidates: readonly C[];
  readonly #random: () => number;

  constructor(candidates: readonly C[], random: () => number) {
    this.#candidates = candidates;
    this.#random = random;
  }

  pick(_clientHash: number, nowMs: number, tried: readonly C[] | null): C | null {
    let sum = 0;
    for (const candidate of this.#candidates) {
      if (isEligible(candidate, nowMs, tried)) sum += candidate.weight;
    }
    if (sum === 0) return null;
    let rest = this.#random() * sum;
    for (const candidate of this.#candidates) {
      if (!isEligible(candidate, nowMs, tried)) continue;
      rest -= candidate.weight;
      if (rest < 0) return candidate;
    }
    return null;
  }
}

/**
 * The same client goes to the same task on every node: highest random weight, also called rendezvous hashing
 * [Thaler & Ravishankar, "Using name-based mappings to increase hit rates", 1998]. Every task draws a score from the
 * hash of client and task and the best one wins, so a task that leaves moves only its own clients and one that
 * comes takes only its share. Nothing is shared between nodes but the tasks' hashes; their order does not matter.
 */
import { type Balancer, type Candidate, isEligible } from "./candidate.ts";
import { hashPair } from "./hash.ts";

export class SourceHash<C extends Candidate> implements Balancer<C> {
  readonly #candidates: readonly C[];

  constructor(candidates: readonly C[]) {
    this.#candidates = candidates;
  }

  pick(clientHash: number, nowMs: number, tried: readonly C[] | null): C | null {
    let nearest: C | null = null;
    let nearestDistance = Number.POSITIVE_INFINITY;
    for (const candidate of this.#candidates) {
      if (!isEligible(candidate, nowMs, tried)) continue;
      const distance = weightedDistance(hashPair(clientHash, candidate.hash), candidate.weight);
      if (distance > nearestDistance) continue;
      if (distance === nearestDistance && nearest !== null && candidate.hash >= nearest.hash) continue;
      nearest = candidate;
      nearestDistance = distance;
    }
    return nearest;
  }
}

/**
 * −ln(u) / weight for u uniform in (0, 1): exponentially distributed, so the least of several belongs to each with
 * the probability weight / sum of weights [Schindelhauer & Schomaker, "Weighted distributed hash tables", 2005,
 * the logarithmic method].
 */
function weightedDistance(hash: number, weight: number): number {
  return -Math.log((hash + 0.5) / 2 ** 32) / weight;
}

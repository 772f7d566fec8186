/**
 * The balancer for a service. Whatever the algorithm, failing tasks are passed over while another one is left, and
 * picked when none is: a task that may have recovered is better than an error.
 */
import type { Balance } from "../routing-table.ts";
import type { Balancer, Candidate } from "./candidate.ts";
import { LeastConnections } from "./least-connections.ts";
import { createRoundRobin } from "./round-robin.ts";
import { SourceHash } from "./source-hash.ts";
import { WeightedRandom } from "./weighted-random.ts";

/** `candidates` is kept, not copied, and must not change in length or weights. `random` gives [0, 1). */
export function createBalancer<C extends Candidate>(
  balance: Balance,
  candidates: readonly C[],
  random: () => number,
): Balancer<C> {
  return new PreferringWorking(createAlgorithm(balance, candidates, random));
}

class PreferringWorking<C extends Candidate> implements Balancer<C> {
  readonly #algorithm: Balancer<C>;

  constructor(algorithm: Balancer<C>) {
    this.#algorithm = algorithm;
  }

  pick(clientHash: number, nowMs: number, tried: readonly C[] | null): C | null {
    return (
      this.#algorithm.pick(clientHash, nowMs, tried) ??
      this.#algorithm.pick(clientHash, Number.POSITIVE_INFINITY, tried)
    );
  }
}

function createAlgorithm<C extends Candidate>(
  balance: Balance,
  candidates: readonly C[],
  random: () => number,
): Balancer<C> {
  switch (balance) {
    case "round-robin":
      return createRoundRobin(candidates, random);
    case "least-connections":
      return new LeastConnections(candidates, random);
    case "random":
      return new WeightedRandom(candidates, random);
    case "source-hash":
      return new SourceHash(candidates);
  }
}

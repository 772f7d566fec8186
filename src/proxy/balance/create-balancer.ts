/**
 * The balancer for a service. Whatever the algorithm, backups come last, near tasks before far ones where the service
 * prefers them;
 * failing tasks are passed over while another one is left, however far away, and picked when none is: a task that may
 * have recovered is better than an error.
 */
import type { Balance, Prefer } from "../../model/index.ts";
import type { Balancer, Candidate, Distance } from "./candidate.ts";
import { LeastConnections } from "./least-connections.ts";
import { createRoundRobin } from "./round-robin.ts";
import { SourceHash } from "./source-hash.ts";
import { WeightedRandom } from "./weighted-random.ts";

/** `candidates` is kept, not copied, and must not change in length or weights. `random` gives [0, 1). */
export function createBalancer<C extends Candidate>(
  balance: Balance,
  candidates: readonly C[],
  random: () => number,
  prefer: Prefer = "any",
): Balancer<C> {
  const tiers = [false, true]
    .flatMap((isBackup) => {
      const equals = candidates.filter((candidate) => (candidate.isBackup === true) === isBackup);
      return TIERS[prefer].map((distances) => equals.filter(({ distance }) => distances.includes(distance)));
    })
    .filter((tier) => tier.length > 0)
    .map((tier) => createAlgorithm(balance, tier, random));
  return new PreferringWorking(tiers);
}

/** Nearest first. */
const TIERS: Readonly<Record<Prefer, readonly (readonly Distance[])[]>> = {
  any: [["local", "zone", "far"]],
  local: [["local"], ["zone"], ["far"]],
  zone: [["local", "zone"], ["far"]],
};

class PreferringWorking<C extends Candidate> implements Balancer<C> {
  readonly #tiers: readonly Balancer<C>[];

  constructor(tiers: readonly Balancer<C>[]) {
    this.#tiers = tiers;
  }

  pick(clientHash: number, nowMs: number, tried: readonly C[] | null): C | null {
    for (const tier of this.#tiers) {
      const working = tier.pick(clientHash, nowMs, tried);
      if (working !== null) return working;
    }
    for (const tier of this.#tiers) {
      const failing = tier.pick(clientHash, Number.POSITIVE_INFINITY, tried);
      if (failing !== null) return failing;
    }
    return null;
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

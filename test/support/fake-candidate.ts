/** A task as a balancer sees it, with everything settable. */
import { type Candidate, hashText } from "../../src/proxy/balance/index.ts";

export interface FakeCandidate extends Candidate {
  readonly name: string;
  isDraining: boolean;
  open: number;
}

export function fakeCandidate(name: string, weight = 1): FakeCandidate {
  return {
    name,
    weight,
    hash: hashText(name),
    isDraining: false,
    failingUntilMs: 0,
    open: 0,
    openConnections() {
      return this.open;
    },
  };
}

/** Named a, b, c, … */
export function fakeCandidates(weights: readonly number[]): FakeCandidate[] {
  return weights.map((weight, index) => fakeCandidate(String.fromCharCode(97 + index), weight));
}

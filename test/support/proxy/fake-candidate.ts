/** A task as a balancer sees it, with everything settable. */

import { type Candidate, hashText } from "../../../src/proxy/balance/index.ts";
import type { Distance } from "../../../src/proxy/table/routing-table.ts";

export interface FakeCandidate extends Omit<Candidate, "failingUntilMs" | "distance"> {
  failingUntilMs: number;
  distance: Distance;
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
    distance: "local",
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

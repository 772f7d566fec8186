import { describe, expect, test } from "bun:test";
import { BALANCES } from "../../../../src/model/index.ts";
import { type Candidate, createBalancer } from "../../../../src/proxy/balance/index.ts";
import { type FakeCandidate, fakeCandidate } from "../../../support/proxy/fake-candidate.ts";

function candidate(name: string, changes: Partial<Candidate>): FakeCandidate {
  return Object.assign(fakeCandidate(name), changes);
}

const NOW = 1_000;
const FAILING = { failingUntilMs: NOW + 1 };
const BACKUP = { isBackup: true };
const OUT = { isOutOfRotation: true };

describe.each(BALANCES)("%s", (balance) => {
  /** In the order in which they are tried. */
  function order(...candidates: FakeCandidate[]): string {
    const balancer = createBalancer(balance, candidates, () => 0, "local");
    const tried: FakeCandidate[] = [];
    for (let next = balancer.pick(7, NOW, tried); next !== null; next = balancer.pick(7, NOW, tried))
      tried.push(next);
    return tried.map(({ name }) => name).join();
  }

  test("a backup comes after all others, however near", () => {
    expect(order(candidate("b", BACKUP), candidate("far", { distance: "far" }))).toBe("far,b");
  });

  test("a backup that works comes before others that fail", () => {
    expect(order(candidate("a", FAILING), candidate("b", BACKUP))).toBe("b,a");
  });

  test("a near backup comes before a far one", () => {
    const far = candidate("far", { ...BACKUP, distance: "far" });
    expect(order(far, candidate("near", BACKUP))).toBe("near,far");
  });

  test("what is out of rotation is not picked, also when nothing else is left", () => {
    expect(order(candidate("a", OUT), candidate("b", BACKUP))).toBe("b");
    expect(order(candidate("a", OUT))).toBe("");
  });
});

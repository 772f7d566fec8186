/** What every balancer promises, run by all of them with equal and with unequal weights. */

import { describe, expect, test } from "bun:test";
import type { Balance } from "../../../../src/model/index.ts";
import { type Balancer, createBalancer } from "../../../../src/proxy/balance/index.ts";
import { type FakeCandidate, fakeCandidates } from "../../../support/proxy/fake-candidate.ts";
import { seededRandom } from "../../../support/random/seeded-random.ts";

const BALANCES: readonly Balance[] = ["round-robin", "least-connections", "source-hash", "random"];
const NOW_MS = 1000;
const PICKS = 400;

function pickedNames(
  balancer: Balancer<FakeCandidate>,
  tried: readonly FakeCandidate[] | null = null,
): string {
  const names = new Set<string>();
  for (let client = 0; client < PICKS; client++) {
    names.add(balancer.pick(Math.imul(client, 0x9e3779b1) >>> 0, NOW_MS, tried)?.name ?? "none");
  }
  return [...names].sort().join(" ");
}

describe.each(BALANCES)("%s", (balance) => {
  describe.each([[[1, 1, 1, 1]], [[8, 4, 2, 2]]])("with weights %j", (weights) => {
    function setUp() {
      const candidates = fakeCandidates(weights);
      const [a, b, c, d] = candidates as [FakeCandidate, FakeCandidate, FakeCandidate, FakeCandidate];
      return { a, b, c, d, balancer: createBalancer(balance, candidates, seededRandom(7)) };
    }

    test("picks every eligible task sooner or later", () => {
      expect(pickedNames(setUp().balancer)).toBe("a b c d");
    });

    test("never picks a draining task, not even a last one", () => {
      const { a, b, c, d, balancer } = setUp();
      b.isDraining = true;
      expect(pickedNames(balancer)).toBe("a c d");
      a.isDraining = c.isDraining = d.isDraining = true;
      expect(pickedNames(balancer)).toBe("none");
    });

    test("never picks a task that was tried", () => {
      const { a, b, c, d, balancer } = setUp();
      expect(pickedNames(balancer, [a, c])).toBe("b d");
      expect(pickedNames(balancer, [a, b, c, d])).toBe("none");
    });

    test("passes over failing tasks until their time has come", () => {
      const { a, b, balancer } = setUp();
      a.failingUntilMs = NOW_MS + 1;
      b.failingUntilMs = NOW_MS;
      expect(pickedNames(balancer)).toBe("b c d");
    });

    test("picks failing tasks when no other is left", () => {
      const { a, b, c, d, balancer } = setUp();
      a.failingUntilMs = b.failingUntilMs = NOW_MS + 1;
      c.isDraining = true;
      expect(pickedNames(balancer, [d])).toBe("a b");
    });

    test("comes back to a task that recovered or stopped draining", () => {
      const { a, b, balancer } = setUp();
      a.isDraining = true;
      b.failingUntilMs = Number.POSITIVE_INFINITY;
      expect(pickedNames(balancer)).toBe("c d");
      a.isDraining = false;
      b.failingUntilMs = 0;
      expect(pickedNames(balancer)).toBe("a b c d");
    });
  });

  test("without tasks picks none", () => {
    expect(pickedNames(createBalancer(balance, [], seededRandom(7)))).toBe("none");
  });

  test("with one task picks it", () => {
    expect(pickedNames(createBalancer(balance, fakeCandidates([3]), seededRandom(7)))).toBe("a");
  });
});

/** How the balancers spread connections: orders where they are fixed, shares within 5 standard deviations else. */

import { expect, test } from "bun:test";
import type { Balance } from "../../../../src/model/index.ts";
import { type Balancer, createBalancer } from "../../../../src/proxy/balance/index.ts";
import { type FakeCandidate, fakeCandidate, fakeCandidates } from "../../../support/proxy/fake-candidate.ts";
import { seededRandom } from "../../../support/random/seeded-random.ts";

const zero = () => 0;

function sequence(balancer: Balancer<FakeCandidate>, length: number): string {
  return Array.from({ length }, () => balancer.pick(0, 0, null)?.name ?? "-").join("");
}

function countPicks(balancer: Balancer<FakeCandidate>, picks: number, seed: number): Map<string, number> {
  const random = seededRandom(seed);
  const counts = new Map<string, number>();
  for (let i = 0; i < picks; i++) {
    const name = balancer.pick(Math.floor(random() * 2 ** 32), 0, null)!.name;
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  return counts;
}

function expectShares(counts: Map<string, number>, candidates: readonly FakeCandidate[]): void {
  const picks = [...counts.values()].reduce((sum, count) => sum + count, 0);
  const weights = candidates.reduce((sum, candidate) => sum + candidate.weight, 0);
  for (const { name, weight } of candidates) {
    const share = weight / weights;
    const deviation = Math.abs((counts.get(name) ?? 0) - picks * share);
    expect(deviation).toBeLessThan(5 * Math.sqrt(picks * share * (1 - share)));
  }
}

test("round-robin with equal weights goes in order", () => {
  expect(sequence(createBalancer("round-robin", fakeCandidates([2, 2, 2]), zero), 7)).toBe("abcabca");
});

test("round-robin starts at a random task", () => {
  expect(
    sequence(
      createBalancer("round-robin", fakeCandidates([1, 1, 1]), () => 0.99),
      4,
    ),
  ).toBe("cabc");
});

test("round-robin spreads a failing task's share over all others", () => {
  const candidates = fakeCandidates([1, 1, 1, 1]);
  candidates[1]!.failingUntilMs = 1;
  expect(sequence(createBalancer("round-robin", candidates, zero), 6)).toBe("acdacd");
});

test("round-robin with unequal weights interleaves like nginx", () => {
  expect(sequence(createBalancer("round-robin", fakeCandidates([5, 1, 1]), zero), 14)).toBe("aabacaaaabacaa");
});

test("round-robin with unequal weights stays within one pick of its share from any start", () => {
  const candidates = fakeCandidates([256, 100, 7, 1]);
  const balancer = createBalancer("round-robin", candidates, seededRandom(3));
  const counts = countPicks(balancer, 364 * 5, 3);
  for (const { name, weight } of candidates) {
    expect(Math.abs(counts.get(name)! - weight * 5)).toBeLessThanOrEqual(1);
  }
});

test("least-connections picks the fewest per weight, and goes round among equals", () => {
  const candidates = fakeCandidates([1, 2, 4]);
  const balancer = createBalancer("least-connections", candidates, zero);
  expect(sequence(balancer, 4)).toBe("abca");
  [1, 2, 3].forEach((open, index) => {
    candidates[index]!.open = open;
  });
  expect(sequence(balancer, 2)).toBe("cc");
  candidates[2]!.open = 5;
  expect(sequence(balancer, 4)).toBe("abab");
});

test("least-connections fills tasks in proportion to their weights", () => {
  const candidates = fakeCandidates([1, 2, 5]);
  const balancer = createBalancer("least-connections", candidates, seededRandom(5));
  for (let i = 0; i < 800; i++) balancer.pick(0, 0, null)!.open++;
  expect(candidates.map(({ open }) => open)).toEqual([100, 200, 500]);
});

test.each([
  ["random", [1, 1, 1, 1, 1]],
  ["random", [1, 2, 50, 256]],
  ["source-hash", [1, 1, 1, 1, 1]],
  ["source-hash", [1, 2, 50, 256]],
  ["source-hash", [100, 200]],
] as [Balance, number[]][])("%s follows the weights %j", (balance, weights) => {
  const candidates = fakeCandidates(weights);
  expectShares(countPicks(createBalancer(balance, candidates, seededRandom(11)), 40_000, 13), candidates);
});

test("source-hash follows the weights for consecutive addresses' hashes too", () => {
  const candidates = Array.from({ length: 10 }, (_, i) => fakeCandidate(`10.0.0.${i}:8080`));
  const balancer = createBalancer("source-hash", candidates, zero);
  const counts = new Map<string, number>();
  for (let hash = 0; hash < 20_000; hash++) {
    const { name } = balancer.pick(hash, 0, null)!;
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  expectShares(counts, candidates);
});

test("source-hash gives a client the same task whatever the order of the tasks", () => {
  const candidates = fakeCandidates([1, 3, 2, 2, 9]);
  const here = createBalancer("source-hash", candidates, seededRandom(1));
  const there = createBalancer("source-hash", [...candidates].reverse(), seededRandom(2));
  const random = seededRandom(17);
  for (let i = 0; i < 2000; i++) {
    const client = Math.floor(random() * 2 ** 32);
    expect(here.pick(client, 0, null)).toBe(there.pick(client, 0, null));
  }
});

test("source-hash moves only the clients of a task that leaves, evenly to the others", () => {
  const clients = 40_000;
  const candidates = fakeCandidates(Array(10).fill(1));
  const gone = candidates[4]!;
  const rest = candidates.filter((candidate) => candidate !== gone);
  const before = createBalancer("source-hash", candidates, zero);
  const after = createBalancer("source-hash", rest, zero);
  const random = seededRandom(19);
  const movedTo = new Map<string, number>();
  let moved = 0;
  for (let i = 0; i < clients; i++) {
    const client = Math.floor(random() * 2 ** 32);
    const was = before.pick(client, 0, null)!;
    const is = after.pick(client, 0, null)!;
    if (was !== gone) {
      expect(is).toBe(was);
      continue;
    }
    moved++;
    movedTo.set(is.name, (movedTo.get(is.name) ?? 0) + 1);
  }
  expect(Math.abs(moved / clients - 1 / 10)).toBeLessThan(0.01);
  expectShares(movedTo, rest);
});

test("source-hash moves clients only towards a task whose weight grows", () => {
  const before = createBalancer("source-hash", fakeCandidates([2, 2, 2]), zero);
  const after = createBalancer("source-hash", fakeCandidates([2, 3, 2]), zero);
  const random = seededRandom(23);
  for (let i = 0; i < 5000; i++) {
    const client = Math.floor(random() * 2 ** 32);
    const is = after.pick(client, 0, null)!.name;
    if (is !== "b") expect(is).toBe(before.pick(client, 0, null)!.name);
  }
});

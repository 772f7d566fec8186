/** How a limit of open files is divided over the process. */
import { expect, test } from "bun:test";
import { DescriptorBudget, gossipConnectionsWithin } from "../../../../src/proxy/listen/descriptor-budget.ts";

const NOTHING = { listeners: 0, peers: 0 };

test.each([200, 1_024, 4_096, 20_000, 1_048_576])(
  "of %d descriptors the workers' parts, gossip and what is fixed leave a reserve",
  (limit) => {
    for (const workers of [1, 2, 16]) {
      const budget = new DescriptorBudget(limit, workers, true);
      const fixed = { listeners: 3 * workers, peers: 2 };
      const known = fixed.listeners + fixed.peers * (1 + 2 * workers);
      const used = workers * budget.perWorker(fixed) + 2 * gossipConnectionsWithin(limit) + known;
      const left = limit - used;
      expect(left).toBeGreaterThanOrEqual(64);
      // what strangers can open is never what makes descriptors scarce
      expect(used).toBeLessThan(budget.scarceAtFd);
    }
  },
);

test("without gossip its part is the workers'", () => {
  const [alone, inCluster] = [false, true].map((hasGossip) => new DescriptorBudget(20_000, 1, hasGossip));
  expect(alone!.perWorker(NOTHING) - inCluster!.perWorker(NOTHING)).toBe(256);
});

test("more listening sockets than descriptors leave nothing, not less", () => {
  expect(new DescriptorBudget(1_024, 2, false).perWorker({ listeners: 5_000, peers: 0 })).toBe(0);
});

test("gossip gets fewer connections where there are few descriptors", () => {
  expect([64, 256, 1_024, 20_000].map(gossipConnectionsWithin)).toEqual([4, 8, 32, 128]);
});

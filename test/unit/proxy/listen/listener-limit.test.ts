import { describe, expect, test } from "bun:test";
import { DescriptorBudget } from "../../../../src/proxy/listen/descriptor-budget.ts";
import { describeExcess } from "../../../../src/proxy/listen/listener-limit.ts";

function places(ports: number, ...addresses: string[]) {
  return addresses.flatMap((address) =>
    Array.from({ length: ports }, (_, index) => ({
      protocol: "udp" as const,
      address,
      port: 10_000 + index,
    })),
  );
}

const excess = (need: ReturnType<typeof places>, workers: number, limit = 20_000, peers = 0) =>
  describeExcess({ places: need, peers }, new DescriptorBudget(limit, workers, false));

describe("describeExcess", () => {
  test("gives the figures of a range that does not fit", () => {
    expect(excess(places(10_001, "0.0.0.0", "::"), 2)).toBe(
      "10001 ports × 2 addresses × 2 workers need 40004 descriptors, and 14808 of the limit of 20000 are for " +
        "listening: publish fewer ports, bind to fewer addresses, lower proxy.workers, or raise the limit " +
        "(ulimit -n, LimitNOFILE)",
    );
  });

  test("of addresses that differ from port to port gives their number", () => {
    const mixed = [...places(400, "192.0.2.1"), ...places(401, "192.0.2.2")];
    expect(excess(mixed, 1, 1_024)).toStartWith(
      "801 published addresses and ports × 1 worker need 801 descriptors",
    );
  });

  test.each([
    [14_808, 1, 0, true],
    [14_809, 1, 0, false],
    [7_404, 2, 0, true],
    [7_405, 2, 0, false],
    [14_808, 1, 1, false], // another node takes some
  ])("%i ports × %i workers with %i peers fit: %p", (ports, workers, peers, fits) => {
    expect(excess(places(ports, "::"), workers, 20_000, peers) === null).toBe(fits);
  });

  test("leaves room for everything else at any limit", () => {
    for (const limit of [64, 256, 1_024, 4_096, 1 << 20]) {
      const budget = new DescriptorBudget(limit, 2, true);
      const listeners = budget.forListeners(3);
      expect(listeners).toBeLessThan(limit);
      if (limit >= 1_024) expect(budget.perWorker({ listeners, peers: 3 })).toBeGreaterThan(limit / 16);
    }
  });
});

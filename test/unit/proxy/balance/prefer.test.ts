/** Near tasks before far ones, working ones before failing ones; in which order one client would get them all. */

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { Balance, Prefer } from "../../../../src/model/index.ts";
import { createBalancer, orderOfPicks } from "../../../../src/proxy/balance/index.ts";
import type { Distance } from "../../../../src/proxy/table/routing-table.ts";
import { type FakeCandidate, fakeCandidate } from "../../../support/proxy/fake-candidate.ts";
import { seededRandom } from "../../../support/random/seeded-random.ts";

const BALANCES: readonly Balance[] = ["round-robin", "least-connections", "source-hash", "random"];
const PREFERENCES: readonly Prefer[] = ["any", "local", "zone"];
const DISTANCES: readonly Distance[] = ["local", "zone", "far"];
const NOW_MS = 1000;
const LATER_MS = NOW_MS + 1;
const CLIENT = 12_345;

function candidate(name: string, distance: Distance): FakeCandidate {
  return Object.assign(fakeCandidate(name), { distance });
}

/** Two of each distance, the far ones first. */
function setUp(balance: Balance, prefer: Prefer) {
  const [far1, far2, zone1, zone2, local1, local2] = (["far", "zone", "local"] as const).flatMap((distance) =>
    [1, 2].map((number) => candidate(`${distance}${number}`, distance)),
  ) as [FakeCandidate, FakeCandidate, FakeCandidate, FakeCandidate, FakeCandidate, FakeCandidate];
  const all = [far1, far2, zone1, zone2, local1, local2];
  const balancer = createBalancer(balance, all, seededRandom(7), prefer);
  const order = () => orderOfPicks(balancer, CLIENT, NOW_MS);
  return { far1, far2, zone1, zone2, local1, local2, all, balancer, order };
}

function distances(order: readonly FakeCandidate[]): string {
  return order.map(({ distance }) => distance).join(" ");
}

function fail(...candidates: readonly FakeCandidate[]): void {
  for (const failing of candidates) failing.failingUntilMs = LATER_MS;
}

describe.each([...BALANCES])("%s", (balance) => {
  test("prefer local: this node's, then its zone's, then the others", () => {
    expect(distances(setUp(balance, "local").order())).toBe("local local zone zone far far");
  });

  test("prefer zone: this node's are of its zone", () => {
    const { order, all } = setUp(balance, "zone");
    const picks = order();
    expect(picks.slice(4).map(({ distance }) => distance)).toEqual(["far", "far"]);
    expect(new Set(picks)).toEqual(new Set(all));
  });

  test("prefer zone shares among this node's and the zone's, none goes far", () => {
    const { balancer, far1, far2 } = setUp(balance, "zone");
    const picked = new Set<FakeCandidate>();
    for (let client = 0; client < 400; client++) {
      const pick = balancer.pick(Math.imul(client, 0x9e3779b1) >>> 0, NOW_MS, null)!;
      pick.open++;
      picked.add(pick);
    }
    expect(picked.size).toBe(4);
    expect(picked.has(far1) || picked.has(far2)).toBe(false);
  });

  test("prefer any: the distance is nothing", () => {
    const { balancer } = setUp(balance, "any");
    const picked = new Set<string>();
    for (let client = 0; client < 400; client++) {
      const pick = balancer.pick(Math.imul(client, 0x9e3779b1) >>> 0, NOW_MS, null)!;
      pick.open++;
      picked.add(pick.name);
    }
    expect(picked.size).toBe(6);
  });

  test("failing near ones are passed over for working far ones", () => {
    const { order, local1, local2, zone1, zone2 } = setUp(balance, "local");
    fail(local1, zone1, zone2);
    const picks = order();
    expect(picks[0]).toBe(local2);
    expect(distances(picks.slice(1, 3))).toBe("far far");
    expect(distances(picks.slice(3))).toBe("local zone zone");
  });

  test("when all fail the nearest is tried first", () => {
    const { order, all } = setUp(balance, "local");
    fail(...all);
    expect(distances(order())).toBe("local local zone zone far far");
  });

  test("draining ones are never picked, near or failing as they may be", () => {
    const { order, all, local1, far2 } = setUp(balance, "local");
    fail(...all);
    local1.isDraining = far2.isDraining = true;
    expect(distances(order())).toBe("local zone zone far");
  });

  test("a near one is picked again as soon as its time has come", () => {
    const { balancer, all, local1 } = setUp(balance, "local");
    fail(...all.filter((other) => other !== local1));
    local1.failingUntilMs = NOW_MS;
    expect(balancer.pick(CLIENT, NOW_MS, null)).toBe(local1);
  });
});

test("orderOfPicks names every task that does not drain once: nearer working ones first, nearer failing ones last", () => {
  const states = fc.array(
    fc.record({
      distance: fc.constantFrom(...DISTANCES),
      isDraining: fc.boolean(),
      isFailing: fc.boolean(),
      weight: fc.integer({ min: 1, max: 256 }),
      open: fc.nat(5),
    }),
    { maxLength: 8 },
  );
  fc.assert(
    fc.property(
      fc.constantFrom(...BALANCES),
      fc.constantFrom(...PREFERENCES),
      states,
      fc.nat(),
      (balance, prefer, given, client) => {
        const all = given.map(({ weight, isFailing, ...state }, index) =>
          Object.assign(fakeCandidate(`task-${index}`, weight), state, {
            failingUntilMs: isFailing ? LATER_MS : 0,
          }),
        );
        const order = orderOfPicks(createBalancer(balance, all, seededRandom(3), prefer), client, NOW_MS);
        expect(new Set(order)).toEqual(new Set(all.filter(({ isDraining }) => !isDraining)));
        expect(new Set(order).size).toBe(order.length);
        const rank = (task: FakeCandidate) => {
          const tier = {
            any: 0,
            local: DISTANCES.indexOf(task.distance),
            zone: Number(task.distance === "far"),
          };
          return (task.failingUntilMs > NOW_MS ? 10 : 0) + tier[prefer];
        };
        expect(order.map(rank)).toEqual(order.map(rank).toSorted((a, b) => a - b));
      },
    ),
  );
});

test("orderOfPicks of none is empty", () => {
  expect(orderOfPicks(createBalancer("round-robin", [], seededRandom(1)), CLIENT, NOW_MS)).toEqual([]);
});

/** The path to one node in virtual time: what is found, how soon, and what it costs. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { BASE_MTU, PathProbe } from "../../../../src/overlay/path/path-probe.ts";
import { SimulatedPath, type SimulatedPathOptions } from "../../../support/overlay/simulated-path.ts";
import { seededRandom } from "../../../support/random/seeded-random.ts";

/** A size in use that no longer fits is given up within this time: interval, five timeouts of a slow path, slack. */
const BLACK_HOLE_MS = 3000;

function pathOf(options: Partial<SimulatedPathOptions> = {}): SimulatedPath {
  return new SimulatedPath({ mtu: 1500, localMtu: 1500, random: seededRandom(7), ...options });
}

function searched(path: SimulatedPath): SimulatedPath {
  expect(path.run(60_000, () => path.probe.state === "search-complete")).toBe(true);
  return path;
}

describe("a first search", () => {
  for (const mtu of [1280, 1400, 1420, 1450, 1460, 1480, 1492, 1500, 8900, 9000]) {
    test(`${mtu}, as many paths have it, is in use after two round trips`, () => {
      const path = pathOf({ mtu, localMtu: Math.max(1500, mtu), rttMs: 40 });
      expect(path.run(2 * 40, () => path.probe.mtu === mtu)).toBe(true);
    });
  }

  test("any size is found to the byte, in seconds", () => {
    for (let mtu = BASE_MTU; mtu <= 1500; mtu += 7) {
      const path = pathOf({ mtu });
      expect(path.run(5000, () => path.probe.state === "search-complete")).toBe(true);
      expect(path.probe.mtu).toBe(mtu);
    }
  });

  test("a path as wide as its first link costs one flight more than its base", () => {
    const path = searched(pathOf());
    expect(path.sent.length).toBeLessThanOrEqual(14);
    expect(path.probe.innerMtu).toBe(1450);
  });

  test("a path narrower than the base: error, and the base for want of anything", () => {
    const path = pathOf({ mtu: 1100 });
    path.run(10_000);
    expect([path.probe.state, path.probe.mtu]).toEqual(["error", BASE_MTU]);
    path.mtu = 1500;
    path.run(10_000);
    expect([path.probe.state, path.probe.mtu]).toEqual(["search-complete", 1500]);
  });

  test("a first link narrower than the base lowers the base", () => {
    const path = searched(pathOf({ mtu: 900, localMtu: 900 }));
    expect(path.probe.mtu).toBe(900);
  });

  test("a round trip longer than the first timeout is waited for", () => {
    const path = pathOf({ rttMs: 900 });
    expect(path.run(8000, () => path.probe.mtu === 1500)).toBe(true);
  });
});

describe("a path that changes", () => {
  test("narrower, in the middle and in silence: the size is given up, the new one found", () => {
    const path = searched(pathOf());
    path.mtu = 1400;
    expect(path.run(2000, () => path.probe.mtu <= 1400)).toBe(true);
    expect(path.run(100, () => path.probe.mtu === 1400)).toBe(true);
  });

  test("suspicion of the data path shortens that to a few timeouts", () => {
    const path = searched(pathOf());
    path.run(10);
    path.mtu = 1400;
    path.probe.suspect(path.nowMs);
    expect(path.run(600, () => path.probe.mtu <= 1400)).toBe(true);
  });

  test("wider: noticed when the raise timer runs out", () => {
    const path = searched(pathOf({ mtu: 1400 }));
    path.mtu = 1492;
    expect(path.run(75_000, () => path.probe.mtu === 1492)).toBe(true);
  });

  test("a narrower interface is obeyed at once, a wider one tried at once", () => {
    const path = searched(pathOf());
    path.setLocalMtu(1300);
    expect(path.probe.mtu).toBe(1300);
    path.run(5000);
    path.mtu = 9000;
    path.setLocalMtu(9000);
    expect(path.run(1000, () => path.probe.mtu === 9000)).toBe(true);
  });

  test("a refusal of this machine lowers the ceiling without waiting for losses", () => {
    const path = searched(pathOf());
    path.localMtu = 1450;
    path.mtu = 1450;
    expect(path.run(1500, () => path.probe.mtu === 1450)).toBe(true);
    path.sent.length = 0;
    path.run(30_000);
    expect(path.sent.filter(({ size }) => size > 1450)).toEqual([]);
  });

  test("silence says within 3 s that another way is better, and is forgotten with the first answer", () => {
    const path = searched(pathOf());
    path.isCut = true;
    expect(path.run(3000, () => !path.probe.isUp)).toBe(true);
    path.isCut = false;
    expect(path.run(1500, () => path.probe.isUp)).toBe(true);
    expect([path.probe.state, path.probe.mtu]).toEqual(["search-complete", 1500]);
  });

  test("a node that stops for a moment keeps its size, one that stays away loses it", () => {
    const path = searched(pathOf());
    path.isCut = true;
    path.run(3000);
    path.isCut = false;
    path.run(3000);
    expect([path.probe.state, path.probe.mtu]).toEqual(["search-complete", 1500]);
    path.isCut = true;
    path.run(8000);
    expect([path.probe.state, path.probe.mtu, path.probe.loss]).toEqual([
      "error",
      BASE_MTU,
      expect.any(Number),
    ]);
    expect(path.probe.loss).toBeGreaterThan(0.5);
    path.isCut = false;
    expect(path.run(8000, () => path.probe.mtu === 1500)).toBe(true);
  });

  test("the same holds for an unused one, however long ago it was last heard", () => {
    const path = pathOf();
    path.isActive = false;
    searched(path);
    path.isCut = true;
    path.sent.length = 0;
    expect(path.run(40_000, () => path.sent.length > 0)).toBe(true);
    path.run(3000);
    path.isCut = false;
    path.run(3000);
    expect([path.probe.state, path.probe.mtu]).toEqual(["search-complete", 1500]);
  });

  test("a node that stops in the middle of a search does not make its path look narrow", () => {
    const path = pathOf({ mtu: 1470 });
    path.run(1000, () => path.probe.mtu === 1460);
    path.isCut = true;
    path.run(2000);
    path.isCut = false;
    path.run(5000);
    expect([path.probe.state, path.probe.mtu]).toEqual(["search-complete", 1470]);
  });
});

describe("what it costs", () => {
  test("in use: about a probe a second, and a few every minute for more", () => {
    const path = searched(pathOf({ mtu: 1400 }));
    path.sent.length = 0;
    path.run(600_000);
    expect(path.sent.length).toBeLessThan(600 * 1.1 + 10 * 12);
    expect(path.sent.length).toBeGreaterThan(500);
  });

  test("200 unused peers: ten probes a second", () => {
    const paths = Array.from({ length: 200 }, (_, index) =>
      pathOf({ mtu: 1400, random: seededRandom(index) }),
    );
    for (const path of paths) {
      path.isActive = false;
      searched(path);
      path.sent.length = 0;
      path.run(600_000);
    }
    const sent = paths.reduce((sum, path) => sum + path.sent.length, 0);
    expect(sent / 600).toBeLessThan(11);
    expect(sent / 600).toBeGreaterThan(5);
  });

  test("an unused peer that is down: two probes a minute", () => {
    const path = pathOf();
    [path.isActive, path.isCut] = [false, true];
    path.run(60_000);
    path.sent.length = 0;
    path.run(600_000);
    expect(path.sent.length).toBeLessThan(26);
  });

  test("becoming used is a reason to look", () => {
    const path = pathOf();
    path.isActive = false;
    searched(path);
    path.run(5000);
    path.mtu = 1300;
    path.isActive = true;
    expect(path.run(1000, () => path.probe.mtu === 1280)).toBe(true);
  });
});

test("a node that was not there is tried as soon as it is heard of, but once a second at most", () => {
  const path = pathOf();
  [path.isActive, path.isCut] = [false, true];
  path.run(120_000);
  expect([path.probe.state, path.probe.isUp]).toEqual(["error", false]);
  path.run(5000);
  path.sent.length = 0;
  for (let times = 0; times < 500; times++) {
    path.probe.onHeard(path.nowMs);
    path.run(10);
  }
  expect(path.sent.length).toBeLessThan(7);
  path.isCut = false;
  path.run(1000);
  path.probe.onHeard(path.nowMs);
  path.run(1000);
  expect([path.probe.mtu, path.probe.isUp]).toEqual([1500, true]);
});

test("answers that are none are ignored", () => {
  const probe = new PathProbe({ localMtu: 1500, overheadBytes: 50, random: () => 0.5 });
  const sent = probe.poll(0, true)!;
  expect(sent.size).toBe(BASE_MTU);
  expect(probe.onAck(sent.id + 1, sent.size, 1)).toBe(false);
  expect(probe.onAck(sent.id, sent.size + 1, 1)).toBe(false);
  expect(probe.onAck(sent.id, sent.size, 1)).toBe(true);
  expect(probe.onAck(sent.id, sent.size, 2)).toBe(false);
  expect([probe.state, probe.rttMs]).toEqual(["searching", 1]);
});

test("round trip and loss are those of the path", () => {
  const path = searched(pathOf({ rttMs: 30, loss: 0.1, jitterMs: 5 }));
  path.run(120_000);
  expect(path.probe.rttMs).toBeGreaterThan(30);
  expect(path.probe.rttMs).toBeLessThan(40);
  expect(path.probe.minRttMs).toBeLessThan(33);
  expect(path.probe.loss).toBeLessThan(0.5);
  path.loss = 0;
  path.probe.countData(100_000, 2000, path.nowMs);
  expect(path.probe.loss).toBeCloseTo(0.02, 2);
});

/** What may happen to a path, one thing after another. */
const change = fc.record({
  mtu: fc.oneof(fc.integer({ min: BASE_MTU, max: 1500 }), fc.integer({ min: 1500, max: 9000 })),
  afterMs: fc.integer({ min: 10, max: 20_000 }),
});

describe("whatever path", () => {
  test("with up to 5 % loss the size found is exact, after the next raise at the latest", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: BASE_MTU, max: 9000 }),
        fc.integer({ min: 0, max: 25 }),
        fc.integer({ min: 1, max: 200 }),
        fc.integer(),
        (mtu, lossPerMille, rttMs, seed) => {
          const path = pathOf({
            mtu,
            localMtu: mtu > 1500 ? 9000 : 1500,
            loss: lossPerMille / 1000,
            rttMs,
            jitterMs: rttMs / 10,
            random: seededRandom(seed),
          });
          expect(path.run(180_000, () => path.probe.mtu === mtu)).toBe(true);
          expect(path.probe.mtu).toBeLessThanOrEqual(mtu);
        },
      ),
      { numRuns: 300 },
    );
  });

  test("it is never thought wider than it is for longer than a black hole takes to be found", () => {
    fc.assert(
      fc.property(
        fc.array(change, { minLength: 1, maxLength: 6 }),
        fc.integer({ min: 0, max: 25 }),
        fc.integer({ min: 1, max: 100 }),
        fc.integer(),
        (changes, lossPerMille, rttMs, seed) => {
          const random = seededRandom(seed);
          const path = pathOf({ mtu: 9000, localMtu: 9000, loss: lossPerMille / 1000, rttMs, random });
          for (const { mtu, afterMs } of changes) {
            path.mtu = mtu;
            path.run(afterMs);
          }
          path.run(BLACK_HOLE_MS);
          expect(path.longestTooWideMs).toBeLessThan(BLACK_HOLE_MS);
        },
      ),
      { numRuns: 300 },
    );
  });

  test("probes are bounded: in a second, and over minutes", () => {
    fc.assert(
      fc.property(
        fc.array(change, { maxLength: 6 }),
        fc.integer({ min: 0, max: 500 }),
        fc.integer(),
        (changes, lossPerMille, seed) => {
          const random = seededRandom(seed);
          const path = pathOf({ mtu: 1500, localMtu: 9000, loss: lossPerMille / 1000, random });
          for (const { mtu, afterMs } of changes) {
            path.mtu = mtu;
            path.run(afterMs);
          }
          expect(path.peak(1000)).toBeLessThanOrEqual(100);
          expect(path.peak(1)).toBeLessThanOrEqual(16);
        },
      ),
      { numRuns: 200 },
    );
  });
});

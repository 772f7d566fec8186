import { describe, expect, test } from "bun:test";
import { partsFor, SealSize } from "../../../../src/overlay/seal/seal-size.ts";
import { seededRandom } from "../../../support/random/seeded-random.ts";

test.each([
  [0, Number.POSITIVE_INFINITY],
  [0.0001, 512],
  [0.001, 51],
  [0.01, 5],
  [0.025, 2],
  [0.05, 1],
  [0.5, 1],
  [1, 1],
])("where %d of the datagrams are lost a seal has at most %d", (loss, parts) => {
  expect(partsFor(loss)).toBe(parts);
});

describe("SealSize", () => {
  test("begins with care, and is soon without limit where nothing is lost", () => {
    const size = new SealSize();
    expect(size.loss).toBeNull();
    const first = size.parts;
    expect(first).toBeLessThan(16);
    size.onReport(20_000, 0, 100);
    expect(size.parts).toBeGreaterThan(64);
    expect(size.loss).toBe(0);
  });

  test("one lost datagram of few says little", () => {
    const size = new SealSize();
    size.onReport(10, 1, 100);
    expect(size.parts).toBeGreaterThanOrEqual(2);
    expect(size.loss).toBeCloseTo(0.1);
  });

  test.each([0.001, 0.01, 0.05])(
    "finds the size for a loss of %d within seconds, and back when it ends",
    (loss) => {
      const random = seededRandom(7);
      const size = new SealSize();
      let nowMs = 0;
      const run = (seconds: number, lossNow: number) => {
        for (let i = 0; i < seconds * 10; i++) {
          nowMs += 100;
          let lost = 0;
          for (let datagram = 0; datagram < 2_000; datagram++) if (random() < lossNow) lost++;
          size.onReport(2_000, lost, nowMs);
        }
      };
      run(5, loss);
      const wanted = partsFor(loss);
      expect(size.parts).toBeGreaterThanOrEqual(Math.floor(wanted * 0.7));
      expect(size.parts).toBeLessThanOrEqual(Math.ceil(wanted * 1.4));
      run(30, 0);
      expect(size.parts).toBeGreaterThan(64);
    },
  );

  test("follows a path that becomes bad, although hardly anything gets through then", () => {
    const size = new SealSize();
    for (let i = 1; i <= 100; i++) size.onReport(20_000, 20, i * 100);
    expect(size.parts).toBeGreaterThan(30);
    // what is left of a stream whose seals have 40 datagrams
    for (let i = 101; i <= 105; i++) size.onReport(200, 2, i * 100);
    expect(size.parts).toBeLessThan(12);
  });
});

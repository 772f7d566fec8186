/** A search against a path that carries up to a size, and what late answers do to it. */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { MAX_PROBES, MtuSearch } from "../../../../src/overlay/path/mtu-search.ts";

/** Runs it to its end; the number of probes. */
function runThrough(search: MtuSearch, pathMtu: number): number {
  let probes = 0;
  while (!search.isOver) {
    const flight = search.flight();
    expect(flight.length).toBeGreaterThan(0);
    probes += flight.length;
    for (const size of flight) if (size <= pathMtu) search.onAcked(size);
    for (const size of flight) if (size > pathMtu) search.onLost(size);
  }
  expect(search.flight()).toEqual([]);
  return probes;
}

test("finds any size in any range with a bounded number of probes", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 68, max: 65_000 }),
      fc.integer({ min: 0, max: 10_000 }),
      fc.integer({ min: 1, max: 10_000 }),
      (low, above, width) => {
        const search = new MtuSearch(low, low + width);
        const pathMtu = low + (above % width);
        expect(runThrough(search, pathMtu)).toBeLessThanOrEqual(80);
        expect(search.low).toBe(pathMtu);
      },
    ),
  );
});

test("one loss is no reason, MAX_PROBES are", () => {
  const search = new MtuSearch(1499, 1501);
  expect(search.flight()).toEqual([1500]);
  for (let losses = 1; losses < MAX_PROBES; losses++) search.onLost(1500);
  expect(search.isOver).toBe(false);
  search.onLost(1500);
  expect([search.isOver, search.low]).toEqual([true, 1499]);
});

test("an answer overrules what losses have said", () => {
  const search = new MtuSearch(1200, 1501);
  search.onTooBig(1280);
  search.onAcked(1400);
  expect([search.low, search.high]).toEqual([1400, 1401]);
});

test("a refusal never goes below what has been answered", () => {
  const search = new MtuSearch(1400, 1501);
  search.onTooBig(1300);
  expect([search.low, search.high, search.isOver]).toEqual([1400, 1401, true]);
});

/** Which ports are whose. */
import { expect, test } from "bun:test";
import { PortBlocks, sessionPorts, sourcePortStatus } from "../../../../src/proxy/table/source-ports.ts";
import { parseLocalPorts } from "../../../../src/sys/local-ports.ts";

const LOCAL = parseLocalPorts("40000 41023", "");
const NOW_MS = 1_000_000;

function blocksOf(workers: number, claimed: Set<number>): PortBlocks {
  const claim = (block: number) => !claimed.has(block) && claimed.add(block).has(block);
  return new PortBlocks({ runs: sessionPorts(LOCAL), workers, random: Math.random, claim });
}

test("an eighth is left to the host", () => {
  expect(sessionPorts(LOCAL)).toEqual([{ first: 40_000, last: 40_895 }]);
  expect(sourcePortStatus(LOCAL)).toEqual({ low: 40_000, high: 41_023, forSessions: 896, leftToHost: 128 });
});

test.each([1, 2, 3, 7])("%d workers have all ports together, and no port twice", (workers) => {
  const claimed = new Set<number>();
  const all = Array.from({ length: workers }, () => blocksOf(workers, claimed));
  for (let round = 0; round < 20; round++) for (const blocks of all) blocks.grow(NOW_MS);
  const ports = all.flatMap((blocks) => blocks.ports);
  expect(ports.length).toBe(896);
  expect(new Set(ports).size).toBe(896);
  for (const blocks of all) expect(blocks.ports.length).toBeLessThanOrEqual(blocks.maxPorts);
});

test("one that needs more than its part does not get it", () => {
  const blocks = blocksOf(2, new Set());
  while (blocks.grow(NOW_MS));
  expect(blocks.ports.length).toBeLessThan(600);
});

test("blocks of another process are passed over, and looked at again after a second", () => {
  const claimed = new Set(Array.from({ length: 1_024 }, (_, index) => index * 64));
  const blocks = blocksOf(1, claimed);
  expect(blocks.grow(NOW_MS)).toBe(false);
  claimed.delete(40_064);
  expect(blocks.grow(NOW_MS + 500)).toBe(false);
  expect(blocks.grow(NOW_MS + 1_000)).toBe(true);
  expect(blocks.ports).toEqual(Array.from({ length: 64 }, (_, index) => 40_064 + index));
});

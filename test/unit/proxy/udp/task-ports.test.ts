/** Ports of the sessions with one task, against the dull way to keep them. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { PortBlocks } from "../../../../src/proxy/table/source-ports.ts";
import { type PortLease, SourcePorts } from "../../../../src/proxy/udp/task-ports.ts";

const NOW_MS = 100_000;
/** Where a block begins. */
const FIRST = 40_000;

function portsOf(count: number): SourcePorts<{ rank: number; usedMs: number }> {
  const runs = [{ first: FIRST, last: FIRST + count - 1 }];
  const blocks = new PortBlocks({ runs, workers: 1, random: () => 0, claim: () => true });
  while (blocks.grow(NOW_MS));
  return new SourcePorts(blocks);
}

describe("TaskPorts", () => {
  test.each([1, 31, 32, 33, 64, 100])("of %d ports each is found once, from wherever one looks", (count) => {
    for (const from of [0, Math.floor(count / 2), count - 1]) {
      const ports = portsOf(count).of("task");
      const found = Array.from({ length: count }, () => {
        const index = ports.freeFrom(from);
        ports.lease(index, { rank: 0, usedMs: 0 });
        return index;
      });
      expect(found).toEqual(Array.from({ length: count }, (_, step) => (from + step) % count));
      expect(ports.freeFrom(from)).toBe(-1);
    }
  });

  test("whatever is taken and given back, the first free one behind a place is found", () => {
    const step = fc.record({ from: fc.nat(69), end: fc.boolean(), which: fc.nat(69) });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const ports = portsOf(70).of("task");
        const leases = new Map<number, PortLease<{ rank: number; usedMs: number }>>();
        for (const { from, end, which } of steps) {
          if (end) {
            leases.get(which)?.end();
            leases.delete(which);
            continue;
          }
          const free = Array.from({ length: 70 }, (_, at) => (from + at) % 70).find((at) => !leases.has(at));
          const index = ports.freeFrom(from);
          expect(index).toBe(free ?? -1);
          if (index >= 0) leases.set(index, ports.lease(index, { rank: 0, usedMs: 0 }));
        }
      }),
    );
  });

  test("some ports stay free, for late answers to miss the next session", () => {
    const ports = portsOf(64).of("task");
    for (let index = 0; index < 60; index++) {
      expect(ports.isFull).toBe(false);
      ports.lease(index, { rank: 0, usedMs: 0 });
    }
    expect(ports.isFull).toBe(true);
  });

  test("the session that matters least makes room", () => {
    const ports = portsOf(64).of("task");
    const sessions = [
      { rank: 2, usedMs: 0 },
      { rank: 0, usedMs: NOW_MS - 10 }, // it may still be answered
      { rank: 1, usedMs: NOW_MS - 200 },
      { rank: 1, usedMs: NOW_MS - 300 },
      { rank: 0, usedMs: NOW_MS - 5_000 },
    ];
    const leases = sessions.map((session, index) => ports.lease(index, session));
    const order: number[] = [];
    for (;;) {
      const least = ports.leastImportant(NOW_MS);
      if (least === null) break;
      order.push(leases.indexOf(least));
      least.end();
    }
    expect(order).toEqual([4, 3, 2, 1, 0]);
  });

  test("none whose client converses goes while there are others", () => {
    const ports = portsOf(1_000).of("task");
    for (let index = 0; index < 500; index++) ports.lease(index, { rank: 2, usedMs: NOW_MS });
    for (let index = 500; index < 900; index++) ports.lease(index, { rank: 1, usedMs: index });
    let conversing = 0;
    for (let i = 0; i < 400; i++) {
      const least = ports.leastImportant(NOW_MS)!;
      if (least.owner.rank === 2) conversing++;
      least.end();
    }
    expect(conversing).toBe(0);
    expect(ports.leastImportant(NOW_MS)!.owner.rank).toBe(2);
  });
});

test("a task whose ports are all taken goes on with those of another block", () => {
  const runs = [{ first: FIRST, last: FIRST + 127 }];
  const blocks = new PortBlocks({ runs, workers: 1, random: Math.random, claim: () => true });
  const task = new SourcePorts<{ rank: number; usedMs: number }>(blocks).of("task");
  expect([task.isFull, task.freeFrom(0)]).toEqual([true, -1]);
  blocks.grow(NOW_MS);
  for (let index = 0; index < 64; index++) task.lease(task.freeFrom(0), { rank: 0, usedMs: 0 });
  expect([task.isFull, task.freeFrom(0)]).toEqual([true, -1]);
  blocks.grow(NOW_MS);
  expect([task.isFull, task.freeFrom(0)]).toEqual([false, 64]);
});

test("SourcePorts forgets a task whose last session has ended", () => {
  const all = portsOf(8);
  const ports = all.of("10.0.0.1 53");
  const [a, b] = [ports.lease(0, { rank: 0, usedMs: 0 }), ports.lease(1, { rank: 0, usedMs: 0 })];
  a.end();
  expect(all.of("10.0.0.1 53")).toBe(ports);
  expect(all.of("10.0.0.2 53")).not.toBe(ports);
  b.end();
  expect(all.of("10.0.0.1 53")).not.toBe(ports);
});

test("without ports none is found", () => {
  expect(portsOf(0).of("task").freeFrom(0)).toBe(-1);
});

import { beforeEach, describe, expect, test } from "bun:test";
import { Collector } from "../../../src/sys/collector.ts";

let loop: { events: number; nowMs: number };
let collections: number;
let collector: Collector;

beforeEach(() => {
  loop = { events: 0, nowMs: 0 };
  collections = 0;
  collector = new Collector(loop, () => collections++);
});

/** Collections so far, after each of some turns with so many events, `ms` apart. */
function turns(count: number, events: number, ms: number): number[] {
  return Array.from({ length: count }, () => {
    loop.events += events;
    loop.nowMs += ms;
    collector.onTurnEnd();
    return collections;
  });
}

describe("garbage is collected", () => {
  test("once there has been enough work, and again when there has been as much more", () => {
    expect(turns(9, 500, 1000)).toEqual([0, 0, 1, 1, 1, 2, 2, 2, 3]);
  });

  test("twice a second at most, however much there is", () => {
    expect(turns(2000, 1024, 1).at(-1)).toBe(4);
    expect(turns(3, 1024, 500)).toEqual([5, 6, 7]);
  });

  test("when it is young", async () => {
    Bun.gc(true); // a collection while the objects are made would promote them
    const garbage = Array.from({ length: 1_000 }, (_, index) => new WeakRef({ index }));
    await new Promise(setImmediate); // a WeakRef holds its target until the end of the job that made it
    new Collector({ events: 5_000, nowMs: 0 }).onTurnEnd();
    expect(garbage.filter((ref) => ref.deref() !== undefined).length).toBeLessThan(500);
  });
});

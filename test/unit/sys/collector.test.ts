import { beforeEach, describe, expect, test } from "bun:test";
import { Collector } from "../../../src/sys/collector.ts";

let made: number;
let nowMs: number;
let collections: number;
let collector: Collector;

beforeEach(() => {
  made = nowMs = collections = 0;
  collector = new Collector(
    () => made,
    () => nowMs,
    () => collections++,
  );
});

/** Collections so far, after each of some turns with `objects` more, `ms` apart. */
function turns(count: number, objects: number, ms: number): number[] {
  return Array.from({ length: count }, () => {
    made += objects;
    nowMs += ms;
    collector.onTurnEnd();
    return collections;
  });
}

describe("garbage is collected", () => {
  test("once there is enough, and again when there is as much more", () => {
    expect(turns(9, 500, 1000)).toEqual([0, 0, 1, 1, 1, 2, 2, 2, 3]);
  });

  test("four times a second at most, however much there is", () => {
    expect(turns(1000, 1024, 1).at(-1)).toBe(4);
    expect(turns(3, 1024, 250)).toEqual([5, 6, 7]);
  });

  test("that nobody holds any more", async () => {
    const garbage = Array.from({ length: 10_000 }, (_, index) => new WeakRef({ index }));
    await new Promise(setImmediate); // until then a weak reference holds what it was made with
    new Collector(
      () => 5_000,
      () => 0,
    ).onTurnEnd();
    expect(garbage.filter((ref) => ref.deref() !== undefined).length).toBeLessThan(1_000);
  });
});

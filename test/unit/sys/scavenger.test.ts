import { beforeEach, describe, expect, test } from "bun:test";
import { Deadlines } from "../../../src/sys/deadline-list.ts";
import { returnHeap, Scavenger } from "../../../src/sys/scavenger.ts";

let loop: { events: number; nowMs: number; readonly deadlines: Deadlines };
let scavenger: Scavenger;
/** When it scavenged, in seconds. */
let times: number[];

beforeEach(() => {
  loop = { events: 0, nowMs: 0, deadlines: new Deadlines() };
  times = [];
  scavenger = new Scavenger(loop, () => times.push(loop.nowMs / 1000));
});

/** A turn each 100 ms. */
function work(seconds: number, eventsPerSecond: number): void {
  for (let turn = 0; turn < seconds * 10; turn++) {
    loop.nowMs += 100;
    loop.events += eventsPerSecond / 10;
    loop.deadlines.expire(loop.nowMs);
    scavenger.onTurnEnd();
  }
}

describe("memory is returned", () => {
  test("when a load is over, once", () => {
    work(20, 10_000);
    work(600, 1);
    expect(times).toHaveLength(1);
    expect(times[0]).toBeWithin(20, 25);
  });

  test("every minute of a load that stays", () => {
    work(300, 10_000);
    expect(times.map(Math.round)).toEqual([61, 121, 182, 242]);
  });

  test("ten seconds after the last time at the earliest, however many pauses there are", () => {
    for (let pause = 0; pause < 10; pause++) {
      work(2, 10_000);
      work(5, 0);
    }
    const gaps = times.slice(1).map((time, index) => time - times[index]!);
    expect(gaps.length).toBeGreaterThan(3);
    expect(Math.min(...gaps)).toBeGreaterThanOrEqual(10);
  });

  test("never of a thread that has had nothing to do, which does not even wake up for it", () => {
    work(3600, 1);
    expect(times).toEqual([]);
    expect(loop.deadlines.untilNext(loop.nowMs)).toBe(-1);
  });
});

test("returnHeap collects unreferenced objects", async () => {
  const garbage = Array.from({ length: 10_000 }, (_, index) => new WeakRef({ index }));
  await new Promise(setImmediate);
  returnHeap();
  expect(garbage.filter((ref) => ref.deref() !== undefined).length).toBeLessThan(1_000);
});

import { beforeEach, expect, test } from "bun:test";
import { RetryTimer } from "../../../src/proxy/retry-timer.ts";
import { ManualClock } from "../../support/time/manual-clock.ts";

let clock: ManualClock;
let retries: number[];
let timer: RetryTimer;

beforeEach(() => {
  clock = new ManualClock();
  retries = [];
  const startMs = clock.nowMs();
  timer = new RetryTimer(clock, () => {
    retries.push(clock.nowMs() - startMs);
    timer.backOff();
    timer.start();
  });
});

test("waits a second, then twice as long after each attempt, at most half a minute", async () => {
  timer.start();
  timer.start();
  await clock.advance(200_000);
  expect(retries.slice(0, 7)).toEqual([1_000, 3_000, 7_000, 15_000, 31_000, 61_000, 91_000]);
});

test("once reset it begins with a second", async () => {
  timer.start();
  await clock.advance(3_000);
  timer.stop();
  timer.reset();
  await clock.advance(100_000);
  timer.start();
  await clock.advance(1_000);
  expect(retries).toEqual([1_000, 3_000, 104_000]);
});

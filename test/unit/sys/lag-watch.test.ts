import { expect, test } from "bun:test";
import { Deadlines } from "../../../src/sys/deadline-list.ts";
import { LagWatch } from "../../../src/sys/lag-watch.ts";

test("once a second it says how late the loop was", () => {
  const loop = { nowMs: 500, deadlines: new Deadlines() };
  const lags: number[] = [];
  new LagWatch(loop, (lateMs) => lags.push(lateMs));
  for (const nowMs of [1_499, 1_500, 2_500.5, 5_000]) {
    loop.nowMs = nowMs;
    loop.deadlines.expire(nowMs);
  }
  expect(lags).toEqual([0, 0.5, 1_499.5]);
});

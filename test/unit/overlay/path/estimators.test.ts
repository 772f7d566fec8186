/** Round-trip times and loss, sample by sample. */
import { expect, test } from "bun:test";
import { LossEstimator } from "../../../../src/overlay/path/loss-estimator.ts";
import {
  FIRST_TIMEOUT_MS,
  MAX_TIMEOUT_MS,
  MIN_TIMEOUT_MS,
  RttEstimator,
} from "../../../../src/overlay/path/rtt-estimator.ts";

test("RttEstimator follows RFC 6298 §2", () => {
  const rtt = new RttEstimator();
  expect([rtt.smoothedMs, rtt.minimumMs, rtt.timeoutMs]).toEqual([null, null, FIRST_TIMEOUT_MS]);
  rtt.add(80, 0); // 80 + 4 · 40
  expect([rtt.smoothedMs, rtt.minimumMs, rtt.timeoutMs]).toEqual([80, 80, 240]);
  rtt.add(160, 1); // variation 40 + (80 - 40) / 4, smoothed 80 + 80 / 8
  expect([rtt.smoothedMs, rtt.timeoutMs]).toEqual([90, 90 + 4 * 50]);
});

test("its timeout stays between its bounds", () => {
  const rtt = new RttEstimator();
  rtt.add(1, 0);
  expect(rtt.timeoutMs).toBe(MIN_TIMEOUT_MS);
  rtt.add(60_000, 1);
  expect(rtt.timeoutMs).toBe(MAX_TIMEOUT_MS);
});

test("its minimum is forgotten after a while", () => {
  const rtt = new RttEstimator();
  rtt.add(5, 0);
  rtt.add(50, 200_000);
  expect(rtt.minimumMs).toBe(5);
  rtt.add(50, 400_000);
  expect(rtt.minimumMs).toBe(50);
});

test("LossEstimator weighs by what was sent, and forgets", () => {
  const loss = new LossEstimator();
  expect(loss.fraction).toBeNull();
  loss.count(1000, 10, 0);
  expect(loss.fraction).toBeCloseTo(0.01);
  loss.count(1, 1, 0);
  expect(loss.fraction).toBeCloseTo(0.011, 3);
  loss.count(1000, 0, 15_000);
  expect(loss.fraction).toBeCloseTo(0.0055 / 1.5, 3);
  loss.count(1000, 0, 600_000);
  expect(loss.fraction).toBeCloseTo(0, 6);
});

test("LossEstimator takes back what has come late", () => {
  const loss = new LossEstimator();
  loss.count(2, 1, 0);
  loss.count(0, -1, 10);
  expect(loss.fraction).toBe(0);
  loss.count(-5, -5, 20);
  expect(loss.fraction).toBeNull();
});

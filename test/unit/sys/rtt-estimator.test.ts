/** Round-trip times and the timeouts that follow them, sample by sample. */
import { expect, test } from "bun:test";
import { RttEstimator } from "../../../src/sys/rtt-estimator.ts";

const BOUNDS = { firstMs: 300, floorMs: 100, ceilingMs: 2000, marginMs: 0 };

test("RttEstimator follows RFC 6298 §2", () => {
  const rtt = new RttEstimator(BOUNDS);
  expect([rtt.smoothedMs, rtt.minimumMs, rtt.timeoutMs]).toEqual([null, null, 300]);
  rtt.add(80, 0); // 80 + 4 · 40
  expect([rtt.smoothedMs, rtt.minimumMs, rtt.timeoutMs]).toEqual([80, 80, 240]);
  rtt.add(160, 1); // variation 40 + (80 - 40) / 4, smoothed 80 + 80 / 8
  expect([rtt.smoothedMs, rtt.timeoutMs]).toEqual([90, 90 + 4 * 50]);
});

test("its timeout stays between its bounds", () => {
  const rtt = new RttEstimator(BOUNDS);
  rtt.add(1, 0);
  expect(rtt.timeoutMs).toBe(100);
  rtt.add(60_000, 1);
  expect(rtt.timeoutMs).toBe(2000);
});

test("its timeout keeps a margin, however steady the path is", () => {
  const rtt = new RttEstimator({ ...BOUNDS, marginMs: 50 });
  for (let i = 0; i < 100; i++) rtt.add(200, i);
  expect(rtt.timeoutMs).toBe(250);
});

test("its timeout is above every sample of a path whose jitter it knows", () => {
  const rtt = new RttEstimator({ ...BOUNDS, marginMs: 50 });
  const samples = Array.from({ length: 400 }, (_, i) => 200 + 60 * Math.sin(i));
  samples.forEach((sample, i) => {
    if (i > 0) expect(rtt.timeoutMs).toBeGreaterThan(sample);
    rtt.add(sample, i);
  });
});

test("a timeout that has expired doubles it up to the ceiling, a sample ends that", () => {
  const rtt = new RttEstimator(BOUNDS);
  const timeouts = [0, 1, 2, 3, 4].map(() => {
    rtt.backOff();
    return rtt.timeoutMs;
  });
  expect(timeouts).toEqual([600, 1200, 2000, 2000, 2000]);
  rtt.add(80, 0);
  expect(rtt.timeoutMs).toBe(240);
});

test("its minimum is forgotten after a while", () => {
  const rtt = new RttEstimator(BOUNDS);
  rtt.add(5, 0);
  rtt.add(50, 200_000);
  expect(rtt.minimumMs).toBe(5);
  rtt.add(50, 400_000);
  expect(rtt.minimumMs).toBe(50);
});

/** Loss, sample by sample. */
import { expect, test } from "bun:test";
import { LossEstimator } from "../../../../src/overlay/path/loss-estimator.ts";

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

import { expect, test } from "bun:test";
import { median, medianSample } from "../../bench/statistics.ts";

test.each([
  [[3], 3],
  [[10, 2, 9], 9],
  [[4, 1, 3, 2], 2.5],
])("median of %p is %p", (values, expected) => expect(median(values)).toBe(expected));

test("median of nothing is NaN, and its argument stays as it was", () => {
  const values = [3, 1, 2];
  median(values);
  expect(values).toEqual([3, 1, 2]);
  expect(median([])).toBeNaN();
});

test("medianSample takes each key over the samples that have it", () => {
  expect(medianSample([{ rate: 1 }, { rate: 5, cpu: 2 }, { rate: 3, cpu: 4 }])).toEqual({ rate: 3, cpu: 3 });
});

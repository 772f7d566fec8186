import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  compareIncarnations,
  MAX_INCARNATION,
  nextIncarnation,
} from "../../../src/membership/incarnation.ts";

const u32 = fc.integer({ min: 0, max: MAX_INCARNATION });

describe("compareIncarnations", () => {
  test.each([
    [1, 1, "same"],
    [2, 1, "newer"],
    [1, 2, "older"],
    [2 ** 16 + 1, 1, "newer"],
    [2 ** 16 + 2, 1, "far"],
    [1, 2 ** 16 + 1, "older"],
    [1, 2 ** 16 + 2, "far"],
    [2 ** 31, 1, "far"],
    [MAX_INCARNATION, 1, "older"],
    [1, MAX_INCARNATION, "newer"],
    [0, MAX_INCARNATION, "newer"],
  ] as const)("%d after %d is %s", (said, known, order) => {
    expect(compareIncarnations(said, known)).toBe(order);
  });

  test("one is newer than the other exactly when that is older than it", () => {
    const opposite = { newer: "older", older: "newer", same: "same", far: "far" } as const;
    fc.assert(
      fc.property(u32, u32, (a, b) => {
        expect(compareIncarnations(a, b)).toBe(opposite[compareIncarnations(b, a)]);
      }),
    );
  });

  test("the next one is always newer, and never 0", () => {
    fc.assert(
      fc.property(fc.oneof(u32, fc.constant(MAX_INCARNATION)), (a) => {
        expect(compareIncarnations(nextIncarnation(a), a)).toBe("newer");
        expect(nextIncarnation(a)).toBeGreaterThan(0);
      }),
    );
  });
});

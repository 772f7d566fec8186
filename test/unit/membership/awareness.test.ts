import { expect, test } from "bun:test";
import { Awareness } from "../../../src/membership/awareness.ts";

test("the score stays from 0 to one below the limit", () => {
  const awareness = new Awareness(8);
  awareness.add(-1);
  expect(awareness.score).toBe(0);
  for (const expected of [3, 6, 7, 7]) {
    awareness.add(3);
    expect(awareness.score).toBe(expected);
  }
  awareness.add(-1);
  expect(awareness.score).toBe(6);
});

test("a limit of 1 switches it off", () => {
  const awareness = new Awareness(1);
  awareness.add(5);
  expect(awareness.score).toBe(0);
});

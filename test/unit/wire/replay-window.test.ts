/** The replay window against the dull way: a set of all counters ever taken. */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { REPLAY_WINDOW, type ReplayVerdict, ReplayWindow } from "../../../src/wire/index.ts";

class SlowWindow {
  readonly #seen = new Set<number>();
  #newest = 0;

  take(counter: number): ReplayVerdict {
    if (this.#newest - counter >= REPLAY_WINDOW) return "stale";
    if (this.#seen.has(counter)) return "replayed";
    this.#seen.add(counter);
    this.#newest = Math.max(this.#newest, counter);
    return "new";
  }
}

/** Steps from one counter to the next: mostly small, some around the window's width, some back. */
const step = fc.oneof(
  { weight: 6, arbitrary: fc.integer({ min: -70, max: 70 }) },
  { weight: 2, arbitrary: fc.integer({ min: -REPLAY_WINDOW - 40, max: REPLAY_WINDOW + 40 }) },
  { weight: 1, arbitrary: fc.integer({ min: -3 * REPLAY_WINDOW, max: 2 ** 40 }) },
);

test("ReplayWindow agrees with a set of all counters", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 2 ** 50 }),
      fc.array(step, { maxLength: 400, size: "max" }),
      (first, steps) => {
        const [window, slow] = [new ReplayWindow(), new SlowWindow()];
        let counter = first;
        for (const change of steps) {
          expect([counter, window.take(counter)]).toEqual([counter, slow.take(counter)]);
          counter = Math.max(1, counter + change);
        }
      },
    ),
    { numRuns: 300 },
  );
});

test("ReplayWindow is REPLAY_WINDOW wide", () => {
  const window = new ReplayWindow();
  expect(window.take(REPLAY_WINDOW + 1)).toBe("new");
  expect(window.take(1)).toBe("stale");
  expect(window.take(2)).toBe("new");
  expect(window.take(2)).toBe("replayed");
  expect(window.take(Number.MAX_SAFE_INTEGER)).toBe("new");
  expect(window.take(Number.MAX_SAFE_INTEGER)).toBe("replayed");
  expect(window.take(REPLAY_WINDOW + 2)).toBe("stale");
});

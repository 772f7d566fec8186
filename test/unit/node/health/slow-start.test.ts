import { beforeEach, describe, expect, test } from "bun:test";
import type { HealthState } from "../../../../src/catalog/index.ts";
import { SlowStart } from "../../../../src/node/health/slow-start.ts";
import { task } from "../../../support/catalog/catalog-records.ts";

const RAMP_MS = 10_000;
let slowStart: SlowStart;

beforeEach(() => {
  slowStart = new SlowStart();
});

function shareAt(nowMs: number, since: number, state: HealthState = "healthy"): number | null {
  const tasks = [{ ...task("web", "10.0.0.1", { health: { state, reason: "", since } }), owner: "n1" }];
  const { shares, nextInMs } = slowStart.sharesOf(tasks, () => RAMP_MS, nowMs);
  expect(nextInMs === null).toBe(shares.size === 0);
  return shares.get("n1 web 10.0.0.1") ?? null;
}

describe("SlowStart", () => {
  test("from a tenth to the whole", () => {
    const shares = [0, 999, 1_000, 5_000, 8_999, 9_000].map((ms) => shareAt(100_000 + ms, 100_000));
    expect(shares).toEqual([0.1, 0.1, 0.2, 0.6, 0.9, null]);
  });

  test("one that has been healthy for long has its whole share", () => {
    expect(shareAt(100_000, 10_000)).toBeNull();
  });

  test("a clock of another node that is ahead does not hold it back for longer", () => {
    expect(shareAt(100_000, 900_000)).toBe(0.1);
    expect(shareAt(109_500, 900_000)).toBeNull();
  });

  test("it begins anew when the task has been unhealthy", () => {
    expect(shareAt(100_000, 10_000)).toBeNull();
    expect(shareAt(101_000, 101_000, "unhealthy")).toBeNull();
    expect(shareAt(102_000, 102_000)).toBe(0.1);
  });

  test("services without slow_start, and tasks without a check", () => {
    const health = { state: "healthy" as const, reason: "", since: 100_000 };
    const tasks = [
      { ...task("web", "a", { health }), owner: "n1" },
      { ...task("web", "b"), owner: "n1" },
    ];
    expect(slowStart.sharesOf(tasks, () => 0, 100_000)).toEqual({ shares: new Map(), nextInMs: null });
    expect(slowStart.sharesOf(tasks.slice(1), () => RAMP_MS, 100_000).shares.size).toBe(0);
  });
});

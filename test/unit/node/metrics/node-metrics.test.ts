import { describe, expect, test } from "bun:test";
import { KeyAge } from "../../../../src/node/metrics/key-age.ts";
import { LoopLag } from "../../../../src/node/metrics/loop-lag.ts";
import { ReloadCounts } from "../../../../src/node/metrics/reload-counts.ts";
import { TIME_BUCKETS_MS } from "../../../../src/proxy/table/counters.ts";
import { ManualClock } from "../../../support/time/manual-clock.ts";

describe("reloads", () => {
  test("a refusal is remembered until a reload succeeds, also one that changes nothing", () => {
    const counts = new ReloadCounts(1_000);
    expect([counts.isLastSuccessful, counts.lastSuccessMs]).toEqual([true, 1_000]);
    counts.add({ outcome: "refused", isDryRun: false, at: 2_000 });
    expect([counts.isLastSuccessful, counts.lastSuccessMs]).toEqual([false, 1_000]);
    counts.add({ outcome: "unchanged", isDryRun: false, at: 3_000 });
    counts.add({ outcome: "applied", isDryRun: false, at: 4_000 });
    expect([counts.isLastSuccessful, counts.lastSuccessMs]).toEqual([true, 4_000]);
    expect(counts.total).toEqual({ applied: 1, unchanged: 1, refused: 1 });
  });

  test("a dry run is none", () => {
    const counts = new ReloadCounts(1_000);
    counts.add({ outcome: "refused", isDryRun: true, at: 2_000 });
    expect([counts.isLastSuccessful, counts.total.refused]).toEqual([true, 0]);
  });
});

test("a key's age begins when it comes, and goes on while it stays", () => {
  const age = new KeyAge();
  expect(age.sinceMs).toBeNull();
  age.follow("one", 5);
  age.follow("one", 10);
  expect(age.sinceMs).toBe(5);
  age.follow("two", 20);
  expect(age.sinceMs).toBe(20);
  age.follow(null, 30);
  expect(age.sinceMs).toBeNull();
});

describe("the lag of the loop", () => {
  test("is looked at once a second, as late as the timer is", async () => {
    const clock = new ManualClock();
    const lag = new LoopLag(clock);
    await clock.advance(2_000);
    clock.skip(1_300);
    await clock.advance(0);
    const bucket = (ms: number) => lag.row[TIME_BUCKETS_MS.findIndex((bound) => ms <= bound)];
    expect([bucket(0), bucket(300), lag.row.at(-1)]).toEqual([2, 1, 300]);
    lag.stop();
    expect(clock.timerCount).toBe(0);
  });

  test("goes on where that of the process before has ended", () => {
    const lag = new LoopLag(new ManualClock());
    lag.continueFrom([1, 2]);
    expect([...lag.row.slice(0, 3)]).toEqual([1, 2, 0]);
    lag.continueFrom(Array.from({ length: 50 }, () => 1));
    expect(lag.row.at(-1)).toBe(1);
  });
});

import { expect, test } from "bun:test";
import type { ProbeResult } from "../../../../src/proxy/reach/probe.ts";
import { REFUSED_MS, SILENT_MS, Trial } from "../../../../src/proxy/reach/trial.ts";

/** Probes as soon as the trial wants it, with these results in turn; gives when the task was down, or null. */
function downAfter(untilMs: number, ...results: ProbeResult[]): number | null {
  const trial = new Trial(0);
  for (let probe = 0; trial.nextProbeMs <= untilMs; probe++) {
    const nowMs = trial.nextProbeMs;
    if (trial.onResult(results[probe % results.length]!, false, nowMs) === "down") return nowMs;
  }
  return null;
}

test("a task that is refused is down, but not for the time of a restart", () => {
  expect(downAfter(REFUSED_MS - 1, "refused")).toBeNull();
  expect(downAfter(60_000, "refused")).toBeLessThan(REFUSED_MS + 500);
});

test("a silent one is down when a client would have given up", () => {
  expect(downAfter(SILENT_MS - 1, "silent")).toBeNull();
  expect(downAfter(60_000, "silent")).toBeLessThan(SILENT_MS + 500);
  expect(downAfter(SILENT_MS - 1, "silent", "refused")).toBeNull();
});

test("one that clients wait for longer is down later", () => {
  const trial = new Trial(0, 30_000);
  expect(trial.onResult("silent", false, 29_000)).toBe("unchanged");
  expect(trial.onResult("silent", false, 30_000)).toBe("down");
});

test("what this host lacks says nothing about the task", () => {
  expect(downAfter(60_000, "not-sent")).toBeNull();
});

test("a task that is down is reported once, and the trial continues until it answers", () => {
  const trial = new Trial(0);
  expect(trial.onResult("refused", false, REFUSED_MS)).toBe("down");
  expect(trial.onResult("refused", false, REFUSED_MS + 400)).toBe("unchanged");
  expect(trial.isDown).toBe(true);
  expect(trial.onResult("answered", false, REFUSED_MS + 800)).toBe("answered");
});

test("a task that is back is noticed within half a second, and a host that limits its ICMP errors is not pressed", () => {
  const trial = new Trial(0);
  trial.onResult("refused", false, 1000);
  expect(trial.nextProbeMs).toBeLessThanOrEqual(1500);
  trial.onResult("refused", true, 1000);
  expect(trial.nextProbeMs).toBe(2000);
});

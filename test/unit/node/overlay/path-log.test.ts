import { beforeEach, describe, expect, test } from "bun:test";
import { PathLog } from "../../../../src/node/overlay/path-log.ts";
import { recordingLog } from "../../../support/node/recording-log.ts";
import { ManualClock } from "../../../support/time/manual-clock.ts";

const LOST = "no echo comes back";

let clock: ManualClock;
let lines: string[];
let paths: PathLog;

beforeEach(() => {
  clock = new ManualClock();
  const recording = recordingLog();
  lines = recording.lines;
  paths = new PathLog(recording.log, clock);
});

function change(isUp: boolean, ...nodes: readonly string[]): void {
  paths.changed(nodes.map((node) => ({ node, isUp, cause: isUp ? "" : LOST })));
}

describe("path log", () => {
  test("each change is logged once, with its cause and the path used instead", async () => {
    change(true, "b");
    await clock.advance(1_000);
    change(false, "b");
    await clock.advance(1_000);
    change(true, "b");
    await clock.advance(10_000);
    expect(lines).toEqual([
      "info overlay: node b is reached over the overlay",
      `warn overlay: node b is no longer reached over the overlay: ${LOST}; relays use node addresses`,
      "info overlay: node b is reached over the overlay",
    ]);
  });

  test("a node that was never reached, or is back within a second, is not logged", async () => {
    change(false, "b");
    await clock.advance(1_000);
    expect(lines).toEqual([]);
    change(true, "b");
    await clock.advance(1_000);
    change(false, "b");
    change(true, "b");
    await clock.advance(1_000);
    expect(lines).toHaveLength(1);
  });

  test("nodes that change together are one line for each cause", async () => {
    const nodes = Array.from({ length: 50 }, (_, index) => `n${String(index).padStart(2, "0")}`);
    change(true, ...nodes);
    await clock.advance(1_000);
    paths.changed(
      nodes.map((node, at) => ({ node, isUp: false, cause: at < 2 ? "portmesh4789 is down" : LOST })),
    );
    await clock.advance(1_000);
    expect(lines).toEqual([
      "info overlay: 50 nodes (n00, n01, n02, …) are reached over the overlay",
      "warn overlay: nodes n00 and n01 are no longer reached over the overlay: portmesh4789 is down; relays use node addresses",
      `warn overlay: 48 nodes (n02, n03, n04, …) are no longer reached over the overlay: ${LOST}; relays use node addresses`,
    ]);
  });

  test("a node whose path keeps changing is logged ever less often", async () => {
    for (let second = 0; second < 600; second += 10) {
      change(second % 20 === 0, "b");
      await clock.advance(10_000);
    }
    const told = lines.filter((line) => line.includes("reached over the overlay"));
    expect(told.length).toBeGreaterThanOrEqual(6);
    expect(told.length).toBeLessThanOrEqual(16);
    expect(lines.some((line) => line.includes("has changed"))).toBe(true);
    expect(lines.length).toBeLessThan(30);
  });

  test("a node that has left the cluster and comes back is new", async () => {
    change(true, "b");
    await clock.advance(1_000);
    paths.forget("b");
    change(true, "b");
    await clock.advance(1_000);
    expect(lines).toEqual(Array(2).fill("info overlay: node b is reached over the overlay"));
  });
});

import { describe, expect, test } from "bun:test";
import { evaluateOverlayGoal, type OverlayGoal, overlayGoals } from "../../../bench/overlay/goals.ts";
import type { ContestantName } from "../../../bench/overlay/names.ts";
import type { OverlayResult } from "../../../bench/overlay/run.ts";
import { overlayWorkloads } from "../../../bench/overlay/workloads.ts";

const SEALED = "portmesh-userspace-sealed";
const rate: OverlayGoal = {
  workload: "tunnel-1",
  metric: "rate",
  contestant: SEALED,
  rivals: ["nebula", "wireguard-go"],
  operator: ">=",
  bound: 5,
};
const cpu: OverlayGoal = { ...rate, metric: "cpu", operator: "<=", bound: 1 };

function results(medians: Partial<Record<ContestantName, Record<string, number>>>): OverlayResult[] {
  const contestants = Object.entries(medians).map(([contestant, median]) => {
    return { contestant: contestant as ContestantName, samples: [median], median };
  });
  return [{ workload: "tunnel-1", contestants }];
}

describe("evaluateOverlayGoal", () => {
  const nebula = { rate: 1, cpu: 20 };
  const wireguard = { rate: 0.5, cpu: 10 };
  const measured = results({ nebula, "wireguard-go": wireguard, [SEALED]: { rate: 5, cpu: 11 } });

  test("compares a rate with the faster rival", () => {
    expect(evaluateOverlayGoal(rate, measured)).toEqual({
      goal: rate,
      status: "reached",
      ratio: 5,
      rival: "nebula",
    });
  });

  test("compares a cost with the thriftier rival", () => {
    expect(evaluateOverlayGoal(cpu, measured)).toEqual({
      goal: cpu,
      status: "missed",
      ratio: 1.1,
      rival: "wireguard-go",
    });
  });

  test.each([
    ["the contestant", results({ nebula, "wireguard-go": wireguard })],
    ["the first rival", results({ "wireguard-go": wireguard, [SEALED]: { rate: 5 } })],
    ["the second rival", results({ nebula, [SEALED]: { rate: 5 } })],
    ["everything", []],
  ])("is not measured when %s is missing", (_, incomplete) => {
    expect(evaluateOverlayGoal(rate, incomplete)).toEqual({ goal: rate, status: "not measured" });
  });
});

test("every goal names a metric that its workload has, and contestants that take part in it", () => {
  for (const { workload, metric, contestant, rivals } of overlayGoals) {
    const { metrics, contestants } = overlayWorkloads[workload];
    expect(metrics.map(({ key }) => key)).toContain(metric);
    for (const name of [contestant, ...rivals]) expect(contestants).toContain(name);
  }
});

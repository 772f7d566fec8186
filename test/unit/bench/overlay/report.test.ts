import { expect, test } from "bun:test";
import { evaluateOverlayGoal, overlayGoals } from "../../../bench/overlay/goals.ts";
import { type OverlayReport, overlayMarkdown } from "../../../bench/overlay/report.ts";

test("a row for every contestant that was asked for: figures, not available, failed", () => {
  const samples = [
    { rate: 1, cpu: 20, processCpu: 15 },
    { rate: 3, cpu: 10, processCpu: 5 },
  ];
  const nebula = { contestant: "nebula", samples, median: { rate: 2, cpu: 15, processCpu: 10 } } as const;
  const veth = { contestant: "veth", samples: [{ rate: 10, cpu: 1 }], median: { rate: 10, cpu: 1 } } as const;
  const results = [{ workload: "tunnel-1", contestants: [veth, nebula] }] as const;
  const report: OverlayReport = {
    plan: {
      workloads: ["tunnel-1"],
      contestants: ["veth", "nebula", "wireguard-go", "portmesh-kernel"],
      rounds: 2,
      seconds: 4,
    },
    results,
    absences: [
      { contestant: "wireguard-go", reason: "wg is not installed (Debian package wireguard-tools)" },
    ],
    failures: ["overlay, portmesh-kernel tunnel-1: it ended"],
    goals: [evaluateOverlayGoal(overlayGoals[2]!, results)],
  };
  const lines = overlayMarkdown(report).split("\n");
  expect(lines).toContain("| veth | 10.00 (5.00×) | 1.00 (0.07×) | – | 10.00–10.00 |");
  expect(lines).toContain("| nebula | 2.00 | 15.00 | 10.00 | 1.00–3.00 |");
  expect(lines).toContain("| wireguard-go | not available |  |  |  |");
  expect(lines).toContain("| portmesh-kernel | failed |  |  |  |");
  expect(lines.some((line) => line.startsWith("| portmesh-userspace"))).toBe(true); // its goal
  expect(lines).toContain("0 reached, 0 missed, 1 not measured. Too few rounds (2) to prove any.");
});

/** The overlay's part of the bench: what is asked for and possible here, measured and judged. */
import type { Bench } from "../bench.ts";
import { lacking } from "./contestants/contestant.ts";
import { evaluateOverlayGoal, overlayGoals } from "./goals.ts";
import { Link } from "./link.ts";
import type { OverlayReport } from "./report.ts";
import { runOverlay } from "./run.ts";

/** Without them nothing can be measured. */
const NEEDED = {
  ip: "iproute2",
  ss: "iproute2",
  nft: "nftables",
  ethtool: "ethtool",
  iperf3: "iperf3",
  ping: "iputils-ping",
};

export interface OverlayPart {
  readonly report: OverlayReport | null;
  readonly skipped: readonly string[];
}

export async function runOverlayPart(
  bench: Bench,
  progress: (message: string) => void,
): Promise<OverlayPart> {
  const { overlayWorkloads: workloads, contestants, rounds, seconds } = bench.options;
  if (workloads.length === 0) return { report: null, skipped: [] };
  const reason = unavailable();
  if (reason !== undefined) {
    progress(`skipped overlay: ${reason}`);
    return { report: null, skipped: [`overlay: ${reason}`] };
  }
  progress(`overlay, ${rounds} round(s), ${workloads.join(", ")}: ${contestants.join(", ")}`);
  const link = bench.own(Link.create());
  const plan = { workloads, contestants, rounds, seconds };
  const outcome = await runOverlay(bench, link, plan, progress);
  link.close();
  return {
    report: {
      ...outcome,
      plan,
      goals: overlayGoals
        .filter((goal) => workloads.includes(goal.workload))
        .map((goal) => evaluateOverlayGoal(goal, outcome.results)),
    },
    skipped: outcome.absences.map(({ contestant, reason }) => `${contestant}: not available: ${reason}`),
  };
}

function unavailable(): string | undefined {
  return process.getuid!() === 0 ? lacking(NEEDED) : "network namespaces need root";
}

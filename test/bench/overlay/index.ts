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
  /** null: not asked for, or not possible at all. */
  readonly report: OverlayReport | null;
  readonly skipped: readonly string[];
  readonly failures: readonly string[];
}

type Progress = (message: string) => void;

const NOTHING: OverlayPart = { report: null, skipped: [], failures: [] };

export async function runOverlayPart(bench: Bench, progress: Progress): Promise<OverlayPart> {
  if (bench.options.overlayWorkloads.length === 0) return NOTHING;
  const reason = unavailable();
  if (reason !== undefined) {
    progress(`skipped overlay: ${reason}`);
    return { ...NOTHING, skipped: [`overlay: ${reason}`] };
  }
  try {
    return await measureAll(bench, bench.own(Link.create()), progress);
  } catch (error) {
    const failure = `overlay: ${(error as Error).message}`;
    progress(`FAILED ${failure}`);
    return { ...NOTHING, failures: [failure] };
  }
}

async function measureAll(bench: Bench, link: Link, progress: Progress): Promise<OverlayPart> {
  const { overlayWorkloads: workloads, contestants, rounds, seconds } = bench.options;
  progress(`overlay, ${rounds} round(s), ${workloads.join(", ")}: ${contestants.join(", ")}`);
  const plan = { workloads, contestants, rounds, seconds };
  const outcome = await runOverlay(bench, link, plan, progress);
  link.close();
  const goals = overlayGoals
    .filter((goal) => workloads.includes(goal.workload))
    .map((goal) => evaluateOverlayGoal(goal, outcome.results));
  const absent = (isOwn: boolean) =>
    outcome.absences
      .filter(({ contestant }) => contestant.startsWith("portmesh") === isOwn)
      .map(({ contestant, reason }) => `overlay, ${contestant}: not available: ${reason}`);
  return {
    report: { ...outcome, plan, goals },
    skipped: absent(false),
    failures: [...absent(true), ...outcome.failures],
  };
}

function unavailable(): string | undefined {
  return process.getuid!() === 0 ? lacking(NEEDED) : "network namespaces need root";
}

/** The numbers the overlay wants to reach, and whether it did. Medians against the best of the rivals' medians. */
import type { ContestantName, OverlayWorkloadName } from "./names.ts";
import type { OverlayResult } from "./run.ts";
import { overlayWorkloads } from "./workloads.ts";

export interface OverlayGoal {
  readonly workload: OverlayWorkloadName;
  readonly metric: string;
  readonly contestant: ContestantName;
  /** The best of them counts, and all must have been measured. */
  readonly rivals: readonly ContestantName[];
  readonly operator: ">=" | "<=";
  /** A ratio to the rival. */
  readonly bound: number;
}

const TUNNELS: readonly ContestantName[] = ["nebula", "wireguard-go"];
const SEALED: readonly ContestantName[] = [
  "portmesh-userspace-sealed",
  "portmesh-none-sealed",
  "portmesh-kernel-sealed",
];
const SEALED_RELAYS = SEALED.slice(1);

export const overlayGoals: readonly OverlayGoal[] = [
  atLeast("relay-1", ["portmesh-kernel"], 0.8, ["kernel-vxlan"]),
  atLeast("relay-1", ["portmesh-userspace"], 0.25, ["kernel-vxlan"]),
  atLeast("tunnel-1", ["portmesh-userspace-sealed"], 5),
  atLeast("tunnel-4", ["portmesh-userspace-sealed"], 5),
  atLeast("relay-1", ["portmesh-userspace-sealed"], 3),
  atLeast("relay-1", SEALED_RELAYS, 5),
  atLeast("relay-exchange", SEALED_RELAYS, 5),
  atLeast("tunnel-loss-0.1", ["portmesh-userspace-sealed"], 1),
  atLeast("tunnel-loss-1", ["portmesh-userspace-sealed"], 1),
  atLeast("relay-loss-0.1", ["portmesh-userspace-sealed"], 1),
  atLeast("relay-loss-1", ["portmesh-userspace-sealed"], 1),
  ...(["relay-latency-1", "relay-latency-16"] as const).flatMap((workload) => [
    atMost(workload, "p50", SEALED),
    atMost(workload, "p99", SEALED),
  ]),
  atMost("tunnel-1", "cpu", ["portmesh-userspace-sealed"]),
  atMost("relay-1", "cpu", SEALED),
  atMost("relay-exchange", "cpu", SEALED),
].flat();

export interface OverlayGoalResult {
  readonly goal: OverlayGoal;
  readonly status: "reached" | "missed" | "not measured";
  /** The contestant's median as a multiple of the rival's. */
  readonly ratio?: number;
  /** The best of the rivals. */
  readonly rival?: ContestantName;
}

export function evaluateOverlayGoal(goal: OverlayGoal, results: readonly OverlayResult[]): OverlayGoalResult {
  const own = medianOf(results, goal, goal.contestant);
  const rivals = goal.rivals.map((rival) => ({ rival, value: medianOf(results, goal, rival) ?? Number.NaN }));
  // NaN, of one that was not measured, wins: who would have been the best is not known then
  const best = rivals.reduce((best, next) => (isBetter(goal, best.value, next.value) ? best : next));
  if (own === undefined || !(best.value > 0)) return { goal, status: "not measured" };
  const ratio = own / best.value;
  const isReached = goal.operator === ">=" ? ratio >= goal.bound : ratio <= goal.bound;
  return { goal, status: isReached ? "reached" : "missed", ratio, rival: best.rival };
}

function isBetter({ operator }: OverlayGoal, value: number, other: number): boolean {
  if (Number.isNaN(value) || Number.isNaN(other)) return Number.isNaN(value);
  return operator === ">=" ? value >= other : value <= other;
}

function medianOf(
  results: readonly OverlayResult[],
  { workload, metric }: OverlayGoal,
  name: ContestantName,
): number | undefined {
  const result = results.find((candidate) => candidate.workload === workload);
  return result?.contestants.find(({ contestant }) => contestant === name)?.median[metric];
}

function atLeast(
  workload: OverlayWorkloadName,
  contestants: readonly ContestantName[],
  bound: number,
  rivals: readonly ContestantName[] = TUNNELS,
): OverlayGoal[] {
  return contestants.map((contestant) => {
    return { workload, metric: "rate", contestant, rivals, operator: ">=", bound };
  });
}

function atMost(
  workload: OverlayWorkloadName,
  metric: string,
  contestants: readonly ContestantName[],
): OverlayGoal[] {
  return contestants.map((contestant) => {
    return { workload, metric, contestant, rivals: TUNNELS, operator: "<=", bound: 1 };
  });
}

/** "tunnel-1: Gbit/s" */
export function goalSubject({ workload, metric }: OverlayGoal): string {
  const label = overlayWorkloads[workload].metrics.find(({ key }) => key === metric)!.label;
  return `${workload}: ${label}`;
}

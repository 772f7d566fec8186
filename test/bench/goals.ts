/** The numbers portmesh wants to reach, and whether it did. Always portmesh's median, at equal threads. */
import type { SeriesResult } from "./series.ts";
import type { SubjectName, WorkloadName } from "./workload.ts";

export interface Goal {
  readonly workload: WorkloadName;
  readonly metric: string;
  /** Absent: `bound` is an absolute value in the metric's own unit. */
  readonly rival?: SubjectName;
  readonly operator: ">=" | "<=";
  /** A ratio to the rival's median. */
  readonly bound: number;
}

export const goals: readonly Goal[] = [
  { workload: "bulk-1", metric: "rate", rival: "haproxy", operator: ">=", bound: 1.0 },
  { workload: "bulk-1", metric: "cpu", rival: "haproxy", operator: "<=", bound: 0.9 },
  { workload: "bulk-8", metric: "rate", rival: "haproxy", operator: ">=", bound: 1.2 },
  { workload: "bulk-8", metric: "cpu", rival: "haproxy", operator: "<=", bound: 0.7 },
  // the same against an HAProxy that is made to splice always: splice-auto seldom does
  { workload: "bulk-1", metric: "rate", rival: "haproxy-splice", operator: ">=", bound: 1.0 },
  { workload: "bulk-1", metric: "cpu", rival: "haproxy-splice", operator: "<=", bound: 0.9 },
  { workload: "bulk-8", metric: "rate", rival: "haproxy-splice", operator: ">=", bound: 1.2 },
  { workload: "bulk-8", metric: "cpu", rival: "haproxy-splice", operator: "<=", bound: 0.7 },
  { workload: "keep-alive", metric: "rate", rival: "haproxy", operator: ">=", bound: 1.0 },
  { workload: "keep-alive", metric: "cpu", rival: "haproxy", operator: "<=", bound: 0.9 },
  { workload: "keep-alive", metric: "p99", rival: "haproxy", operator: "<=", bound: 1.1 },
  { workload: "one-shot", metric: "rate", rival: "haproxy", operator: ">=", bound: 1.0 },
  { workload: "one-shot", metric: "cpu", rival: "haproxy", operator: "<=", bound: 1.0 },
  { workload: "dns-1", metric: "rate", rival: "nginx", operator: ">=", bound: 2.0 },
  { workload: "dns-10", metric: "rate", rival: "nginx", operator: ">=", bound: 2.0 },
  { workload: "dns-32", metric: "rate", rival: "nginx", operator: ">=", bound: 2.0 },
  { workload: "memory", metric: "perConnection", operator: "<=", bound: 2048 },
  { workload: "start-up", metric: "ms", operator: "<=", bound: 150 },
];

export interface GoalResult {
  readonly goal: Goal;
  readonly status: "reached" | "missed" | "not measured";
  /** A ratio, or the absolute value where the goal is absolute. */
  readonly measured?: number;
}

export function evaluateGoal(goal: Goal, results: readonly SeriesResult[]): GoalResult {
  const own = medianOf(results, goal, "portmesh");
  const rival = goal.rival === undefined ? 1 : medianOf(results, goal, goal.rival);
  if (own === undefined || rival === undefined || rival === 0) return { goal, status: "not measured" };
  const measured = own / rival;
  const isReached = goal.operator === ">=" ? measured >= goal.bound : measured <= goal.bound;
  return { goal, status: isReached ? "reached" : "missed", measured };
}

function medianOf(results: readonly SeriesResult[], goal: Goal, subject: SubjectName): number | undefined {
  const series = results.find((result) => result.workload === goal.workload);
  return series?.subjects.find((result) => result.subject === subject)?.median[goal.metric];
}

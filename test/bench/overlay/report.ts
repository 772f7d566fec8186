/** The overlay's part of the report, as Markdown. Pure: results in, text out. */

import { formatNumber } from "../report.ts";
import { valuesOf } from "../statistics.ts";
import type { Metric } from "../workload.ts";
import { goalSubject, type OverlayGoal, type OverlayGoalResult } from "./goals.ts";
import type { ContestantName } from "./names.ts";
import type { ContestantResult, OverlayOutcome, OverlayPlan, OverlayResult } from "./run.ts";
import { overlayWorkloads } from "./workloads.ts";

/** Fewer rounds than this and a median is no proof of a goal. */
const MIN_ROUNDS_FOR_GOALS = 5;

export interface OverlayReport extends OverlayOutcome {
  readonly plan: OverlayPlan;
  readonly goals: readonly OverlayGoalResult[];
}

export function overlayMarkdown(report: OverlayReport): string {
  return [
    introduction(report),
    goalTable(report),
    ...report.results.map((result) => resultTable(report, result)),
  ].join("\n");
}

function introduction({ plan: { rounds, seconds } }: OverlayReport): string {
  return `## Overlay: two machines on one cable

Two network namespaces, a veth of MTU 1,500 between them, one contestant at a time; medians of ${rounds} interleaved \
${rounds === 1 ? "round" : "rounds"}, ${seconds} s each.
tunnel: client and task talk over the tunnel's addresses. relay: through portmesh's published port on the one node to a
task on the other; the others have no such thing and carry the same straight over their tunnel.
CPU of the machine is all that was busy during the run, client and task included. In brackets: relative to nebula.
Losses: each IPv4 packet that arrives, at either end, on a cable without segmentation offloads.
`;
}

function goalTable({ goals, plan }: OverlayReport): string {
  const rows = goals.map(({ goal, status, ratio, rival }) => {
    const measured = ratio === undefined ? "–" : `${ratio.toFixed(2)}× ${rival}`;
    return `| ${goal.contestant} | ${goalSubject(goal)} | ${describeGoal(goal)} | ${measured} | ${status} |`;
  });
  const count = (status: OverlayGoalResult["status"]) =>
    goals.filter((goal) => goal.status === status).length;
  const note = plan.rounds < MIN_ROUNDS_FOR_GOALS ? ` Too few rounds (${plan.rounds}) to prove any.` : "";
  return `### Goals

| | | goal | measured | |
| --- | --- | --- | ---: | --- |
${rows.join("\n")}

${count("reached")} reached, ${count("missed")} missed, ${count("not measured")} not measured.${note}
`;
}

function describeGoal({ operator, bound, rivals }: OverlayGoal): string {
  const best = rivals.length > 1 ? `the better of ${rivals.join(" and ")}` : rivals.join("");
  return `${operator === ">=" ? "≥" : "≤"} ${bound}× ${best}`;
}

function resultTable({ plan, absences }: OverlayReport, result: OverlayResult): string {
  const { title, metrics, contestants } = overlayWorkloads[result.workload];
  const header = ["", ...metrics.map(({ label }) => label), `${metrics[0]!.label}, lowest–highest`];
  const rows = contestants
    .filter((name) => plan.contestants.includes(name))
    .map((name) => [
      name,
      ...cells(
        name,
        result,
        metrics,
        absences.some(({ contestant }) => contestant === name),
      ),
    ]);
  const lines = [header, header.map((_, column) => (column === 0 ? "---" : "---:")), ...rows];
  return `### ${result.workload}. ${title}\n\n${lines.map((line) => `| ${line.join(" | ")} |`).join("\n")}\n`;
}

function cells(
  name: ContestantName,
  { contestants }: OverlayResult,
  metrics: readonly Metric[],
  isAbsent: boolean,
): string[] {
  const own = contestants.find(({ contestant }) => contestant === name);
  if (own === undefined) return metrics.map((_, index) => emptyCell(index, isAbsent)).concat("");
  const baseline = contestants.find(({ contestant }) => contestant === "nebula");
  return [...metrics.map((metric) => formatCell(metric, own, baseline)), formatRange(metrics[0]!, own)];
}

function emptyCell(index: number, isAbsent: boolean): string {
  if (index > 0) return "";
  return isAbsent ? "not available" : "failed";
}

function formatCell(metric: Metric, own: ContestantResult, baseline: ContestantResult | undefined): string {
  const value = own.median[metric.key];
  if (value === undefined) return "–";
  const text = formatNumber(value, metric.digits);
  const reference = baseline?.median[metric.key];
  if (!metric.isCompared || own === baseline || !reference) return text;
  return `${text} (${(value / reference).toFixed(2)}×)`;
}

function formatRange({ key, digits }: Metric, { samples }: ContestantResult): string {
  const values = valuesOf(samples, key);
  return [Math.min(...values), Math.max(...values)].map((value) => formatNumber(value, digits)).join("–");
}

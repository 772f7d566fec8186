/** The report as Markdown and as JSON. Pure: results in, text out. */
import type { Goal, GoalResult } from "./goals.ts";
import type { Machine } from "./machine.ts";
import type { Options } from "./options.ts";
import { type OverlayReport, overlayMarkdown } from "./overlay/report.ts";
import type { SeriesResult, SubjectResult } from "./series.ts";
import { valuesOf } from "./statistics.ts";
import type { Metric, SubjectName } from "./workload.ts";
import { workloads } from "./workloads/index.ts";

/** Fewer rounds than this and a median is no proof of a goal. */
const MIN_ROUNDS_FOR_GOALS = 5;

export interface Report {
  readonly machine: Machine;
  readonly options: Options;
  /** All workloads at the chosen number of workers. */
  readonly results: readonly SeriesResult[];
  /** Some of them again, with two workers. */
  readonly scale: readonly SeriesResult[];
  readonly goals: readonly GoalResult[];
  /** Between two machines; null: not asked for, or not possible. */
  readonly overlay: OverlayReport | null;
  readonly skipped: readonly string[];
  readonly failures: readonly string[];
}

export function toMarkdown(report: Report): string {
  const { options, results, scale, overlay } = report;
  return [
    "# portmesh, HAProxy and nginx side by side\n",
    machineSection(report),
    results.length > 0 ? proxySection(report) : "",
    results.length > 0 ? goalSection(report) : "",
    results.length > 0 ? `## ${workersTitle(options.workers)}\n` : "",
    ...results.map(resultTable),
    scale.length > 0 ? `## ${workersTitle(2)}\n` : "",
    ...scale.map(resultTable),
    overlay === null ? "" : overlayMarkdown(overlay),
    listSection("Skipped", report.skipped),
    listSection("Failed measurements", report.failures),
  ]
    .filter((section) => section !== "")
    .join("\n");
}

export function toJson(report: Report): string {
  return `${JSON.stringify(report, null, 2)}\n`;
}

/** What the others are compared with: HAProxy, two of them where nodes are two, or nginx where HAProxy cannot take part. */
export function baselineOf(series: SeriesResult): SubjectResult | undefined {
  const order: readonly SubjectName[] = ["haproxy", "haproxy-pair", "nginx"];
  return order.map((name) => series.subjects.find((result) => result.subject === name)).find(Boolean);
}

export function describeGoal({ rival, operator, bound }: Goal): string {
  const sign = operator === ">=" ? "≥" : "≤";
  return rival === undefined ? `${sign} ${bound}` : `${sign} ${bound.toFixed(1)}× ${rival}`;
}

function workersTitle(workers: number): string {
  return `${workers} ${workers === 1 ? "worker thread" : "worker threads"} each`;
}

function machineSection({ machine }: Report): string {
  const versions = Object.entries(machine.versions).map(([name, version]) => `${name} ${version}`);
  return `${machine.date} · ${machine.cpu}, ${machine.cores} cores, ${machine.memoryGiB} GiB · Linux ${machine.kernel}
${versions.join(", ")}
`;
}

function proxySection({ options }: Report): string {
  return `Medians of ${options.rounds} interleaved ${options.rounds === 1 ? "round" : "rounds"}, ${options.seconds} s each, \
over loopback; client, proxy and server share the cores.
CPU is user and system time of the whole proxy process. In brackets: relative to HAProxy (DNS: nginx; mesh: two HAProxies).
haproxy: \`option splice-auto\`; haproxy-splice: \`option splice-request\` and \`splice-response\`, which splice always.
haproxy-pair and portmesh-pair: two of them in a row, CPU of both; portmesh-pair is an entry and an exit node with a key.
`;
}

function goalSection({ goals, options }: Report): string {
  const rows = goals.map(({ goal, status, measured }) => {
    const workload = workloads[goal.workload];
    const metric = workload.metrics.find((candidate) => candidate.key === goal.metric)!;
    const figure = measured === undefined ? "–" : formatMeasured(goal, metric, measured);
    return `| ${goal.workload}: ${metric.label} | ${describeGoal(goal)} | ${figure} | ${status} |`;
  });
  const count = (status: GoalResult["status"]) => goals.filter((result) => result.status === status).length;
  const note =
    options.rounds < MIN_ROUNDS_FOR_GOALS ? ` Too few rounds (${options.rounds}) to prove any.` : "";
  return `## Goals\n
| | goal | measured | |
| --- | --- | ---: | --- |
${rows.join("\n")}

${count("reached")} reached, ${count("missed")} missed, ${count("not measured")} not measured.${note}
`;
}

function formatMeasured(goal: Goal, metric: Metric, measured: number): string {
  return goal.rival === undefined ? measured.toFixed(metric.digits) : `${measured.toFixed(2)}×`;
}

function resultTable(series: SeriesResult): string {
  if (series.subjects.length === 0) return "";
  const { title, metrics } = workloads[series.workload];
  const first = metrics[0]!;
  const header = ["", ...metrics.map((metric) => metric.label), `${first.label}, lowest–highest`];
  const rows = series.subjects.map((result) => [
    result.subject,
    ...metrics.map((metric) => formatCell(metric, result, baselineOf(series))),
    formatRange(first, result),
  ]);
  const lines = [header, header.map((_, column) => (column === 0 ? "---" : "---:")), ...rows];
  return `### ${title}\n\n${lines.map((cells) => `| ${cells.join(" | ")} |`).join("\n")}\n`;
}

function formatCell(metric: Metric, result: SubjectResult, baseline: SubjectResult | undefined): string {
  const value = result.median[metric.key];
  if (value === undefined) return "–";
  const text = formatNumber(value, metric.digits);
  const reference = baseline?.median[metric.key];
  if (!metric.isCompared || result === baseline || !reference) return text;
  return `${text} (${(value / reference).toFixed(2)}×)`;
}

function formatRange(metric: Metric, result: SubjectResult): string {
  const values = valuesOf(result.samples, metric.key);
  const ends = [Math.min(...values), Math.max(...values)];
  return ends.map((value) => formatNumber(value, metric.digits)).join("–");
}

export function formatNumber(value: number, digits: number): string {
  return value.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

function listSection(title: string, lines: readonly string[]): string {
  return lines.length === 0 ? "" : `## ${title}\n\n${lines.map((line) => `- ${line}`).join("\n")}\n`;
}

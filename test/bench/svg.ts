/**
 * The picture: one group of horizontal bars per compared metric, each bar relative to the baseline (HAProxy, two of
 * them for two nodes, nginx for DNS) = 1.0, a mark where portmesh's goal is.
 *
 *     bulk-8  Gbit/s   haproxy  ██████████████ 11.90
 *     goal ≥ 1.2×      portmesh ██████████████████|█ 15.10 · 1.27×
 */

import type { Goal } from "./goals.ts";
import { baselineOf, describeGoal, formatNumber, type Report } from "./report.ts";
import type { SeriesResult, SubjectResult } from "./series.ts";
import type { Metric, SubjectName } from "./workload.ts";
import { workloads } from "./workloads/index.ts";

const WIDTH = 980;
const MARGIN = 24;
const LABEL_WIDTH = 230;
const NAME_WIDTH = 96;
const BARS_LEFT = MARGIN + LABEL_WIDTH + NAME_WIDTH;
const BARS_WIDTH = 460;
const BAR_HEIGHT = 16;
const BAR_GAP = 3;
const GROUP_GAP = 16;
const HEAD_HEIGHT = 64;
const SECTION_HEIGHT = 40;
/** Longer bars are cut here and say so; one rival's large value must not shrink all others to nothing. */
const MAX_RATIO = 2.5;
/** Room that the figures beside a bar take; a goal mark in it moves them to its other side. */
const FIGURES_WIDTH = 110;

const colors: Readonly<Record<SubjectName, string>> = {
  direct: "#d1d5db",
  haproxy: "#64748b",
  "haproxy-splice": "#94a3b8",
  "haproxy-pair": "#64748b",
  nginx: "#3f9c6b",
  portmesh: "#e8702a",
  "portmesh-pair": "#b45309",
};

const GOAL_COLOR = "#b91c1c";

interface Bar {
  readonly subject: SubjectName;
  readonly value: number;
  readonly ratio: number;
}

interface Group {
  readonly title: string;
  readonly metric: Metric;
  readonly baseline: SubjectName;
  readonly bars: readonly Bar[];
  readonly goal?: { readonly text: string; readonly ratio: number };
}

export function toSvg(report: Report): string {
  const groups = report.results.flatMap((series) =>
    groupsOf(
      series,
      report.goals.map((result) => result.goal),
    ),
  );
  const sections = [
    section(
      "More is better",
      groups.filter((group) => group.metric.better === "more"),
    ),
    section(
      "Less is better",
      groups.filter((group) => group.metric.better === "less"),
    ),
  ];
  let y = HEAD_HEIGHT;
  const body = sections.map((part) => {
    const placed = `<g transform="translate(0 ${y})">${part.svg}</g>`;
    y += part.height;
    return placed;
  });
  const height = y + MARGIN;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" \
font-family="system-ui, 'DejaVu Sans', sans-serif" font-size="12" fill="#1f2937">
<title>portmesh beside HAProxy and nginx</title>
<rect width="${WIDTH}" height="${height}" fill="#ffffff"/>
${head(report)}
${body.join("\n")}
</svg>
`;
}

function groupsOf(series: SeriesResult, goals: readonly Goal[]): Group[] {
  const baseline = baselineOf(series);
  if (!baseline) return [];
  return workloads[series.workload].metrics
    .filter((metric) => metric.isCompared && baseline.median[metric.key])
    .map((metric) => {
      const reference = baseline.median[metric.key]!;
      const goal = goals.find((one) => one.workload === series.workload && one.metric === metric.key);
      return {
        title: series.workload,
        metric,
        baseline: baseline.subject,
        bars: series.subjects
          .filter((result) => result.subject !== "direct")
          .flatMap((r) => barOf(r, metric, reference)),
        ...(goal && { goal: { text: describeGoal(goal), ratio: goalRatio(goal, series, reference) } }),
      };
    });
}

function barOf(result: SubjectResult, metric: Metric, reference: number): Bar[] {
  const value = result.median[metric.key];
  return value === undefined ? [] : [{ subject: result.subject, value, ratio: value / reference }];
}

/** Where the goal lies on the group's scale, whose 1.0 is `reference`. */
function goalRatio(goal: Goal, series: SeriesResult, reference: number): number {
  if (goal.rival === undefined) return goal.bound / reference;
  const rival = series.subjects.find((result) => result.subject === goal.rival)?.median[goal.metric];
  return (goal.bound * (rival ?? reference)) / reference;
}

function head({ machine, options }: Report): string {
  const rounds = `median of ${options.rounds} × ${options.seconds} s`;
  const workers = `${options.workers} ${options.workers === 1 ? "thread" : "threads"} each`;
  const line = `${machine.cpu}, ${machine.cores} cores, Linux ${machine.kernel}, ${rounds}, ${workers}`;
  return `<text x="${MARGIN}" y="30" font-size="18" font-weight="600">portmesh relative to HAProxy = 1.0 (DNS: nginx, mesh: two HAProxies)</text>
<text x="${MARGIN}" y="50" fill="#6b7280">${escapeXml(line)}</text>
<line x1="${WIDTH - 190}" x2="${WIDTH - 190}" y1="18" y2="34" stroke="${GOAL_COLOR}" stroke-width="2.5"/>
<text x="${WIDTH - 182}" y="30" fill="#4b5563">portmesh's goal</text>`;
}

function section(title: string, groups: readonly Group[]): { svg: string; height: number } {
  if (groups.length === 0) return { svg: "", height: 0 };
  let y = SECTION_HEIGHT;
  const parts = groups.map((group) => {
    const placed = `<g transform="translate(0 ${y})">${groupSvg(group)}</g>`;
    y += groupHeight(group) + GROUP_GAP;
    return placed;
  });
  const baselineX = BARS_LEFT + scale(1);
  const svg = `<text x="${MARGIN}" y="22" font-size="14" font-weight="600">${title}</text>
<text x="${baselineX}" y="22" text-anchor="middle" fill="#6b7280">1.0</text>
<line x1="${baselineX}" x2="${baselineX}" y1="28" y2="${y - GROUP_GAP}" stroke="#cbd5e1"/>
${parts.join("\n")}`;
  return { svg, height: y };
}

function groupHeight(group: Group): number {
  // Two label lines need room, also beside a single bar.
  return Math.max(2, group.bars.length) * (BAR_HEIGHT + BAR_GAP);
}

function groupSvg(group: Group): string {
  const bars = group.bars.map((bar, index) => barSvg(bar, group, index * (BAR_HEIGHT + BAR_GAP)));
  const goal = group.goal
    ? `<text x="${MARGIN}" y="29" fill="#6b7280">goal ${escapeXml(group.goal.text)}</text>`
    : "";
  return `<text x="${MARGIN}" y="13"><tspan font-weight="600">${group.title}</tspan>  ${escapeXml(group.metric.label)}</text>
${goal}${bars.join("")}${group.goal ? goalMark(group) : ""}`;
}

function barSvg({ subject, value, ratio }: Bar, group: Group, y: number): string {
  const width = scale(ratio);
  const cut = ratio > MAX_RATIO ? " ▸" : "";
  const factor = subject === group.baseline ? "" : ` · ${ratio.toFixed(2)}×`;
  const text = `${formatNumber(value, group.metric.digits)}${factor}${cut}`;
  const baseline = y + BAR_HEIGHT - 4;
  const markWidth = subject === "portmesh" && group.goal ? scale(group.goal.ratio) : 0;
  const isMarkInFigures = markWidth > width && markWidth < width + FIGURES_WIDTH;
  const figuresX = BARS_LEFT + (isMarkInFigures ? markWidth : width) + 6;
  return `<text x="${BARS_LEFT - 6}" y="${baseline}" text-anchor="end" fill="#4b5563">${subject}</text>
<rect x="${BARS_LEFT}" y="${y}" width="${width}" height="${BAR_HEIGHT}" rx="2" fill="${colors[subject]}"/>
<text x="${figuresX}" y="${baseline}" stroke="#ffffff" stroke-width="3" paint-order="stroke">${text}</text>
`;
}

/** Across portmesh's bar, which is the last of the group; outside the scale it has no place and is left to the label. */
function goalMark(group: Group): string {
  const ratio = group.goal!.ratio;
  const index = group.bars.findIndex((bar) => bar.subject === "portmesh");
  if (index < 0 || ratio > MAX_RATIO) return "";
  const x = BARS_LEFT + scale(ratio);
  const y = index * (BAR_HEIGHT + BAR_GAP);
  return `<line x1="${x}" x2="${x}" y1="${y - 3}" y2="${y + BAR_HEIGHT + 3}" stroke="${GOAL_COLOR}" stroke-width="2.5"/>`;
}

function scale(ratio: number): number {
  return Math.round((Math.max(0, Math.min(ratio, MAX_RATIO)) / MAX_RATIO) * BARS_WIDTH);
}

function escapeXml(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

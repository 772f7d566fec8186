/**
 * `npm run bench`: HAProxy, nginx and portmesh side by side, then tunnels between two machines. Progress goes to
 * stderr, the table to stdout and, with JSON and picture, to dist/bench/.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { Bench } from "./bench.ts";
import { evaluateGoal, goals } from "./goals.ts";
import { describeMachine } from "./machine.ts";
import { type Options, parseOptions, UsageError, usage } from "./options.ts";
import { runOverlayPart } from "./overlay/index.ts";
import { findProgram } from "./process.ts";
import { proxyPrograms } from "./proxies/index.ts";
import { buildIfStale } from "./proxies/portmesh.ts";
import { type Report, toJson, toMarkdown } from "./report.ts";
import { runSeries, type Series, type SeriesResult } from "./series.ts";
import { toSvg } from "./svg.ts";
import type { SubjectName, Workload, WorkloadName } from "./workload.ts";
import { workloads } from "./workloads/index.ts";

const OUTPUT_FOLDER = "dist/bench";
const SCALE_WORKLOADS: readonly WorkloadName[] = ["bulk-8", "keep-alive", "one-shot"];
const SCALE_SUBJECTS: readonly SubjectName[] = ["haproxy", "haproxy-splice", "portmesh"];
const SCALE_WORKERS = 2;

interface Plan {
  readonly main: readonly Series[];
  readonly scale: readonly Series[];
  readonly skipped: readonly string[];
  /** portmesh itself is never merely skipped: without it the run has failed. */
  readonly failures: readonly string[];
}

process.exitCode = await main(process.argv.slice(2));

async function main(argv: readonly string[]): Promise<number> {
  const options = readOptions(argv);
  if (typeof options === "number") return options;
  if (options.subjects.includes("portmesh")) buildIfStale();
  const plan = makePlan(options);
  const bench = new Bench(options);
  endOnSignals(bench);
  try {
    const report = await measure(bench, plan);
    writeReport(report);
    return exitCode(report);
  } finally {
    await bench.close();
  }
}

function readOptions(argv: readonly string[]): Options | number {
  try {
    const options = parseOptions(argv);
    if (options !== "help") return options;
    console.log(usage);
    return 0;
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    console.error(`${error.message}\n\n${usage}`);
    return 2;
  }
}

function makePlan(options: Options): Plan {
  const unavailable = new Map<SubjectName, string>();
  for (const subject of options.subjects) {
    const reason = subject === "direct" ? undefined : proxyPrograms[subject].unavailable();
    if (reason !== undefined) unavailable.set(subject, reason);
  }
  const subjects = options.subjects.filter((subject) => !unavailable.has(subject));
  const chosen = options.workloads.map((name) => workloads[name]);
  const missing = chosen.flatMap(missingTools);
  const scaled =
    options.hasScale && options.workers < SCALE_WORKERS ? SCALE_WORKLOADS.map((name) => workloads[name]) : [];
  const scaleSubjects = subjects.filter((subject) => SCALE_SUBJECTS.includes(subject));
  const { portmesh, ...rivals } = Object.fromEntries(unavailable);
  return {
    main: chosen.flatMap((workload) => toSeries(workload, options.workers, subjects, options)),
    scale: scaled.flatMap((workload) => toSeries(workload, SCALE_WORKERS, scaleSubjects, options)),
    skipped: [...Object.entries(rivals).map(([name, reason]) => `${name}: ${reason}`), ...missing],
    failures: portmesh === undefined ? [] : [`portmesh: ${portmesh}`],
  };
}

/** No series where a tool is missing or nobody takes part. */
function toSeries(
  workload: Workload,
  workers: number,
  present: readonly SubjectName[],
  options: Options,
): Series[] {
  const subjects = workload.subjects.filter((subject) => present.includes(subject));
  if (subjects.length === 0 || missingTools(workload).length > 0) return [];
  const rounds = options.isQuick ? options.rounds : Math.max(options.rounds, workload.minRounds);
  return [{ workload, workers, subjects, rounds }];
}

function missingTools(workload: Workload): string[] {
  return workload.tools
    .filter((tool) => !findProgram(tool))
    .map((tool) => `${workload.name}: ${tool} is not installed`);
}

async function measure(bench: Bench, plan: Plan): Promise<Report> {
  const startMs = performance.now();
  const progress = (message: string) => {
    const seconds = ((performance.now() - startMs) / 1000).toFixed(0).padStart(4);
    console.error(`${seconds} s  ${message}`);
  };
  for (const line of plan.skipped) progress(`skipped ${line}`);
  for (const line of plan.failures) progress(`FAILED ${line}`);
  const results = await runAll(bench, plan.main, progress);
  const scale = await runAll(bench, plan.scale, progress);
  const overlay = await runOverlayPart(bench, progress);
  const failures = [...results, ...scale].flatMap((result) => result.failures);
  return {
    machine: describeMachine(),
    options: bench.options,
    results,
    scale,
    goals: goals.map((goal) => evaluateGoal(goal, results)),
    overlay: overlay.report,
    skipped: [...plan.skipped, ...overlay.skipped],
    failures: [...plan.failures, ...failures, ...overlay.failures],
  };
}

async function runAll(bench: Bench, list: readonly Series[], progress: (message: string) => void) {
  const results: SeriesResult[] = [];
  for (const [index, series] of list.entries()) {
    const { workload, workers, rounds, subjects } = series;
    progress(
      `[${index + 1}/${list.length}] ${workload.title}, ${workers} worker(s), ${rounds} round(s): ${subjects.join(", ")}`,
    );
    results.push(await runSeries(bench, series, progress));
  }
  return results;
}

function writeReport(report: Report): void {
  const markdown = toMarkdown(report);
  mkdirSync(OUTPUT_FOLDER, { recursive: true });
  writeFileSync(`${OUTPUT_FOLDER}/report.md`, markdown);
  writeFileSync(`${OUTPUT_FOLDER}/report.json`, toJson(report));
  if (report.results.length > 0) writeFileSync(`${OUTPUT_FOLDER}/report.svg`, toSvg(report));
  console.log(markdown);
}

function exitCode({ failures, skipped }: Report): number {
  const isSkipFailure = process.env.REQUIRE_ALL === "1" && skipped.length > 0;
  return failures.length > 0 || isSkipFailure ? 1 : 0;
}

function endOnSignals(bench: Bench): void {
  process.on("exit", () => bench.closeNow());
  for (const [signal, code] of [
    ["SIGINT", 130],
    ["SIGTERM", 143],
    ["SIGHUP", 129],
  ] as const) {
    process.on(signal, () => process.exit(code));
  }
}

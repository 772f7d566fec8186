/** `npm run sim`: how fast and how reliably members find out, in virtual time. Progress goes to stderr. */
import { mkdirSync, writeFileSync } from "node:fs";
import { type CrashResult, runCrash, sumUpCrashes } from "./report/crash.ts";
import { type Report, toMarkdown } from "./report/markdown.ts";
import { type Options, parseOptions, UsageError, usage } from "./report/options.ts";
import { addPauses, type PauseResult, runPauses, type Variant } from "./report/pauses.ts";
import { crashPicture, pausePicture } from "./report/pictures.ts";

const FIRST_SEED = 1;
/** How many members are slow, and for how long. */
const PAUSES: readonly (readonly [number, number])[] = [
  [1, 8_000],
  [1, 16_000],
  [4, 8_000],
  [4, 16_000],
];
const startMs = performance.now();

process.exitCode = main(process.argv.slice(2));

function main(argv: readonly string[]): number {
  try {
    const options = parseOptions(argv);
    if (options === "help") console.log(usage);
    else write(options, simulate(options));
    return 0;
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    console.error(`${error.message}\n\n${usage}`);
    return 2;
  }
}

function simulate({ members, seeds }: Options): Report {
  const pauseRuns = Math.max(1, Math.floor(seeds / 10));
  return {
    firstSeed: FIRST_SEED,
    crashes: members.map((count) => crashesOf(count, runsOf(count, seeds))),
    pauses: PAUSES.map(([paused, pauseMs]) => [
      pausesOf("swim", paused, pauseMs, pauseRuns),
      pausesOf("lifeguard", paused, pauseMs, pauseRuns),
    ]),
    pauseRuns,
  };
}

function crashesOf(members: number, runs: number): CrashResult {
  progress(`${members} members, ${runs} runs: one crashes`);
  return sumUpCrashes(
    members,
    Array.from({ length: runs }, (_, run) => runCrash(members, FIRST_SEED + run)),
  );
}

function pausesOf(variant: Variant, paused: number, pauseMs: number, runs: number): PauseResult {
  progress(`${variant}: ${paused} slow, ${pauseMs} ms each time, ${runs} runs`);
  return addPauses(
    Array.from({ length: runs }, (_, run) => runPauses(variant, paused, pauseMs, FIRST_SEED + run)),
  );
}

function runsOf(members: number, seeds: number): number {
  if (members >= 10_000) return 1;
  return members >= 1_000 ? Math.max(1, Math.floor(seeds / 4)) : seeds;
}

function write({ out }: Options, report: Report): void {
  const markdown = toMarkdown(report);
  mkdirSync(out, { recursive: true });
  writeFileSync(`${out}/report.md`, markdown);
  writeFileSync(`${out}/report.json`, `${JSON.stringify(report, null, 2)}\n`);
  writeFileSync(`${out}/crash.svg`, crashPicture(report.crashes));
  writeFileSync(`${out}/pauses.svg`, pausePicture(report.pauses));
  console.log(markdown);
  progress("done");
}

function progress(message: string): void {
  console.error(`${((performance.now() - startMs) / 1000).toFixed(0).padStart(4)} s  ${message}`);
}

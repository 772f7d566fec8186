/** The command line of the bench. Pure: argv in, options or a message out. */
import { parseArgs } from "node:util";
import {
  type ContestantName,
  contestantNames,
  type OverlayWorkloadName,
  overlayWorkloadNames,
} from "./overlay/names.ts";
import {
  type SubjectName,
  subjectNames,
  type WorkloadName,
  workloadGroups,
  workloadNames,
} from "./workload.ts";

const choices = [...workloadNames, "scale", ...overlayWorkloadNames] as const;
const groups: Readonly<Record<string, readonly (typeof choices)[number][]>> = {
  ...workloadGroups,
  /** Two machines: every tunnel and relay. */
  overlay: overlayWorkloadNames,
};

/** HAProxy's and nginx's timeouts are a minute, so that one measurement must stay below it. */
const MAX_SECONDS = 50;

export interface Options {
  readonly rounds: number;
  readonly seconds: number;
  readonly workers: number;
  readonly workloads: readonly WorkloadName[];
  /** The second table: some workloads again with two workers. */
  readonly hasScale: boolean;
  readonly subjects: readonly SubjectName[];
  /** Between two machines: these workloads, through these. */
  readonly overlayWorkloads: readonly OverlayWorkloadName[];
  readonly contestants: readonly ContestantName[];
  readonly isQuick: boolean;
}

export const usage = `npm run bench -- [options]

Runs HAProxy, nginx and portmesh side by side, then tunnels between two machines, in interleaved rounds, and writes
dist/bench/report.md, report.json and report.svg.

  --rounds N      rounds per workload (default 5; start-up takes at least 9)
  --seconds N     length of one measurement (default 5, at most ${MAX_SECONDS})
  --workers 1|2   threads of every proxy (default 1)
  --only LIST     of ${[...workloadNames, "scale"].join(", ")};
                  between two machines (as root): ${overlayWorkloadNames.join(", ")};
                  ${Object.keys(groups).join(", ")} for all of these
  --proxies LIST  of ${subjectNames.filter((name) => name !== "direct").join(", ")}
  --contestants LIST  between two machines, of ${contestantNames.join(", ")}
  --quick         1 round of 1 second: shows that everything works, the numbers mean little
  --help

Exit code: 0 done (also when a goal is missed), 1 a measurement failed, 2 wrong usage.
With REQUIRE_ALL=1 anything skipped is a failure.`;

export class UsageError extends Error {}

/** @throws UsageError on an unknown option or a value outside its range. */
export function parseOptions(argv: readonly string[]): Options | "help" {
  const values = parseValues(argv);
  if (values.help) return "help";
  const only = parseList("--only", expandGroups(values.only), choices);
  const proxies = parseList("--proxies", values.proxies, subjectNames);
  return {
    rounds: values.quick ? 1 : parseNumber("--rounds", values.rounds ?? "5", 1, 1000),
    seconds: values.quick ? 1 : parseNumber("--seconds", values.seconds ?? "5", 1, MAX_SECONDS),
    workers: parseNumber("--workers", values.workers ?? "1", 1, 2),
    workloads: workloadNames.filter((name) => only.includes(name)),
    hasScale: only.includes("scale"),
    subjects: subjectNames.filter((name) => name === "direct" || proxies.includes(name)),
    overlayWorkloads: overlayWorkloadNames.filter((name) => only.includes(name)),
    contestants: parseList("--contestants", values.contestants, contestantNames),
    isQuick: values.quick ?? false,
  };
}

function parseValues(argv: readonly string[]) {
  try {
    return parseArgs({
      args: [...argv],
      options: {
        rounds: { type: "string" },
        seconds: { type: "string" },
        workers: { type: "string" },
        only: { type: "string" },
        proxies: { type: "string" },
        contestants: { type: "string" },
        quick: { type: "boolean" },
        help: { type: "boolean" },
      },
    }).values;
  } catch (error) {
    throw new UsageError((error as Error).message, { cause: error });
  }
}

function expandGroups(text: string | undefined): string | undefined {
  return text
    ?.split(",")
    .flatMap((word): readonly string[] => groups[word.trim()] ?? [word])
    .join();
}

function parseNumber(option: string, text: string, min: number, max: number): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= min && value <= max) return value;
  throw new UsageError(`${option}: ${text} is not a whole number in ${min}..${max}`);
}

function parseList<T extends string>(
  option: string,
  text: string | undefined,
  allowed: readonly T[],
): readonly T[] {
  if (text === undefined) return allowed;
  return text.split(",").map((word) => {
    const known = allowed.find((name) => name === word.trim());
    if (known === undefined) throw new UsageError(`${option}: "${word}" is not one of ${allowed.join(", ")}`);
    return known;
  });
}

/**
 * One thing that is wrong with a configuration file: where it is, what was found there, what is allowed.
 * Problems are values, never thrown, because a file is reported with all of them at once.
 */

/** Steps from the root of the file to a value: table keys and list positions. */
export type Path = readonly (string | number)[];

export interface Problem {
  readonly file: string;
  /** From 1; 0 when the problem is the file as a whole. */
  readonly line: number;
  /** From 1, in UTF-16 units; 0 when the problem is the file as a whole. */
  readonly column: number;
  /** "services[2].publish[0]"; "" for the file as a whole. */
  readonly key: string;
  readonly value: unknown;
  /** Reads after the key: "70000 is outside 1..65535". */
  readonly message: string;
  /** Stands for so many problems that are not listed. */
  readonly more?: number;
}

/** More are counted, not listed: enough for a terminal, and this many usually have one cause. */
const MAX_PROBLEMS = 100;

/** The first ones in the order of the file; what stands for the others is last. */
export function firstProblems(problems: readonly Problem[]): Problem[] {
  const sorted = problems.toSorted((a, b) => a.line - b.line || a.column - b.column);
  const more = sorted.length - MAX_PROBLEMS;
  if (more <= 0) return sorted;
  const { file } = sorted[0]!;
  const rest = {
    file,
    line: 0,
    column: 0,
    key: "",
    value: undefined,
    message: `and ${more} more problems`,
    more,
  };
  return [...sorted.slice(0, MAX_PROBLEMS), rest];
}

/** Of a list from firstProblems(): also those that are not listed. */
export function countProblems(problems: readonly Problem[]): number {
  return problems.reduce((sum, { more = 1 }) => sum + more, 0);
}

/** "portmesh.toml:12: services[2].publish[0]: 70000 is outside 1..65535" */
export function formatProblem(problem: Problem): string {
  const place = problem.line > 0 ? `${problem.file}:${problem.line}` : problem.file;
  return [place, problem.key, problem.message].filter((part) => part !== "").join(": ");
}

/** Keys that are not bare words are quoted, so that two paths never look the same. */
export function formatPath(path: Path): string {
  let text = "";
  for (const step of path) {
    if (typeof step === "number") text += `[${step}]`;
    else text += (text === "" ? "" : ".") + (/^[\w-]+$/.test(step) ? step : JSON.stringify(step));
  }
  return text;
}

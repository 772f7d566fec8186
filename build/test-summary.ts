/** Reads the summary at the end of `bun test`'s output. Its junit report would miss files that fail to load. */

export interface Summary {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

/** null when there is no summary: the runner crashed or was killed. */
export function parseSummary(output: string, exitCode: number): Summary | null {
  const end = output.search(/^Ran \d+ tests? across \d+ files?\./m);
  if (end < 0) return null;
  const count = (noun: string) =>
    Number(lastMatch(output.slice(0, end), new RegExp(`^ *(\\d+) ${noun}$`, "gm")));
  const failed = count("fail");
  return {
    passed: count("pass"),
    failed: failed === 0 && exitCode !== 0 ? 1 : failed,
    skipped: count("skip") + count("todo"),
  };
}

export function sumUp(a: Summary, b: Summary): Summary {
  return { passed: a.passed + b.passed, failed: a.failed + b.failed, skipped: a.skipped + b.skipped };
}

function lastMatch(text: string, pattern: RegExp): string {
  return [...text.matchAll(pattern)].at(-1)?.[1] ?? "0";
}

/** What `doctor` has found, one line each, what to do below it; the sum of it last. */
import type { Finding } from "./finding.ts";
import { renderNote } from "./table.ts";

const LABELS = { pass: "pass", warn: "WARN", fail: "FAIL" } as const;

/** Ends with a line end. */
export function renderFindings(findings: readonly Finding[]): string {
  const width = Math.max(...findings.map(({ about }) => about.length));
  const lines = findings.flatMap(({ about, level, message, fix }) => {
    const label = `${LABELS[level]}  ${about.padEnd(width)}  `;
    return [
      ...renderNote(label, message, ""),
      ...(fix === null ? [] : renderNote("fix: ", fix, " ".repeat(label.length))),
    ];
  });
  const count = (level: Finding["level"]) => findings.filter((finding) => finding.level === level).length;
  return `${[...lines, "", `${count("fail")} failed, ${count("warn")} to look at, ${count("pass")} passed`].join("\n")}\n`;
}

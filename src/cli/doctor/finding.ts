/** The result of one check of `doctor`, and how results are printed. */
import type { PortTest } from "../../node/index.ts";
import { formatCount } from "../render/format.ts";
import { renderNote } from "../render/table.ts";

export interface Finding {
  /** "overlay", "relay edge-2" */
  readonly about: string;
  readonly level: "pass" | "warn" | "fail";
  readonly message: string;
  /** What to do; null: nothing. */
  readonly fix: string | null;
  /** The port tests it is based on. */
  readonly tests?: readonly PortTest[];
}

export const FAMILY_FIX =
  "all nodes need addresses of the same family: set cluster.bind and node.advertise to IPv4 on all of them, or to IPv6";

const LABELS = { pass: "pass", warn: "WARN", fail: "FAIL" } as const;

/** One line each with the fix below it, then a summary. Ends with a newline. */
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
  return `${[...lines, "", `${count("fail")} failed, ${formatCount(count("warn"), "warning")}, ${count("pass")} passed`].join("\n")}\n`;
}

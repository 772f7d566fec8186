/** zod issues -> problems: one per fault, with the place in the file and the offending value. */

import { closest, distance } from "fastest-levenshtein";
import type { z } from "zod";
import { showValue } from "../model/index.ts";
import { type ConfigDocument, valueAt } from "./document.ts";
import type { Path } from "./problem.ts";

type Issue = z.core.$ZodIssue;

export function reportIssues(document: ConfigDocument, issues: readonly Issue[], base: Path = []): void {
  for (const issue of issues) {
    const path = [...base, ...issue.path.map((step) => (typeof step === "symbol" ? String(step) : step))];
    if (issue.code === "invalid_union") {
      const fitting = branchOfSameType(issue.errors);
      if (fitting !== undefined) {
        reportIssues(document, fitting, path);
        continue;
      }
    }
    if (issue.code === "unrecognized_keys") {
      const known = issue.message.split(" "); // table() in fields.ts puts them there
      for (const key of issue.keys) reportUnknownKey(document, [...path, key], key, known);
      continue;
    }
    const value = valueAt(document.value, path);
    if (quotesNothing(issue)) document.reportUnquoted(path, value, issue.message);
    else document.report(path, value, issue.message);
  }
}

/** Of the ways a value could be written, the one it tries to be: it has the right type, but a fault inside. */
function branchOfSameType(branches: readonly (readonly Issue[])[]): readonly Issue[] | undefined {
  return branches.find((issues) =>
    issues.every((issue) => issue.path.length > 0 || issue.code !== "invalid_type"),
  );
}

function reportUnknownKey(document: ConfigDocument, path: Path, key: string, known: readonly string[]): void {
  const nearest = nearestKey(key, known);
  const hint =
    nearest === null ? `allowed here are ${known.join(", ")}` : `did you mean ${showValue(nearest)}?`;
  document.reportUnquoted(path, valueAt(document.value, path), `unknown key: ${hint}`);
}

/** parsedText() in fields.ts says so. */
function quotesNothing(issue: Issue): boolean {
  return issue.code === "custom" && issue.params?.quotesNothing === true;
}

/** Dashes and capitals are mistakes of style, not of spelling. */
function nearestKey(key: string, known: readonly string[]): string | null {
  if (key.length > 64) return null; // no key is that long, and the comparison costs length times length
  const folded = key.toLowerCase().replaceAll("-", "_");
  const nearest = closest(folded, [...known]);
  return distance(folded, nearest) <= Math.ceil(nearest.length / 3) ? nearest : null;
}

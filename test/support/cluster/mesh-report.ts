/**
 * Numbers of a run that no test asserts, because they depend on the machine: dist/mesh-report.json and .md. A
 * scenario is a row, its numbers are columns; every test file writes the rows it has and leaves the others' alone.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";

const FOLDER = "dist";
const JSON_FILE = `${FOLDER}/mesh-report.json`;
const MARKDOWN_FILE = `${FOLDER}/mesh-report.md`;

/** By name, unit included: "ms until all see it failed". Absent where it has no meaning. */
export type Measures = Readonly<Record<string, number | string>>;

/** Replaces the scenario's row. */
export function recordScenario(scenario: string, measures: Measures): void {
  const rows: Record<string, Measures> = { ...readRows(), [scenario]: measures };
  mkdirSync(FOLDER, { recursive: true });
  writeFileSync(JSON_FILE, `${JSON.stringify(rows, null, 2)}\n`);
  writeFileSync(MARKDOWN_FILE, toMarkdown(rows));
  const line = Object.entries(measures).map(([name, value]) => `${name}: ${show(value)}`);
  console.log(`${scenario}: ${line.join(", ")}`);
}

export function toMarkdown(rows: Readonly<Record<string, Measures>>): string {
  const columns = [...new Set(Object.values(rows).flatMap((measures) => Object.keys(measures)))];
  const lines = Object.entries(rows).map(([scenario, measures]) => [
    scenario,
    ...columns.map((column) => show(measures[column] ?? "–")),
  ]);
  const table = [["", ...columns], ["---", ...columns.map(() => "---:")], ...lines];
  return `# The mesh when things break\n\n${table.map((cells) => `| ${cells.join(" | ")} |`).join("\n")}\n`;
}

function show(value: number | string): string {
  return typeof value === "number" ? value.toFixed(0) : value;
}

function readRows(): Record<string, Measures> {
  return existsSync(JSON_FILE) ? JSON.parse(readFileSync(JSON_FILE, "utf8")) : {};
}

/** Aligned columns for a terminal of at most 110 characters; the last column wraps, nothing is cut off. */
import { escapeToOneLine } from "../../sys/terminal-text.ts";

const WIDTH = 110;
const GAP = "  ";
const MIN_LAST = 20;

export interface Column {
  readonly title: string;
  readonly isNumber?: boolean;
}

/** Lines with their indent, without line ends. Every row has as many cells as there are columns. */
export function renderTable(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  indent: string,
): string[] {
  const cells = [columns.map((column) => column.title), ...rows.map((row) => row.map(escapeToOneLine))];
  const widths = columns
    .slice(0, -1)
    .map((_, index) => Math.max(...cells.map((row) => row[index]?.length ?? 0)));
  const start = indent.length + widths.reduce((sum, width) => sum + width + GAP.length, 0);
  const lastWidth = Math.max(MIN_LAST, WIDTH - start);
  return cells.flatMap((row) => {
    const aligned = widths.map((width, index) =>
      align(row[index] ?? "", width, columns[index]?.isNumber === true),
    );
    const [first = "", ...more] = wrap(row[widths.length] ?? "", lastWidth);
    const line = `${indent}${[...aligned, first].join(GAP)}`.trimEnd();
    return [line, ...more.map((part) => " ".repeat(start) + part)];
  });
}

/** A label, and text beside it that wraps. */
export function renderNote(label: string, text: string, indent: string): string[] {
  const start = indent + label;
  const lines = wrap(escapeToOneLine(text), WIDTH - start.length);
  return lines.map((line, index) => (index === 0 ? start : " ".repeat(start.length)) + line);
}

/** At blanks; a word longer than the width stays whole, so that paths and addresses can be copied. */
function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else {
      line = line === "" ? word : `${line} ${word}`;
    }
  }
  return [...lines, line];
}

function align(text: string, width: number, isNumber: boolean): string {
  return isNumber ? text.padStart(width) : text.padEnd(width);
}

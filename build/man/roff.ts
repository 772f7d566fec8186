/** Text as man(7) macros. [groff_man(7)] */

/** One line of running text: nothing in it is taken for a macro or an escape; `code` becomes bold. */
export function escapeLine(text: string): string {
  const escaped = text
    .replaceAll("\\", "\\e")
    .replaceAll("-", "\\-")
    .replaceAll("~", "\\(ti")
    .replaceAll("^", "\\(ha")
    .replaceAll("'", "\\(aq")
    .replaceAll("…", "...")
    .replaceAll(/`([^`]+)`/g, "\\fB$1\\fR");
  return escaped.startsWith(".") ? `\\&${escaped}` : escaped;
}

/** A quoted argument of a macro. */
export function quote(text: string): string {
  return `"${escapeLine(text).replaceAll('"', "\\(dq")}"`;
}

export function title(name: string, section: number, date: string, source: string, manual: string): string {
  return `.TH ${name} ${section} ${date} ${quote(source)} ${quote(manual)}`;
}

/** A term, in bold, and what it means. */
export function item(term: string, lines: readonly string[]): string[] {
  return [".TP", `.B ${quote(term)}`, ...lines];
}

/** Lines as they stand. */
export function example(lines: readonly string[]): string[] {
  return [".RS 4", ".nf", ...lines.map(escapeLine), ".fi", ".RE"];
}

/**
 * The prose of a help text: lines that begin with blanks stand as they are, the others are filled. A line that begins
 * with "Word:" begins a paragraph.
 */
export function prose(text: string): string[] {
  const output: string[] = [];
  let block: string[] = [];
  const endBlock = () => {
    if (block.length > 0) output.push(...example(block));
    block = [];
  };
  let isFirst = true;
  for (const line of text.trim().split("\n")) {
    if (line.startsWith("  ")) {
      block.push(line.slice(2));
      continue;
    }
    endBlock();
    if (line === "") isFirst = true;
    else {
      if (output.length > 0 && (isFirst || /^\S+:( |$)/.test(line))) output.push(".PP");
      output.push(escapeLine(line));
      isFirst = false;
    }
  }
  endBlock();
  return output;
}

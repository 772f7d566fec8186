/** Text of a Go template -> its parts, as far as go-template.ts can show them. */
import { CommandFailure, EXIT_WRONG } from "../invocation.ts";

export type TemplateNode =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "print"; readonly source: string; readonly expression: Expression }
  | {
      readonly kind: "range";
      readonly source: string;
      readonly list: Expression;
      readonly body: readonly TemplateNode[];
    };

export type Expression =
  | { readonly kind: "path"; readonly isRoot: boolean; readonly fields: readonly string[] }
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "call"; readonly name: FunctionName; readonly args: readonly Expression[] };

type FunctionName = "json" | "len" | "println";

/** Between {{ and }}, or around them. */
type Part =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "action"; readonly source: string };

const FUNCTIONS: readonly FunctionName[] = ["json", "len", "println"];
const PATH = /^(\$?)((?:\.[A-Za-z_]\w*)+|\.)?$/;
/** Strings, bars and what is between them; an unmatched quote is a separate word, so that nothing is skipped. */
const WORDS = /"(?:[^"\\]|\\.)*"|`[^`]*`|\||[^\s|"`]+|["`]/g;

/** Throws CommandFailure that names the part which is not supported. */
export function parseNodes(text: string): readonly TemplateNode[] {
  const stack: { source: string; list: Expression | null; body: TemplateNode[] }[] = [
    { source: "", list: null, body: [] },
  ];
  for (const part of split(text)) {
    const open = stack.at(-1)!;
    if (part.kind === "text") open.body.push(part);
    else if (part.source === "end") {
      const closed = stack.pop()!;
      const parent = stack.at(-1);
      if (parent === undefined || closed.list === null)
        throw unsupported("{{end}}", "there is nothing to end");
      parent.body.push({ kind: "range", source: closed.source, list: closed.list, body: closed.body });
    } else if (/^range\s/.test(part.source)) {
      const list = parsePipeline(part.source.slice("range".length), part.source);
      stack.push({ source: part.source, list, body: [] });
    } else {
      const expression = parsePipeline(part.source, part.source);
      open.body.push({ kind: "print", source: part.source, expression });
    }
  }
  if (stack.length > 1) throw unsupported(`{{${stack.at(-1)!.source}}}`, "{{end}} is missing");
  return stack[0]!.body;
}

/** Text and actions in turn, with the space beside {{- and -}} gone. */
function split(text: string): Part[] {
  const parts: Part[] = [];
  let rest = text;
  let trimsStart = false;
  for (let start = rest.indexOf("{{"); start >= 0; start = rest.indexOf("{{")) {
    const end = rest.indexOf("}}", start);
    if (end < 0) throw unsupported(rest.slice(start, start + 20), "}} is missing");
    const inside = rest.slice(start + 2, end);
    const trimsBefore = /^-\s/.test(inside);
    const trimsAfter = /\s-$/.test(inside);
    const before = trimmed(rest.slice(0, start), trimsStart, trimsBefore);
    parts.push({ kind: "text", text: before });
    parts.push({
      kind: "action",
      source: inside.slice(trimsBefore ? 1 : 0, trimsAfter ? -1 : undefined).trim(),
    });
    trimsStart = trimsAfter;
    rest = rest.slice(end + 2);
  }
  parts.push({ kind: "text", text: trimmed(rest, trimsStart, false) });
  return parts;
}

function trimmed(text: string, atStart: boolean, atEnd: boolean): string {
  const left = atStart ? text.trimStart() : text;
  return atEnd ? left.trimEnd() : left;
}

/** `.A | json` is `json .A`. */
function parsePipeline(text: string, source: string): Expression {
  const words = text.match(WORDS) ?? [];
  if (words.length === 0) throw unsupported(`{{${source}}}`, "it is empty");
  let result: Expression | null = null;
  for (const command of splitAt(words, "|")) {
    const [first = "", ...rest] = command;
    const args: Expression[] = rest.map((word) => parseOperand(word, source));
    if (result !== null) args.push(result);
    const name = FUNCTIONS.find((known) => known === first);
    if (name !== undefined) result = call(name, args, source);
    else if (args.length > 0) throw unsupported(`{{${source}}}`, `unknown function "${first}"`);
    else result = parseOperand(first, source);
  }
  return result!;
}

function call(name: FunctionName, args: readonly Expression[], source: string): Expression {
  if (name !== "println" && args.length !== 1) throw unsupported(`{{${source}}}`, `${name} takes one value`);
  return { kind: "call", name, args };
}

function parseOperand(word: string, source: string): Expression {
  const path = PATH.exec(word);
  if (path !== null && word !== "") {
    return { kind: "path", isRoot: path[1] === "$", fields: (path[2] ?? "").split(".").filter(Boolean) };
  }
  if (/^`[^`]*`$/.test(word)) return { kind: "text", text: word.slice(1, -1) };
  if (word.startsWith('"')) return { kind: "text", text: unquote(word, source) };
  throw unsupported(
    `{{${source}}}`,
    `"${word}" is neither a .Path, a "text" nor one of ${FUNCTIONS.join(", ")}`,
  );
}

function unquote(word: string, source: string): string {
  try {
    return JSON.parse(word) as string;
  } catch {
    throw unsupported(`{{${source}}}`, `${word} is not a string`);
  }
}

function splitAt(words: readonly string[], separator: string): string[][] {
  const groups: string[][] = [[]];
  for (const word of words) {
    if (word === separator) groups.push([]);
    else groups.at(-1)!.push(word);
  }
  return groups;
}

/** "--format: cannot show {{if .A}}: unknown function "if"" */
export function unsupported(part: string, why: string): CommandFailure {
  return new CommandFailure(`--format: cannot show ${part}: ${why}`, EXIT_WRONG);
}

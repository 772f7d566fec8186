/**
 * The part of Go's text/template that `docker … --format` lines are made of:
 *
 *     {{json .Path.To.Field}}  {{.Path}}  {{len .Path}}  {{println .A "text"}}  {{.Path | json}}  {{"text"}}
 *     {{range .Path}} … {{end}}  with `.` the element and `$` the whole, {{- and -}} eat the space beside them
 *
 * Everything else is refused by name: a template that is shown half would be worse than none. Tables and lists print
 * only through json, because Go's own form of them (map[a:1]) cannot be rebuilt from JSON.
 */
import { CommandFailure, EXIT_WRONG } from "./invocation.ts";

type Node =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "print"; readonly source: string; readonly expression: Expression }
  | {
      readonly kind: "range";
      readonly source: string;
      readonly list: Expression;
      readonly body: readonly Node[];
    };

type Expression =
  | { readonly kind: "path"; readonly isRoot: boolean; readonly fields: readonly string[] }
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "call"; readonly name: FunctionName; readonly args: readonly Expression[] };

type FunctionName = "json" | "len" | "println";

interface Scope {
  readonly root: unknown;
  readonly dot: unknown;
}

/** A parsed template; shows one value after the other. */
export type Template = (value: unknown) => string;

const FUNCTIONS: readonly FunctionName[] = ["json", "len", "println"];
const PATH = /^(\$?)((?:\.[A-Za-z_]\w*)+|\.)?$/;
const WORDS = /"(?:[^"\\]|\\.)*"|`[^`]*`|\||[^\s|"`]+/g;

/** Throws CommandFailure that names the part which is not supported. */
export function parseTemplate(text: string): Template {
  const nodes = parseNodes(text);
  return (value) => show(nodes, { root: value, dot: value });
}

function parseNodes(text: string): readonly Node[] {
  const stack: { source: string; list: Expression | null; body: Node[] }[] = [
    { source: "", list: null, body: [] },
  ];
  for (const part of split(text)) {
    const open = stack.at(-1)!;
    if (part.kind === "text") open.body.push(part);
    else if (part.source === "end") {
      const closed = stack.pop()!;
      const parent = stack.at(-1);
      if (parent === undefined || closed.list === null) throw unsupported("{{end}}", "it ends nothing");
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
function split(text: string): ({ kind: "text"; text: string } | { kind: "action"; source: string })[] {
  const parts: ({ kind: "text"; text: string } | { kind: "action"; source: string })[] = [];
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
  if (word.startsWith("`")) return { kind: "text", text: word.slice(1, -1) };
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
    throw unsupported(`{{${source}}}`, `${word} is not a text`);
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

function show(nodes: readonly Node[], scope: Scope): string {
  return nodes.map((node) => showNode(node, scope)).join("");
}

function showNode(node: Node, scope: Scope): string {
  if (node.kind === "text") return node.text;
  if (node.kind === "print") return plain(evaluate(node.expression, scope, node.source), node.source);
  const list = evaluate(node.list, scope, node.source) ?? [];
  if (!Array.isArray(list)) throw unsupported(`{{${node.source}}}`, "only a list can be ranged over");
  return list.map((dot) => show(node.body, { root: scope.root, dot })).join("");
}

function evaluate(expression: Expression, scope: Scope, source: string): unknown {
  if (expression.kind === "text") return expression.text;
  if (expression.kind === "path") {
    return expression.fields.reduce(
      (value, field) => fieldOf(value, field, source),
      expression.isRoot ? scope.root : scope.dot,
    );
  }
  const values = expression.args.map((arg) => evaluate(arg, scope, source));
  switch (expression.name) {
    case "json":
      return JSON.stringify(values[0] ?? null);
    case "len":
      return lengthOf(values[0], source);
    case "println":
      return `${values.map((value) => plain(value, source)).join(" ")}\n`;
  }
}

function fieldOf(value: unknown, field: string, source: string): unknown {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) {
    if (Object.hasOwn(value, field)) return (value as Record<string, unknown>)[field];
    throw unsupported(`{{${source}}}`, `there is no field ${field}, only ${Object.keys(value).join(", ")}`);
  }
  throw unsupported(`{{${source}}}`, `there is no field ${field} in ${JSON.stringify(value ?? null)}`);
}

function lengthOf(value: unknown, source: string): number {
  if (typeof value === "string") return Buffer.byteLength(value);
  if (typeof value === "object" && value !== null) return Object.keys(value).length;
  throw unsupported(`{{${source}}}`, "only texts, lists and tables have a length");
}

function plain(value: unknown, source: string): string {
  if (value === null || value === undefined) return "<no value>";
  if (typeof value !== "object") return String(value);
  throw unsupported(
    `{{${source}}}`,
    `it is a ${Array.isArray(value) ? "list" : "table"}: show it with {{json …}}`,
  );
}

function unsupported(part: string, why: string): CommandFailure {
  return new CommandFailure(`--format: cannot show ${part}: ${why}`, EXIT_WRONG);
}

/**
 * The part of Go's text/template that `docker … --format` lines are made of:
 *
 *     {{json .Path.To.Field}}  {{.Path}}  {{len .Path}}  {{println .A "text"}}  {{.Path | json}}  {{"text"}}
 *     {{range .Path}} … {{end}}  with `.` the element and `$` the whole, {{- and -}} eat the space beside them
 *
 * Everything else is refused by name: a template that is shown half would be worse than none. Tables and lists print
 * only through json, because Go's own form of them (map[a:1]) cannot be rebuilt from JSON.
 */
import { type Expression, parseNodes, type TemplateNode, unsupported } from "./parse-go-template.ts";

interface Scope {
  readonly root: unknown;
  readonly dot: unknown;
}

/** A parsed template; shows one value after the other. */
export type Template = (value: unknown) => string;

/** Throws CommandFailure that names the part which is not supported. */
export function parseTemplate(text: string): Template {
  const nodes = parseNodes(text);
  return (value) => show(nodes, { root: value, dot: value });
}

function show(nodes: readonly TemplateNode[], scope: Scope): string {
  return nodes.map((node) => showNode(node, scope)).join("");
}

function showNode(node: TemplateNode, scope: Scope): string {
  if (node.kind === "text") return node.text;
  if (node.kind === "print") return plain(evaluate(node.expression, scope, node.source), node.source);
  const list = evaluate(node.list, scope, node.source) ?? [];
  if (!Array.isArray(list)) throw unsupported(`{{${node.source}}}`, "range needs a list");
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
    throw unsupported(`{{${source}}}`, `no field ${field}; the fields are ${Object.keys(value).join(", ")}`);
  }
  throw unsupported(`{{${source}}}`, `no field ${field} in ${JSON.stringify(value ?? null)}`);
}

function lengthOf(value: unknown, source: string): number {
  if (typeof value === "string") return Buffer.byteLength(value);
  if (typeof value === "object" && value !== null) return Object.keys(value).length;
  throw unsupported(`{{${source}}}`, "only strings, lists and objects have a length");
}

function plain(value: unknown, source: string): string {
  if (value === null || value === undefined) return "<no value>";
  if (typeof value !== "object") return String(value);
  throw unsupported(
    `{{${source}}}`,
    `it is a ${Array.isArray(value) ? "list" : "table"}: show it with {{json …}}`,
  );
}

/**
 * TOML 1.0 text -> ConfigDocument. The parser checks the syntax, including keys defined twice; this file turns
 * its syntax tree into values and remembers where each key stands.
 */
import { type AST, ParseError, parseTOML } from "toml-eslint-parser";
import { ConfigDocument, type ConfigTable, newTable, type Place, plainNumber } from "./document.ts";
import type { Path } from "./problem.ts";

/** A syntax error ends the reading: it is then the only problem of the document. */
export function readToml(text: string, file: string): ConfigDocument {
  const document = new ConfigDocument(file);
  try {
    const [top] = parseTOML(text, { tomlVersion: "1.0" }).body;
    for (const node of top.body) {
      if (node.type === "TOMLTable") readTable(document, node);
      else readEntry(document, [], document.value as ConfigTable, node);
    }
  } catch (error) {
    if (!(error instanceof ParseError)) throw error;
    const place = { line: error.lineNumber, column: error.column + 1 };
    document.fail(place, `cannot parse TOML: ${describe(error)}`);
  }
  return document;
}

function readTable(document: ConfigDocument, node: AST.TOMLTable): void {
  const place = startOf(node.key);
  if (!document.canNest(node.resolvedKey, place)) return;
  const table = openTable(document, node.resolvedKey, place);
  for (const entry of node.body) readEntry(document, node.resolvedKey, table, entry);
}

/** Walks to the table of a `[header]` and creates what is missing. */
function openTable(document: ConfigDocument, path: Path, place: Place): ConfigTable {
  let table = document.value as ConfigTable;
  for (const [index, step] of path.entries()) {
    document.mark(path.slice(0, index + 1), place);
    table = (table[step] ??= typeof path[index + 1] === "number" ? [] : newTable()) as ConfigTable;
  }
  return table;
}

/** `key = value`, where key may be dotted: under a header, at the top, or in an inline table. */
function readEntry(document: ConfigDocument, parent: Path, table: ConfigTable, node: AST.TOMLKeyValue): void {
  const names = node.key.keys.map(nameOf);
  const path = [...parent, ...names];
  if (!document.canNest(path, startOf(node.key))) return;
  for (const [index, key] of node.key.keys.entries()) {
    document.mark([...parent, ...names.slice(0, index + 1)], startOf(key));
  }
  let holder = table;
  for (const name of names.slice(0, -1)) holder = (holder[name] ??= newTable()) as ConfigTable;
  holder[names.at(-1) as string] = readValue(document, path, node.value);
}

function readValue(document: ConfigDocument, path: Path, node: AST.TOMLContentNode): unknown {
  switch (node.type) {
    case "TOMLArray":
      return node.elements.map((element, index) => {
        const place = startOf(element);
        document.mark([...path, index], place);
        const canNest = document.canNest([...path, index], place);
        return canNest ? readValue(document, [...path, index], element) : undefined;
      });
    case "TOMLInlineTable": {
      const table = newTable();
      for (const entry of node.body) readEntry(document, path, table, entry);
      return table;
    }
    default:
      return typeof node.value === "number" ? plainNumber(node.value) : node.value;
  }
}

/** Without the piece of the file that some messages end with: it may be a key. */
function describe(error: ParseError): string {
  return lowerFirst(error.message).replace(/(?<=code point).*/, "");
}

function nameOf(key: AST.TOMLBare | AST.TOMLQuoted): string {
  return key.type === "TOMLBare" ? key.name : key.value;
}

function startOf(node: { loc: AST.SourceLocation }): Place {
  return { line: node.loc.start.line, column: node.loc.start.column + 1 };
}

function lowerFirst(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1);
}

/**
 * JSON text (RFC 8259: no comments, no trailing commas) -> ConfigDocument. Unlike JSON.parse it knows where each
 * key stands and reports a key that is given twice.
 */
import { type Node, type ParseError, parseTree, printParseErrorCode } from "jsonc-parser";
import { ConfigDocument, type ConfigTable, newTable, type Place, plainNumber } from "./document.ts";
import type { Path } from "./problem.ts";

/** A syntax error ends the reading: it is then the only problem of the document. */
export function readJson(text: string, file: string): ConfigDocument {
  const document = new ConfigDocument(file);
  const errors: ParseError[] = [];
  const root = parseTree(text, errors, { disallowComments: true, allowTrailingComma: false });
  const placeAt = placeFinder(text);
  const [error] = errors;
  if (error !== undefined || root === undefined) {
    const reason = error === undefined ? "value expected" : inWords(printParseErrorCode(error.error));
    document.fail(placeAt(error?.offset ?? 0), `cannot parse JSON: ${reason}`);
  } else {
    document.value = readValue(document, [], root, placeAt);
  }
  return document;
}

type PlaceAt = (offset: number) => Place;

function readValue(document: ConfigDocument, path: Path, node: Node, placeAt: PlaceAt): unknown {
  if (!document.canNest(path, placeAt(node.offset))) return undefined;
  switch (node.type) {
    case "object":
      return readObject(document, path, node, placeAt);
    case "array":
      return (node.children ?? []).map((child, index) => {
        document.mark([...path, index], placeAt(child.offset));
        return readValue(document, [...path, index], child, placeAt);
      });
    default:
      return typeof node.value === "number" ? plainNumber(node.value) : node.value;
  }
}

function readObject(document: ConfigDocument, path: Path, node: Node, placeAt: PlaceAt): ConfigTable {
  const table = newTable();
  for (const property of node.children ?? []) {
    const [keyNode, valueNode] = property.children ?? [];
    if (keyNode === undefined || valueNode === undefined) continue; // only with a syntax error
    const keyPath = [...path, String(keyNode.value)];
    const place = placeAt(keyNode.offset);
    const first = document.placeOf(keyPath);
    if (Object.hasOwn(table, keyNode.value)) {
      document.reportUnquoted(keyPath, undefined, `given twice: first on line ${first.line}`, place);
      continue;
    }
    document.mark(keyPath, place);
    table[keyNode.value] = readValue(document, keyPath, valueNode, placeAt);
  }
  return table;
}

function placeFinder(text: string): PlaceAt {
  const lineStarts = [0];
  for (const match of text.matchAll(/\r\n|\n|\r/g)) lineStarts.push(match.index + match[0].length);
  return (offset) => {
    let low = 0;
    let high = lineStarts.length - 1;
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if (lineStarts[middle]! <= offset) low = middle;
      else high = middle - 1;
    }
    return { line: low + 1, column: offset - lineStarts[low]! + 1 };
  };
}

/** "PropertyNameExpected" -> "property name expected" */
function inWords(code: string): string {
  return code.replace(/(?<=.)[A-Z]/g, " $&").toLowerCase();
}

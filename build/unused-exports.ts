/**
 * Exports that no other file imports, and code of src that only tests use. Pure: texts in, findings out. An import counts
 * through any number of re-exports. An export that tests import must be used by its own file at least, or by another file
 * of src or build.
 *
 * Two exceptions: a type that its own file uses, as it is part of what the file does export; and what is marked
 * `// for tests: why` at the export, where a test needs what nothing else needs.
 */

import { resolveImport } from "./import-graph.ts";

/** What a file exports, by the name it has outside. */
interface FileExports {
  readonly own: ReadonlyMap<string, number>;
  /** `export { name as outer } from "source"`, by outer name. */
  readonly passed: ReadonlyMap<
    string,
    { readonly source: string; readonly name: string; readonly at: number }
  >;
  /** `export * from "source"` */
  readonly stars: readonly string[];
}

interface Import {
  readonly source: string;
  /** null: all. */
  readonly names: readonly string[] | null;
}

export interface UnusedExport {
  readonly path: string;
  readonly name: string;
  readonly line: number;
  readonly isUsedByTests: boolean;
}

const VALUE = /^export (?:async )?(?:abstract )?(?:function\*?|class|const|let) (\w+)/gm;
const TYPE = /^export (?:interface|type) (\w+)/gm;
const LIST = /^export (?:type )?\{([^}]*)\}(?: from "([^"]+)")?/gm;
const STAR = /^export (?:type )?\* from "([^"]+)"/gm;
/** `export * as name`: all of it counts as imported. */
const NAMED_STAR = /^export \* as \w+ from "([^"]+)"/gm;
const NAMED_IMPORT = /\bimport (?:type )?(?:\w+, )?\{([^}]*)\} from "([^"]+)"/g;
const NAMESPACE_IMPORT = /\bimport (?:type )?\* as (\w+) from "([^"]+)"/g;
const DYNAMIC_IMPORT = /\bimport\(\s*"([^"]+)"\s*\)/g;
const MARK = /\/\/ for tests: \w/;

/** @param texts of src, test and build, by path */
export function findUnusedExports(texts: ReadonlyMap<string, string>): UnusedExport[] {
  const files = new Map([...texts].map(([path, text]) => [path, exportsOf(path, text)]));
  const byProduct = new Set<string>();
  const byAny = new Set<string>();
  for (const [path, text] of texts) {
    const isTest = path.startsWith("test/");
    for (const { source, names } of importsOf(path, text)) {
      for (const name of names ?? namesOf(source, files)) {
        mark(source, name, files, byAny);
        if (!isTest) mark(source, name, files, byProduct);
      }
    }
  }
  return [...files].flatMap(([path, { own, passed }]) => {
    const text = texts.get(path)!;
    const isUnused = (name: string, at: number) => {
      if (byProduct.has(`${path} ${name}`)) return false;
      if (!byAny.has(`${path} ${name}`)) return !isType(text, at) || !isUsedBelow(text, name);
      const isCode = path.startsWith("src/") && !passed.has(name);
      return isCode && !isUsedBelow(text, name) && !isMarked(text, at);
    };
    return [...own, ...[...passed].map(([name, { at }]) => [name, at] as const)]
      .filter(([name, at]) => isUnused(name, at))
      .map(([name, at]) => ({
        path,
        name,
        line: text.slice(0, at).split("\n").length,
        isUsedByTests: byAny.has(`${path} ${name}`),
      }));
  });
}

/** The export and everything that it is passed on from. */
function mark(
  path: string,
  name: string,
  files: ReadonlyMap<string, FileExports>,
  used: Set<string>,
): boolean {
  const file = files.get(path);
  if (file === undefined) return false;
  const passed = file.passed.get(name);
  const isHere = file.own.has(name) || passed !== undefined;
  if (!isHere) return file.stars.some((source) => mark(source, name, files, used));
  if (used.has(`${path} ${name}`)) return true;
  used.add(`${path} ${name}`);
  if (passed !== undefined) mark(passed.source, passed.name, files, used);
  return true;
}

function namesOf(path: string, files: ReadonlyMap<string, FileExports>): string[] {
  const file = files.get(path);
  if (file === undefined) return [];
  return [
    ...file.own.keys(),
    ...file.passed.keys(),
    ...file.stars.flatMap((source) => namesOf(source, files)),
  ];
}

function exportsOf(path: string, text: string): FileExports {
  const own = new Map<string, number>();
  const passed = new Map<string, { source: string; name: string; at: number }>();
  for (const match of [...text.matchAll(VALUE), ...text.matchAll(TYPE)]) own.set(match[1]!, match.index);
  for (const match of text.matchAll(LIST)) {
    for (const { inner, outer } of splitNames(match[1]!)) {
      const at = match.index + match[0].search(new RegExp(`\\b${outer}\\b`));
      if (match[2] === undefined) own.set(outer, at);
      else passed.set(outer, { source: resolve(path, match[2]), name: inner, at });
    }
  }
  const stars = [...text.matchAll(STAR)].map((match) => resolve(path, match[1]!));
  return { own, passed, stars };
}

function importsOf(path: string, text: string): Import[] {
  const imports: Import[] = [];
  for (const match of text.matchAll(NAMED_IMPORT)) {
    imports.push({
      source: resolve(path, match[2]!),
      names: splitNames(match[1]!).map(({ inner }) => inner),
    });
  }
  for (const match of text.matchAll(NAMESPACE_IMPORT)) {
    const uses = text.matchAll(new RegExp(`\\b${match[1]}\\.(\\w+)`, "g"));
    imports.push({ source: resolve(path, match[2]!), names: [...uses].map((use) => use[1]!) });
  }
  for (const match of [...text.matchAll(DYNAMIC_IMPORT), ...text.matchAll(NAMED_STAR)]) {
    imports.push({ source: resolve(path, match[1]!), names: null });
  }
  return imports;
}

/** `a, type b, c as d` */
function splitNames(list: string): { readonly inner: string; readonly outer: string }[] {
  return list
    .replace(/\/\/.*$/gm, "")
    .split(",")
    .map((item) => item.trim().replace(/^type /, ""))
    .filter(Boolean)
    .map((item) => {
      const [inner, outer] = item.split(/ as |: /);
      return { inner: inner!, outer: outer ?? inner! };
    });
}

function resolve(path: string, source: string): string {
  return source.startsWith(".") ? resolveImport(path, source) : source;
}

function isType(text: string, at: number): boolean {
  return /^export (?:interface|type) \w/.test(text.slice(at, at + 20));
}

/** Besides its declaration, comments not counted. */
function isUsedBelow(text: string, name: string): boolean {
  const code = text.replaceAll(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, "");
  return code.match(new RegExp(`\\b${name}\\b`, "g"))!.length > 1;
}

/** On the line of the export or the one above. */
function isMarked(text: string, at: number): boolean {
  const lineEnd = text.indexOf("\n", at);
  const before = text.lastIndexOf("\n", text.lastIndexOf("\n", at) - 1);
  return MARK.test(text.slice(before + 1, lineEnd < 0 ? text.length : lineEnd));
}

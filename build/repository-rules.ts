/**
 * The repository's own rules, which no linter has. Pure: a file's path and text in, findings out.
 *
 * Each rule is here because breaking it works at first and fails later: memory that moves under native code, features
 * that import each other, protocol code that reads a clock and so cannot be simulated.
 */

import { collapse, findCycles, foldersOf, importGraph, importsOf } from "./import-graph.ts";

export interface Finding {
  readonly line: number;
  readonly message: string;
}

interface Rule {
  readonly appliesTo: (path: string) => boolean;
  /** Global; every match is a finding. */
  readonly pattern: RegExp;
  readonly message: string;
}

/** Folders of src that each folder may import. A folder that is not listed may import all. */
const ALLOWED_IMPORTS: Readonly<Record<string, readonly string[]>> = {
  wire: [],
  sys: [],
  model: ["wire"],
  config: ["model", "wire", "sys"],
  membership: ["wire", "sys"],
  catalog: ["model", "wire", "sys"],
  overlay: ["wire", "sys"],
  proxy: ["model", "wire", "sys"],
  admin: ["model", "wire", "sys"],
  health: ["model", "wire", "sys"],
  metrics: ["model", "wire", "sys"],
  node: [
    ...["model", "wire", "sys", "config", "membership", "catalog", "overlay", "proxy", "admin"],
    ...["health", "metrics"],
  ],
};

/** The folders of src/proxy, the lowest first: each may import those of the layers below. Files beside them may import all. */
const PROXY_LAYERS: readonly (readonly string[])[] = [
  ["balance", "relay"],
  ["table"],
  ["reach"],
  ["tcp", "udp"],
  ["listen", "worker"],
];

const PURE_FOLDERS = [
  "src/wire/",
  "src/model/",
  "src/membership/",
  "src/catalog/",
  "src/proxy/balance/",
  "src/overlay/path/",
  "src/overlay/seal/",
  // the machines of UDP relays; beside them are their sockets
  ...["entry-", "exit-", "kept-", "part-", "path-", "relay-channel"].map(
    (name) => `src/proxy/udp/relay/${name}`,
  ),
];

const RULES: readonly Rule[] = [
  {
    appliesTo: isCode,
    pattern: /\bptr\(\s*(?:new\s+\w+Array|Buffer\.\w+)\s*\(/g,
    message: "small typed arrays move under native code: take memory from the arena",
  },
  {
    appliesTo: (path) => path.startsWith("src/") && !path.startsWith("src/sys/"),
    pattern: /["']bun:ffi["']/g,
    message: "bun:ffi is for src/sys only",
  },
  {
    appliesTo: (path) => PURE_FOLDERS.some((folder) => path.startsWith(folder)),
    pattern: /\b(?:Date\.now|Math\.random|setTimeout|setInterval|performance\.now)\b/g,
    message: "pure code: take the time and randomness as arguments",
  },
  {
    appliesTo: (path) => path.startsWith("src/node/") && !/^src\/node\/(?:run-node|log)\.ts$/.test(path),
    pattern:
      /\b(?:Date\.now|Math\.random|setTimeout|setInterval|performance\.now|Bun\.sleep|systemClock|steadyClock)\b/g,
    message: "take time and randomness from the clock and the generator that the node is started with",
  },
  {
    appliesTo: (path) => isCode(path) && path.startsWith("src/"),
    pattern: /(?:from|import\()\s*["']undici["']|(?<![\w.])fetch\(/g,
    message: 'HTTP requests use undici, imported as "undici/index.js": Bun emulates the other name',
  },
  { appliesTo: isCode, pattern: /^export default\b/gm, message: "no default exports" },
  {
    appliesTo: () => true,
    pattern: /(?<![\w.*-])\/(?:work|home\/\w+|Users\/\w+)\//g,
    message: "a path of a developer's machine",
  },
];

export function findViolations(path: string, text: string): Finding[] {
  const ruled = RULES.filter((rule) => rule.appliesTo(path)).flatMap((rule) =>
    [...text.matchAll(rule.pattern)].map((match) => ({
      line: lineAt(text, match.index),
      message: rule.message,
    })),
  );
  return [...ruled, ...findForbiddenImports(path, text)];
}

/** Cycles between files, and between the files and folders of one folder. @param texts of src, by path */
export function findImportCycles(texts: ReadonlyMap<string, string>): string[] {
  const graph = importGraph(texts);
  const graphs = [graph, ...foldersOf(graph).map((folder) => collapse(graph, folder))];
  const cycles = graphs.flatMap(findCycles).map((cycle) => [...cycle, cycle[0]!].join(" -> "));
  return [...new Set(cycles)];
}

function findForbiddenImports(path: string, text: string): Finding[] {
  const folder = folderOf(path);
  return importsOf(path, text).flatMap(({ target, index }) => {
    const other = folderOf(target);
    const line = lineAt(text, index);
    if (folder !== null && other !== null && folder !== other) {
      const isAllowed = ALLOWED_IMPORTS[folder]?.includes(other) ?? true;
      return isAllowed ? [] : [{ line, message: `src/${folder} must not import src/${other}` }];
    }
    return isUpwardInProxy(path, target)
      ? [{ line, message: `${path} must not import ${target} above it` }]
      : [];
  });
}

function isUpwardInProxy(path: string, target: string): boolean {
  if (!target.startsWith("src/proxy/")) return false;
  const from = proxyFolderOf(path);
  const to = proxyFolderOf(target);
  return from !== null && from !== to && (to === null || proxyLayerOf(to) >= proxyLayerOf(from));
}

function proxyLayerOf(folder: string): number {
  return PROXY_LAYERS.findIndex((folders) => folders.includes(folder));
}

/** "tcp" of "src/proxy/tcp/flow.ts"; null outside the folders of src/proxy. */
function proxyFolderOf(path: string): string | null {
  return /^src\/proxy\/([^/]+)\//.exec(path)?.[1] ?? null;
}

/** "proxy" of "src/proxy/tcp/flow.ts"; null outside the folders of src. */
function folderOf(path: string): string | null {
  return /^src\/([^/]+)\//.exec(path)?.[1] ?? null;
}

function isCode(path: string): boolean {
  return /\.tsx?$/.test(path);
}

function lineAt(text: string, index: number): number {
  return text.slice(0, index).split("\n").length;
}

/**
 * The repository's own rules, those no linter knows. Pure: a file's path and text in, findings out.
 *
 * Each rule is here because breaking it works at first and fails later: memory that moves under native code, folders
 * that know each other, protocol code that reads a clock and so cannot be simulated.
 */

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

/** Whom a folder of src may import besides itself. Whoever is missing here may import all. */
const ALLOWED_IMPORTS: Readonly<Record<string, readonly string[]>> = {
  wire: [],
  sys: [],
  config: ["wire", "sys"],
  membership: ["wire", "sys"],
  catalog: ["wire", "sys"],
  overlay: ["wire", "sys"],
  proxy: ["wire", "sys"],
  providers: ["wire", "sys"],
  admin: ["wire", "sys"],
  node: ["wire", "sys", "config", "membership", "catalog", "overlay", "proxy", "providers", "admin"],
};

const PURE_FOLDERS = [
  "src/wire/",
  "src/membership/",
  "src/catalog/",
  "src/proxy/balance/",
  "src/overlay/path/",
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
  { appliesTo: isCode, pattern: /^export default\b/gm, message: "no default exports" },
  {
    appliesTo: () => true,
    pattern: /(?<![\w.*-])\/(?:work|home\/\w+|Users\/\w+)\//g,
    message: "a path of somebody's machine",
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

function findForbiddenImports(path: string, text: string): Finding[] {
  const folder = folderOf(path);
  const allowed = folder === null ? undefined : ALLOWED_IMPORTS[folder];
  if (folder === null || allowed === undefined) return [];
  const imports = text.matchAll(/(?:\bfrom|\bimport|\bimport\()\s*["'](\.[^"']+)["']/g);
  return [...imports].flatMap((match) => {
    const target = folderOf(new URL(match[1]!, `file:///${path}`).pathname.slice(1));
    if (target === null || target === folder || allowed.includes(target)) return [];
    return [{ line: lineAt(text, match.index), message: `src/${folder} must not import src/${target}` }];
  });
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

/** Part of `npm run check`: every tracked file against the repository's own rules (repository-rules.ts). */
import { findImportCycles, findViolations } from "./repository-rules.ts";
import { findUnusedExports } from "./unused-exports.ts";

const files = (await Bun.$`git ls-files --cached --others --exclude-standard`.text())
  .split("\n")
  .filter(Boolean);
const texts = new Map((await Promise.all(files.map(readText))).flat());
const cycles = findImportCycles(codeIn("src"));
const findings = [
  ...[...texts].flatMap(([path, text]) =>
    findViolations(path, text).map(({ line, message }) => `${path}:${line}: ${message}`),
  ),
  ...cycles.map((cycle) => `import cycle: ${cycle}`),
  ...findUnusedExports(codeIn("src", "test", "build")).map(
    ({ path, line, name, isUsedByTests }) =>
      `${path}:${line}: ${name} is exported and used by ${isUsedByTests ? "tests only" : "no other file"}`,
  ),
];
for (const finding of findings) console.error(finding);
if (findings.length > 0) process.exit(1);
console.log(`${files.length} files keep the repository's rules`);

/** [] for a file that is deleted and not yet committed, or is not text. */
async function readText(path: string): Promise<[path: string, text: string][]> {
  const file = Bun.file(path);
  if (!(await file.exists())) return [];
  const bytes = await file.bytes();
  return bytes.includes(0) ? [] : [[path, new TextDecoder().decode(bytes)]];
}

/** The code in these folders, by path. */
function codeIn(...folders: readonly string[]): Map<string, string> {
  const isCode = (path: string) => folders.includes(path.split("/")[0]!) && /\.tsx?$/.test(path);
  return new Map([...texts].filter(([path]) => isCode(path)));
}

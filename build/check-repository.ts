/** Part of `npm run check`: every tracked file against the repository's own rules (repository-rules.ts). */
import { findImportCycles, findViolations } from "./repository-rules.ts";
import { findUnusedExports } from "./unused-exports.ts";

const files = (await Bun.$`git ls-files --cached --others --exclude-standard`.text())
  .split("\n")
  .filter(Boolean);
const cycles = findImportCycles(await readCode("src"));
const findings = [
  ...(await Promise.all(files.map(check))).flat(),
  ...cycles.map((cycle) => `import cycle: ${cycle}`),
  ...findUnusedExports(await readCode("src", "test", "build")).map(
    ({ path, line, name, isUsedByTests }) =>
      `${path}:${line}: ${name} is exported and used by ${isUsedByTests ? "tests only" : "no other file"}`,
  ),
];
for (const finding of findings) console.error(finding);
if (findings.length > 0) process.exit(1);
console.log(`${files.length} files keep the repository's rules`);

async function check(path: string): Promise<string[]> {
  const file = Bun.file(path);
  if (!(await file.exists())) return []; // deleted, not yet committed
  const bytes = await file.bytes();
  if (bytes.includes(0)) return []; // not text
  return findViolations(path, new TextDecoder().decode(bytes)).map(
    ({ line, message }) => `${path}:${line}: ${message}`,
  );
}

/** The code in these folders, by path. */
async function readCode(...folders: readonly string[]): Promise<Map<string, string>> {
  const texts = new Map<string, string>();
  for (const path of files) {
    const isCode = folders.includes(path.split("/")[0]!) && /\.tsx?$/.test(path);
    if (isCode && (await Bun.file(path).exists())) texts.set(path, await Bun.file(path).text());
  }
  return texts;
}

/** Part of `npm run check`: every tracked file against the repository's own rules (repository-rules.ts). */
import { findImportCycles, findViolations } from "./repository-rules.ts";

const files = (await Bun.$`git ls-files --cached --others --exclude-standard`.text())
  .split("\n")
  .filter(Boolean);
const cycles = findImportCycles(await readSources());
const findings = [
  ...(await Promise.all(files.map(check))).flat(),
  ...cycles.map((cycle) => `import cycle: ${cycle}`),
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

/** The code of src, by path. */
async function readSources(): Promise<Map<string, string>> {
  const sources = new Map<string, string>();
  for (const path of files) {
    const isSource = path.startsWith("src/") && path.endsWith(".ts");
    if (isSource && (await Bun.file(path).exists())) sources.set(path, await Bun.file(path).text());
  }
  return sources;
}

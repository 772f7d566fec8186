/** What `npm run package` builds, in a directory of the test. */
import { readFileSync } from "node:fs";
import { join } from "node:path";

/** @param cwd a checkout; that of the tests by default */
export function buildRelease(outdir: string, targets: readonly string[] = [], cwd = process.cwd()): void {
  const { exitCode, stderr } = Bun.spawnSync(
    [process.execPath, "build/package.ts", "--outdir", outdir, ...targets],
    { cwd, stdout: "ignore", stderr: "pipe" },
  );
  if (exitCode !== 0) throw new Error(`cannot build the release: ${stderr.toString()}`);
}

/** Hash by file, as SHA256SUMS has them. */
export function readSums(directory: string): Map<string, string> {
  const lines = readFileSync(join(directory, "SHA256SUMS"), "utf8").trim().split("\n");
  return new Map(lines.map((line) => [line.slice(66), line.slice(0, 64)]));
}

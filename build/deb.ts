/** Builds the Debian packages, into dist/: `npm run deb -- --help`. */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import packageJson from "../package.json" with { type: "json" };
import { ARCHITECTURES, buildPackage, packageFile } from "./debian/build-package.ts";
import { compileExecutable } from "./executable.ts";
import { fetchRuntimes } from "./package/runtimes.ts";
import { TARGETS } from "./package/targets.ts";

const USAGE = `Usage: npm run deb -- [--outdir DIR] [--executable FILE] [--version VERSION] [--fast] [ARCHITECTURE...]

Builds portmesh_VERSION_ARCHITECTURE.deb into dist/ or DIR, for ${Object.keys(ARCHITECTURES).join(" and ")} or for those named.
--executable takes a file that is compiled already; it needs one ARCHITECTURE. --version is for tests of upgrades.
--fast compresses little. The same commit gives the same bytes; SOURCE_DATE_EPOCH overrides the commit's time.`;

const { values, positionals } = parseArgs({
  options: {
    help: { type: "boolean", short: "h" },
    outdir: { type: "string", default: "dist" },
    executable: { type: "string" },
    version: { type: "string", default: packageJson.version },
    fast: { type: "boolean", default: false },
  },
  allowPositionals: true,
});
const names = Object.keys(ARCHITECTURES);
const isUsable =
  positionals.every((name) => names.includes(name)) &&
  (values.executable === undefined || positionals.length === 1);
if (values.help) console.log(USAGE);
else if (!isUsable) {
  console.error(USAGE);
  process.exit(2);
} else {
  mkdirSync(values.outdir, { recursive: true });
  for (const architecture of positionals.length === 0 ? names : positionals) await build(architecture);
}

async function build(architecture: string): Promise<void> {
  using work = workDirectory(values.outdir);
  const executable = values.executable ?? (await compile(architecture, work.path));
  const outfile = join(values.outdir, packageFile(values.version, architecture));
  const { version, fast: isFast } = values;
  await buildPackage({ executable, architecture, version, isFast, outfile, workDirectory: work.path });
  console.log(outfile);
}

async function compile(architecture: string, directory: string): Promise<string> {
  await fetchRuntimes();
  const target = TARGETS.find(({ name }) => name === ARCHITECTURES[architecture])!;
  const outfile = join(directory, `portmesh-${packageJson.version}-${target.name}`);
  await compileExecutable({ outfile, isBytecode: true, target });
  return outfile;
}

function workDirectory(outdir: string): Disposable & { path: string } {
  const path = mkdtempSync(join(resolve(outdir), ".deb-"));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

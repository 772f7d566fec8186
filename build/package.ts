/** Builds what is released, into dist/: `npm run package -- --help`. */
import { createHash } from "node:crypto";
import { copyFileSync, createReadStream, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import packageJson from "../package.json" with { type: "json" };
import { compileExecutable } from "./executable.ts";
import { collectLicenses, LICENSES_FILE } from "./package/licenses.ts";
import { fetchRuntimes } from "./package/runtimes.ts";
import { describeRelease } from "./package/sbom.ts";
import { TARGETS, type Target } from "./package/targets.ts";

const USAGE = `Usage: npm run package -- [--outdir DIR] [TARGET...]

Builds the executables for all targets, or for those named, with checksums, a bill of materials and the installer, into
dist/ or DIR. Targets: ${TARGETS.map(({ name }) => name).join(", ")}.`;

/** Of this and of earlier versions; what else is in the folder is left alone. */
const OUTPUTS = /^(?:portmesh-\d.*(?:-linux-.*|\.cdx\.json)|SHA256SUMS)$/;

const { values, positionals } = parseArgs({
  options: { help: { type: "boolean", short: "h" }, outdir: { type: "string", default: "dist" } },
  allowPositionals: true,
});
const unknown = positionals.filter((name) => !TARGETS.some((target) => target.name === name));
if (values.help) console.log(USAGE);
else if (unknown.length > 0) {
  console.error(`unknown target: ${unknown.join(", ")}\n\n${USAGE}`);
  process.exit(2);
} else await packageAll(selectTargets(positionals), values.outdir);

function selectTargets(names: readonly string[]): Target[] {
  return TARGETS.filter((target) => names.length === 0 || names.includes(target.name));
}

async function packageAll(targets: readonly Target[], outdir: string): Promise<void> {
  await fetchRuntimes();
  mkdirSync(outdir, { recursive: true });
  for (const name of readdirSync(outdir)) if (OUTPUTS.test(name)) rmSync(join(outdir, name));

  const executables = targets.map((target) => ({
    target,
    file: `portmesh-${packageJson.version}-${target.name}`,
  }));
  for (const { target, file } of executables) {
    await compileExecutable({ outfile: join(outdir, file), isBytecode: true, target });
  }
  writeFileSync(join(outdir, LICENSES_FILE), collectLicenses());
  copyFileSync("LICENSE", join(outdir, "LICENSE"));
  copyFileSync("build/package/install.sh", join(outdir, "install.sh"));

  const hashes = new Map<string, string>();
  for (const { file } of executables) hashes.set(file, await sha256(join(outdir, file)));
  const bill = `portmesh-${packageJson.version}.cdx.json`;
  const parts = executables.map(({ target, file }) => ({ target, file, sha256: hashes.get(file)! }));
  writeFileSync(join(outdir, bill), await describeRelease(parts));
  for (const file of [bill, "install.sh", "LICENSE", LICENSES_FILE]) {
    hashes.set(file, await sha256(join(outdir, file)));
  }
  const lines = [...hashes].map(([file, hash]) => `${hash}  ${file}\n`);
  writeFileSync(join(outdir, "SHA256SUMS"), lines.join(""));
  console.log(`${join(outdir, "SHA256SUMS")}: ${hashes.size} files`);
}

async function sha256(path: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(path)) hash.update(chunk);
  return hash.digest("hex");
}

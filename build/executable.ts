/**
 * Compiles portmesh to one executable.
 *
 * The program behind main.ts and the workers are entrypoints of their own, because they are loaded by URL. The executable
 * must not read bunfig.toml or .env of the directory it happens to be started in, so both are turned off for good.
 * One commit gives the same bytes in every directory.
 */
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import packageJson from "../package.json" with { type: "json" };
import { collectLicenses, LICENSES_FILE } from "./package/licenses.ts";
import { runtimePath } from "./package/runtimes.ts";
import type { Target } from "./package/targets.ts";

const MAIN = "src/main.ts";
/** Loaded by main.ts, by its path. */
const PROGRAM = "src/program.ts";
const WORKERS = [
  "src/proxy/worker/main.ts",
  "src/overlay/userspace/worker/main.ts",
  "src/config/worker/main.ts",
] as const;

export interface Compilation {
  /** Its name is part of the executable: another name gives other bytes. */
  readonly outfile: string;
  readonly isBytecode: boolean;
  /** null: for this machine, on the runtime that compiles. */
  readonly target: Target | null;
}

export async function compileExecutable({ outfile, isBytecode, target }: Compilation): Promise<void> {
  mkdirSync(dirname(outfile), { recursive: true });
  const directory = mkdtempSync(join(dirname(outfile), ".compile-"));
  try {
    const licenses = join(directory, LICENSES_FILE);
    writeFileSync(licenses, collectLicenses());
    const compiled = join(directory, basename(outfile));
    await build([...(await flagsFor(isBytecode, target)), `--asset=${licenses}`], compiled);
    renameSync(compiled, outfile); // the compiler leaves source maps beside it
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
  const megabytes = (statSync(outfile).size / 1e6).toFixed(0);
  console.log(`${outfile}: ${packageJson.version} (${(await readCommit()) ?? "no commit"}), ${megabytes} MB`);
}

async function flagsFor(isBytecode: boolean, target: Target | null): Promise<string[]> {
  const commit = await readCommit();
  return [
    "--compile",
    "--minify",
    "--sourcemap=inline", // stack traces of a report name our files; costs nothing until one is printed
    "--root=src", // where src/sys/worker.ts looks for workers
    "--no-compile-autoload-bunfig",
    "--no-compile-autoload-dotenv",
    // libraries that ask for their place would get the directory of this build
    '--define=__dirname="/portmesh"',
    '--define=__filename="/portmesh/module.js"',
    `--define=PORTMESH_VERSION=${JSON.stringify(packageJson.version)}`,
    ...(commit === null ? [] : [`--define=PORTMESH_COMMIT=${JSON.stringify(commit)}`]),
    ...(isBytecode ? ["--bytecode", "--format=esm"] : []),
    ...(target === null ? [] : targetFlags(target)),
  ];
}

/** Without `--target` the file has the right format, and takes itself for the machine that compiled it. */
function targetFlags(target: Target): string[] {
  return [
    `--target=${target.compileFor}`,
    `--compile-executable-path=${runtimePath(target)}`,
    `--define=PORTMESH_TARGET=${JSON.stringify(target.name)}`,
  ];
}

async function build(flags: readonly string[], outfile: string): Promise<void> {
  const entrypoints = [MAIN, PROGRAM, ...WORKERS].filter(existsSync);
  const bun = Bun.spawn([process.execPath, "build", ...flags, ...entrypoints, "--outfile", outfile], {
    stdio: ["ignore", "ignore", "inherit"],
  });
  if ((await bun.exited) !== 0) throw new Error(`cannot compile ${basename(outfile)}`);
}

/** Twelve digits of the hash, "+" when the tree differs from it; null outside a repository. */
async function readCommit(): Promise<string | null> {
  const hash = await git("rev-parse", "--short=12", "HEAD");
  if (hash === null) return null;
  return (await git("status", "--porcelain", "--untracked-files=no")) === "" ? hash : `${hash}+`;
}

async function git(...args: string[]): Promise<string | null> {
  const run = Bun.spawn(["git", ...args], { stdio: ["ignore", "pipe", "ignore"] });
  const text = await run.stdout.text();
  return (await run.exited) === 0 ? text.trim() : null;
}

/**
 * Compiles portmesh to one executable, dist/portmesh: `bun build/compile.ts [--no-bytecode] [--outfile FILE]`.
 *
 * The program behind main.ts and the workers are entrypoints of their own, because they are loaded by URL. The executable
 * must not read bunfig.toml or .env of the directory it happens to be started in, so both are turned off for good.
 */
import { existsSync, mkdirSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { parseArgs } from "node:util";
import packageJson from "../package.json" with { type: "json" };

const MAIN = "src/main.ts";
/** Loaded by main.ts, by its path. */
const PROGRAM = "src/program.ts";
const WORKERS = [
  "src/proxy/worker/main.ts",
  "src/overlay/userspace/worker/main.ts",
  "src/config/worker/main.ts",
] as const;

const { values } = parseArgs({
  options: {
    outfile: { type: "string", default: "dist/portmesh" },
    "no-bytecode": { type: "boolean", default: false },
  },
});
await compile(values.outfile, !values["no-bytecode"]);

async function compile(outfile: string, isBytecode: boolean): Promise<void> {
  mkdirSync(dirname(outfile), { recursive: true });
  const commit = await readCommit();
  const flags = [
    "--compile",
    "--minify",
    "--sourcemap=inline", // stack traces of a report name our files; costs nothing until one is printed
    "--root=src", // where src/sys/worker.ts looks for workers
    "--no-compile-autoload-bunfig",
    "--no-compile-autoload-dotenv",
    `--define=PORTMESH_VERSION=${JSON.stringify(packageJson.version)}`,
    ...(commit === null ? [] : [`--define=PORTMESH_COMMIT=${JSON.stringify(commit)}`]),
    ...(isBytecode ? ["--bytecode", "--format=esm"] : []),
  ];
  const entrypoints = [MAIN, PROGRAM, ...WORKERS].filter(existsSync);
  const build = Bun.spawn([process.execPath, "build", ...flags, ...entrypoints, "--outfile", outfile], {
    stdio: ["ignore", "ignore", "inherit"],
  });
  if ((await build.exited) !== 0) process.exit(1);
  const megabytes = (statSync(outfile).size / 1e6).toFixed(0);
  console.log(`${outfile}: ${packageJson.version} (${commit ?? "no commit"}), ${megabytes} MB`);
}

/** Short hash, "+" when the tree differs from it; null outside a repository. */
async function readCommit(): Promise<string | null> {
  const hash = await git("rev-parse", "--short", "HEAD");
  if (hash === null) return null;
  return (await git("status", "--porcelain", "--untracked-files=no")) === "" ? hash : `${hash}+`;
}

async function git(...args: string[]): Promise<string | null> {
  const run = Bun.spawn(["git", ...args], { stdio: ["ignore", "pipe", "ignore"] });
  const text = await run.stdout.text();
  return (await run.exited) === 0 ? text.trim() : null;
}

/**
 * The runtimes of all targets, as npm packages. Only a release needs them, so they are no dependencies of the project:
 * build/package/runtimes has a package.json and a lock file of its own, and npm checks what it fetches against the lock.
 */
import { copyFileSync, existsSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Target } from "./targets.ts";

const LOCKED = "build/package/runtimes";
const CACHE = "node_modules/.cache/portmesh-runtimes";
const FILES = ["package.json", "package-lock.json"] as const;

/** Fetches what is missing; `--force`, because most of them are not for this machine. */
export async function fetchRuntimes(): Promise<void> {
  if (isCurrent()) return;
  console.log("fetching the runtimes from npm (once; 300 MB)...");
  mkdirSync(CACHE, { recursive: true });
  for (const file of [...FILES, "../../../.npmrc"]) {
    copyFileSync(join(LOCKED, file), join(CACHE, file.split("/").at(-1)!));
  }
  const npm = Bun.spawn(["npm", "ci", "--force", "--ignore-scripts", "--loglevel=error"], {
    cwd: CACHE,
    stdio: ["ignore", "inherit", "inherit"],
  });
  if ((await npm.exited) !== 0) throw new Error("cannot fetch the runtimes: npm ci failed");
}

/** The executable of bun that `target` runs on. */
export function runtimePath(target: Target): string {
  return join(CACHE, "node_modules", target.runtime, "bin/bun");
}

/** What npm checked the package of a runtime against: "sha512-…". */
export function runtimeIntegrity(target: Target): string {
  const { packages } = JSON.parse(readFileSync(join(LOCKED, "package-lock.json"), "utf8"));
  return packages[`node_modules/${target.runtime}`].integrity;
}

/** npm writes its own lock file last, so a fetch that was interrupted is repeated. */
function isCurrent(): boolean {
  return (
    existsSync(join(CACHE, "node_modules/.package-lock.json")) &&
    FILES.every((file) => readText(join(CACHE, file)) === readText(join(LOCKED, file)))
  );
}

function readText(path: string): string | null {
  return existsSync(path) ? readFileSync(path, "utf8") : null;
}

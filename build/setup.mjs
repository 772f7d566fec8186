// Installs the exact dependencies of package-lock.json when they are missing or older than the lock file.
// Plain Node, because it runs before Bun is there.
import { spawnSync } from "node:child_process";
import { existsSync, statSync } from "node:fs";

const lock = "package-lock.json";
const installed = "node_modules/.package-lock.json";
const isCurrent =
  existsSync("node_modules/.bin/bun") &&
  existsSync(installed) &&
  statSync(installed).mtimeMs >= statSync(lock).mtimeMs;
if (!isCurrent) {
  process.stderr.write("installing dependencies (once)...\n");
  const npm = spawnSync("npm", ["ci", "--no-audit", "--no-fund", "--loglevel=error"], {
    stdio: ["ignore", 2, 2],
  });
  if (npm.status !== 0) process.exit(npm.status ?? 1);
}

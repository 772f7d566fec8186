/** Programs that tests compare with. Without them a test is skipped and says so; with REQUIRE_ALL=1 that is a failure. */
import { existsSync } from "node:fs";

const EXTRA_PATHS = ["/usr/sbin", "/sbin"];

/** Path of the program, or null when it is not installed. */
export function findProgram(name: string): string | null {
  const onPath = Bun.which(name);
  if (onPath !== null) return onPath;
  return EXTRA_PATHS.map((folder) => `${folder}/${name}`).find((path) => existsSync(path)) ?? null;
}

/** For `test.skipIf(lacks("haproxy"))`. */
export function lacks(...names: string[]): boolean {
  const missing = names.filter((name) => findProgram(name) === null);
  if (missing.length === 0) return false;
  if (process.env.REQUIRE_ALL === "1") throw new Error(`not installed: ${missing.join(", ")}`);
  console.log(`skipped: ${missing.join(", ")} not installed`);
  return true;
}

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
  return missing.length > 0 && skip(`not installed: ${missing.join(", ")}`);
}

/** Says why tests are skipped; with REQUIRE_ALL=1 that is a failure. */
export function skip(reason: string): true {
  if (process.env.REQUIRE_ALL === "1") throw new Error(reason);
  console.log(`skipped: ${reason}`);
  return true;
}

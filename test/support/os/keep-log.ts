/** What programs wrote during the last run of a test, for whoever looks into a failure: dist/test-logs/NAME.log. */
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

const FOLDER = "dist/test-logs";

/** `name` may contain folders. */
export function keepLog(name: string, text: string): void {
  const file = join(FOLDER, `${name}.log`);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text);
}

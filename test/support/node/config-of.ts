/** Configurations for tests, through the real parser so that every default is the real one. */
import { type Config, formatProblem, parseConfig } from "../../../src/config/index.ts";

/** Throws with every problem when the text is wrong. */
export function configOf(toml: string): Config {
  const result = parseConfig(toml, "test.toml");
  if ("config" in result) return result.config;
  throw new Error(result.problems.map(formatProblem).join("\n"));
}

/** A service "web" on port 80 with these lines added. */
export function webService(...lines: string[]): string {
  return ['[[services]]\nname = "web"\npublish = ["80"]', ...lines, ""].join("\n");
}

/** What the tests of this folder ask most: the configuration of a text, or its problems as they are printed. */
import { type Config, formatProblem, parseConfig } from "../../../src/config/index.ts";

export function configOf(text: string, file = "test.toml"): Config {
  const result = parseConfig(text, file);
  if ("problems" in result) throw new Error(result.problems.map(formatProblem).join("\n"));
  return result.config;
}

export function problemsOf(text: string, file = "test.toml"): string[] {
  const result = parseConfig(text, file);
  return "problems" in result ? result.problems.map(formatProblem) : [];
}

/** A service "web" on 8080:80 with more keys, one a line from line 4. */
export function service(keys: string): string {
  return `[[services]]\nname = "web"\npublish = ["8080:80"]\n${keys}`;
}

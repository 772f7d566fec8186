/** What the tests of this folder ask most: the configuration of a text, or its problems as they are printed. */
import { type Config, formatProblem, parseConfig, type Surroundings } from "../../../src/config/index.ts";

/** Variables, and what every file of keys holds. */
export interface Around {
  readonly environment?: Surroundings["environment"];
  readonly keys?: readonly string[];
}

const KEY = Buffer.alloc(32, 9).toString("base64");

export function surroundings({ environment = {}, keys = [KEY] }: Around = {}): Surroundings {
  return {
    environment,
    readKeys: () => ({ keys, warnings: [] }),
    readTokens: () => ({ tokens: [], warnings: [] }),
    readTls: (certFile, keyFile) => ({
      tls: { certFile, keyFile, cert: "", key: "", digest: "" },
      warnings: [],
    }),
  };
}

export function configOf(text: string, file = "test.toml", around: Around = {}): Config {
  const result = parseConfig(text, file, undefined, surroundings(around));
  if ("problems" in result) throw new Error(result.problems.map(formatProblem).join("\n"));
  return result.config;
}

export function problemsOf(text: string, file = "test.toml", around: Around = {}): string[] {
  const result = parseConfig(text, file, undefined, surroundings(around));
  return "problems" in result ? result.problems.map(formatProblem) : [];
}

/** A service "web" on 8080:80 with more keys, one a line from line 4. */
export function service(keys: string): string {
  return `[[services]]\nname = "web"\npublish = ["8080:80"]\n${keys}`;
}

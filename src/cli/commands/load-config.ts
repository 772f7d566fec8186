/** Reads a configuration file for a command; wrong files end it with every problem printed. */
import type { Config, ConfigCheck, ConfigResult } from "../../config/index.ts";
import { CommandFailure, EXIT_WRONG } from "../invocation.ts";

export async function loadConfig(file: string): Promise<Config> {
  return (await loadFile(file)).config;
}

/** @param check what a file must satisfy besides being right in itself */
export async function loadFile(
  file: string,
  check?: ConfigCheck,
): Promise<{ readonly config: Config; readonly warnings?: readonly string[] }> {
  const { readConfig } = await import("../../config/index.ts");
  const result = readConfig(file, check);
  return { ...result, config: await configOf(result) };
}

/** Throws CommandFailure with every problem when the configuration is invalid. */
export async function configOf(result: ConfigResult): Promise<Config> {
  if ("config" in result) return result.config;
  throw new CommandFailure(await formatProblems(result.problems), EXIT_WRONG);
}

/** One line each. */
export async function formatProblems(
  problems: readonly Parameters<typeof import("../../config/index.ts").formatProblem>[0][],
): Promise<string> {
  const { formatProblem } = await import("../../config/index.ts");
  return problems.map(formatProblem).join("\n");
}

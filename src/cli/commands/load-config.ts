/** Reads a configuration file for a command; wrong files end it with every problem printed. */
import type {
  Config,
  ConfigResult,
  FileResult,
  ReadOptions,
  RightConfig,
  WrongConfig,
} from "../../config/index.ts";
import { readStandardInput } from "../../sys/standard-input.ts";
import { CommandFailure, EXIT_WRONG } from "../invocation.ts";

/** As -c - names it. */
export const INPUT = "-";

/** The process knows the keys from here on. Also from standard input. @param file as findConfigFile() has found it */
export async function readFor(file: string, options: ReadOptions): Promise<FileResult> {
  const { forbidCoreDumps } = await import("../../sys/core-dumps.ts");
  forbidCoreDumps();
  const { MAX_FILE_BYTES, readConfig, readConfigText, STANDARD_INPUT } = await import(
    "../../config/index.ts"
  );
  if (file !== INPUT) return readConfig(file, options);
  return readConfigText(await readStandardInput(MAX_FILE_BYTES), STANDARD_INPUT, options);
}

/** Throws CommandFailure with every problem when the configuration is invalid. */
export async function loadFile(
  file: string,
  options: ReadOptions,
): Promise<RightConfig & { readonly warnings?: readonly string[] }> {
  const result = await readFor(file, options);
  await configOf(result);
  return result as Exclude<FileResult, WrongConfig>;
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

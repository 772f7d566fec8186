/** Runs a portmesh command in this process and keeps what it printed. */
import { runCommandLine } from "../../../src/cli/index.ts";
import type { CommandResult } from "./node-process.ts";

export async function runCommand(
  argv: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<CommandResult> {
  let stdout = "";
  let stderr = "";
  const exitCode = await runCommandLine(argv, {
    env,
    exitCode: 0,
    isDaemon: false,
    print: (text) => (stdout += text),
    complain: (text) => (stderr += text),
  });
  return { exitCode, stdout, stderr };
}

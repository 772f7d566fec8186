/** Runs a node for a command: with a log as configured; errors that the user can repair have no stack trace. */
import { resolve } from "node:path";
import { isatty } from "node:tty";
import { AdminSocketError } from "../../admin/index.ts";
import {
  createLog,
  NodeError,
  type NodeOptions,
  OverlayError,
  type RunHooks,
  runNode,
} from "../../node/index.ts";
import { ThreadLimitError } from "../../sys/worker.ts";
import { CommandFailure } from "../invocation.ts";

/** Resolves to the exit code when the node has ended. */
export async function startOrExplain(
  options: Omit<NodeOptions, "log" | "onFatal">,
  hooks?: RunHooks,
): Promise<number> {
  const log = await createLog({ ...options.config.log, isTerminal: isatty(1) });
  try {
    return await runNode({ ...options, file: resolve(options.file), log }, hooks);
  } catch (error) {
    const explained = [AdminSocketError, NodeError, OverlayError, ThreadLimitError];
    const isExplained = explained.some((kind) => error instanceof kind);
    if (isExplained) throw new CommandFailure((error as Error).message, undefined, { cause: error });
    throw error;
  }
}

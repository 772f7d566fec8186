/** `portmesh upgrade` and `portmesh restart`: another process takes over from the running one. */
import { resolve } from "node:path";
import type { Command } from "commander";
import { askNode } from "../client/admin-client.ts";
import { CommandFailure, type Invocation } from "../invocation.ts";
import { findSocket, type NodeOptions, withNodeOptions } from "./options.ts";

const CONFLICT = 409;
/** Longer than the node waits for the new process. */
const TIMEOUT_MS = 90_000;
/** An earlier process may last as long as the longest drain_timeout. */
const RETRY_MS = 1_000;

const HELP = `
The new process reads the file, starts, and receives the open sockets of the running one. Clients are not refused
or disconnected: open connections end in the old process, each at most its service's drain_timeout. When the new
process fails before it serves, the old one continues as before and the reason is printed.
Several earlier processes may still have open connections; when there are eight, the command waits for one to end.`;

interface Reply {
  readonly pid?: number;
  readonly error?: string;
  readonly retryAfterMs?: number | null;
}

export function addUpgrade(program: Command, invocation: Invocation): void {
  withNodeOptions(program.command("upgrade"))
    .summary("replace the running process, without refusing clients")
    .description(
      "Starts FILE, by default the executable that runs, and has it take over from the running process.",
    )
    .argument("[file]", "executable of the new version")
    .addHelpText("after", HELP)
    .action(async (file: string | undefined, options: NodeOptions) => {
      await upgrade(file === undefined ? null : resolve(file), options, invocation);
    });
}

export function addRestart(program: Command, invocation: Invocation): void {
  withNodeOptions(program.command("restart"))
    .summary("restart the running process, without refusing clients")
    .description("Starts the executable that runs once more, and has it take over from the running process.")
    .addHelpText("after", HELP)
    .action(async (options: NodeOptions) => await upgrade(null, options, invocation));
}

async function upgrade(file: string | null, options: NodeOptions, invocation: Invocation): Promise<void> {
  const socket = await findSocket(options, invocation.env);
  let told = "";
  for (;;) {
    const { body } = await askNode(socket, "POST", "/v1/upgrade", {
      body: { file },
      expected: [CONFLICT],
      timeoutMs: TIMEOUT_MS,
    });
    const { pid, error = "no reason given", retryAfterMs = null } = body as Reply;
    if (pid !== undefined) return invocation.print(`process ${pid} has taken over and serves\n`);
    if (retryAfterMs === null) throw new CommandFailure(error);
    if (told === "") invocation.print(`waiting: ${error}\n`);
    told = error;
    await Bun.sleep(RETRY_MS);
  }
}

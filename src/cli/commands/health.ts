/** `portmesh health`: whether the node is ready, as an exit code. quick-health.ts answers most calls before this is loaded. */
import type { Command } from "commander";
import { askReady } from "../../sys/ask-ready.ts";
import { CommandFailure, type Invocation } from "../invocation.ts";
import { findSocket, type NodeOptions, withNodeOptions } from "./options.ts";

const HELP = `
Exit code 0: the node serves. 1: it is starting, draining or stopping, or does not reply within 5 s; the
reason is on standard error. The same answer as GET /readyz on the admin socket.

Examples:
  portmesh health && echo ready
  HEALTHCHECK CMD ["/usr/bin/portmesh", "health"]      # in a Containerfile`;

export function addHealth(program: Command, invocation: Invocation): void {
  withNodeOptions(program.command("health"))
    .summary("test whether the node is ready, by exit code")
    .description("Tests whether the node is ready for clients. Prints nothing when it is.")
    .addHelpText("after", HELP)
    .action(async (options: NodeOptions) => {
      const readiness = await askReady(await findSocket(options, invocation.env));
      if (!readiness.isReady) throw new CommandFailure(`not ready: ${readiness.reason}`);
    });
}

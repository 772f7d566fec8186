/** `portmesh status`: what a running node does, for people and for programs. */
import type { Command } from "commander";
import type { NodeStatus } from "../../node/index.ts";
import { askNode } from "../client/admin-client.ts";
import type { Invocation } from "../invocation.ts";
import { findSocket, type NodeOptions, withNodeOptions } from "./options.ts";

const HELP = `
Counters start at zero when the node starts. --json prints everything.

Examples:
  portmesh status
  portmesh status --socket /run/portmesh/portmesh.sock
  portmesh status --json | jq '.proxy.services[] | {name, open: .tcp.openConnections}'`;

export function addStatus(program: Command, invocation: Invocation): void {
  withNodeOptions(program.command("status"))
    .summary("show ports, tasks, connections and errors")
    .description(
      "Shows the node, its cluster, its published ports with their tasks and connections, and recent errors.",
    )
    .option("--json", "machine-readable output")
    .addHelpText("after", HELP)
    .action(async (options: NodeOptions & { json?: boolean }) => {
      const socket = await findSocket(options, invocation.env);
      const { body } = await askNode(socket, "GET", "/v1/status");
      if (options.json) return invocation.print(`${JSON.stringify(body, null, 2)}\n`);
      const { renderStatus } = await import("../render/status.ts");
      invocation.print(renderStatus(body as NodeStatus));
    });
}

/** `portmesh node`: the nodes of the cluster, from any of them. */
import type { Command } from "commander";
import type { NodeAction } from "../../admin/index.ts";
import { ClusterClient, nodePath } from "../client/cluster-client.ts";
import type { Invocation } from "../invocation.ts";
import { findSocket, type NodeOptions, withNodeOptions } from "./options.ts";

const HELP = `
Examples:
  portmesh node ls
  portmesh node drain edge-2      # before maintenance: no new connections to its tasks
  portmesh node resume edge-2
  portmesh node forget edge-2     # it will not come back`;

const VERBS: readonly {
  readonly verb: NodeAction;
  readonly summary: string;
  readonly description: string;
}[] = [
  {
    verb: "drain",
    summary: "stop new connections to the tasks of a node",
    description: "Stops new connections to the tasks of a node; open ones continue. Lasts until resume.",
  },
  {
    verb: "resume",
    summary: "end the drain of a node",
    description: "Returns the tasks of a drained node to rotation.",
  },
  {
    verb: "forget",
    summary: "remove a node that is gone for good",
    description: "Removes a failed node and its tasks from the cluster. A running node cannot be forgotten.",
  },
];

export function addNode(program: Command, invocation: Invocation): void {
  const node = program
    .command("node")
    .summary("list, drain and remove nodes")
    .description("Lists, drains and forgets the nodes of the cluster.")
    .addHelpText("after", HELP);
  withNodeOptions(node.command("ls"))
    .alias("list")
    .summary("list nodes")
    .description(
      "Lists the nodes of the cluster and the ports they cannot open. * marks the node that answered.",
    )
    .option("--json", "machine-readable output")
    .action(async (options: NodeOptions & { json?: boolean }) => {
      const nodes = await new ClusterClient(await findSocket(options, invocation.env)).nodes();
      if (options.json) return invocation.print(`${JSON.stringify(nodes, null, 2)}\n`);
      const { renderNodes } = await import("../render/nodes.ts");
      invocation.print(renderNodes(nodes));
    });
  for (const { verb, summary, description } of VERBS) {
    withNodeOptions(node.command(verb))
      .summary(summary)
      .description(description)
      .argument("<node>", "node name")
      .action(async (name: string, options: NodeOptions) => {
        const client = new ClusterClient(await findSocket(options, invocation.env));
        await client.ask("POST", nodePath(name, verb));
        invocation.print(`${name}\n`);
      });
  }
}

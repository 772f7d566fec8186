/** `portmesh service rm`: ends services on all nodes. */
import type { Command } from "commander";
import { ClusterClient, RefusedByNode, servicePath } from "../../client/cluster-client.ts";
import { EXIT_FAILED, type Invocation } from "../../invocation.ts";
import { findSocket, type NodeOptions, withNodeOptions } from "../options.ts";

const HELP = `
Their tasks are removed too, on all nodes; open connections may continue for drain_timeout. Prints each
removed name. Exit code 1 when one cannot be removed; the others still are.

Example:
  portmesh service rm my-web dns-cache`;

export function addRm(service: Command, invocation: Invocation): void {
  withNodeOptions(service.command("rm"))
    .alias("remove")
    .summary("remove services")
    .description("Removes services from all nodes.")
    .argument("<service...>", "service names")
    .addHelpText("after", HELP)
    .action(async (names: string[], options: NodeOptions) => {
      const client = new ClusterClient(await findSocket(options, invocation.env));
      for (const name of names) await remove(client, name, invocation);
    });
}

async function remove(client: ClusterClient, name: string, invocation: Invocation): Promise<void> {
  try {
    await client.ask("DELETE", servicePath(name));
    invocation.print(`${name}\n`);
  } catch (error) {
    if (!(error instanceof RefusedByNode)) throw error;
    invocation.complain(`${error.message}\n`);
    invocation.exitCode = EXIT_FAILED;
  }
}

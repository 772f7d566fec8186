/** `portmesh service ps`: the tasks of services, on all nodes. */
import type { Command } from "commander";
import { ClusterClient } from "../../client/cluster-client.ts";
import type { Invocation } from "../../invocation.ts";
import { findSocket, type NodeOptions, withNodeOptions } from "../options.ts";

const HELP = `
STATE as this node sees it: active, draining, starting (not probed yet), unhealthy (its health check fails),
failing (the task does not answer), unreachable (no relay to its node), down (its node is suspect or failed),
loop (the task leads back to a port it serves). SINCE: for how long, by its health check.

Examples:
  portmesh service ps my-web
  portmesh service ps my-web --json | jq -r '.[] | select(.state != "active") | .node'`;

export function addPs(service: Command, invocation: Invocation): void {
  withNodeOptions(service.command("ps"))
    .summary("list the tasks of services")
    .description("Lists the tasks of services, on all nodes.")
    .argument("<service...>", "service names")
    .option("--json", "machine-readable output")
    .addHelpText("after", HELP)
    .action(async (names: string[], options: NodeOptions & { json?: boolean }) => {
      const client = new ClusterClient(await findSocket(options, invocation.env));
      const services = [];
      for (const name of names) services.push(await client.service(name));
      if (options.json) {
        const tasks = services.flatMap(({ name, tasks }) =>
          tasks.map((task) => ({ service: name, ...task })),
        );
        return invocation.print(`${JSON.stringify(tasks, null, 2)}\n`);
      }
      const { renderTasks } = await import("../../render/services.ts");
      invocation.print(renderTasks(services, Date.now()));
    });
}

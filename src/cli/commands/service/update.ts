/** `portmesh service update`: reads the service, changes it, and writes it unless it has changed in the meantime. */
import type { Command } from "commander";
import { ClusterClient, RefusedByNode, servicePath } from "../../client/cluster-client.ts";
import type { Invocation } from "../../invocation.ts";
import { collect, findSocket, type NodeOptions, withNodeOptions } from "../options.ts";
import type { UpdateOptions } from "./build-update.ts";
import { refuseDockerOptions, refuseImage, withDockerOptions } from "./docker-options.ts";
import { sendChange, warnOfBindErrors } from "./send-change.ts";
import { withSpecOptions } from "./spec-flags.ts";

const MAX_ATTEMPTS = 5; // each lost to another writer: more would be a fight between two programs
const HELP = `
--publish-rm takes the target port as Docker does (80, 53/udp), or the pair (8080:80). Removals come first, so
one update can move a port. List options (--allow, --bind, --node-label …) replace the whole list; an empty
value (--deny '') clears it. Prints the name. Changes everything or nothing.

Examples:
  portmesh service update --publish-add 9090:80 --publish-rm 8080:80 my-web
  portmesh service update --publish-add published=8443,target=443 my-web
  portmesh service update --task-add 10.1.0.8 --task-rm 10.1.0.7 my-web
  portmesh service update --balance least-connections --max-connections 10000 my-web`;

export function addUpdate(service: Command, invocation: Invocation): void {
  const command = service
    .command("update")
    .summary("change a service")
    .description("Changes a service; open connections continue under the old rules.")
    .argument("<service>", "service name")
    .allowExcessArguments() // an image: refused in words
    .usage("[options] <service>")
    .option("--publish-add <port>", "publish another port; repeatable", collect)
    .option("--publish-rm <port>", "stop publishing a port; repeatable", collect)
    .option("--task-add <address>", "add a task of this node; repeatable", collect)
    .option("--task-rm <address>", "remove a task of this node; repeatable", collect)
    .addHelpText("after", HELP);
  withNodeOptions(withDockerOptions(withSpecOptions(command))).action(
    async (name: string, options: NodeOptions & UpdateOptions, { args }: Command) => {
      refuseDockerOptions({ ...options }, null);
      refuseImage(args.slice(1));
      const client = new ClusterClient(await findSocket(options, invocation.env));
      await update(client, name, options);
      await warnOfBindErrors(client, name, invocation);
      invocation.print(`${name}\n`);
    },
  );
}

async function update(
  client: ClusterClient,
  name: string,
  options: NodeOptions & UpdateOptions,
): Promise<void> {
  const { buildUpdate, refuseEmptyUpdate } = await import("./build-update.ts");
  const { socket: _socket, config: _config, ...changes } = options;
  refuseEmptyUpdate(changes);
  for (let attempt = 1; ; attempt++) {
    const { request, sources } = buildUpdate(await client.service(name), changes);
    try {
      return await sendChange(sources, () => client.ask("POST", servicePath(name, "update"), request));
    } catch (error) {
      const isLost = error instanceof RefusedByNode && error.refusal.code === "changed";
      if (!isLost || attempt === MAX_ATTEMPTS) throw error;
    }
  }
}

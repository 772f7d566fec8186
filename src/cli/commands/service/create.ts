/** `portmesh service create`: publishes ports in the whole cluster, with tasks of this node. */
import type { Command } from "commander";
import { ClusterClient } from "../../client/cluster-client.ts";
import type { Invocation } from "../../invocation.ts";
import { collect, findSocket, type NodeOptions, withNodeOptions } from "../options.ts";
import type { CreateOptions } from "./build-create.ts";
import { refuseDockerOptions, refuseImage, withDockerOptions } from "./docker-options.ts";
import { sendChange, warnOfBindErrors } from "./send-change.ts";
import { withSpecOptions } from "./spec-flags.ts";

const HELP = `
Port: PUBLISHED:TARGET[/tcp|/udp], also with ranges of equal length; or, with keys in any order,
published=8080,target=80,protocol=udp,mode=host. The protocol defaults to tcp. mode=host publishes only on
nodes with a task, and only to that task. sni=NAME, repeatable, takes only clients of that TLS server name.
Task: HOST, HOST:PORT or [IPv6]:PORT, then ,weight=N if not 1, then ,backup if it serves only while no other
task can; without a port it gets the target port.
Health check: --health-type with the options of that type. Each node probes its own tasks. Without a check a
task gets clients before it is ready.
Prints the name. Creates everything or nothing.

Examples:
  portmesh service create --name my-web --publish published=8080,target=80 --task 10.1.0.7
  portmesh service create --name dns-cache -p 53:53/tcp -p 53:53/udp --task 127.0.0.1:5353
  portmesh service create --name game -p 30000-30009:30000-30009/udp --balance source-hash --task 127.0.0.1
  portmesh service create --name my-web -p 8080:80 --task 10.1.0.7 --health-type http --health-path /healthz
  portmesh service create --name db -p 5432:5432 --task db.internal --allow 10.0.0.0/8 --bind 10.0.0.0/8`;

export function addCreate(service: Command, invocation: Invocation): void {
  const command = service
    .command("create")
    .summary("publish a new service")
    .description("Publishes a new service on every node.")
    .allowExcessArguments() // an image: refused in words
    .usage("--name <name> --publish <port> [options]")
    .requiredOption("--name <name>", "name of the service")
    .requiredOption("-p, --publish <port>", "port to publish; repeatable", collect)
    .option("--task <address>", "task of this node; repeatable", collect)
    .addHelpText("after", HELP);
  withNodeOptions(withDockerOptions(withSpecOptions(command))).action(
    async (options: NodeOptions & CreateOptions, { args }: Command) => {
      refuseDockerOptions({ ...options }, options.task?.length ?? 0);
      refuseImage(args);
      const { buildCreate } = await import("./build-create.ts");
      const { request, sources } = buildCreate(options);
      const client = new ClusterClient(await findSocket(options, invocation.env));
      await sendChange(sources, () => client.ask("POST", "/v1/services", request));
      await warnOfBindErrors(client, request.name, invocation);
      invocation.print(`${request.name}\n`);
    },
  );
}

/** `portmesh service`: the grammar of `docker service` for services that run already. */
import type { Command } from "commander";
import type { Invocation } from "../../invocation.ts";
import { addCreate } from "./create.ts";
import { addInspect } from "./inspect.ts";
import { addLs } from "./ls.ts";
import { addPs } from "./ps.ts";
import { addRm } from "./rm.ts";
import { addUpdate } from "./update.ts";

const HELP = `
A service belongs to the whole cluster; its tasks belong to the node that declares them. Services of a
configuration file are shown here and changed in the file.

Examples:
  portmesh service create --name my-web --publish 8080:80 --task 127.0.0.1
  portmesh service update --publish-add 8443:443 my-web
  portmesh service inspect --format '{{json .Endpoint.Spec.Ports}}' my-web`;

export function addService(program: Command, invocation: Invocation): void {
  const service = program
    .command("service")
    .summary("create, change and show services")
    .description("Creates, changes and shows the services of the cluster.")
    .addHelpText("after", HELP);
  for (const add of [addCreate, addUpdate, addInspect, addLs, addPs, addRm]) add(service, invocation);
}

/** `portmesh service ls`: every service of the cluster. */
import { type Command, Option } from "commander";
import type { ServiceInfo } from "../../../admin/index.ts";
import { ClusterClient } from "../../client/cluster-client.ts";
import { CommandFailure, EXIT_WRONG, type Invocation } from "../../invocation.ts";
import { collect, findSocket, type NodeOptions, withNodeOptions } from "../options.ts";

const HELP = `
TASKS: ready for connections / all. FROM: api for services created by a command, file for services declared in
a configuration file and changed there.
--format knows .ID .Name .Mode .Replicas .Ports .Origin and \\t, \\n.

Examples:
  portmesh service ls
  portmesh service ls --format '{{.Name}}\\t{{.Ports}}'
  portmesh service ls --json | jq -r '.[] | select(.conflicts != []) | .name'`;

interface LsOptions extends NodeOptions {
  readonly json?: boolean;
  readonly quiet?: boolean;
  readonly format?: string;
  readonly filter?: readonly string[];
}

export function addLs(service: Command, invocation: Invocation): void {
  withNodeOptions(service.command("ls"))
    .alias("list")
    .summary("list services")
    .description("Lists the services of the cluster.")
    .option("-f, --filter <condition>", "name=PREFIX; repeatable, one must match", collect)
    .option("--format <template>", "format each with a Go template")
    .addOption(new Option("-q, --quiet", "only names").conflicts("format"))
    .addOption(new Option("--json", "machine-readable output").conflicts(["format", "quiet"]))
    .addHelpText("after", HELP)
    .action(async (options: LsOptions) => {
      const prefixes = options.filter?.map(readFilter) ?? [""];
      const show = await renderer(options);
      const client = new ClusterClient(await findSocket(options, invocation.env));
      const services = await client.services();
      const wanted = services.filter(({ name }) => prefixes.some((prefix) => name.startsWith(prefix)));
      invocation.print(show(wanted));
    });
}

function readFilter(text: string): string {
  const name = /^name=(.*)$/.exec(text)?.[1];
  if (name !== undefined) return name;
  throw new CommandFailure(`--filter ${text}: only name=PREFIX is known`, EXIT_WRONG);
}

async function renderer(options: LsOptions): Promise<(services: readonly ServiceInfo[]) => string> {
  if (options.json) return (services) => `${JSON.stringify(services, null, 2)}\n`;
  if (options.quiet) return (services) => services.map(({ name }) => `${name}\n`).join("");
  if (options.format === undefined) return (await import("../../render/services.ts")).renderServices;
  const { parseTemplate } = await import("../../render/go-template.ts");
  const { listRow } = await import("./inspect-shape.ts");
  const template = parseTemplate(options.format.replaceAll("\\t", "\t").replaceAll("\\n", "\n"));
  return (services) => services.map((service) => `${template(listRow(service))}\n`).join("");
}

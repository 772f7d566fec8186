/** `portmesh service inspect`: services in the shape Docker gives them, or through a template. */
import { type Command, Option } from "commander";
import type { ServiceInfo } from "../../../admin/index.ts";
import { ClusterClient, RefusedByNode } from "../../client/cluster-client.ts";
import { EXIT_FAILED, type Invocation } from "../../invocation.ts";
import { findSocket, type NodeOptions, withNodeOptions } from "../options.ts";

const JSON_INDENT = 4; // as Docker prints it
const HELP = `
Prints a JSON array in Docker's format; fields that only portmesh has are under Portmesh. --format supports
these Go template actions: {{json .Path}}, {{.Path}}, {{len .Path}}, {{println …}}, {{range .Path}}…{{end}}.
Exit code 1 when a service does not exist; the others are shown.

Examples:
  portmesh service inspect my-web
  portmesh service inspect --pretty my-web
  portmesh service inspect --format='{{json .Endpoint.Spec.Ports}}' my-web
  portmesh service inspect --format='{{range .Endpoint.Ports}}{{println .PublishedPort}}{{end}}' my-web`;

interface InspectOptions extends NodeOptions {
  readonly format?: string;
  readonly pretty?: boolean;
}

export function addInspect(service: Command, invocation: Invocation): void {
  withNodeOptions(service.command("inspect"))
    .summary("show services in detail")
    .description("Shows services in detail, in Docker's format.")
    .argument("<service...>", "service names")
    .option("-f, --format <template>", "format with a Go template, or json")
    .addOption(new Option("--pretty", "print a readable summary").conflicts("format"))
    .addOption(new Option("--json", "print JSON (the default)").conflicts(["format", "pretty"]))
    .addHelpText("after", HELP)
    .action(async (names: string[], options: InspectOptions) => {
      const show = await renderer(options);
      const client = new ClusterClient(await findSocket(options, invocation.env));
      const found: ServiceInfo[] = [];
      for (const name of names) {
        const service = await find(client, name, invocation);
        if (service !== null) found.push(service);
      }
      invocation.print(show(found));
    });
}

/** Wrong templates end the command before the node is asked. */
async function renderer({
  format,
  pretty,
}: InspectOptions): Promise<(services: readonly ServiceInfo[]) => string> {
  if (pretty) {
    const { renderServiceDetails } = await import("../../render/services.ts");
    return (services) => services.map((service) => renderServiceDetails(service, Date.now())).join("\n");
  }
  const { inspectService } = await import("./inspect-shape.ts");
  if (format === undefined || format === "json") {
    const indent = format === undefined ? JSON_INDENT : undefined;
    return (services) => `${JSON.stringify(services.map(inspectService), null, indent)}\n`;
  }
  const { parseTemplate } = await import("../../render/go-template.ts");
  const template = parseTemplate(format);
  return (services) => services.map((service) => `${template(inspectService(service))}\n`).join("");
}

async function find(
  client: ClusterClient,
  name: string,
  invocation: Invocation,
): Promise<ServiceInfo | null> {
  try {
    return await client.service(name);
  } catch (error) {
    if (!(error instanceof RefusedByNode)) throw error;
    invocation.complain(`${error.message}\n`);
    invocation.exitCode = EXIT_FAILED;
    return null;
  }
}

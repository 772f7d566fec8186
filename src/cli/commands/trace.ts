/** `portmesh trace`: which task a client would get from this node, and why. */
import type { Command } from "commander";
import type { Trace } from "../../admin/index.ts";
import { ClusterClient } from "../client/cluster-client.ts";
import { CommandFailure, EXIT_FAILED, EXIT_WRONG, type Invocation } from "../invocation.ts";
import { findSocket, type NodeOptions, withNodeOptions } from "./options.ts";

const HELP = `
Opens no connection and does not advance round-robin. --client evaluates allow, deny and source-hash for that
address, --sni picks among services that share the port by server name. Exit code 1 if the client would be
refused.

Examples:
  portmesh trace 8080
  portmesh trace 53/udp --client 192.0.2.17
  portmesh trace 443 --sni a.example.org
  portmesh trace 8080 --json | jq .services[0].pick`;

export function addTrace(program: Command, invocation: Invocation): void {
  withNodeOptions(program.command("trace"))
    .summary("show which task a client would get, and why")
    .description("Shows which task a client of a published port would get from this node, and why.")
    .argument("<port>", "published port: 8080, 8080/tcp or 53/udp")
    .option("--client <address>", "address of the client")
    .option("--sni <name>", "server name in the TLS ClientHello")
    .option("--json", "machine-readable output")
    .addHelpText("after", HELP)
    .action(async (port: string, options: TraceOptions) => {
      const query = new URLSearchParams(await readQuery(port, options));
      const client = new ClusterClient(await findSocket(options, invocation.env));
      const trace = (await client.ask("GET", `/v1/trace?${query}`)) as Trace;
      const { isServed, renderTrace } = await import("../render/trace.ts");
      if (!isServed(trace)) invocation.exitCode = EXIT_FAILED;
      invocation.print(options.json ? `${JSON.stringify(trace, null, 2)}\n` : renderTrace(trace));
    });
}

interface TraceOptions extends NodeOptions {
  readonly client?: string;
  readonly sni?: string;
  readonly json?: boolean;
}

async function readQuery(text: string, { client, sni }: TraceOptions): Promise<Record<string, string>> {
  const match = /^(\d{1,5})(?:\/(tcp|udp))?$/i.exec(text);
  const { canonicalHostName, isPort, showValue } = await import("../../model/index.ts");
  if (match === null || !isPort(Number(match[1]))) {
    throw new CommandFailure(
      `${showValue(text)} is not a port in 1..65535, PORT/tcp or PORT/udp`,
      EXIT_WRONG,
    );
  }
  const { parseIp } = await import("../../wire/index.ts");
  if (client !== undefined && parseIp(client) === null) {
    throw new CommandFailure(`--client: ${showValue(client)} is not an IP address`, EXIT_WRONG);
  }
  const protocol = match[2]?.toLowerCase() ?? "tcp";
  if (sni !== undefined && canonicalHostName(sni) === null)
    throw new CommandFailure(`--sni: ${showValue(sni)} is not a server name`, EXIT_WRONG);
  return {
    port: match[1] ?? "",
    protocol,
    ...(client !== undefined && { client }),
    ...(sni !== undefined && { sni }),
  };
}

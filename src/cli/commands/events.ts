/** `portmesh events`: what has happened in the cluster. */
import type { Command } from "commander";
import type { EventList } from "../../admin/index.ts";
import { ClusterClient } from "../client/cluster-client.ts";
import type { Followed } from "../client/follow-events.ts";
import type { Invocation } from "../invocation.ts";
import { collect, findSocket, type NodeOptions, withNodeOptions } from "./options.ts";

const HELP = `
Every node keeps its own last 1,000 events, in memory; the node that is asked asks the others. Nodes that did not
answer are named on standard error. Events of several nodes are in the order of their clocks.

Examples:
  portmesh events --since 1h
  portmesh events -f --kind node-failed --kind task-unhealthy
  portmesh events --json --service my-web | jq '.events[] | {at, node, message}'`;

/** Shown before the new ones. */
const FOLLOWED_LIMIT = "10";

interface EventOptions extends NodeOptions {
  readonly follow?: boolean;
  readonly json?: boolean;
  readonly service?: string;
  readonly kind?: readonly string[];
  readonly since?: string;
  readonly limit?: string;
}

export function addEvents(program: Command, invocation: Invocation): void {
  withNodeOptions(program.command("events"))
    .summary("show what has happened in the cluster")
    .description(
      "Shows the events of all nodes: failures, reloads, conflicts, drains, upgrades, oldest first.",
    )
    .option("-f, --follow", "show the last ones, then new ones as they happen")
    .option("--service <name>", "of this service only")
    .option("--kind <kind>", "of this kind only; may be given several times", collect)
    .option("--since <time>", 'since this time ("2026-11-28T09:00:00Z") or for so long ("10m")')
    .option("-n, --limit <number>", "the newest ones only (default: 1000; with -f and no --since: 10)")
    .option("--json", "machine-readable output; with -f one event on each line")
    .addHelpText("after", HELP)
    .action((options: EventOptions) =>
      options.follow ? follow(options, invocation) : show(options, invocation),
    );
}

async function show(options: EventOptions, invocation: Invocation): Promise<void> {
  const client = new ClusterClient(await findSocket(options, invocation.env));
  const query = new URLSearchParams(queryOf(options));
  const list = (await client.ask("GET", `/v1/events?${query}`)) as EventList;
  if (options.json) return invocation.print(`${JSON.stringify(list, null, 2)}\n`);
  const { renderEvent, renderUnanswered } = await import("../render/events.ts");
  invocation.print(list.events.map(renderEvent).join(""));
  invocation.complain(renderUnanswered(list.unanswered));
}

async function follow(options: EventOptions, invocation: Invocation): Promise<void> {
  const socket = await findSocket(options, invocation.env);
  const { followEvents } = await import("../client/follow-events.ts");
  const { renderEvent, renderUnanswered } = await import("../render/events.ts");
  const limit = options.since === undefined ? { limit: FOLLOWED_LIMIT } : {};
  const write = (followed: Followed) => {
    if (followed.type === "unanswered") return invocation.complain(renderUnanswered(followed.unanswered));
    const { event } = followed;
    invocation.print(options.json ? `${JSON.stringify(event)}\n` : renderEvent(event));
  };
  for await (const followed of followEvents(socket, { ...limit, ...queryOf(options) })) write(followed);
}

/** The node says what is wrong with it. */
function queryOf({ service, kind, since, limit }: EventOptions): Record<string, string> {
  return {
    ...(service !== undefined && { service }),
    ...(kind !== undefined && { kind: kind.join(",") }),
    ...(since !== undefined && { since }),
    ...(limit !== undefined && { limit }),
  };
}

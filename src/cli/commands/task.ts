/** `portmesh task`: the tasks of this node, one at a time. */

import type { Command } from "commander";
import type { TaskSpec } from "../../model/index.ts";
import { ClusterClient, servicePath } from "../client/cluster-client.ts";
import { CommandFailure, EXIT_WRONG, type Invocation } from "../invocation.ts";
import { findSocket, type NodeOptions, withNodeOptions } from "./options.ts";

const HELP = `
A task belongs to the node that declares it: these commands change the tasks of the node they connect to.
Tasks of a configuration file are removed in the file. \`portmesh service ps\` shows the tasks of all nodes.

Examples:
  portmesh task add my-web 127.0.0.1:8081
  portmesh task drain my-web 127.0.0.1:8081     # before stopping it
  portmesh task rm my-web 127.0.0.1:8081`;

/** What the verbs for a task that is there ask of it. */
const VERBS = [
  {
    verb: "rm",
    summary: "remove a task",
    description: "Removes a task of this node; its open connections may continue for drain_timeout.",
    method: "DELETE",
    steps: [],
  },
  {
    verb: "drain",
    summary: "stop new connections to a task",
    description: "Stops new connections to a task of this node; open ones continue.",
    method: "POST",
    steps: ["drain"],
  },
  {
    verb: "resume",
    summary: "end the drain of a task",
    description: "Returns a draining task of this node to rotation.",
    method: "POST",
    steps: ["resume"],
  },
] as const;

export function addTask(program: Command, invocation: Invocation): void {
  const task = program
    .command("task")
    .summary("add, drain and remove tasks of this node")
    .description("Adds, drains and removes tasks of this node.")
    .addHelpText("after", HELP);
  addAdd(task, invocation);
  for (const verb of VERBS) addVerb(task, verb, invocation);
}

function addAdd(task: Command, invocation: Invocation): void {
  withNodeOptions(task.command("add"))
    .summary("add a task to a service")
    .description("Adds a task of this node to a service.")
    .argument("<service>", "service name")
    .argument("<address>", "HOST, HOST:PORT or [IPv6]:PORT; without a port it gets the target port")
    .option("--weight <number>", "share of new connections, 1..256", "1")
    .action(async (service: string, address: string, options: NodeOptions & { weight: string }) => {
      const declaration = await readTask(address, options.weight);
      const client = new ClusterClient(await findSocket(options, invocation.env));
      await client.ask("POST", servicePath(service, "tasks"), declaration);
      invocation.print(`${declaration.name}\n`);
    });
}

async function readTask(address: string, weightText: string): Promise<TaskSpec> {
  const { parseTaskAddress } = await import("../../model/index.ts");
  const { parseWeight } = await import("./service/task-option.ts");
  const parsed = parseTaskAddress(address);
  if ("error" in parsed) throw new CommandFailure(parsed.error, EXIT_WRONG);
  const weight = parseWeight(weightText);
  if ("error" in weight) throw new CommandFailure(`--weight: ${weight.error}`, EXIT_WRONG);
  return { name: address, ...parsed, weight: weight.value };
}

function addVerb(
  task: Command,
  { verb, summary, description, method, steps }: (typeof VERBS)[number],
  invocation: Invocation,
): void {
  withNodeOptions(task.command(verb))
    .summary(summary)
    .description(description)
    .argument("<service>", "service name")
    .argument("<task>", "task address, as `portmesh service ps` shows it")
    .action(async (service: string, address: string, options: NodeOptions) => {
      const { findTaskName } = await import("./service/task-option.ts");
      const client = new ClusterClient(await findSocket(options, invocation.env));
      const name = findTaskName((await client.service(service)).tasks, address);
      await client.ask(method, servicePath(service, "tasks", name, ...steps));
      invocation.print(`${name}\n`);
    });
}

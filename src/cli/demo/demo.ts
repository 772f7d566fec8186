/**
 * `portmesh demo`: a cluster of three nodes on loopback with tasks on two of them, to look at and to play with.
 *
 * The nodes are processes of their own, so that one can be killed; the tasks are in this process. Everything lies in
 * one temporary directory; nothing of it is left behind.
 */
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Command } from "commander";
import { CommandFailure, EXIT_DONE, EXIT_FAILED, type Invocation } from "../invocation.ts";
import { demoBanner } from "./demo-banner.ts";
import { type DemoNode, type DemoPlan, demoConfig, fileOf } from "./demo-config.ts";
import { startDnsTask } from "./dns-task.ts";
import { findFreePort } from "./free-port.ts";
import { NodeChild } from "./node-child.ts";
import { startWebTask } from "./web-task.ts";

const WEB_PORT = 8080;
const DNS_PORT = 5300;
const GOSSIP_PORT = 7946;
const RELAY_PORT = 4789;
const READY_MS = 20_000;
const KEY_BYTES = 32;
const HOSTS = ["127.0.0.1", "127.0.0.2", "127.0.0.3"] as const;
/** By node: the third runs none. */
const TASKS = [["task-a", "task-b"], ["task-c"], []] as const;
const HELP = `
Starts three nodes on 127.0.0.1, .2 and .3, with web and DNS tasks on the first two, and prints what to try: a
request to the third node, killing a node, editing a file. A port that is in use is replaced by the next free
one. Ctrl-C stops everything.`;

export function addDemo(program: Command, invocation: Invocation): void {
  program
    .command("demo")
    .summary("run three nodes with tasks, to try things out")
    .description("Runs a cluster of three nodes with tasks on loopback, to try things out.")
    .addHelpText("after", HELP)
    .action(async () => {
      invocation.exitCode = await runDemo(invocation);
    });
}

async function runDemo(invocation: Invocation): Promise<number> {
  const directory = mkdtempSync(join(tmpdir(), "portmesh-demo-"));
  process.on("exit", () => rmSync(directory, { recursive: true, force: true })); // also when ended at once
  const plan = await makePlan(directory);
  for (const node of plan.nodes) writeFileSync(fileOf(node), demoConfig(node, plan), { mode: 0o600 });
  const children = plan.nodes.map((node) => new NodeChild(node, invocation.print));
  const ending = passSignalsOn(children);
  const areReady = await Promise.all(children.map((child) => child.sees(HOSTS.length, READY_MS)));
  if (areReady.every(Boolean)) {
    invocation.print(
      demoBanner(
        plan,
        children.map((child) => child.pid),
      ),
    );
  } else if (!ending.hasBegun) {
    for (const child of children) child.signal("SIGKILL");
    throw new CommandFailure("the nodes cannot find each other: see the log lines above");
  }
  for (const child of children) void tellEnd(child, ending, invocation);
  await Promise.all(children.map((child) => child.ended));
  return ending.hasBegun ? EXIT_DONE : EXIT_FAILED;
}

async function makePlan(directory: string): Promise<DemoPlan> {
  const tasksOf = (index: number, start: (name: string, host: string) => Promise<{ port: number }>) =>
    Promise.all((TASKS[index] ?? []).map((name) => start(name, HOSTS[index]!)));
  const nodes = await Promise.all(
    HOSTS.map(async (host, index): Promise<DemoNode> => {
      const webTasks = (await tasksOf(index, startWebTask)).map(({ port }) => port);
      const dnsTasks = (await tasksOf(index, startDnsTask)).map(({ port }) => port);
      return { name: `node-${index + 1}`, host, directory, webTasks, dnsTasks };
    }),
  );
  const ports = {
    web: await findFreePort("tcp", WEB_PORT, HOSTS),
    dns: await findFreePort("udp", DNS_PORT, HOSTS),
    gossip: await findFreePort("both", GOSSIP_PORT, HOSTS),
    relay: await findFreePort("both", RELAY_PORT, HOSTS),
  };
  return { nodes, ports, key: randomBytes(KEY_BYTES).toString("base64") };
}

interface Ending {
  readonly hasBegun: boolean;
}

/** Ctrl-C reaches the nodes by itself, another signal or a closed terminal only this process: all get it from here. */
function passSignalsOn(children: readonly NodeChild[]): Ending {
  const ending = { hasBegun: false };
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.on(signal, () => {
      ending.hasBegun = true;
      for (const child of children) child.signal("SIGTERM");
    });
  }
  return ending;
}

async function tellEnd(child: NodeChild, ending: Ending, invocation: Invocation): Promise<void> {
  await child.ended;
  if (!ending.hasBegun) invocation.print(`${child.node.name} has ended; the other nodes keep running\n`);
}

/**
 * `portmesh demo`: a node with tasks of its own on loopback, to look at and to play with.
 *
 * Everything is in this process and in one temporary directory; nothing of it is left behind.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Command } from "commander";
import { readBuildInfo } from "../build-info.ts";
import type { Invocation } from "../invocation.ts";
import { loadConfig } from "../load-config.ts";
import { demoBanner } from "./demo-banner.ts";
import { demoConfig } from "./demo-config.ts";
import { startDnsTask } from "./dns-task.ts";
import { findFreePort } from "./free-port.ts";
import { startWebTask } from "./web-task.ts";

const WEB_PORT = 8080;
const DNS_PORT = 5300;
const HELP = `
Starts one node, three web tasks behind one TCP port and two DNS tasks behind one UDP port, all on loopback.
Prints what to try. Ports that are taken are replaced by the next free ones. Ctrl-C ends it.`;

export function addDemo(program: Command, invocation: Invocation): void {
  program
    .command("demo")
    .summary("run a node with tasks of its own, to look at")
    .description("Runs a node with tasks of its own on loopback, to look at and to play with.")
    .addHelpText("after", HELP)
    .action(async () => {
      invocation.exitCode = await runDemo(invocation);
    });
}

async function runDemo(invocation: Invocation): Promise<number> {
  const directory = mkdtempSync(join(tmpdir(), "portmesh-demo-"));
  process.on("exit", () => rmSync(directory, { recursive: true, force: true })); // also when ended at once
  const file = join(directory, "portmesh.toml");
  const socket = join(directory, "portmesh.sock");
  const webTasks = ["task-a", "task-b", "task-c"].map(startWebTask);
  const dnsTasks = await Promise.all(["dns-a", "dns-b"].map(startDnsTask));
  const ports = { web: await findFreePort("tcp", WEB_PORT), dns: await findFreePort("udp", DNS_PORT) };
  const portOf = (task: { port: number }) => task.port;
  writeFileSync(
    file,
    demoConfig({ socket, ports, webTasks: webTasks.map(portOf), dnsTasks: dnsTasks.map(portOf) }),
  );
  const { startOrExplain } = await import("../start-or-explain.ts");
  const onServing = () => invocation.print(demoBanner({ file, socket, ports }));
  const options = { file, config: await loadConfig(file), version: readBuildInfo() };
  return await startOrExplain(options, { onServing });
}

/**
 * Two portmesh nodes of a cluster with a key: clients come to the first, which has no task, and leave by the second.
 *
 *   clients ─> entry, published on 127.0.0.1 ── relay ─> exit 127.0.0.3 ─> target
 *              (node address 127.0.0.2)
 */
import { randomBytes } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { portmesh, portmeshBinary } from "./portmesh.ts";
import type { ProxyProgram, ProxySetup, Route } from "./proxy.ts";

const ENTRY = "127.0.0.2";
const EXIT = "127.0.0.3";

interface PairNode {
  readonly name: "entry" | "exit";
  readonly address: string;
  /** Where it publishes. */
  readonly bind: string;
  readonly hasTasks: boolean;
}

const NODES: readonly PairNode[] = [
  { name: "entry", address: ENTRY, bind: "127.0.0.1", hasTasks: false },
  { name: "exit", address: EXIT, bind: EXIT, hasTasks: true },
];

interface PairSettings {
  readonly key: string;
  readonly gossipPort: number;
  readonly relayPort: number;
}

export const portmeshPair: ProxyProgram = {
  name: "portmesh-pair",
  unavailable: portmesh.unavailable,
  prepare(setup) {
    const settings = {
      key: randomBytes(32).toString("base64"),
      gossipPort: setup.takePort(),
      relayPort: setup.takePort(),
    };
    const commands = NODES.map((node) => {
      const file = join(setup.directory, `${node.name}.toml`);
      writeFileSync(file, configuration(node, settings, setup));
      return [portmeshBinary, "run", "-c", file];
    });
    return { commands, isReady: () => knowsTasks(setup) };
  },
};

/** Whether the entry has heard of the exit's tasks. */
async function knowsTasks({ directory, routes }: ProxySetup): Promise<boolean> {
  const unix = socketPath(directory, "entry");
  const status = await fetch("http://portmesh/v1/status", { unix }).then(
    (response) => response.json() as Promise<{ proxy?: { services: { tasks: unknown[] }[] } }>,
    () => null,
  );
  const served = status?.proxy?.services.filter((service) => service.tasks.length > 0) ?? [];
  return served.length === routes.length;
}

function configuration(
  { name, address, bind, hasTasks }: PairNode,
  { key, gossipPort, relayPort }: PairSettings,
  { routes, workers, directory }: ProxySetup,
): string {
  return `[node]
name = "${name}"
advertise = "${address}"
data_dir = "${directory}/${name}-data"
[cluster]
name = "bench"
keys = ["${key}"]
join = [${NODES.map((node) => `"${node.address}:${gossipPort}"`).join(", ")}]
bind = "${address}:${gossipPort}"
[overlay]
driver = "none"
encrypt = false
port = ${relayPort}
[proxy]
workers = ${workers}
bind = ["${bind}"]
[admin]
socket = "${socketPath(directory, name)}"
[log]
level = "warn"
${routes.map((route) => service(route, hasTasks)).join("")}`;
}

function service(route: Route, hasTasks: boolean): string {
  const suffix = route.protocol === "udp" ? "/udp" : "";
  return `[[services]]
name = "${route.name}"
publish = ["${route.listenPort}:${route.targetPort}${suffix}"]
tasks = [${hasTasks ? '"127.0.0.1"' : ""}]
`;
}

function socketPath(directory: string, name: PairNode["name"]): string {
  return join(directory, `${name}.sock`);
}

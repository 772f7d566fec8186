/**
 * A proxy with tasks on far machines (far-machines-process.ts), in the same namespace, and the clients of its port.
 * Argument: FarTasks as JSON. Prints FarTasksResult and ends.
 */
import { createServer } from "node:net";
import { resolve } from "node:path";
import type { ServiceStatus } from "../../../src/proxy/index.ts";
import { request } from "../load/http-load.ts";
import { isLossy } from "../network/far-machines-process.ts";
import { freePort } from "../os/free-port.ts";
import { ProxyHarness } from "./proxy-harness.ts";

const SELF = resolve("test/support/proxy/far-tasks-process.ts");
const ANSWER = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";
const TIMEOUT_MS = 30_000;

export interface FarTasks {
  readonly addresses: readonly string[];
  /** Beside each other; each asks `rounds` times. */
  readonly clients: number;
  readonly rounds: number;
  /** A request without an answer for so long has failed; 30 s by default. */
  readonly timeoutMs?: number;
}

export interface FarTasksResult {
  /** null: answered */
  readonly errors: readonly (string | null)[];
  /** Of as many requests to the first task without the proxy, at the same time. */
  readonly bareErrors: readonly (string | null)[];
  /** By address of the task, also of those that were given up. */
  readonly connections: Readonly<Record<string, number>>;
  readonly status: ServiceStatus;
  /** How often a task was seen to count as down. */
  readonly timesDown: number;
}

/** Runs it to its end, with the namespace's wrapper in front. */
export async function runFarTasks(wrapper: readonly string[], tasks: FarTasks): Promise<FarTasksResult> {
  const child = Bun.spawn([...wrapper, process.execPath, SELF, JSON.stringify(tasks)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const printed = await child.stdout.text();
  if ((await child.exited) !== 0) throw new Error(`the clients of far tasks ended with ${child.exitCode}`);
  return JSON.parse(printed);
}

async function run({
  addresses,
  clients,
  rounds,
  timeoutMs = TIMEOUT_MS,
}: FarTasks): Promise<FarTasksResult> {
  const connections: Record<string, number> = {};
  const port = await listenToClients((address) => {
    connections[address] = (connections[address] ?? 0) + 1;
  });
  const harness = await ProxyHarness.start(1);
  const published = await freePort();
  await harness.apply({ protocol: "tcp", published, tasks: addresses.map((address) => ({ address, port })) });
  let timesDown = 0;
  const watch = setInterval(() => {
    const isUp = (address: string) =>
      harness.proxy.isTaskUp({ address, port }, { protocol: "tcp", target: port });
    timesDown += addresses.filter((address) => !isUp(address)).length;
  }, 50);
  const errors: (string | null)[] = [];
  const bareErrors: (string | null)[] = [];
  const client = async (host: string, to: number, into: (string | null)[]) => {
    for (let i = 0; i < rounds; i++) into.push((await request(host, to, { timeoutMs })).error);
  };
  await Promise.all([
    ...Array.from({ length: clients }, () => client("127.0.0.1", published, errors)),
    ...Array.from({ length: addresses.some(isLossy) ? clients : 0 }, () =>
      client(addresses[0]!, port, bareErrors),
    ),
  ]);
  clearInterval(watch);
  // a client that has given up waits no more, and its connection goes on as long as a task may answer
  if (errors.every((error) => error === null)) await harness.allClosed(clients * rounds);
  return { errors, bareErrors, connections, status: harness.proxy.status().services[0]!, timesDown };
}

/** A task that answers whatever it is asked, however late that comes; gives its port. */
export function listenToClients(onClient: (address: string) => void): Promise<number> {
  const server = createServer((socket) => {
    onClient(socket.remoteAddress!);
    socket.on("error", () => {});
    socket.on("data", () => socket.end(ANSWER));
  });
  return new Promise((resolve) => {
    server.listen(0, "0.0.0.0", () => resolve((server.address() as { port: number }).port));
  });
}

if (import.meta.main) {
  console.log(JSON.stringify(await run(JSON.parse(process.argv[2]!))));
  process.exit(0);
}

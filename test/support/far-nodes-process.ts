/**
 * Two nodes that relay to each other over far machines (far-machines-process.ts), in one namespace, and clients of the
 * entry node. Argument: FarNodes as JSON. Prints FarNodesResult and ends.
 */
import { createSocket } from "node:dgram";
import { resolve } from "node:path";
import { HERE } from "./far-machines-process.ts";
import { freePort } from "./free-port.ts";
import { request } from "./http-load.ts";
import { RelayNode } from "./relay-node.ts";
import { waitFor } from "./wait-for.ts";

const SELF = resolve("test/support/far-nodes-process.ts");
const TIMEOUT_MS = 30_000;

export interface FarNodes {
  readonly protocol: "tcp" | "udp";
  /** At which the entry node reaches the exit node. */
  readonly address: string;
  readonly isWan: boolean;
  readonly isSealed: boolean;
  readonly rounds: number;
}

export interface FarNodesResult {
  /** null: answered */
  readonly errors: readonly (string | null)[];
  /** How often the exit node went from reachable to unreachable, from the first answered heartbeat on. */
  readonly silences: number;
  readonly rttMs: number | null;
  readonly connectFailuresTotal: number;
}

/** Runs it to its end, with the namespace's wrapper in front. */
export async function runFarNodes(wrapper: readonly string[], nodes: FarNodes): Promise<FarNodesResult> {
  const child = Bun.spawn([...wrapper, process.execPath, SELF, JSON.stringify(nodes)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const printed = await child.stdout.text();
  if ((await child.exited) !== 0) throw new Error(`the clients of far nodes ended with ${child.exitCode}`);
  return JSON.parse(printed);
}

async function run({ protocol, address, isWan, isSealed, rounds }: FarNodes): Promise<FarNodesResult> {
  const task = await startTask(protocol);
  const published = await freePort();
  const [exit, entry] = [
    await RelayNode.start("exit", { address: HERE, isSealed }),
    await RelayNode.start("entry", { isSealed }),
  ];
  const service = { protocol, published };
  const here = { name: "task", address: "127.0.0.1", port: task };
  await exit.apply([], { ...service, listenAddresses: [], tasks: [here] });
  const far = { name: "task", node: "exit", distance: "far", address: "task.internal", port: task } as const;
  await entry.apply([{ ...exit.peer, address, isWan }], { ...service, tasks: [far] });
  const peer = () => entry.proxy.status().peers[0]!;
  const isHeard = () => peer().rttMs !== null;
  await waitFor(isHeard, { what: "the first heartbeat", deadlineMs: TIMEOUT_MS });
  let silences = 0;
  let wasReachable = true;
  const watch = setInterval(() => {
    const { isReachable } = peer();
    if (wasReachable && !isReachable) silences++;
    wasReachable = isReachable;
  }, 20);
  const errors: (string | null)[] = [];
  for (let i = 0; i < rounds; i++)
    errors.push(protocol === "tcp" ? await askTcp(published) : await askUdp(published));
  clearInterval(watch);
  const { connectFailuresTotal } = entry.status.tasks[0]!;
  return { errors, silences, rttMs: peer().rttMs, connectFailuresTotal };
}

async function startTask(protocol: "tcp" | "udp"): Promise<number> {
  if (protocol === "tcp")
    return Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: () => new Response("ok") }).port!;
  const socket = createSocket("udp4", (data, { port, address }) => socket.send(data, port, address));
  return new Promise((resolve) => socket.bind(0, "127.0.0.1", () => resolve(socket.address().port)));
}

async function askTcp(port: number): Promise<string | null> {
  return (await request("127.0.0.1", port, { timeoutMs: TIMEOUT_MS })).error;
}

/** One datagram from a client of its own. */
function askUdp(port: number): Promise<string | null> {
  const socket = createSocket("udp4");
  return new Promise((resolve) => {
    const end = (error: string | null) => {
      clearTimeout(timer);
      socket.close();
      resolve(error);
    };
    const timer = setTimeout(() => end("no answer"), TIMEOUT_MS / 3);
    socket.on("message", () => end(null));
    socket.send("question", port, "127.0.0.1");
  });
}

if (import.meta.main) {
  console.log(JSON.stringify(await run(JSON.parse(process.argv[2]!))));
  process.exit(0);
}

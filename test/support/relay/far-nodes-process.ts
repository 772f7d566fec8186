/**
 * Two nodes that relay to each other over far machines (far-machines-process.ts), in one namespace, and clients of the
 * entry node. Argument: FarNodes as JSON. Prints FarNodesResult and ends.
 */
import { createSocket } from "node:dgram";
import { resolve } from "node:path";
import { request } from "../load/http-load.ts";
import { HERE, isLossy } from "../network/far-machines-process.ts";
import { freePort } from "../os/free-port.ts";
import { listenToClients } from "../proxy/far-tasks-process.ts";
import { waitFor } from "../time/wait-for.ts";
import { RelayNode } from "./relay-node.ts";

const SELF = resolve("test/support/relay/far-nodes-process.ts");
const TIMEOUT_MS = 30_000;
const ASK_AGAIN_MS = 1_000;

export interface FarNodes {
  readonly protocol: "tcp" | "udp";
  /** At which the entry node reaches the exit node. */
  readonly address: string;
  readonly isWan: boolean;
  readonly isSealed: boolean;
  /** Of each client, one after the other. */
  readonly rounds: number;
  /** Beside each other; 1 by default. */
  readonly clients?: number;
  /** A request without an answer for so long has failed; 30 s by default. */
  readonly timeoutMs?: number;
}

export interface FarNodesResult {
  /** null: answered */
  readonly errors: readonly (string | null)[];
  /** How often the exit node went from reachable to unreachable, from the first answered heartbeat on. */
  readonly silences: number;
  readonly rttMs: number | null;
  readonly connectFailuresTotal: number;
  /** Of as many TCP requests to the task over the same path without nodes, at the same time; [] where nothing is lost. */
  readonly bareErrors: readonly (string | null)[];
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

async function run(options: FarNodes): Promise<FarNodesResult> {
  const { protocol, address, isWan, isSealed, rounds, clients = 1, timeoutMs = TIMEOUT_MS } = options;
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
  // clients are served without it, and over a way that loses packets it may take long
  if (!isLossy(address)) await waitFor(isHeard, { what: "the first heartbeat", deadlineMs: TIMEOUT_MS });
  let silences = 0;
  let wasReachable = true;
  const watch = setInterval(() => {
    const { isReachable } = peer();
    if (wasReachable && !isReachable) silences++;
    wasReachable = isReachable;
  }, 20);
  const errors: (string | null)[] = [];
  const bareErrors: (string | null)[] = [];
  const ask = async (into: (string | null)[], host: string, port: number) => {
    for (let i = 0; i < rounds; i++)
      into.push(
        protocol === "tcp"
          ? await askTcp(host, port, timeoutMs)
          : await askUdp(port, timeoutMs, isLossy(address)),
      );
  };
  const bareClients = protocol === "tcp" && isLossy(address) ? clients : 0;
  await Promise.all([
    ...Array.from({ length: clients }, () => ask(errors, "127.0.0.1", published)),
    ...Array.from({ length: bareClients }, () => ask(bareErrors, address, task)),
  ]);
  clearInterval(watch);
  const { connectFailuresTotal } = entry.status.tasks[0]!;
  return { errors, silences, rttMs: peer().rttMs, connectFailuresTotal, bareErrors };
}

async function startTask(protocol: "tcp" | "udp"): Promise<number> {
  if (protocol === "tcp") return listenToClients(() => undefined);
  const socket = createSocket("udp4", (data, { port, address }) => socket.send(data, port, address));
  return new Promise((resolve) => socket.bind(0, "127.0.0.1", () => resolve(socket.address().port)));
}

async function askTcp(host: string, port: number, timeoutMs: number): Promise<string | null> {
  return (await request(host, port, { timeoutMs })).error;
}

/** A client of its own, which asks until it is answered where datagrams get lost, and once elsewhere. */
function askUdp(port: number, timeoutMs: number, isRepeated: boolean): Promise<string | null> {
  const socket = createSocket("udp4");
  return new Promise((resolve) => {
    const send = () => socket.send("question", port, "127.0.0.1");
    const again = isRepeated ? setInterval(send, ASK_AGAIN_MS) : undefined;
    const end = (error: string | null) => {
      clearInterval(again);
      clearTimeout(timer);
      socket.close();
      resolve(error);
    };
    const timer = setTimeout(() => end("no answer"), timeoutMs);
    socket.on("message", () => end(null));
    send();
  });
}

if (import.meta.main) {
  console.log(JSON.stringify(await run(JSON.parse(process.argv[2]!))));
  process.exit(0);
}

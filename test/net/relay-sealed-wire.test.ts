/**
 * What somebody sees who listens between two nodes: tshark on the wire.
 *
 *   n1: client ──▶ entry node ── bridge, tshark ── n2: exit node ──▶ its task
 */
import { afterEach, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import type { Relay, RoutingTable } from "../../src/proxy/index.ts";
import { lacksNamespaces, Namespaces } from "../support/network/namespaces.ts";
import type { NetworkNode } from "../support/network/network-node.ts";
import { findProgram, lacks } from "../support/os/require-program.ts";
import { tempDir } from "../support/os/temp-dir.ts";
import { type TestService, tableOf } from "../support/proxy/routing-table.ts";
import { on } from "../support/relay/relay-mesh.ts";
import { MODES, RELAY_KEY } from "../support/relay/relay-node.ts";
import { waitFor } from "../support/time/wait-for.ts";

const RELAY_PORT = 4789;
/** Programs start slowly on a machine that is busy. */
const DEADLINE_MS = 30_000;
const TASK_PORT = 9000;
const PUBLISHED = 8080;
const SERVICE = "marked-service-name";
const TASK = "marked-task-name";
const QUESTION = "marked-client-bytes";
const ANSWER = "marked-task-bytes";
const LAST = "the-last-packet";
const MARKS = [SERVICE, TASK, QUESTION, ANSWER];
const SCRIPT = new URL("../support/proxy/proxy-process.ts", import.meta.url).pathname;
const SOCAT = findProgram("socat")!;
const isSkipped = lacksNamespaces() || lacks("tshark", "socat");

const cleanUps: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

function start(machine: NetworkNode, ...command: string[]): Bun.Subprocess<"pipe", "pipe", "pipe"> {
  const running = Bun.spawn([...machine.wrapper, ...command], {
    stdin: "pipe",
    stdout: "pipe",
    stderr: "pipe",
  });
  cleanUps.push(() => running.kill("SIGKILL"));
  return running;
}

async function startNode(machine: NetworkNode, table: RoutingTable): Promise<void> {
  await start(machine, process.execPath, SCRIPT, JSON.stringify(table)).stdout.getReader().read();
}

/** Everything to and from the relay port from now on. */
async function listen(machine: NetworkNode): Promise<() => Buffer> {
  const directory = tempDir();
  cleanUps.push(() => directory[Symbol.dispose]());
  const file = directory.file("wire.pcap");
  const filter = ["-i", "eth0", "-f", `port ${RELAY_PORT}`, "-F", "pcap", "-w", file];
  start(machine, findProgram("tshark")!, ...filter);
  // its header
  await waitFor(() => Bun.file(file).size > 0, { what: "tshark to listen", deadlineMs: DEADLINE_MS });
  return () => readFileSync(file);
}

/** A node with that task and one without, and what is seen between them. */
async function startNodes(protocol: "tcp" | "udp", isSealed: boolean) {
  const network = Namespaces.create(2);
  cleanUps.push(() => network.close());
  const [entry, exit] = network.nodes as [NetworkNode, NetworkNode];
  const rules = { name: SERVICE, protocol, published: PUBLISHED } as const;
  const acceptsClear: Relay["acceptsClear"] = isSealed ? [] : "always";
  const relay = { port: RELAY_PORT, udpPort: RELAY_PORT, keys: [RELAY_KEY], acceptsClear };
  const own: TestService = { ...rules, listenAddresses: [], tasks: [{ name: TASK, port: TASK_PORT }] };
  await startNode(exit, {
    ...tableOf(own),
    relay: { ...relay, node: "exit", listenAddresses: [exit.address] },
  });
  const wire = await listen(exit);
  const far = on("exit", { port: TASK_PORT }, { name: TASK });
  await startNode(entry, {
    ...tableOf({ ...rules, listenAddresses: ["127.0.0.1"], tasks: [far] }),
    peers: [{ name: "exit", address: exit.address, port: RELAY_PORT, udpPort: RELAY_PORT, isSealed }],
    relay: { ...relay, node: "entry", listenAddresses: [entry.address] },
  });
  return { entry, exit, wire };
}

/** Packets are kept in order: what is seen last, in clear, comes behind all that was said. */
async function seenAtEnd(entry: NetworkNode, exit: NetworkNode, wire: () => Buffer): Promise<Buffer> {
  const last = `echo ${LAST} | ${SOCAT} - UDP:${exit.address}:${RELAY_PORT}`;
  await waitFor(
    async () => {
      await entry.run("sh", "-c", last);
      return wire().includes(LAST);
    },
    { what: "the last packet to be seen", deadlineMs: DEADLINE_MS },
  );
  return wire();
}

describe.skipIf(isSkipped)("what is seen between two nodes", () => {
  const ways = (["tcp", "udp"] as const).flatMap((protocol) =>
    MODES.map(([mode, isSealed]) => ({ protocol, mode, isSealed })),
  );
  test.each(ways)("$protocol, $mode", async ({ protocol, isSealed }) => {
    const { entry, exit, wire } = await startNodes(protocol, isSealed);
    const upper = protocol.toUpperCase();
    const task = protocol === "tcp" ? "TCP-LISTEN" : "UDP-RECVFROM";
    const answer = `SYSTEM:read q; echo ${ANSWER}; echo ${ANSWER}`;
    start(exit, SOCAT, `${task}:${TASK_PORT},bind=127.0.0.1,fork,reuseaddr`, answer);
    const ask = `echo ${QUESTION} | ${SOCAT} -t2 - ${upper}:127.0.0.1:${PUBLISHED}`;
    await waitFor(async () => (await entry.run("sh", "-c", ask).catch(() => "")).includes(ANSWER), {
      what: "the task to answer",
      deadlineMs: DEADLINE_MS,
    });
    const seen = await seenAtEnd(entry, exit, wire);
    expect(MARKS.filter((mark) => seen.includes(mark))).toEqual(isSealed ? [] : MARKS);
  });
});

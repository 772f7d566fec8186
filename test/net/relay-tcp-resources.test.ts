/**
 * What open connections between nodes cost each of them: many at once, each with one byte there and back.
 *
 *   clients, a process ──▶ entry node, a process ──▶ exit node, a process ──▶ tasks, a process
 */
import { afterEach, expect, test } from "bun:test";
import type { Relay, RoutingTable } from "../../src/proxy/index.ts";
import { freePort, freeQuietPort } from "../support/os/free-port.ts";
import { memoryBytesOf } from "../support/os/process-stats.ts";
import { tableOf } from "../support/proxy/routing-table.ts";
import { here, on } from "../support/relay/relay-mesh.ts";
import { MODES, RELAY_KEY } from "../support/relay/relay-node.ts";
import { waitFor } from "../support/time/wait-for.ts";

const COUNT = 9_000;
const CLIENTS = new URL("../support/load/echo-clients.ts", import.meta.url).pathname;
const PROXY = new URL("../support/proxy/proxy-process.ts", import.meta.url).pathname;

interface Progress {
  readonly isListening?: boolean;
  readonly echoed?: number;
  readonly failed?: number;
}

const cleanUps: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

function startHelper(...args: string[]): { last(): Progress } {
  let last: Progress = {};
  const child = Bun.spawn([process.execPath, CLIENTS, ...args], {
    stdio: ["ignore", "ignore", "inherit"],
    ipc: (message) => {
      last = message as Progress;
    },
  });
  cleanUps.push(() => child.kill("SIGKILL"));
  return { last: () => last };
}

/** Returns its process id. */
async function startNode(table: RoutingTable): Promise<number> {
  const child = Bun.spawn([process.execPath, PROXY, JSON.stringify(table)], {
    stdin: "pipe",
    stdout: "pipe",
  });
  cleanUps.push(() => child.kill("SIGKILL"));
  await child.stdout.getReader().read();
  return child.pid;
}

test.each(MODES)(
  `${COUNT} connections at once, %s`,
  async (_, isSealed) => {
    const [task, published] = [{ port: await freePort() }, await freePort()];
    const [relayPort, exitPort] = [await freeQuietPort(), await freeQuietPort("127.0.0.2")];
    const tasks = startHelper("task", String(task.port));
    await waitFor(() => tasks.last().isListening === true, { what: "the task" });
    const service = { protocol: "tcp", published } as const;
    const acceptsClear: Relay["acceptsClear"] = isSealed ? [] : "always";
    const relay = { keys: [RELAY_KEY], acceptsClear };
    const exit = await startNode({
      ...tableOf({ ...service, listenAddresses: [], tasks: [here(task)] }),
      relay: { ...relay, node: "exit", listenAddresses: ["127.0.0.2"], port: exitPort, udpPort: exitPort },
    });
    const entry = await startNode({
      ...tableOf({ ...service, tasks: [on("exit", task)] }),
      peers: [{ name: "exit", address: "127.0.0.2", port: exitPort, udpPort: exitPort, isSealed }],
      relay: { ...relay, node: "entry", listenAddresses: ["127.0.0.1"], port: relayPort, udpPort: relayPort },
    });
    const grow = async () => {
      const before = [entry, exit].map(memoryBytesOf);
      const clients = startHelper("clients", String(published), String(COUNT / 2));
      await waitFor(() => (clients.last().echoed ?? 0) + (clients.last().failed ?? 0) === COUNT / 2, {
        what: "all echoes",
        deadlineMs: 60_000,
      });
      expect(clients.last().failed).toBe(0);
      return [entry, exit].map((pid, index) => (memoryBytesOf(pid) - before[index]!) / (COUNT / 2));
    };
    // with the first half code is compiled and heaps grow to what the making of connections needs
    const [first, second] = [await grow(), await grow()];
    const text = [first, second].map((each) => each.map(Math.round).join(" and ")).join(", then ");
    console.log(`memory per connection at the two nodes: ${text} bytes`);
    // with what the making of them leaves until it is collected, which of sealed ones is most of it
    for (const bytes of second) expect(bytes).toBeLessThan(8 * 1024);
  },
  120_000,
);

/**
 * Datagrams whose forged source is a published port: two echo services would answer each other without end.
 *
 *   test process .254 ── bridge ──┬── n1 .1   "a" on 7001, "b" on 7002, each with an echo task on 127.0.0.1
 *                                 └── n2 .2   the same
 *
 * What is sent from a node's namespace to 7002 leaves from port 7001 there, by a rule of nftables.
 */
import { afterEach, describe, expect, test } from "bun:test";
import type { NodeStatus } from "../../src/node/index.ts";
import { MeshCluster, namespacePlaces } from "../support/cluster/mesh-cluster.ts";
import { serviceFile } from "../support/cluster/mesh-config.ts";
import { startUdpEcho } from "../support/load/udp-echo.ts";
import { UdpPeer } from "../support/load/udp-peer.ts";
import { lacksNamespaces, Namespaces } from "../support/network/namespaces.ts";
import type { NetworkNode } from "../support/network/network-node.ts";
import { NodeProcess } from "../support/node/node-process.ts";
import { lacks } from "../support/os/require-program.ts";
import { waitFor } from "../support/time/wait-for.ts";

const [PORT_A, PORT_B] = [7001, 7002];
const [TASK_A, TASK_B] = [9001, 9002];
const REASON = "published-source";
const FORGED = 5;
const QUESTIONS = 20;

const cleanUps: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

interface Status {
  status(): Promise<Pick<NodeStatus, "proxy">>;
}

async function namespaces(count: number): Promise<readonly NetworkNode[]> {
  const network = Namespaces.create(count);
  cleanUps.push(() => network.close());
  for (const [index, node] of network.nodes.entries()) {
    const rule = `udp dport ${PORT_B} udp sport != ${PORT_A} udp sport set ${PORT_A}`;
    await node.run("ip", "address", "add", ipv6Of(index), "dev", "eth0", "nodad");
    await node.run(
      "nft",
      "add table inet forge; add chain inet forge out { type filter hook output priority 0; }",
    );
    await node.run("nft", `add rule inet forge out ${rule}`);
    const echo = await startUdpEcho(node.wrapper, "127.0.0.1", TASK_A, TASK_B);
    cleanUps.push(() => echo.kill());
  }
  return network.nodes;
}

const ipv6Of = (index: number) => `fd99::${index + 1}/64`;

function service(name: "a" | "b", extra = ""): string {
  const [port, task] = name === "a" ? [PORT_A, TASK_A] : [PORT_B, TASK_B];
  return serviceFile({ name, publish: [`${port}/udp`], tasks: [`127.0.0.1:${task}`], extra });
}

async function startNode(machine: NetworkNode, services: string): Promise<NodeProcess> {
  const node = await NodeProcess.start(services, machine.wrapper);
  cleanUps.push(() => node.kill());
  return node;
}

/** Sends one datagram from the machine's port 7001 to 7002 of `address`. */
async function forge(machine: NetworkNode, address: string): Promise<void> {
  await machine.run("bash", "-c", `echo hello >/dev/udp/${address}/${PORT_B}`);
}

async function serviceOf(node: Status, name: string) {
  return (await node.status()).proxy.services.find((each) => each.name === name);
}

async function dropped(node: Status): Promise<number> {
  return (await serviceOf(node, "b"))?.refusedTotal[REASON] ?? 0;
}

/** Datagrams from clients, of all services. */
async function received(nodes: readonly Status[]): Promise<number> {
  const statuses = await Promise.all(nodes.map((node) => node.status()));
  return statuses
    .flatMap(({ proxy }) => proxy.services)
    .reduce((sum, { udp }) => sum + udp.datagramsInTotal, 0);
}

/** Clients of the other ports are answered, and no datagram comes in but theirs. */
async function servesClientsAlone(nodes: readonly Status[], address: string): Promise<void> {
  const before = await received(nodes);
  const client = await UdpPeer.open("0.0.0.0");
  cleanUps.push(() => client.close());
  for (let i = 0; i < QUESTIONS; i++) {
    const port = i % 2 === 0 ? PORT_A : PORT_B;
    expect((await client.ask(`${i}`, port, address)).data.toString()).toBe(`${i}`);
  }
  expect(await received(nodes)).toBe(before + QUESTIONS);
}

describe.skipIf(lacksNamespaces() || lacks("bash", "socat"))(
  "a datagram from a published port is dropped",
  () => {
    test.each([
      ["127.0.0.1", ""],
      ["127.0.0.9", ""],
      ["::1", ""],
      ["fd99::1", ""],
      ["127.0.0.1", 'udp = { mode = "packet" }'],
      ["::1", 'udp = { mode = "packet" }'],
      ["127.0.0.1", 'bind = ["127.0.0.0/8", "eth0"]'],
    ])("of the same node, at %s %s", async (address, extra) => {
      const [machine] = (await namespaces(1)) as [NetworkNode];
      const node = await startNode(machine, service("a", extra) + service("b", extra));
      for (let i = 0; i < FORGED; i++) await forge(machine, address);
      await waitFor(async () => (await dropped(node)) === FORGED, { what: "the datagrams to be dropped" });
      expect(await received([node])).toBe(FORGED);
      await servesClientsAlone([node], machine.address);
    });

    test("when the port is published while the session of its source is open", async () => {
      const [machine] = (await namespaces(1)) as [NetworkNode];
      const node = await startNode(machine, service("b"));
      await forge(machine, "127.0.0.1");
      await waitFor(async () => (await serviceOf(node, "b"))!.udp.openSessions === 1, { what: "a session" });
      expect((await node.reload(service("a") + service("b"))).outcome).toBe("applied");
      await waitFor(async () => (await serviceOf(node, "b"))!.udp.openSessions === 0, { what: "its end" });
      const before = await dropped(node);
      await forge(machine, "127.0.0.1");
      await waitFor(async () => (await dropped(node)) === before + 1, { what: "the datagram to be dropped" });
      await servesClientsAlone([node], machine.address);
    });

    test("unless nothing is listened on at its source", async () => {
      const [machine] = (await namespaces(1)) as [NetworkNode];
      const onEth0 = `bind = ["eth0"]`;
      const node = await startNode(machine, service("a", onEth0) + service("b"));
      await forge(machine, "127.0.0.1");
      await waitFor(async () => (await serviceOf(node, "b"))!.udp.openSessions === 1, { what: "a session" });
      expect(await dropped(node)).toBe(0);
    });

    test("unless its source is left to a task", async () => {
      const [machine] = (await namespaces(1)) as [NetworkNode];
      const { address } = machine;
      const task = Bun.spawn(
        [...machine.wrapper, "socat", "-u", `UDP4-RECV:${PORT_A},bind=${address}`, "-"],
        {
          stdio: ["ignore", "ignore", "inherit"],
        },
      );
      cleanUps.push(() => task.kill("SIGKILL"));
      const a = serviceFile({ name: "a", publish: [`${PORT_A}/udp`], tasks: [`${address}:${PORT_A}`] });
      const node = await startNode(machine, a + service("b"));
      await forge(machine, address);
      await waitFor(async () => (await serviceOf(node, "b"))!.udp.openSessions === 1, { what: "a session" });
      await forge(machine, "127.0.0.1");
      await waitFor(async () => (await dropped(node)) === 1, {
        what: "the datagram from loopback to be dropped",
      });
    });

    test("of another node, at IPv4 and IPv6 addresses", async () => {
      const machines = await namespaces(2);
      const cluster = await MeshCluster.start({
        label: "published-sources",
        places: namespacePlaces({ nodes: machines } as Namespaces),
        settings: { profile: "local" },
        services: () => service("a") + service("b"),
      });
      cleanUps.push(() => cluster.close());
      const [, n2] = cluster.nodes as [MeshCluster["nodes"][number], MeshCluster["nodes"][number]];
      const [one, two] = machines as [NetworkNode, NetworkNode];
      await cluster.agree((services) => services.every(({ tasks }) => tasks.length === 2));
      for (const address of [two.address, "fd99::2"]) {
        const before = await dropped(n2);
        // its addresses may be known a moment later
        await cluster.waitFor(
          async () => {
            await forge(one, address);
            return (await dropped(n2)) > before;
          },
          { what: "n2 to drop what has a source of n1" },
        );
      }
      await servesClientsAlone(cluster.nodes, two.address);
    });
  },
);

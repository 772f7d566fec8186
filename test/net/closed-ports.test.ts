/**
 * Ports that lead to no reachable task are closed on every node, so that a load balancer in front tries another one, and
 * open again when a task is back.
 *
 *   clients -> n1, n2 :8080/tcp, :8053/udp -> tasks of n2
 */
import { afterAll, describe, expect, test } from "bun:test";
import { loopbackPlaces, MeshCluster, namespacePlaces } from "../support/cluster/mesh-cluster.ts";
import { serviceFile } from "../support/cluster/mesh-config.ts";
import type { MeshNode } from "../support/cluster/mesh-node.ts";
import { request } from "../support/load/http-load.ts";
import { UdpPeer } from "../support/load/udp-peer.ts";
import { lacksNamespaces, Namespaces } from "../support/network/namespaces.ts";
import { NodeProcess } from "../support/node/node-process.ts";
import { freeQuietPort } from "../support/os/free-port.ts";
import { isTcpOpen, isUdpOpen } from "../support/os/port-state.ts";
import { waitFor } from "../support/time/wait-for.ts";

const TCP = 8080;
const UDP = 8053;
/** "Within a second", on a machine that other tests keep busy too. */
const SOON_MS = 10_000;

/** A task in another namespace. */
const ECHO = `
  Bun.listen({ hostname: "127.0.0.1", port: 9000, socket: { data: (socket, bytes) => socket.write(bytes) } });
  await Bun.udpSocket({
    hostname: "127.0.0.1",
    port: 9000,
    socket: { data: (socket, bytes, port, host) => socket.send(bytes, port, host) },
  });
  console.log("ready");`;

afterAll(() => expect(Namespaces.leftovers()).toEqual([]));

interface Backend {
  readonly port: number;
  start(): Promise<void>;
  stop(): Promise<void>;
}

/** One program that answers HTTP and UDP on one port, and can be stopped and started again. */
async function startBackend(opened: AsyncDisposableStack): Promise<Backend> {
  const port = await freeQuietPort();
  let stops: (() => unknown)[] = [];
  const stop = async () => {
    for (const end of stops.splice(0)) await end();
  };
  const start = async () => {
    const web = Bun.serve({ hostname: "127.0.0.1", port, fetch: () => new Response("here") });
    const udp = await UdpPeer.open("127.0.0.1", port);
    udp.onDatagram = ({ data, from }) => udp.send(data, from.port, from.address);
    stops = [() => web.stop(true), () => udp.close()];
  };
  await start();
  opened.defer(stop);
  return { port, start, stop };
}

function services(tasks: readonly string[]): string {
  return [
    serviceFile({ name: "web", publish: [`${TCP}:80`], tasks, extra: 'drain_timeout = "1s"' }),
    serviceFile({ name: "dns", publish: [`${UDP}:80/udp`], tasks, extra: 'drain_timeout = "1s"' }),
  ].join("\n");
}

async function startMesh(opened: AsyncDisposableStack, tasks: readonly string[]): Promise<MeshCluster> {
  const cluster = await MeshCluster.start({
    label: "closed-ports",
    places: loopbackPlaces(2),
    settings: { profile: "local" },
    services: (_, index) => services(index === 1 ? tasks : []),
  });
  opened.defer(() => cluster.close());
  return cluster;
}

async function isServed({ address }: MeshNode): Promise<boolean> {
  return (await request(address, TCP)).body === "here";
}

/** Also makes the datagrams and connections by which a node learns that its task is gone. */
async function opens(nodes: readonly MeshNode[], wanted: boolean, deadlineMs = 10_000): Promise<void> {
  for (const { name, address } of nodes) {
    const what = `${name} to ${wanted ? "open" : "close"} its ports`;
    await waitFor(
      async () => (await isTcpOpen(TCP, address)) === wanted && (await isUdpOpen(UDP, address)) === wanted,
      { what, deadlineMs },
    );
  }
}

/** Every node tells of every node. */
async function toldClosed(nodes: readonly MeshNode[], wanted: boolean): Promise<void> {
  for (const teller of nodes) {
    for (const { name } of nodes) {
      const line = new RegExp(`${name}: web: ${TCP}/tcp closed: no reachable task`);
      await waitFor(async () => line.test((await teller.command("status")).stdout) === wanted, {
        what: `${teller.name} to tell that ports of ${name} are ${wanted ? "closed" : "open"}`,
      });
    }
  }
}

test.concurrent("a task that is gone closes its ports on all nodes, one that is back opens them", async () => {
  await using opened = new AsyncDisposableStack();
  const backend = await startBackend(opened);
  const { nodes } = await startMesh(opened, [`127.0.0.1:${backend.port}`]);
  await opens(nodes, true);
  await backend.stop();
  await opens(nodes, false);
  await toldClosed(nodes, true);
  for (const node of nodes) expect((await node.command("status")).stdout).toContain("8053/udp closed: no re");
  const [state] = (await nodes[0]!.services()).flatMap(({ tasks }) => tasks.map((task) => task.state));
  expect(state).toBe("failing");

  await backend.start();
  await opens(nodes, true, SOON_MS);
  for (const node of nodes) expect(await isServed(node)).toBe(true);
  await toldClosed(nodes, false);
});

test.concurrent("a backend that restarts within a second closes nothing", async () => {
  await using opened = new AsyncDisposableStack();
  const backend = await startBackend(opened);
  const { nodes } = await startMesh(opened, [`127.0.0.1:${backend.port}`]);
  await opens(nodes, true);
  const closings = () => nodes.map((node) => node.log.split("closed: no reachable task").length);
  const before = closings(); // a node that starts knows of no task yet
  await backend.stop();
  const endMs = performance.now() + 1_000;
  while (performance.now() < endMs) {
    for (const { address } of nodes) {
      expect(await isTcpOpen(TCP, address)).toBe(true);
      expect(await isUdpOpen(UDP, address)).toBe(true);
    }
  }
  await backend.start();
  for (const node of nodes) await waitFor(() => isServed(node), { what: "the backend to be used again" });
  expect(closings()).toEqual(before);
});

test.concurrent("tasks that drain, a node that drains, and a service without tasks: closed until there is a task", async () => {
  await using opened = new AsyncDisposableStack();
  const backend = await startBackend(opened);
  const task = `127.0.0.1:${backend.port}`;
  const cluster = await startMesh(opened, []);
  const { nodes } = cluster;
  const [n1, n2] = nodes as [MeshNode, MeshNode];
  await opens(nodes, false);
  await toldClosed(nodes, true);
  await n2.reload(cluster.fileOf(n2, {}, services([task])));
  await opens(nodes, true, SOON_MS);

  for (const service of ["web", "dns"]) await n2.command("task", "drain", service, task);
  await opens(nodes, false);
  for (const service of ["web", "dns"]) await n2.command("task", "resume", service, task);
  await opens(nodes, true, SOON_MS);

  await n1.command("node", "drain", "n2");
  await opens(nodes, false);
  await n1.command("node", "resume", "n2");
  await opens(nodes, true, SOON_MS);

  await n2.reload(cluster.fileOf(n2, {}, services([])));
  await opens(nodes, false);
});

test.concurrent("a UDP port that is left to its task at one address is closed at the others while the program is away", async () => {
  await using opened = new AsyncDisposableStack();
  const backend = await startBackend(opened);
  const { port } = backend;
  const node = await NodeProcess.start(
    serviceFile({ name: "own", publish: [`${port}/udp`], tasks: ["127.0.0.1"] }),
  );
  opened.defer(() => node.kill());
  const isOpen = (wanted: boolean) =>
    waitFor(async () => (await isUdpOpen(port, "::1")) === wanted, {
      what: `the port to be ${wanted ? "open" : "closed"}`,
    });
  await isOpen(true);
  await backend.stop();
  await isOpen(false);
  await backend.start();
  await isOpen(true);
});

describe.skipIf(lacksNamespaces())("in two namespaces", () => {
  test.concurrent("a node that is cut off from the only task closes its ports, the other serves on", async () => {
    await using opened = new AsyncDisposableStack();
    const network = Namespaces.create(2);
    opened.defer(() => network.close());
    const [place1, place2] = network.nodes as [(typeof network.nodes)[0], (typeof network.nodes)[0]];
    const task = Bun.spawn([...place2.wrapper, process.execPath, "-e", ECHO], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    opened.defer(() => task.kill("SIGKILL"));
    await task.stdout.getReader().read(); // it listens
    const cluster = await MeshCluster.start({
      label: "closed-ports-cut",
      places: namespacePlaces(network),
      services: (_, index) =>
        serviceFile({
          name: "echo",
          publish: [`${TCP}:9000`, `${UDP}:9000/udp`],
          tasks: index === 1 ? ["127.0.0.1"] : [],
        }),
    });
    opened.defer(() => cluster.close());
    const [n1, n2] = cluster.nodes as [MeshNode, MeshNode];
    await opens([n1, n2], true);

    await place1.cut("both", [place2.address]);
    await opens([n1], false);
    expect((await n1.command("status")).stdout).toContain(`${TCP}/tcp closed: no reachable task`);
    expect(await isTcpOpen(TCP, n2.address)).toBe(true);
    await place1.heal();
    await opens([n1, n2], true);
    await waitFor(async () => !(await n2.command("status")).stdout.includes("closed: no reachable"), {
      what: "n2 to hear that all ports are open",
    });
  });
});

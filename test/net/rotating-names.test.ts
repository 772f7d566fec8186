/**
 * A name that answers with another address each time. In a mount namespace, so as root.
 *
 *     clients -- node -- rotating.test: 127.0.0.2, then 127.0.0.3, then none
 *     clients -- n1 -- n2 -- rotating.test
 */
import { expect, test } from "bun:test";
import { createSocket } from "node:dgram";
import { connect, type Socket } from "node:net";
import type { NodeStatus } from "../../src/node/index.ts";
import { loopbackPlaces, MeshCluster } from "../support/cluster/mesh-cluster.ts";
import { serviceFile } from "../support/cluster/mesh-config.ts";
import { NameServer } from "../support/network/name-server.ts";
import { NodeProcess } from "../support/node/node-process.ts";
import { freePorts } from "../support/os/free-port.ts";
import { skip } from "../support/os/require-program.ts";
import { waitFor } from "../support/time/wait-for.ts";

const isNotRoot = process.getuid!() !== 0 && skip("mount namespaces need root");
const NAME = "rotating.test";
const FIRST = "127.0.0.2";
const SECOND = "127.0.0.3";
const DRAIN_MS = 500;

/** Answers every message with its own address, TCP and UDP, until it is told to be silent. */
function startTask(opened: AsyncDisposableStack, address: string, port: number): { silenceUdp(): void } {
  const tcp = Bun.listen({
    hostname: address,
    port,
    socket: { data: (socket) => void socket.write(address) },
  });
  const udp = createSocket("udp4");
  let isSilent = false;
  udp.on("message", (_, client) => {
    if (!isSilent) udp.send(address, client.port, client.address);
  });
  udp.bind(port, address);
  opened.defer(() => tcp.stop(true));
  opened.defer(() => void udp.close());
  return { silenceUdp: () => void (isSilent = true) };
}

interface Client {
  /** Who answers; null: nobody does. */
  ask(): Promise<string | null>;
}

async function openTcp(
  opened: AsyncDisposableStack,
  port: number,
  host = "127.0.0.1",
): Promise<Client & { readonly socket: Socket }> {
  const socket = connect(port, host);
  socket.on("error", () => undefined);
  opened.defer(() => void socket.destroy());
  await new Promise((resolve) => socket.once("connect", resolve));
  return {
    socket,
    ask: () =>
      askOnce(
        (done) => socket.once("data", done),
        () => socket.write("?"),
      ),
  };
}

function openUdp(opened: AsyncDisposableStack, port: number, host = "127.0.0.1"): Client {
  const socket = createSocket("udp4");
  opened.defer(() => void socket.close());
  return {
    ask: () =>
      askOnce(
        (done) => socket.once("message", done),
        () => socket.send("?", port, host),
      ),
  };
}

async function askOnce(
  onAnswer: (done: (answer: Buffer) => void) => void,
  send: () => void,
): Promise<string | null> {
  const answer = Promise.withResolvers<string>();
  onAnswer((bytes) => answer.resolve(bytes.toString()));
  send();
  return await Promise.race([answer.promise, Bun.sleep(1_000).then(() => null)]);
}

function rotatingService(tcpPort: number, udpPort: number, target: number): string {
  return serviceFile({
    name: "rotating",
    publish: [`${tcpPort}:${target}`, `${udpPort}:${target}/udp`],
    tasks: [NAME],
    extra: `drain_timeout = "${DRAIN_MS}ms"`,
  });
}

async function startNode(
  opened: AsyncDisposableStack,
  server: NameServer,
  tcpPort: number,
  udpPort: number,
  target: number,
): Promise<NodeProcess> {
  const node = await NodeProcess.start(rotatingService(tcpPort, udpPort, target), server.wrapper());
  opened.defer(() => node.kill());
  return node;
}

async function rotateTo(
  server: NameServer,
  node: { status(): Promise<Pick<NodeStatus, "proxy">> },
  addresses: readonly string[],
): Promise<void> {
  server.answers.set(NAME, addresses);
  const tasks = async () => (await node.status()).proxy.services[0]?.tasks.map(({ address }) => address);
  await waitFor(async () => Bun.deepEquals(await tasks(), addresses), { what: `tasks at ${addresses}` });
}

test.concurrent.skipIf(isNotRoot)(
  "an address missing from an answer gets no new clients, and keeps those it has while they are answered",
  async () => {
    await using opened = new AsyncDisposableStack();
    const server = opened.use(await NameServer.start());
    const [tcpPort, udpPort, target] = (await freePorts(3)) as [number, number, number];
    const first = startTask(opened, FIRST, target);
    startTask(opened, SECOND, target);
    server.answers.set(NAME, [FIRST]);
    const node = await startNode(opened, server, tcpPort, udpPort, target);
    await rotateTo(server, node, [FIRST]);
    const tcp = await openTcp(opened, tcpPort);
    const udp = openUdp(opened, udpPort);
    expect([await tcp.ask(), await udp.ask()]).toEqual([FIRST, FIRST]);

    await rotateTo(server, node, [SECOND]);
    const endMs = performance.now() + 4 * DRAIN_MS;
    while (performance.now() < endMs) expect([await tcp.ask(), await udp.ask()]).toEqual([FIRST, FIRST]);
    expect(await (await openTcp(opened, tcpPort)).ask()).toBe(SECOND);
    expect(await openUdp(opened, udpPort).ask()).toBe(SECOND);

    first.silenceUdp();
    await waitFor(async () => (await udp.ask()) === SECOND, { what: "the UDP session to move" });
    expect(await tcp.ask()).toBe(FIRST);

    const isCut = new Promise((resolve) => tcp.socket.once("close", resolve));
    await rotateTo(server, node, []);
    await isCut;
  },
);

test.concurrent.skipIf(isNotRoot)("connections survive that an address goes and comes back", async () => {
  await using opened = new AsyncDisposableStack();
  const server = opened.use(await NameServer.start());
  const [tcpPort, udpPort, target] = (await freePorts(3)) as [number, number, number];
  const addresses = [FIRST, SECOND];
  for (const address of addresses) startTask(opened, address, target);
  server.answers.set(NAME, [FIRST]);
  const node = await startNode(opened, server, tcpPort, udpPort, target);
  const clients: Client[] = [];
  for (const address of [...addresses, FIRST]) {
    await rotateTo(server, node, [address]);
    const client = await openTcp(opened, tcpPort);
    expect(await client.ask()).toBe(address);
    clients.push(client);
  }
  expect(await Promise.all(clients.map((client) => client.ask()))).toEqual([...addresses, FIRST]);
  // back in an answer, an address has its old connections and the new one
  const [task] = (await node.status()).proxy.services[0]!.tasks;
  expect([task!.address, task!.openConnections]).toEqual([FIRST, 2]);
});

test.concurrent.skipIf(isNotRoot)("clients of another node keep their task too", async () => {
  await using opened = new AsyncDisposableStack();
  const server = opened.use(await NameServer.start());
  const [tcpPort, udpPort, target] = (await freePorts(3)) as [number, number, number];
  const first = startTask(opened, FIRST, target);
  startTask(opened, SECOND, target);
  server.answers.set(NAME, [FIRST]);
  const [entry, exit] = loopbackPlaces(2);
  const cluster = await MeshCluster.start({
    label: "rotating-names",
    places: [entry!, { ...exit!, wrapper: server.wrapper() }],
    settings: { profile: "local" },
    services: (_, index) => (index === 1 ? rotatingService(tcpPort, udpPort, target) : ""),
  });
  opened.defer(() => cluster.close());
  const node = cluster.nodes[1]!;
  await rotateTo(server, node, [FIRST]);
  const udp = openUdp(opened, udpPort, entry!.address);
  await waitFor(async () => (await udp.ask()) === FIRST, { what: "the entry node to serve" });
  const tcp = await openTcp(opened, tcpPort, entry!.address);
  expect(await tcp.ask()).toBe(FIRST);

  await rotateTo(server, node, [SECOND]);
  const endMs = performance.now() + 4 * DRAIN_MS;
  while (performance.now() < endMs) expect([await tcp.ask(), await udp.ask()]).toEqual([FIRST, FIRST]);
  expect(await (await openTcp(opened, tcpPort, entry!.address)).ask()).toBe(SECOND);
  expect(await openUdp(opened, udpPort, entry!.address).ask()).toBe(SECOND);
  first.silenceUdp();
  await waitFor(async () => (await udp.ask()) === SECOND, { what: "the UDP session to move" });
  expect(await tcp.ask()).toBe(FIRST);
});

/** Another process takes over a node with an overlay: its device stays, and what crosses it goes on. */
import { afterEach, expect, test } from "bun:test";
import { setPicker } from "../../src/sys/socket.ts";
import { GOSSIP_PORT } from "../support/cluster/mesh-config.ts";
import { OverlayMesh, PORTS } from "../support/cluster/overlay-mesh.ts";
import { UdpPeer } from "../support/load/udp-peer.ts";
import { lacksNamespaces } from "../support/network/namespaces.ts";
import type { NetworkNode } from "../support/network/network-node.ts";
import { takeOverFrom } from "../support/node/fake-successor.ts";
import { portmesh } from "../support/node/node-process.ts";
import { waitFor } from "../support/time/wait-for.ts";

/** Classic BPF, one operation: return 0, the node's own socket, so that no relay hears anything. */
const PICK_FIRST = Uint8Array.of(0x06, 0, 0, 0, 0, 0, 0, 0);
const DEVICE = "portmesh4789";
const DRIVERS = [
  ["kernel", 'driver = "kernel"\nencrypt = false'],
  ["userspace", 'driver = "userspace"\nencrypt = false'],
  ["userspace, sealed", 'driver = "userspace"\nencrypt = true'],
] as const;

const closers: (() => unknown)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

async function indexOf(machine: NetworkNode): Promise<number> {
  const [link] = JSON.parse(await machine.run("ip", "-j", "link", "show", DEVICE)) as { ifindex: number }[];
  return link!.ifindex;
}

async function start(label: string, lines: string, workers = 1): Promise<OverlayMesh> {
  const options = { label: `handover ${label}`, ends: [lines, lines] as const, settings: { workers } };
  const mesh = await OverlayMesh.start(options, "overlay");
  closers.push(async () => {
    for (const node of [mesh.n1, mesh.n2]) {
      const { pid } = await node.status();
      if (pid !== node.pid) process.kill(pid, "SIGKILL");
    }
    await mesh.close();
  });
  return mesh;
}

async function openClient(mesh: OverlayMesh): Promise<UdpPeer> {
  const client = await UdpPeer.open(mesh.network.outside);
  closers.push(() => client.close());
  return client;
}

async function echoes(mesh: OverlayMesh, client: UdpPeer, text: string): Promise<void> {
  await waitFor(
    () => {
      client.send(text, PORTS.echo, mesh.n1.address);
      return client.texts.includes(text);
    },
    { what: `the answer to ${text}`, deadlineMs: 20_000 },
  );
}

test.skipIf(lacksNamespaces()).each(DRIVERS)("%s", async (label, lines) => {
  const mesh = await start(label, lines);
  const client = await openClient(mesh);
  const ask = (text: string) => echoes(mesh, client, text);
  await ask("before");
  for (const [index, node] of [mesh.n2, mesh.n1].entries()) {
    const machine = mesh.network.nodes[index === 0 ? 1 : 0]!;
    const before = await indexOf(machine);
    expect(await portmesh("upgrade", "--socket", node.socket)).toMatchObject({ exitCode: 0, stderr: "" });
    expect(await indexOf(machine)).toBe(before);
    await ask(`after ${node.name}`);
    await mesh.reaches("overlay", [mesh.n1, mesh.n2]);
    expect(await indexOf(machine)).toBe(before);
  }
});

/** Sockets at the port that gossip and relays over UDP share. */
async function sharedSockets(machine: NetworkNode): Promise<number> {
  const listed = await machine.run("ss", "-Huan", `sport = :${GOSSIP_PORT}`);
  return listed.trim().split("\n").length;
}

test.skipIf(lacksNamespaces())(
  "relays over UDP reach every worker, with more and with fewer than before",
  async () => {
    const mesh = await start("workers", DRIVERS[0][1], 2);
    const { n2 } = mesh;
    const machine = mesh.network.nodes[1]!;
    const clients = await Promise.all(Array.from({ length: 16 }, () => openClient(mesh)));
    const allAsk = (text: string) =>
      Promise.all(clients.map((client, index) => echoes(mesh, client, `${text} ${index}`)));
    await allAsk("before");
    const before = await sharedSockets(machine);
    for (const [workers, sockets] of [
      [4, 4],
      [1, 4],
      [5, 5],
    ] as const) {
      await n2.reload(mesh.cluster.fileOf(n2, { workers }));
      expect(await portmesh("upgrade", "--socket", n2.socket)).toMatchObject({ exitCode: 0, stderr: "" });
      expect((await n2.status()).proxy.workers).toBe(workers);
      // at the node's own address, and at that of the overlay
      expect(await sharedSockets(machine)).toBe(before + 2 * (sockets - 2));
      await allAsk(`with ${workers} workers`);
    }
    // one that changes what the kernel picks among, and goes away
    const { pid } = await n2.status();
    const { directory, socket, name } = n2;
    const takeover = await takeOverFrom({ directory, socket, name, networkOf: pid });
    await takeover.begin();
    const relays = takeover.sockets.keys().filter((key) => key.startsWith("relay-udp:"));
    expect(relays.length).toBeGreaterThanOrEqual(5);
    for (const key of relays) expect(setPicker(takeover.sockets.take(key)!, PICK_FIRST)).toBe(0);
    await takeover.fail("stopped by the test");
    await allAsk("after the failure");
    await mesh.reaches("overlay", [mesh.n1, mesh.n2]);
    expect((await n2.status()).pid).toBe(pid);
  },
);

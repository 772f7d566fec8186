/**
 * The address of a node changes while it runs, as DHCP does it: the others follow and requests are served again.
 *
 *   clients ── bridge ──┬─ n1  entry node            .1, fd99::1
 *      and tasks        ├─ n2  exit node of "web"    .2, fd99::2
 *                       └─ n3  looks on              .3, fd99::3
 */
import { describe, expect, test } from "bun:test";
import { MeshCluster } from "../support/cluster/mesh-cluster.ts";
import { GOSSIP_PORT, type MeshSettings, RELAY_PORT, serviceFile } from "../support/cluster/mesh-config.ts";
import type { MeshNode } from "../support/cluster/mesh-node.ts";
import { HttpLoad, request } from "../support/load/http-load.ts";
import { UdpPeer } from "../support/load/udp-peer.ts";
import { startWebTask } from "../support/load/web-task.ts";
import { lacksNamespaces, Namespaces } from "../support/network/namespaces.ts";
import type { NetworkNode } from "../support/network/network-node.ts";
import { lacksTun, lacksVxlan } from "../support/overlay/overlay-devices.ts";
import { waitFor } from "../support/time/wait-for.ts";

const TIMEOUT_MS = 120_000;
const IPV6_PREFIX = "fd99";
const PORTS = { web: 8080, echo: 5300 } as const;
const TASK_PORT = 9100;
const NODES = 3;
/** Of the change itself, with time to notice it; far more than it takes on an idle machine. */
const SERVED_MS = 40_000;

type Family = 4 | 6;

interface Row {
  readonly family: Family;
  readonly driver: "kernel" | "userspace" | "none";
  readonly encrypt: boolean;
}

const ROWS: readonly Row[] = [
  { family: 4, driver: "none", encrypt: true },
  { family: 4, driver: "kernel", encrypt: false },
  { family: 4, driver: "userspace", encrypt: true },
  { family: 6, driver: "none", encrypt: true },
  { family: 6, driver: "kernel", encrypt: false },
  { family: 6, driver: "userspace", encrypt: false },
];

/** The nodes of a test, in a network of their own; n1 serves when it resolves. */
async function start(
  opened: AsyncDisposableStack,
  title: string,
  family: Family,
  settings: Partial<MeshSettings>,
) {
  const network = opened.adopt(Namespaces.create(NODES), (created) => created.close());
  const web = await startWebTask("web", TASK_PORT, { address: network.outside });
  opened.defer(() => web.kill());
  const echo = await UdpPeer.task((data) => data, network.outside);
  opened.defer(() => echo.close());
  const addressOf = (host: number, family: Family) =>
    family === 4 ? `${network.subnet}.${host}` : `${IPV6_PREFIX}::${host.toString(16)}`;
  const machineOf = (node: MeshNode) => network.nodes.find(({ name }) => name === node.name)!;

  if (family === 6)
    for (const [index, machine] of network.nodes.entries())
      await machine.run("ip", "address", "add", `${addressOf(index + 1, 6)}/64`, "dev", "eth0", "nodad");
  const tasks = (name: string, task: string) => (name === "n2" ? [task] : []);
  const cluster = await MeshCluster.start({
    label: `address-change/${title.replaceAll(/[^a-z0-9]+/gi, "-")}`,
    places: network.nodes.map(({ name, wrapper }, index) => {
      return { name, wrapper, address: addressOf(index + 1, family) };
    }),
    settings: { isWildcard: true, isAdvertising: false, ...settings },
    services: ({ name }) =>
      serviceFile({
        name: "web",
        publish: [`${PORTS.web}:80`],
        tasks: tasks(name, `${network.outside}:${TASK_PORT}`),
      }) +
      serviceFile({
        name: "echo",
        publish: [`${PORTS.echo}:53/udp`],
        tasks: tasks(name, `${network.outside}:${echo.port}`),
      }),
  });
  opened.defer(() => cluster.close());

  async function give(node: MeshNode, host: number, family: Family, device = "eth0"): Promise<string> {
    const address = addressOf(host, family);
    const prefix = family === 4 ? "24" : "64";
    await machineOf(node).run("ip", "address", "add", `${address}/${prefix}`, "dev", device);
    return address;
  }

  async function take(node: MeshNode, address: string): Promise<void> {
    const prefix = address.includes(":") ? "64" : "24";
    await machineOf(node).run("ip", "address", "delete", `${address}/${prefix}`, "dev", "eth0");
  }

  /** At n1's IPv4 address, which stays unless it is said otherwise. */
  async function isServed(at = addressOf(1, 4)): Promise<void> {
    const isOk = async () => (await request(at, PORTS.web, { timeoutMs: 1_000 })).error === null;
    await cluster.waitFor(isOk, { what: `${at} to serve`, deadlineMs: SERVED_MS });
  }

  async function answersUdp(at = addressOf(1, 4)): Promise<void> {
    const client = await UdpPeer.open(network.outside);
    let askedMs = Number.NEGATIVE_INFINITY;
    const isAnswered = () => {
      if (performance.now() - askedMs > 500) client.send("x", PORTS.echo, at);
      if (performance.now() - askedMs > 500) askedMs = performance.now();
      return client.received.length > 0;
    };
    try {
      await cluster.waitFor(isAnswered, { what: `${at} to answer a datagram`, deadlineMs: SERVED_MS });
    } finally {
      client.close();
    }
  }

  /** Waits until all nodes have this node, alive, at this address. */
  async function allKnow(name: string, address: string): Promise<void> {
    await cluster.waitFor(
      async () => {
        const statuses = await Promise.all(cluster.nodes.map((node) => node.status()));
        return statuses.every((status) => {
          const { members } = status.cluster;
          const member = members.find((each) => each.name === name);
          return member?.state === "alive" && member.address.includes(address);
        });
      },
      { what: `everybody to know ${name} at ${address}` },
    );
  }

  async function allReach(path: string): Promise<void> {
    await cluster.waitFor(
      async () => {
        const statuses = await Promise.all(cluster.nodes.map((node) => node.status()));
        return statuses.every(({ overlay }) => overlay!.peers.every((peer) => peer.path === path));
      },
      { what: `all nodes to reach each other: ${path}` },
    );
  }

  await isServed();
  return { network, cluster, addressOf, machineOf, give, take, isServed, answersUdp, allKnow, allReach };
}

/** Waits until relays and gossip of a machine leave from this address. */
async function leaveFrom(machine: NetworkNode, address: string): Promise<void> {
  const rules = [RELAY_PORT, GOSSIP_PORT].map(
    (port) => `add rule ip sent out ip saddr ${address} meta l4proto { tcp, udp } th dport ${port} counter`,
  );
  const chain = "add chain ip sent out { type filter hook output priority 0; }";
  const table = "add table ip sent; delete table ip sent; add table ip sent";
  await machine.run("nft", [table, chain, ...rules].join("; "));
  const isSent = async () => {
    const counted = await machine.run("nft", "list", "table", "ip", "sent");
    return [...counted.matchAll(/packets (\d+)/g)].every(([, count]) => Number(count) > 0);
  };
  await waitFor(isSent, { what: `relays and gossip to leave from ${address}`, deadlineMs: SERVED_MS });
}

describe.skipIf(lacksNamespaces() || lacksTun() || lacksVxlan())("a node's own address", () => {
  // one by one: on a busy machine the others may give up a node that is slow to find its new address
  test.each(ROWS.map((row) => [`IPv${row.family}, ${row.driver}`, row] as const))(
    "%s: is replaced: the exit node's, then the entry node's",
    async (title, row) => {
      const { family, driver, encrypt } = row;
      const path = driver === "none" ? "direct" : "overlay";
      await using opened = new AsyncDisposableStack();
      const started = await start(opened, title, family, {
        overlay: `driver = "${driver}"\nencrypt = ${encrypt}`,
      });
      const { cluster, addressOf, give, take, isServed, answersUdp, allKnow, allReach } = started;
      await allReach(path);
      const [n1, n2, n3] = cluster.nodes as [MeshNode, MeshNode, MeshNode];

      await take(n2, addressOf(2, family));
      const second = await give(n2, 0x42, family);
      await allKnow("n2", second);
      await isServed();
      await answersUdp();
      await allReach(path);
      await waitFor(() => n2.log.includes(`to ${second}: announcing it`), { what: "n2 to log its move" });
      for (const { log } of [n1, n3]) expect(log).not.toMatch(/n2 has (failed|left)|named n2/);

      await take(n1, addressOf(1, family));
      const first = await give(n1, 0x41, family);
      await allKnow("n1", first);
      await allReach(path);
      const entry = family === 4 ? first : addressOf(1, 4);
      await isServed(entry);
      await answersUdp(entry);
      expect(n3.log).not.toMatch(/n1 has (failed|left)|named n1/);
      for (const node of cluster.nodes) {
        expect((await node.status()).addressProblem).toBeNull();
      }
      for (const moved of [n1, n2]) expect(moved.log).not.toContain("is UDP blocked");
    },
    TIMEOUT_MS,
  );

  test.concurrent(
    "goes away, and another one comes when the others have given the node up",
    async () => {
      await using opened = new AsyncDisposableStack();
      const started = await start(opened, "gone-for-long", 4, {});
      const { cluster, addressOf, give, take, isServed, allKnow } = started;
      const n2 = cluster.node("n2");
      await take(n2, addressOf(2, 4));
      const isTold = async () => (await n2.status()).addressProblem !== null;
      await cluster.waitFor(isTold, { what: "n2 to notice" });
      await cluster.seenAs("n2", ["failed"]);
      const next = await give(n2, 0x42, 4);
      await allKnow("n2", next);
      await isServed();
      expect((await n2.status()).addressProblem).toBeNull();
    },
    TIMEOUT_MS,
  );

  test.concurrent(
    "follows the default route to another interface, and no open request of the others fails",
    async () => {
      await using opened = new AsyncDisposableStack();
      const started = await start(opened, "default-route", 4, {});
      const { network, cluster, addressOf, machineOf, give, isServed, allKnow } = started;
      const n2 = cluster.node("n2");
      const machine = machineOf(n2);
      await machine.run("ip", "route", "add", "default", "via", network.outside, "dev", "eth0");
      await machine.run(
        "ip",
        "link",
        "add",
        "eth1",
        "type",
        "veth",
        "peer",
        "name",
        "n2b",
        "netns",
        machine.hub,
      );
      try {
        const ip = Bun.spawn(["ip", "-n", machine.hub, "link", "set", "n2b", "master", "bridge", "up"]);
        expect(await ip.exited).toBe(0);
        await machine.run("ip", "link", "set", "eth1", "up");
        const other = await give(n2, 0x52, 4, "eth1");
        const load = new HttpLoad(addressOf(1, 4), PORTS.web, 1, { pauseMs: 10 });
        await machine.run("ip", "route", "replace", "default", "via", network.outside, "dev", "eth1");
        await allKnow("n2", other);
        await isServed();
        await load.stop();
        expect(load.failures).toEqual([]);
      } finally {
        await machine.run("ip", "link", "delete", "eth1");
      }
    },
    TIMEOUT_MS,
  );

  test.concurrent(
    "that node.advertise fixes and that floats is what relays and gossip leave from whenever it is there",
    async () => {
      await using opened = new AsyncDisposableStack();
      const started = await start(opened, "floating", 4, { isAdvertising: true });
      const { cluster, addressOf, machineOf, give, take, isServed, answersUdp } = started;
      const n1 = cluster.node("n1");
      const machine = machineOf(n1);
      const address = addressOf(1, 4);
      await machine.run("sysctl", "-qw", "net.ipv4.conf.all.promote_secondaries=1");
      const other = await give(n1, 0x41, 4);
      await take(n1, address);
      const isGone = async () => (await n1.status()).addressProblem !== null;
      await waitFor(isGone, { what: "n1 to notice" });
      await isServed(other);
      await answersUdp(other);
      await leaveFrom(machine, other);

      // back beside the other one, from which the system would let packets leave
      await give(n1, 1, 4);
      await leaveFrom(machine, address);
      await cluster.allAlive();
      await isServed();
      await answersUdp();
    },
    TIMEOUT_MS,
  );

  test.concurrent.each([
    ["node.advertise", { isAdvertising: true }],
    ["cluster.bind", { isWildcard: false }],
  ] as const)(
    "that %s fixes and the machine has no longer is told in log, status and doctor until it is back",
    async (setting, settings) => {
      await using opened = new AsyncDisposableStack();
      const started = await start(opened, `fixed-${setting}`, 4, settings);
      const { cluster, addressOf, give, take, isServed } = started;
      const n2 = cluster.node("n2");
      const address = addressOf(2, 4);
      const problem = `${address} is no longer an address of this machine`;
      await take(n2, address);
      await give(n2, 0x42, 4);
      await cluster.waitFor(async () => (await n2.status()).addressProblem?.includes(problem), {
        what: "status to tell",
      });
      expect(n2.log).toContain(problem);
      expect((await n2.command("status")).stdout.replaceAll(/\s+/g, " ")).toContain(problem);
      const doctor = await n2.command("doctor");
      expect(doctor.exitCode).toBe(1);
      expect(doctor.stdout.replaceAll(/\s+/g, " ")).toContain(problem);
      expect(doctor.stdout).toContain(setting);
      await give(n2, 2, 4);
      await waitFor(async () => (await n2.status()).addressProblem === null, { what: "n2 to see it again" });
      expect(n2.log).toContain(`${address} is an address of this machine again`);
      await cluster.allAlive();
      await isServed();
    },
    TIMEOUT_MS,
  );
});

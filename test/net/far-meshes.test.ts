/**
 * Meshes of two nodes that are 600 or 1,200 ms apart: they stay alive to each other, and serve TCP and UDP, whatever the
 * driver, the encryption and the family between them. Each row is a mesh of its own; all run beside each other.
 *
 *   clients ── bridge ──┬─ entry n1 ── far link ── router ── far link ── exit n2 ─┬── bridge ── tasks
 *      and tasks        └─────────────────────────────────────────────────────────┘
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { MeshCluster } from "../support/cluster/mesh-cluster.ts";
import { serviceFile } from "../support/cluster/mesh-config.ts";
import type { MeshNode } from "../support/cluster/mesh-node.ts";
import { request } from "../support/load/http-load.ts";
import { UdpPeer } from "../support/load/udp-peer.ts";
import { startWebTask } from "../support/load/web-task.ts";
import { farLinkAddress, startFarLinks } from "../support/network/far-links-process.ts";
import { lacksNamespaces, Namespaces } from "../support/network/namespaces.ts";
import { lacksTun, lacksVxlan } from "../support/overlay/overlay-devices.ts";

const TIMEOUT_MS = 180_000;
const WEB_PORT = 8081;
const ECHO_PORT = 5300;
const WEB_TASK_PORT = 9100;
/** Some rounds of probes, the first of which may have begun before the nodes knew how far apart they are. */
const QUIET_MS = { wan: 16_000, lan: 8_000 } as const;

const ROWS = [
  { rttMs: 600, family: 4, driver: "kernel", encrypt: false, profile: "wan" },
  { rttMs: 600, family: 6, driver: "userspace", encrypt: true, profile: "wan" },
  { rttMs: 1200, family: 6, driver: "kernel", encrypt: true, profile: "wan" },
  { rttMs: 1200, family: 4, driver: "userspace", encrypt: false, profile: "wan" },
  { rttMs: 1200, family: 4, driver: "none", encrypt: true, profile: "wan" },
  { rttMs: 600, family: 6, driver: "none", encrypt: false, profile: "lan" },
] as const;
type Row = (typeof ROWS)[number];

const titleOf = ({ rttMs, family, driver, encrypt, profile }: Row) =>
  `${rttMs} ms, IPv${family}, ${driver}, ${encrypt ? "encrypted" : "plain"}, profile ${profile}`;

describe.skipIf(lacksNamespaces() || lacksTun() || lacksVxlan())("nodes that are far apart", () => {
  let network: Namespaces;
  let echo: UdpPeer;
  const closers: (() => unknown)[] = [];

  beforeAll(async () => {
    network = Namespaces.create(2 * ROWS.length + 1);
    closers.push(() => network.close());
    const machines = network.nodes.slice(0, -1);
    const far = await startFarLinks(
      network.nodes.at(-1)!,
      machines,
      ROWS.flatMap((row) => [row, row]),
    );
    closers.push(() => far.stop());
    const web = await startWebTask("web", WEB_TASK_PORT, { address: network.outside });
    closers.push(() => web.kill());
    echo = await UdpPeer.task((data) => data, network.outside);
    closers.push(() => echo.close());
  }, TIMEOUT_MS);
  afterAll(async () => {
    for (const close of closers.reverse()) await close();
  }, TIMEOUT_MS);

  async function start(row: Row): Promise<{ readonly cluster: MeshCluster; readonly entry: string }> {
    const index = 2 * ROWS.indexOf(row);
    const { family, driver, encrypt, profile } = row;
    const places = [0, 1].map((end) => ({
      name: `n${end + 1}`,
      wrapper: network.nodes[index + end]!.wrapper,
      address: farLinkAddress(index + end, family),
    }));
    const cluster = await MeshCluster.start({
      label: `far-meshes/${titleOf(row).replaceAll(/[^a-z0-9]+/gi, "-")}`,
      places,
      settings: { profile, overlay: `driver = "${driver}"\nencrypt = ${encrypt}` },
      services: ({ name }) => {
        const tasks = (port: number) => (name === "n2" ? [`${network.outside}:${port}`] : []);
        return [
          serviceFile({ name: "web", publish: [`${WEB_PORT}:80`], tasks: tasks(WEB_TASK_PORT) }),
          serviceFile({ name: "echo", publish: [`${ECHO_PORT}:53/udp`], tasks: tasks(echo.port) }),
        ].join("");
      },
    });
    return { cluster, entry: network.nodes[index]!.address };
  }

  async function ask(entry: string): Promise<void> {
    const client = await UdpPeer.open(network.outside);
    try {
      expect((await request(entry, WEB_PORT, { timeoutMs: 20_000 })).error).toBeNull();
      await client.ask("question", ECHO_PORT, entry);
    } finally {
      client.close();
    }
  }

  /** The nodes reach each other as they will from now on. */
  async function settles(cluster: MeshCluster, { driver }: Row): Promise<void> {
    const path = driver === "none" ? "direct" : "overlay";
    await cluster.waitFor(
      async () => {
        const [entry, exit] = await Promise.all(cluster.nodes.map((node) => node.status()));
        const isHeard = entry!.proxy.peers[0]?.isReachable === true && entry!.proxy.peers[0].rttMs !== null;
        return isHeard && [entry!, exit!].every(({ overlay }) => overlay!.peers[0]?.path === path);
      },
      { what: `the nodes to reach each other: ${path}` },
    );
    await cluster.waitFor(async () => (await openPorts(cluster.node("n1"))) === 2, {
      what: "n1 to open its ports",
    });
  }

  test.concurrent.each(ROWS.map((row) => [titleOf(row), row] as const))(
    "%s",
    async (_title, row) => {
      const { cluster, entry } = await start(row);
      try {
        await settles(cluster, row);
        const before = cluster.nodes.map(({ log }) => log.length);
        const endMs = performance.now() + QUIET_MS[row.profile];
        while (performance.now() < endMs) await ask(entry);
        const said = cluster.nodes.map(({ log }, index) => log.slice(before[index])).join("");
        expect(said).not.toMatch(
          /does not answer|closed: no reachable task|declared this node dead|over UDP/,
        );
        const { peers } = (await cluster.node("n1").status()).proxy;
        expect(peers[0]).toMatchObject({ isReachable: true });
        expect(peers[0]!.rttMs!).toBeGreaterThan(0.9 * row.rttMs);
        const { exitCode, stdout } = await cluster.node("n1").command("doctor");
        expect([exitCode, stdout]).toEqual([0, stdout]);
      } finally {
        await cluster.close();
      }
    },
    TIMEOUT_MS,
  );
});

async function openPorts(node: MeshNode): Promise<number> {
  const { services } = (await node.status()).proxy;
  return services.flatMap(({ ports }) => ports).filter(({ isClosed }) => isClosed !== true).length;
}

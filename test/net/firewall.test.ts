/**
 * Published ports of nodes that each have the firewall of the README: every driver with every other, both ways.
 *
 *   test process: clients   ── bridge ──┬─ k1 k2   kernel       every node has a task of its own for TCP and for UDP,
 *   and tasks                           ├─ u1 u2   userspace    and is asked for those of all others
 *                                       └─ n1 n2   none
 */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import type { OverlayPeerStatus } from "../../src/node/index.ts";
import { request } from "../support/http-load.ts";
import { MeshCluster } from "../support/mesh-cluster.ts";
import { serviceFile } from "../support/mesh-config.ts";
import type { MeshNode, MeshPlace } from "../support/mesh-node.ts";
import { lacksNamespaces, Namespaces } from "../support/namespaces.ts";
import { lacksTun, lacksVxlan } from "../support/overlay-devices.ts";
import { UdpPeer } from "../support/udp-peer.ts";
import { waitFor } from "../support/wait-for.ts";
import { startWebTask } from "../support/web-task.ts";

const TIMEOUT_MS = 120_000;
const IPV6_PREFIX = "fd99";
const ASK_AGAIN_MS = 500;
const ROLES = ["k1", "k2", "u1", "u2", "n1", "n2"] as const;
const DRIVERS = { k: "kernel", u: "userspace", n: "none" } as const;
/** Of the first node's task; the next one has the next port. Both are open in the README's firewall. */
const WEB_PORT = 8080;
const ECHO_PORT = 5300;

interface Row {
  readonly family: 4 | 6;
  readonly isWildcard: boolean;
  readonly encrypt: boolean;
}

/** Every two of these in all combinations. */
const ROWS: readonly Row[] = [
  { family: 4, isWildcard: false, encrypt: false },
  { family: 4, isWildcard: true, encrypt: true },
  { family: 6, isWildcard: false, encrypt: true },
  { family: 6, isWildcard: true, encrypt: false },
];

const titleOf = ({ family, isWildcard, encrypt }: Row) =>
  `IPv${family}, bind to ${isWildcard ? "all" : "its address"}, ${encrypt ? "encrypted" : "plain"}`;

function driverOf(role: string): string {
  return DRIVERS[role[0] as keyof typeof DRIVERS];
}

/** Whether two nodes have an overlay in common. */
function haveOverlay(one: string, other: string, encrypt: boolean): boolean {
  const drivers = [driverOf(one), driverOf(other)];
  if (drivers.includes("none")) return false;
  return drivers[0] === drivers[1] || !encrypt;
}

function firewallOfReadme(): string {
  const [, rules] = /```nft\n(.*?)```/s.exec(readFileSync("README.md", "utf8")) ?? [];
  if (rules === undefined) throw new Error("README.md has no nft rules");
  return rules;
}

describe.skipIf(lacksNamespaces() || lacksTun() || lacksVxlan())("behind the README's firewall", () => {
  let network: Namespaces;
  let web: { readonly port: number; kill(): unknown };
  let echo: UdpPeer;
  let cluster: MeshCluster | undefined;

  beforeAll(async () => {
    network = Namespaces.create(ROLES.length);
    const rules = firewallOfReadme();
    for (const [index, machine] of network.nodes.entries()) {
      await machine.run("ip", "address", "add", `${IPV6_PREFIX}::${index + 1}/64`, "dev", "eth0", "nodad");
      await machine.run("nft", rules);
    }
    web = await startWebTask("web", 9100, { address: network.outside });
    echo = await UdpPeer.task((data) => data, network.outside);
  }, TIMEOUT_MS);
  afterEach(() => cluster?.close(), TIMEOUT_MS);
  afterAll(async () => {
    echo?.close();
    await web?.kill();
    network?.close();
  }, TIMEOUT_MS);

  const places = ({ family }: Row): MeshPlace[] =>
    network.nodes.map(({ wrapper, address }, index) => ({
      name: ROLES[index]!,
      wrapper,
      address: family === 4 ? address : `${IPV6_PREFIX}::${index + 1}`,
    }));

  function services(_: MeshPlace, own: number): string {
    return ROLES.map((role, index) => {
      const tasks = (port: number) => (index === own ? [`${network.outside}:${port}`] : []);
      return [
        serviceFile({
          name: `web-${role}`,
          publish: [`${WEB_PORT + index}:80`],
          tasks: tasks(web.port),
        }),
        serviceFile({
          name: `echo-${role}`,
          publish: [`${ECHO_PORT + index}:53/udp`],
          tasks: tasks(echo.port),
        }),
      ].join("");
    }).join("");
  }

  /** Clients are IPv4: nodes are asked at the addresses of their namespaces. */
  async function askEverybody(entry: number): Promise<void> {
    const address = network.nodes[entry]!.address;
    await Promise.all(
      ROLES.map(async (_, exit) => {
        await waitFor(async () => (await request(address, WEB_PORT + exit)).body === "web", {
          what: `${ROLES[entry]} to serve TCP by ${ROLES[exit]}`,
        });
        await askEcho(address, ECHO_PORT + exit, `${ROLES[entry]} to serve UDP by ${ROLES[exit]}`);
      }),
    );
  }

  async function pathsOf(node: MeshNode): Promise<readonly OverlayPeerStatus[]> {
    return (await node.status()).overlay!.peers;
  }

  test.each(ROWS.map((row) => [titleOf(row), row] as const))(
    "%s: every node serves TCP and UDP by every other",
    async (title, row) => {
      const running = (cluster = await MeshCluster.start({
        label: `firewall/${title.replaceAll(/[^a-z0-9]+/gi, "-")}`,
        places: places(row),
        settings: { isWildcard: row.isWildcard, workers: 2 },
        overlay: ({ name }) => `driver = "${driverOf(name)}"\nencrypt = ${row.encrypt}`,
        services,
      }));
      const isAsWanted = (node: MeshNode, { node: other, path, rttMs }: OverlayPeerStatus) =>
        haveOverlay(node.name, other, row.encrypt) ? path === "overlay" && rttMs !== null : path === "direct";
      await running.waitFor(
        async () => {
          const all = await Promise.all(
            running.nodes.map(async (node) => [node, await pathsOf(node)] as const),
          );
          return all.every(
            ([node, peers]) =>
              peers.length === ROLES.length - 1 && peers.every((peer) => isAsWanted(node, peer)),
          );
        },
        { what: "all paths to be up, with a round-trip time", deadlineMs: 30_000 },
      );
      await running.agree((all) => all.every(({ tasks }) => tasks.length === 1));
      for (const entry of ROLES.keys()) await askEverybody(entry);
      for (const node of running.nodes) {
        const peers = await pathsOf(node);
        expect(peers.filter((peer) => !isAsWanted(node, peer))).toEqual([]);
        const { cluster, proxy } = await node.status();
        for (const reason of ["cannot-decrypt", "no-relay", "too-short"])
          expect(cluster.gossip.droppedTotal).not.toHaveProperty(reason);
        expect(proxy.relay.datagramsDroppedTotal).not.toHaveProperty("malformed");
      }
    },
    TIMEOUT_MS,
  );
});

/** Datagrams may be lost: asked again until it is answered. */
async function askEcho(address: string, port: number, what: string): Promise<void> {
  const client = await UdpPeer.open("0.0.0.0");
  let askedMs = Number.NEGATIVE_INFINITY;
  try {
    await waitFor(
      () => {
        if (performance.now() - askedMs > ASK_AGAIN_MS) {
          client.send(what, port, address);
          askedMs = performance.now();
        }
        return client.texts.includes(what);
      },
      { what },
    );
  } finally {
    client.close();
  }
}

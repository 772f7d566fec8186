/**
 * Published ports of nodes that each have the firewall of config/README.md: every driver with every other, both ways. What the
 * nodes send meanwhile is what the table of ports there says, all of it and nothing else.
 *
 *   test process: clients   ── bridge ──┬─ k1 k2   kernel       every node has a task of its own for TCP and for UDP,
 *   and tasks                           ├─ u1 u2   userspace    and is asked for those of all others
 *                                       └─ n1 n2   none
 */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import type { OverlayPeerStatus } from "../../src/node/index.ts";
import { MeshCluster } from "../support/cluster/mesh-cluster.ts";
import { serviceFile } from "../support/cluster/mesh-config.ts";
import type { MeshNode, MeshPlace } from "../support/cluster/mesh-node.ts";
import { request } from "../support/load/http-load.ts";
import { UdpPeer } from "../support/load/udp-peer.ts";
import { startWebTask } from "../support/load/web-task.ts";
import { type Flow, FlowCapture } from "../support/network/flows.ts";
import { NameServer } from "../support/network/name-server.ts";
import { lacksNamespaces, Namespaces } from "../support/network/namespaces.ts";
import { lacks } from "../support/os/require-program.ts";
import { lacksTun, lacksVxlan } from "../support/overlay/overlay-devices.ts";
import { waitFor } from "../support/time/wait-for.ts";

const DOCUMENT = "config/README.md";
const TIMEOUT_MS = 240_000;
const IPV6_PREFIX = "fd99";
const ASK_AGAIN_MS = 500;
const ROLES = ["k1", "k2", "u1", "u2", "n1", "n2"] as const;
const DRIVERS = { k: "kernel", u: "userspace", n: "none" } as const;
/** Of the first node's task; the next one has the next port. Both are open in the documented firewall. */
const WEB_PORT = 8080;
const ECHO_PORT = 5300;
/** Names that the name server of the test process knows: of the first node, and of tasks. */
const SEED = "seed.test";
const TASKS = "tasks.test";
/** One of each driver is watched. */
const WATCHED = ["k1", "u1", "n1"];

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

function documentedFirewall(): string {
  const [, rules] = /```nft\n(.*?)```/s.exec(readFileSync(DOCUMENT, "utf8")) ?? [];
  if (rules === undefined) throw new Error(`${DOCUMENT} has no nft rules`);
  return rules;
}

/** Rows of the table of ports: "7946/tcp in, out nodes". */
function documentedPorts(): string[] {
  const [, table = ""] =
    /\| port \| direction .*\n\|[ |-]*\n((?:\|.*\n)*)/.exec(readFileSync(DOCUMENT, "utf8")) ?? [];
  return table
    .trim()
    .split("\n")
    .map((row) => {
      const [port, direction, end] = row
        .split("|")
        .slice(1)
        .map((cell) => cell.replaceAll("`", "").trim());
      return `${port} ${direction} ${end}`;
    });
}

describe.skipIf(lacksNamespaces() || lacksTun() || lacksVxlan() || lacks("tcpdump", "tshark"))(
  "behind the documented firewall",
  () => {
    let network: Namespaces;
    let web: { readonly port: number; kill(): unknown };
    let echo: UdpPeer;
    let names: NameServer;
    let cluster: MeshCluster | undefined;
    /** Of all rows: the directions of "7946/tcp nodes". */
    const seen = new Map<string, Set<string>>();

    beforeAll(async () => {
      network = Namespaces.create(ROLES.length);
      const rules = documentedFirewall();
      for (const [index, machine] of network.nodes.entries()) {
        await machine.run("ip", "address", "add", `${IPV6_PREFIX}::${index + 1}/64`, "dev", "eth0", "nodad");
        await machine.run("nft", rules);
      }
      web = await startWebTask("web", 9100, { address: network.outside });
      echo = await UdpPeer.task((data) => data, network.outside);
      names = await NameServer.start(network.outside);
      names.answers.set(TASKS, [network.outside]);
      names.long.add(TASKS);
    }, TIMEOUT_MS);
    afterEach(() => cluster?.close(), TIMEOUT_MS);
    afterAll(async () => {
      echo?.close();
      names?.[Symbol.dispose]();
      await web?.kill();
      network?.close();
    }, TIMEOUT_MS);

    const places = ({ family }: Row): MeshPlace[] =>
      network.nodes.map(({ wrapper, address }, index) => ({
        name: ROLES[index]!,
        wrapper: [...wrapper, ...names.wrapper()],
        address: family === 4 ? address : `${IPV6_PREFIX}::${index + 1}`,
      }));

    function services(_: MeshPlace, own: number): string {
      return ROLES.map((role, index) => {
        const tasks = (port: number) => (index === own ? [`${TASKS}:${port}`] : []);
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

    /** What is said in the first and third column of the table; null: it is from neither nodes nor clients. */
    function rowOf({ what, device, address, direction }: Flow, nodes: readonly string[]): string | null {
      if (device !== "eth0") return `${what} overlay addresses`;
      if (what === "arp" || what.startsWith("icmpv6")) return `${what} link`;
      if (nodes.includes(address)) return `${what} nodes`;
      const [port, protocol] = what.split("/");
      if (direction === "in") {
        const isPublished = [WEB_PORT, ECHO_PORT].some(
          (first) => Number(port) >= first && Number(port) < first + ROLES.length,
        );
        return isPublished ? `published/${protocol} clients` : null;
      }
      if (port === "53") return `${what} name servers`;
      if ([web.port, echo.port].includes(Number(port))) return `of the task/${protocol} tasks`;
      return `${what} ${address}`;
    }

    function keep(flows: readonly Flow[], nodes: readonly string[]): void {
      for (const flow of flows) {
        const row = rowOf(flow, nodes);
        if (row === null) continue;
        // what leaves one node comes in at another
        const isBetweenNodes = /(?:nodes|overlay addresses|link)$/.test(row);
        const directions = isBetweenNodes ? ["in", "out"] : [flow.direction];
        seen.set(row, (seen.get(row) ?? new Set()).union(new Set(directions)));
      }
    }

    /** In the form of documentedPorts. */
    function portsSeen(): string[] {
      return [...seen].map(([row, directions]) => {
        const [, what, end] = /^(.*\/(?:tcp|udp)|arp|icmp\S* \d+|ip protocol \d+) (.*)$/.exec(row)!;
        return `${what} ${[...directions].sort().join(", ")} ${end}`;
      });
    }

    async function pathsOf(node: MeshNode): Promise<readonly OverlayPeerStatus[]> {
      return (await node.status()).overlay!.peers;
    }

    test.each(ROWS.map((row) => [titleOf(row), row] as const))(
      "%s: every node serves TCP and UDP by every other",
      async (title, row) => {
        const own = places(row);
        names.answers.set(SEED, [own[0]!.address]);
        const watched = network.nodes.filter((_, index) => WATCHED.includes(ROLES[index]!));
        const captures = await Promise.all(watched.map((machine) => FlowCapture.start(machine)));
        const running = (cluster = await MeshCluster.start({
          label: `firewall/${title.replaceAll(/[^a-z0-9]+/gi, "-")}`,
          places: own,
          join: [SEED],
          settings: { isWildcard: row.isWildcard, workers: 2 },
          overlay: ({ name }) => `driver = "${driverOf(name)}"\nencrypt = ${row.encrypt}`,
          services,
        }));
        const isAsWanted = (node: MeshNode, { node: other, path, rttMs }: OverlayPeerStatus) =>
          haveOverlay(node.name, other, row.encrypt)
            ? path === "overlay" && rttMs !== null
            : path === "direct";
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
        const addresses = own.map(({ address }) => address);
        for (const capture of captures) keep(await capture.flows(), addresses);
        const unsaid = portsSeen().filter((port) => !documentedPorts().some((said) => covers(said, port)));
        expect(unsaid).toEqual([]);
      },
      TIMEOUT_MS,
    );

    test("all of that, in all rows, is the documented table of ports", () => {
      expect(portsSeen().sort()).toEqual(documentedPorts().sort());
    });
  },
);

/** Whether a row of the table says it, and maybe more directions. */
function covers(said: string, seen: string): boolean {
  return said === seen || said === seen.replace(/ (in|out) /, " in, out ");
}

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

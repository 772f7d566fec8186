/**
 * Relays between two nodes whatever the family of their addresses, of clients and of tasks, and whichever of their
 * addresses they announce: a table over all drivers.
 *
 *   clients ── bridge ──┬─ n1  entry node     .1 and .101, fd99::1 and fd99::101 on one interface, .121 on lo: packets
 *      and tasks        └─ n2  exit node      leave from the first of a family, unless they are told otherwise
 */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { MeshCluster } from "../support/cluster/mesh-cluster.ts";
import { GOSSIP_PORT, RELAY_PORT, serviceFile } from "../support/cluster/mesh-config.ts";
import type { MeshPlace } from "../support/cluster/mesh-node.ts";
import { request } from "../support/load/http-load.ts";
import { sendStreams, startSink } from "../support/load/memory-load.ts";
import { UdpPeer } from "../support/load/udp-peer.ts";
import { startWebTask } from "../support/load/web-task.ts";
import { lacksNamespaces, Namespaces } from "../support/network/namespaces.ts";
import { lacksTun, lacksVxlan } from "../support/overlay/overlay-devices.ts";
import { waitFor } from "../support/time/wait-for.ts";

const TIMEOUT_MS = 120_000;
const IPV6_PREFIX = "fd99";
const OUTSIDE_IPV6 = `${IPV6_PREFIX}::fe`;
/** Added to the last part of a node's address. */
const SECOND = 100;
/** On lo, of IPv4 only: a neighbour is not asked for IPv6 addresses of other interfaces. */
const FLOATING = 120;
const TASK_PORT = 9100;
const FAMILIES = [4, 6] as const;
const PORTS = { 4: { web: 8084, echo: 5304 }, 6: { web: 8086, echo: 5306 } } as const;
const SINK_PORT = 8080;
const TCP_OR_UDP = "meta l4proto { tcp, udp } th";
/** nft expressions: what goes to these ports and what comes from them. */
const BETWEEN = {
  relays: [`${TCP_OR_UDP} dport ${RELAY_PORT}`, `${TCP_OR_UDP} sport ${RELAY_PORT}`],
  gossip: [`${TCP_OR_UDP} dport ${GOSSIP_PORT}`, `${TCP_OR_UDP} sport ${GOSSIP_PORT}`],
} as const;
const MEBIBYTE = 1024 * 1024;
const ASK_AGAIN_MS = 2_000;
/** Of a datagram that is cut in two on the way, and what is sealed in several parts. */
const LENGTHS = [1, 1400, 4000, 30_000];

type Family = (typeof FAMILIES)[number];
type Driver = "kernel" | "userspace" | "none";

interface Row {
  readonly underlay: Family;
  readonly driver: Driver;
  readonly encrypt: boolean;
  /** own: cluster.bind is the announced address. Else it is the wildcard, and another address is announced. */
  readonly announced: "own" | "second" | "floating";
}

/** Packets from the announced address, and all from others. */
interface Sent {
  readonly relays: number;
  readonly gossip: number;
  readonly fromOthers: number;
}

const DRIVERS = [
  { driver: "kernel", encrypt: true },
  { driver: "kernel", encrypt: false },
  { driver: "userspace", encrypt: true },
  { driver: "userspace", encrypt: false },
  { driver: "none", encrypt: true },
] as const;
const PLAIN = { driver: "none", encrypt: false } as const;
const ROWS: readonly Row[] = [
  ...FAMILIES.flatMap((underlay) =>
    (["own", "second"] as const).flatMap((announced) =>
      DRIVERS.map((driver): Row => ({ underlay, announced, ...driver })),
    ),
  ),
  ...FAMILIES.map((underlay): Row => ({ underlay, announced: "second", ...PLAIN })),
  ...[...DRIVERS, PLAIN].map((driver): Row => ({ underlay: 4, announced: "floating", ...driver })),
];

const HOSTS = { own: 0, second: SECOND, floating: FLOATING } as const;
const WHERE = {
  own: "bind to its address",
  second: "bind to all, announce the second",
  floating: "bind to all, announce one on lo",
} as const;
const titleOf = ({ underlay, driver, encrypt, announced }: Row) =>
  `IPv${underlay}, ${WHERE[announced]}, ${driver}, ${encrypt ? "encrypted" : "plain"}`;

describe.skipIf(lacksNamespaces() || lacksTun() || lacksVxlan())("relays between nodes", () => {
  let network: Namespaces;
  const closers: (() => unknown)[] = [];

  beforeAll(async () => {
    network = Namespaces.create(2);
    closers.push(() => network.close());
    await runIp("-6", "address", "add", `${OUTSIDE_IPV6}/64`, "dev", network.uplink, "nodad");
    for (const [index, machine] of network.nodes.entries()) {
      const add = (address: string, ...more: string[]) =>
        machine.run("ip", "address", "add", address, "dev", "eth0", ...nodad(address), ...more);
      await add(`${network.subnet}.${index + 1 + SECOND}/24`);
      await machine.run(
        ...["ip", "address", "add", `${network.subnet}.${index + 1 + FLOATING}/32`, "dev", "lo"],
      );
      await add(`${IPV6_PREFIX}::${index + 1}/64`);
      await add(`${IPV6_PREFIX}::${index + 1 + SECOND}/128`, "preferred_lft", "0");
    }
    const sink = startSink(network.outside);
    closers.push(() => sink.stop());
    sinkPort = sink.port;
    for (const family of FAMILIES) {
      const echo = await UdpPeer.task((data) => data, outsideOf(family));
      closers.push(() => echo.close());
      echoPorts[family] = echo.port;
      const address = family === 4 ? network.outside : OUTSIDE_IPV6;
      const web = await startWebTask(`web${family}`, TASK_PORT, {
        address: family === 4 ? address : `[${address}]`,
      });
      closers.push(() => web.kill());
    }
  }, TIMEOUT_MS);
  afterAll(async () => {
    for (const close of closers.reverse()) await close();
  }, TIMEOUT_MS);

  const echoPorts = { 4: 0, 6: 0 };
  let sinkPort = 0;
  const outsideOf = (family: Family) => (family === 4 ? network.outside : OUTSIDE_IPV6);
  const addressOf = (index: number, family: Family) =>
    family === 4 ? `${network.subnet}.${index}` : `${IPV6_PREFIX}::${index}`;

  function services({ name }: MeshPlace): string {
    const sink = name === "n2" ? [`${network.outside}:${sinkPort}`] : [];
    const sinkService = serviceFile({ name: "sink", publish: [`${SINK_PORT}:80`], tasks: sink });
    const others = FAMILIES.flatMap((family) => {
      const host = family === 4 ? network.outside : `[${OUTSIDE_IPV6}]`;
      const tasks = (port: number) => (name === "n2" ? [`${host}:${port}`] : []);
      return [
        serviceFile({ name: `web${family}`, publish: [`${PORTS[family].web}:80`], tasks: tasks(TASK_PORT) }),
        serviceFile({
          name: `echo${family}`,
          publish: [`${PORTS[family].echo}:53/udp`],
          tasks: tasks(echoPorts[family]),
        }),
      ];
    });
    return [sinkService, ...others].join("");
  }

  describe.each(ROWS.map((row) => [titleOf(row), row] as const))("%s", (title, row) => {
    let cluster: MeshCluster;

    beforeEach(async () => {
      const announced = network.nodes.map(({ name, wrapper }, index) => ({
        name,
        wrapper,
        address: addressOf(index + 1 + HOSTS[row.announced], row.underlay),
      }));
      cluster = await MeshCluster.start({
        label: `overlay-addresses/${title.replaceAll(/[^a-z0-9]+/gi, "-")}`,
        places: announced,
        settings: {
          isWildcard: row.announced !== "own",
          isInsecure: !row.encrypt,
          overlay: `driver = "${row.driver}"\nencrypt = ${row.encrypt}`,
        },
        services,
      });
    }, TIMEOUT_MS);
    afterEach(() => cluster?.close(), TIMEOUT_MS);

    /** What both nodes send to each other is counted in their kernels: from the announced address, and from others. */
    async function countSent(): Promise<void> {
      const source = row.underlay === 4 ? "ip saddr" : "ip6 saddr";
      const chain = "{ type filter hook output priority 0; }";
      for (const [index, { address }] of cluster.nodes.entries()) {
        const rules = [...BETWEEN.relays, ...BETWEEN.gossip].flatMap((ports) =>
          ["==", "!="].map((is) => `oifname "eth0" ${ports} ${source} ${is} ${address} counter`),
        );
        await network.nodes[index]!.run(
          "nft",
          [
            "add table inet sent; delete table inet sent; add table inet sent",
            `add chain inet sent out ${chain}`,
            ...rules.map((rule) => `add rule inet sent out ${rule}`),
          ].join("; "),
        );
      }
    }

    function sentPackets(): Promise<Sent[]> {
      return Promise.all(
        network.nodes.map(async (machine) => {
          const table = await machine.run("nft", "list", "table", "inet", "sent");
          const counts = [...table.matchAll(/counter packets (\d+)/g)].map((match) => Number(match[1]));
          const sum = (...indices: number[]) => indices.reduce((total, index) => total + counts[index]!, 0);
          return { relays: sum(0, 2), gossip: sum(4, 6), fromOthers: sum(1, 3, 5, 7) };
        }),
      );
    }

    /** How many packets each node has taken for those of nobody it knows. */
    function strangePackets(): Promise<[string, number][][]> {
      return Promise.all(
        cluster.nodes.map(async (node) => {
          const { peers, rejectedTotal } = (await node.status()).overlay!;
          const counts = [rejectedTotal, peers[0]!.rejectedTotal].flatMap((each) => Object.entries(each));
          return counts.filter(([reason]) => /source|unknown/.test(reason));
        }),
      );
    }

    test(
      "clients and tasks of both families meet, over TCP and UDP",
      async () => {
        const path = row.driver === "none" ? "direct" : "overlay";
        await cluster.waitFor(
          async () => {
            const peers = await Promise.all(
              cluster.nodes.map(async (node) => (await node.status()).overlay!.peers),
            );
            return peers.every((others) => others[0]?.path === path);
          },
          { what: `the nodes to reach each other: ${path}` },
        );
        await cluster.agree((all) => all.length === 5 && all.every(({ tasks }) => tasks.length === 1));
        const entry4 = addressOf(1, 4);
        await cluster.waitFor(async () => (await request(entry4, PORTS[4].web)).error === null, {
          what: "n1 to serve",
        });
        const strange = await strangePackets(); // one may have known the other before the other knew it
        await countSent();
        for (const from of FAMILIES)
          for (const to of FAMILIES) {
            const entry = addressOf(1, from);
            for (let i = 0; i < 3; i++)
              expect(await request(entry, PORTS[to].web)).toMatchObject({ body: `web${to}`, error: null });
            const client = await UdpPeer.open(outsideOf(from));
            try {
              for (const length of LENGTHS) {
                const bytes = Buffer.alloc(length, length % 251);
                await askUntilAnswered(client, bytes, PORTS[to].echo, entry);
              }
            } finally {
              client.close();
            }
          }
        await sendStreams(entry4, SINK_PORT, { streams: 2, bytes: 16 * MEBIBYTE });
        await waitFor(async () => (await sentPackets()).every(({ gossip }) => gossip > 0), {
          what: "gossip of both nodes",
        });
        for (const { relays, fromOthers } of await sentPackets()) {
          expect(relays).toBeGreaterThan(100);
          expect(fromOthers).toBe(0);
        }
        // on a busy machine one may give up the other, and know it again
        if (!cluster.nodes.some(({ log }) => log.includes("has failed")))
          expect(await strangePackets()).toEqual(strange);
      },
      TIMEOUT_MS,
    );
  });
});

/** Datagrams may be lost; what comes back must be the same. */
async function askUntilAnswered(
  client: UdpPeer,
  bytes: Buffer,
  port: number,
  address: string,
): Promise<void> {
  const before = client.received.length;
  let askedMs = Number.NEGATIVE_INFINITY;
  await waitFor(
    () => {
      if (performance.now() - askedMs > ASK_AGAIN_MS) {
        client.send(bytes, port, address);
        askedMs = performance.now();
      }
      return client.received.slice(before).some(({ data }) => data.equals(bytes));
    },
    { what: `${bytes.length} bytes to be answered by ${address}` },
  );
}

/** Without it an address of IPv6 cannot be used for a second. */
function nodad(address: string): string[] {
  return address.includes(":") ? ["nodad"] : [];
}

async function runIp(...args: string[]): Promise<void> {
  const child = Bun.spawn(["ip", ...args], { stderr: "pipe" });
  if ((await child.exited) !== 0) throw new Error(await child.stderr.text());
}

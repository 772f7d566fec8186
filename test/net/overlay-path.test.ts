/**
 * Path MTU between two nodes with kernel VXLAN devices, made by hand, across a router that says nothing (ICMP is
 * dropped), on whose side both links become narrower and wider:
 *
 *     n1 west ── 10.98.1.0/24 ── west n3 east ── 10.98.2.0/24 ── east n2
 *                fd98:1::/64                     fd98:2::/64
 *     vx4 10.200.4.1/24, MTU 1450  · · · · · · · · · · · · vx4 10.200.4.2/24
 *     vx6 10.200.6.1/24, MTU 1430  · · · · · · · · · · · · vx6 10.200.6.2/24
 */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import type { EchoPeerEnd, PathReport } from "../../src/overlay/path/echo-peer.ts";
import { vxlanOverheadBytes } from "../../src/overlay/path/overhead.ts";
import { Namespaces } from "../support/network/namespaces.ts";
import type { NetworkNode } from "../support/network/network-node.ts";
import type { EchoNodeConfig } from "../support/overlay/echo-node.ts";
import { EchoProcess } from "../support/overlay/echo-process.ts";
import { lacksVxlan } from "../support/overlay/overlay-devices.ts";
import { waitFor } from "../support/time/wait-for.ts";

const PORT = 7946;
const DEADLINE_MS = 60_000;
/** Past a raise timer and its jitter. */
const PAST_RAISE_MS = 70_000;
const RAISE_DEADLINE_MS = 150_000;
const LONG_TEST_MS = 300_000;
/** Two overlays of the same nodes, one over each family of underlay. */
const OVERLAYS = {
  4: {
    device: "vx4",
    deviceMtu: 1500 - vxlanOverheadBytes(4),
    n1: { overlay: "10.200.4.1", underlay: "10.98.1.1", mac: "02:42:0a:c8:04:01" },
    n2: { overlay: "10.200.4.2", underlay: "10.98.2.2", mac: "02:42:0a:c8:04:02" },
  },
  6: {
    device: "vx6",
    deviceMtu: 1500 - vxlanOverheadBytes(6),
    n1: { overlay: "10.200.6.1", underlay: "fd98:1::1", mac: "02:42:0a:c8:06:01" },
    n2: { overlay: "10.200.6.2", underlay: "fd98:2::2", mac: "02:42:0a:c8:06:02" },
  },
} as const;
type Family = keyof typeof OVERLAYS;
type End = "n1" | "n2";
const DEVICE_MTU = OVERLAYS[4].deviceMtu;
const OVERHEAD = vxlanOverheadBytes(4);

describe.skipIf(lacksVxlan())("the path between two nodes over kernel VXLAN", () => {
  let network: Namespaces;
  let nodes: readonly [NetworkNode, NetworkNode, NetworkNode];
  let running: EchoProcess[] = [];

  beforeAll(async () => {
    network = Namespaces.create(3);
    nodes = network.nodes as unknown as typeof nodes;
    const [n1, n2, router] = nodes;
    await connect(n1, router, "west", 1);
    await connect(n2, router, "east", 2);
    await router.run("sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1");
    await router.run(
      "nft",
      "add table inet quiet; add chain inet quiet out { type filter hook output priority 0; }",
    );
    await router.run("nft", "add rule inet quiet out icmp type destination-unreachable drop");
    await router.run("nft", "add rule inet quiet out icmpv6 type packet-too-big drop");
    await addVxlan(n1, 4, "n1", "n2");
    await addVxlan(n2, 4, "n2", "n1");
    await addVxlan(n1, 6, "n1", "n2");
    await addVxlan(n2, 6, "n2", "n1");
  });
  afterEach(async () => {
    await Promise.all(running.map((process) => process.stop()));
    running = [];
    await setMiddle(1500);
    await lose(0);
  });
  afterAll(() => {
    network?.close();
    expect(Namespaces.leftovers()).toEqual([]);
  });

  const [setMiddle, lose] = [
    async (mtu: number) => {
      for (const link of ["west", "east"]) await nodes[2].run("ip", "link", "set", link, "mtu", String(mtu));
    },
    async (percent: number) => {
      const rule = percent > 0 ? `numgen random mod 100 < ${percent} drop` : "accept";
      const table = "table inet lossy";
      const chain = `chain pass { type filter hook forward priority 0;\n${rule}\n}`;
      await nodes[2].run("nft", `add ${table}; delete ${table}; ${table} {\n${chain}\n}`);
    },
  ];

  async function start(
    secrets: readonly string[] | null,
    family: Family = 4,
  ): Promise<[EchoProcess, EchoProcess]> {
    const both = await Promise.all([
      EchoProcess.start(nodes[0], configOf(family, "n1", "n2", secrets)),
      EchoProcess.start(nodes[1], configOf(family, "n2", "n1", secrets)),
    ]);
    running = both;
    return both;
  }

  async function reaches(
    process: EchoProcess,
    name: End,
    mtu: number,
    deadlineMs = DEADLINE_MS,
  ): Promise<PathReport> {
    const path = () => process.last.paths[name]!;
    await waitFor(
      () => path().state === "search-complete" && path().mtu === mtu && process.last.mtus[name] === mtu,
      {
        what: `${name} to be reached with ${mtu} bytes`,
        deadlineMs,
      },
    );
    return path();
  }

  for (const secrets of [null, ["5a".repeat(32)]]) {
    test(`is as wide as the devices where nothing is narrow${secrets ? ", with a secret" : ""}`, async () => {
      const [one, two] = await start(secrets);
      const path = await reaches(one, "n2", DEVICE_MTU);
      expect(path.rttMs).toBeGreaterThan(0);
      await reaches(two, "n1", DEVICE_MTU);
    });
  }

  test(
    "becomes narrow in the middle, in silence, and wide again",
    async () => {
      const [one, two] = await start(null);
      await reaches(one, "n2", DEVICE_MTU);
      await setMiddle(1400);
      await reaches(one, "n2", 1400 - OVERHEAD);
      await reaches(two, "n1", 1400 - OVERHEAD);
      expect(await fits(nodes[0], 1400 - OVERHEAD)).toBe(true);
      expect(await fits(nodes[0], 1400 - OVERHEAD + 1)).toBe(false);
      await setMiddle(1333); // no size that anybody would try first
      await reaches(one, "n2", 1333 - OVERHEAD);
      await setMiddle(1500);
      await one.skip(PAST_RAISE_MS);
      await reaches(one, "n2", DEVICE_MTU);
    },
    LONG_TEST_MS,
  );

  test("is known over IPv6, which adds more and never fragments on the way", async () => {
    const [one, two] = await start(null, 6);
    await reaches(one, "n2", OVERLAYS[6].deviceMtu);
    await setMiddle(1400);
    await reaches(one, "n2", 1400 - vxlanOverheadBytes(6));
    await reaches(two, "n1", 1400 - vxlanOverheadBytes(6));
  });

  test("is probed past the MTU of a route to the peer", async () => {
    await nodes[0].run("ip", "route", "replace", `${OVERLAYS[4].n2.overlay}/32`, "dev", "vx4", "mtu", "1300");
    try {
      expect(await fits(nodes[0], 1301)).toBe(false);
      const [one] = await start(null);
      await reaches(one, "n2", DEVICE_MTU);
    } finally {
      await nodes[0].run("ip", "route", "delete", `${OVERLAYS[4].n2.overlay}/32`, "dev", "vx4");
    }
  });

  test(
    "is found and measured with 5 % loss in each direction",
    async () => {
      await setMiddle(1411);
      await lose(5);
      const [one] = await start(null);
      await reaches(one, "n2", 1411 - OVERHEAD, RAISE_DEADLINE_MS);
      await waitFor(() => (one.last.paths.n2!.loss ?? 0) > 0, {
        what: "a loss to be seen",
        deadlineMs: DEADLINE_MS,
      });
      expect(one.last.paths.n2!.loss).toBeLessThan(0.5);
    },
    LONG_TEST_MS,
  );
});

/** `subnet` is the third byte of the link's IPv4 addresses, and the second group of its IPv6 ones. */
async function connect(node: NetworkNode, router: NetworkNode, name: string, subnet: number): Promise<void> {
  const host = node.name.slice(1);
  const addresses = (end: string) => [`10.98.${subnet}.${end}/24`, `fd98:${subnet}::${end}/64`] as const;
  await node.run("ip", "link", "add", name, "type", "veth", "peer", "name", name, "netns", router.namespace);
  for (const [one, end] of [
    [node, host],
    [router, "254"],
  ] as const) {
    for (const address of addresses(end))
      await one.run("ip", "address", "add", address, "dev", name, "nodad");
    await one.run("ip", "link", "set", name, "up");
  }
  await node.run("ip", "route", "add", "10.98.0.0/16", "via", `10.98.${subnet}.254`);
  await node.run("ip", "route", "add", "fd98::/16", "via", `fd98:${subnet}::254`);
}

async function addVxlan(node: NetworkNode, family: Family, own: End, other: End): Promise<void> {
  const { device, deviceMtu, [own]: here, [other]: there } = OVERLAYS[family];
  const vxlan = [
    "vxlan",
    "id",
    `4${family}`,
    "local",
    here.underlay,
    "dstport",
    "4789",
    "nolearning",
    "df",
    "set",
  ];
  await node.run(
    "ip",
    "link",
    "add",
    device,
    "address",
    here.mac,
    "mtu",
    String(deviceMtu),
    "type",
    ...vxlan,
  );
  await node.run("ip", "address", "add", `${here.overlay}/24`, "dev", device);
  await node.run("ip", "link", "set", device, "up");
  await node.run(
    "ip",
    "neigh",
    "replace",
    there.overlay,
    "lladdr",
    there.mac,
    "dev",
    device,
    "nud",
    "permanent",
  );
  await node.run("bridge", "fdb", "append", there.mac, "dev", device, "dst", there.underlay);
}

function configOf(family: Family, own: End, other: End, secrets: readonly string[] | null): EchoNodeConfig {
  const { deviceMtu, [own]: here, [other]: there } = OVERLAYS[family];
  const peer: EchoPeerEnd = {
    name: other,
    overlayAddress: there.overlay,
    underlayAddress: there.underlay,
    echoPort: PORT,
    overheadBytes: vxlanOverheadBytes(family),
    secrets,
  };
  return { address: here.overlay, port: PORT, deviceMtu, peers: [peer], isActive: true };
}

/** Whether a ping of that packet size, not to be fragmented, is answered by n2's overlay address. */
async function fits(node: NetworkNode, packetBytes: number): Promise<boolean> {
  const ping = ["ping", "-c", "3", "-i", "0.2", "-W", "1", "-M", "do", "-s", String(packetBytes - 28)];
  const run = Bun.spawn([...node.wrapper, ...ping, OVERLAYS[4].n2.overlay], {
    stdio: ["ignore", "ignore", "ignore"],
  });
  return (await run.exited) === 0;
}

/**
 * The kernel driver between namespaces, with itself and with VXLAN devices that were made by hand.
 *
 *   n1 10.99.x.1 eth0 ──┐            overlay 10.200.0.1
 *   n2 10.99.x.2 eth0 ──┤ bridge     overlay 10.200.0.2
 *   n3 10.99.x.3 eth0 ──┘            takes over 10.200.0.2
 */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import type { OverlayEnd, OverlayPeer } from "../../src/overlay/index.ts";
import { randomBytes, sendStream } from "../support/load/send-stream.ts";
import { Namespaces } from "../support/network/namespaces.ts";
import type { NetworkNode } from "../support/network/network-node.ts";
import { findProgram } from "../support/os/require-program.ts";
import { KernelOverlayProcess } from "../support/overlay/kernel-overlay-process.ts";
import { lacksVxlan } from "../support/overlay/overlay-devices.ts";
import { waitFor } from "../support/time/wait-for.ts";

const DEVICE = "portmesh0";
const OWNER = "test/n1";
const VNI = 4711;
const PORT = 4789;
/** Of the overlay's 50 bytes on links of 1500. */
const MTU_BYTES = 1450;
/** For what takes milliseconds on a machine that has nothing else to do. */
const BULK_BYTES = 32 * 1024 * 1024;

const PROGRAMS = ["ping", "bridge", "setpriv", "socat", "ss", "tc"];
/** Accepts everything in the place of the driver's own. */
const FILTER_OF_NOTHING = [
  ...["dev", DEVICE, "ingress", "protocol", "all", "prio", "1", "handle", "1"],
  ...["bpf", "da", "bytecode", "1,6 0 0 0,"],
];
/** What of the device gets to the kernel's IP. */
const COUNT_OVERLAY = [
  "add table ip seen",
  "add chain ip seen in { type filter hook prerouting priority 0; }",
  `add rule ip seen in iifname "${DEVICE}" counter`,
].join("; ");

describe.skipIf(lacksVxlan(...PROGRAMS))("the kernel driver", () => {
  let network: Namespaces;
  let n1: NetworkNode;
  let n2: NetworkNode;
  let n3: NetworkNode;
  const processes: KernelOverlayProcess[] = [];

  beforeEach(async () => {
    network = Namespaces.create(3);
    [n1, n2, n3] = network.nodes as [NetworkNode, NetworkNode, NetworkNode];
    await settle(n1);
  });

  afterEach(async () => {
    await Promise.all(processes.splice(0).map((process) => process.kill()));
    network.close();
    expect(Namespaces.leftovers()).toEqual([]);
  });

  function driverOn(node: NetworkNode, wrapper: readonly string[] = []): KernelOverlayProcess {
    const process = new KernelOverlayProcess([...node.wrapper, ...wrapper]);
    processes.push(process);
    return process;
  }

  function endOf(node: NetworkNode, changes: Partial<OverlayEnd> = {}): OverlayEnd {
    const end = { vni: VNI, port: PORT, device: DEVICE, prefixLength: 16, underlayAddress: node.address };
    return { ...end, address: overlayAddress(node), ...changes };
  }

  function peerOf(node: NetworkNode, changes: Partial<OverlayPeer> = {}): OverlayPeer {
    const peer = { name: node.name, underlayAddress: node.address, port: PORT, secrets: null };
    return { ...peer, overlayAddress: overlayAddress(node), ...changes };
  }

  /** A node whose device is made by hand, as `address`, with entries for one peer. */
  async function configureByHand(node: NetworkNode, address: string, peer: OverlayPeer): Promise<void> {
    const mac = macText(peer.overlayAddress);
    const commands = [
      `link add dev vx type vxlan id ${VNI} dstport ${PORT} local ${node.address} nolearning`,
      `link set vx address ${macText(address)} mtu ${MTU_BYTES} up`,
      `address add ${address}/16 dev vx`,
      `neighbour replace ${peer.overlayAddress} lladdr ${mac} dev vx nud permanent`,
    ];
    for (const command of commands) await ip(node, command);
    const to = ["dst", peer.underlayAddress, "port", String(peer.port)];
    await node.run("bridge", "fdb", "append", mac, "dev", "vx", ...to, "self", "permanent");
  }

  async function openOn(node: NetworkNode, changes: Partial<OverlayEnd> = {}): Promise<KernelOverlayProcess> {
    const driver = driverOn(node);
    const opened = await driver.open(endOf(node, changes), `test/${node.name}`);
    expect(opened.error).toBeNull();
    return driver;
  }

  async function applied(driver: KernelOverlayProcess, ...peers: OverlayPeer[]): Promise<void> {
    expect(await driver.apply(peers)).toMatchObject({ error: null, refused: [] });
  }

  test("two of them: packets up to the MTU and streams in both directions", async () => {
    const d1 = await openOn(n1);
    const d2 = await openOn(n2);
    await applied(d1, peerOf(n2));
    await applied(d2, peerOf(n1));
    await ping(n1, "10.200.0.2");
    await ping(n2, "10.200.0.1");
    await ping(n1, "10.200.0.2", MTU_BYTES);
    await expect(ping(n1, "10.200.0.2", MTU_BYTES + 1)).rejects.toThrow();
    await sendStream(n1, n2, "10.200.0.2", randomBytes(BULK_BYTES));
    await sendStream(n2, n1, "10.200.0.1", randomBytes(BULK_BYTES));
  });

  test("with a device that was made by hand, in both directions", async () => {
    await configureByHand(n2, "10.200.0.2", peerOf(n1));
    const driver = await openOn(n1);
    await applied(driver, peerOf(n2));
    await ping(n1, "10.200.0.2", MTU_BYTES);
    await ping(n2, "10.200.0.1", MTU_BYTES);
    await sendStream(n1, n2, "10.200.0.2", randomBytes(BULK_BYTES));
    await sendStream(n2, n1, "10.200.0.1", randomBytes(BULK_BYTES));
  });

  test("each node may have a port of its own", async () => {
    const d1 = await openOn(n1, { port: 4790 });
    const d2 = await openOn(n2, { port: 4791 });
    await applied(d1, peerOf(n2, { port: 4791 }));
    await applied(d2, peerOf(n1, { port: 4790 }));
    await ping(n1, "10.200.0.2");
  });

  test("over IPv6, with 70 bytes less than the underlay", async () => {
    for (const [node, host] of [
      [n1, 1],
      [n2, 2],
    ] as const)
      await ip(node, `address add fd99::${host}/64 dev eth0 nodad`);
    const d1 = await openOn(n1, { underlayAddress: "fd99::1" });
    const d2 = await openOn(n2, { underlayAddress: "::" });
    await applied(d1, peerOf(n2, { underlayAddress: "fd99::2" }));
    await applied(d2, peerOf(n1, { underlayAddress: "fd99::1" }));
    await ping(n1, "10.200.0.2", 1430);
    await expect(ping(n1, "10.200.0.2", 1431)).rejects.toThrow();
    await sendStream(n1, n2, "10.200.0.2", randomBytes(BULK_BYTES));
    const { refused } = await d1.apply([peerOf(n2)]);
    expect(refused).toEqual([
      { name: "n2", reason: `cannot reach ${n2.address}: this node's underlay address is IPv6 (fd99::1)` },
    ]);
  });

  test("a peer that moves is followed, one that leaves is forgotten", async () => {
    await configureByHand(n2, "10.200.0.2", peerOf(n1));
    await configureByHand(n3, "10.200.0.2", peerOf(n1));
    const driver = await openOn(n1);
    await applied(driver, peerOf(n2));
    await ping(n1, "10.200.0.2");
    await n2.setLink("down");
    await applied(driver, peerOf(n2, { underlayAddress: n3.address }));
    await ping(n1, "10.200.0.2");
    await applied(driver);
    expect(await entriesOf(n1)).not.toContain("10.200.0.2");
    expect(await entriesOf(n1)).not.toContain("02:42:0a:c8:00:02");
  });

  test("what is right already is left alone: the kernel reports no change", async () => {
    const driver = await openOn(n1);
    const peers = [peerOf(n2), peerOf(n3, { port: 5000 })];
    await applied(driver, ...peers);
    const changes = await changesOf(n1, async () => {
      await applied(driver, ...peers);
      await applied(driver, ...peers.toReversed());
    });
    expect(changes).toEqual([]);
    const told = (await changesOf(n1, () => applied(driver, peers[0]!))).join("\n");
    expect(told).toContain(`Deleted ${n3.address} dev ${DEVICE} lladdr 02:42:0a:c8:00:03`);
    expect(told).toContain(`Deleted 10.200.0.3 dev ${DEVICE}`);
    expect(told).toContain("proto 112");
  });

  test("MTU: that of the underlay, of the path to a peer, and the configured one", async () => {
    const driver = await openOn(n1);
    await ip(n1, `route add ${n3.address}/32 dev eth0 mtu 1400`);
    await applied(driver, peerOf(n2), peerOf(n3));
    expect(await routesOf(n1)).toContain("10.200.0.2 mtu 1450");
    expect(await routesOf(n1)).toContain("10.200.0.3 mtu 1350");

    await ip(n1, "link set eth0 mtu 1420");
    expect(await driver.apply([peerOf(n2), peerOf(n3)])).toMatchObject({ mtuBytes: 1370 });
    expect(await linkOf(n1, DEVICE)).toContain(" mtu 1370 ");
    expect(await routesOf(n1)).toContain("10.200.0.2 mtu 1370");

    expect(await driver.setMtu(1300)).toMatchObject({ mtuBytes: 1300 });
    expect(await driver.apply([peerOf(n2), peerOf(n3)], { n2: 1200, n3: 1400 })).toMatchObject({
      error: null,
    });
    expect(await linkOf(n1, DEVICE)).toContain(" mtu 1300 ");
    expect(await routesOf(n1)).toContain("10.200.0.2 mtu 1200");
    expect(await routesOf(n1)).toContain("10.200.0.3 mtu 1300");
    expect(await driver.setMtu(null)).toMatchObject({ mtuBytes: 1370 });
  });

  test("an MTU too small for IPv6", async () => {
    const driver = driverOn(n1);
    expect(await driver.open(endOf(n1), OWNER, 1000)).toMatchObject({ error: null, mtuBytes: 1000 });
    await applied(driver, peerOf(n2));
    expect(await routesOf(n1)).toContain("10.200.0.2 mtu 1000");
  });

  test("a device that another program changed or removed is restored", async () => {
    const d1 = await openOn(n1);
    const d2 = await openOn(n2);
    await applied(d2, peerOf(n1));
    await ip(n1, `link set ${DEVICE} down`);
    await ip(n1, `link set ${DEVICE} mtu 1000 address 02:00:00:00:00:01`);
    await ip(n1, `address flush dev ${DEVICE}`);
    await ip(n1, `neighbour add 10.200.0.9 lladdr 02:00:00:00:00:09 dev ${DEVICE}`);
    const strayEntry = ["02:00:00:00:00:09", "dev", DEVICE, "dst", "192.0.2.9", "self", "permanent"];
    await n1.run("bridge", "fdb", "add", ...strayEntry);
    await applied(d1, peerOf(n2));
    await ping(n1, "10.200.0.2", MTU_BYTES);
    expect(await entriesOf(n1)).not.toContain("02:00:00:00:00:09");
    await ip(n1, `link delete ${DEVICE}`);
    await applied(d1, peerOf(n2));
    await ping(n1, "10.200.0.2", MTU_BYTES);
  });

  test("a filter and settings that another program changed are restored", async () => {
    const d1 = await openOn(n1);
    const d2 = await openOn(n2);
    await applied(d1, peerOf(n2));
    await applied(d2, peerOf(n1));
    const filter = () => n1.run("tc", "filter", "show", "dev", DEVICE, "ingress");
    const forwarding = () => n1.run("sysctl", "-n", `net.ipv4.conf.${DEVICE}.forwarding`);
    const wanted = await filter();
    expect(wanted).toContain("direct-action");
    const changes = [
      ["tc", "qdisc", "del", "dev", DEVICE, "ingress"],
      ["tc", "filter", "del", "dev", DEVICE, "ingress"],
      ["tc", "filter", "replace", ...FILTER_OF_NOTHING],
      ["sysctl", "-qw", "net.ipv4.ip_forward=0", "net.ipv4.ip_forward=1"],
    ];
    for (const change of changes) {
      await n1.run(...change);
      expect((await filter()) === wanted && (await forwarding()) === "0\n").toBe(false);
      await applied(d1, peerOf(n2));
      expect(await filter()).toBe(wanted);
      expect(await forwarding()).toBe("0\n");
    }
    await ping(n2, "10.200.0.1");
  });

  test("packets of a peer that has left are dropped", async () => {
    const d1 = await openOn(n1);
    const d2 = await openOn(n2);
    await applied(d2, peerOf(n1));
    await applied(d1, peerOf(n2));
    await ping(n2, "10.200.0.1");
    await applied(d1, peerOf(n3));
    await n1.run("nft", COUNT_OVERLAY);
    await expect(n2.run("ping", "-c", "1", "-W", "0.5", "10.200.0.1")).rejects.toThrow();
    const dropped = await n1.run("tc", "-s", "qdisc", "show", "dev", DEVICE, "ingress");
    expect(dropped).toMatch(/dropped [1-9]/);
    expect(await n1.run("nft", "list", "table", "ip", "seen")).toContain("packets 0 ");
  });

  test("after kill -9 the same node takes the place of what was left, another node does not", async () => {
    const before = await stateOf(n1);
    const killed = await openOn(n1);
    await applied(killed, peerOf(n2), peerOf(n3));
    const left = await linkOf(n1, DEVICE);
    await killed.kill();
    expect(await linkOf(n1, DEVICE)).toBe(left);

    const other = await driverOn(n1).open(endOf(n1), "test/other");
    expect(other.error?.code).toBe("device-taken");
    expect(other.error?.message).toContain('marked "portmesh test/n1"');
    expect(await linkOf(n1, DEVICE)).toBe(left);

    const next = await openOn(n1);
    expect(await linkOf(n1, DEVICE)).not.toBe(left);
    expect(await entriesOf(n1)).not.toContain("10.200.0.3");
    await next.kill();
    const last = driverOn(n1);
    expect(await last.removeLeftover(endOf(n1), OWNER)).toMatchObject({ error: null });
    expect(await last.removeLeftover(endOf(n1), OWNER)).toMatchObject({ error: null });
    expect(await stateOf(n1)).toBe(before);
  });

  test("close leaves nothing, and of others' interfaces and routes nothing has changed", async () => {
    await ip(n1, "link add dev their0 type vxlan id 99 dstport 4789");
    await ip(n1, "address add 192.0.2.1/24 dev their0");
    await ip(n1, "link set their0 up");
    await ip(n1, "route add 10.0.0.0/8 via 192.0.2.9");
    await ip(n1, "neighbour add 192.0.2.9 lladdr 02:00:00:00:00:09 dev their0");
    const before = await stateOf(n1);
    const driver = await openOn(n1);
    await applied(driver, peerOf(n2), peerOf(n3));
    expect(await stateOf(n1)).not.toBe(before);
    expect(without(await stateOf(n1), DEVICE)).toBe(before);
    await driver.close();
    expect(await stateOf(n1)).toBe(before);
    expect(await driver.close()).toMatchObject({ error: null });
  });

  test("two nodes on one machine, each with a device, a subnet and a VNI of its own", async () => {
    const d1 = await openOn(n1);
    const second = driverOn(n1);
    const end = endOf(n1, { device: "portmesh1", address: "10.201.0.1", vni: VNI + 1 });
    expect(await second.open(end, "test/second")).toMatchObject({ error: null });
    await applied(d1, peerOf(n2));
    await second.close();
    const d2 = await openOn(n2);
    await applied(d2, peerOf(n1));
    await ping(n1, "10.200.0.2");
  });

  describe("what is somebody else's is reported and left alone:", () => {
    const cases: readonly {
      readonly what: string;
      readonly commands: readonly string[];
      readonly code: string;
      readonly says: string;
    }[] = [
      {
        what: "an interface of the device's name",
        commands: [`link add dev ${DEVICE} type bridge`],
        code: "device-taken",
        says: `bridge interface ${DEVICE} has that name`,
      },
      {
        what: "a VXLAN device of the device's name",
        commands: [`link add dev ${DEVICE} type vxlan id ${VNI} dstport ${PORT}`],
        code: "device-taken",
        says: `ip link delete ${DEVICE}`,
      },
      {
        what: "the device's name, as an alternative one",
        commands: ["link add dev their0 type bridge", `link property add dev their0 altname ${DEVICE}`],
        code: "device-taken",
        says: "bridge interface their0 has that name",
      },
      {
        what: "the VNI on the port",
        commands: [`link add dev their0 type vxlan id ${VNI} dstport ${PORT}`],
        code: "vni-taken",
        says: `vxlan interface their0 has VNI ${VNI} on UDP port ${PORT}`,
      },
      {
        what: "the port, by a VXLAN device for all VNIs",
        commands: [`link add dev their0 type vxlan external dstport ${PORT}`, "link set their0 up"],
        code: "port-taken",
        says: "vxlan interface their0 uses it",
      },
      {
        what: "an address in the subnet",
        commands: ["address add 10.200.7.1/24 dev eth0"],
        code: "subnet-taken",
        says: "address 10.200.7.1/24 of eth0",
      },
      {
        what: "a network around the subnet",
        commands: ["address add 10.1.2.3/8 dev eth0"],
        code: "subnet-taken",
        says: "address 10.1.2.3/8 of eth0",
      },
      {
        what: "a route to a part of the subnet",
        commands: ["route add 10.200.7.0/24 dev eth0"],
        code: "subnet-taken",
        says: "route 10.200.7.0/24 over eth0",
      },
    ];

    test.each(cases)("$what", async ({ commands, code, says }) => {
      for (const command of commands) await ip(n1, command);
      const before = await stateOf(n1);
      const { error } = await driverOn(n1).open(endOf(n1), OWNER);
      expect(error?.code).toBe(code);
      expect(error?.message).toContain(says);
      expect(await stateOf(n1)).toBe(before);
    });

    test("the port, by a process", async () => {
      const before = await stateOf(n1);
      const socat = Bun.spawn([...n1.wrapper, findProgram("socat")!, "-u", `UDP-LISTEN:${PORT}`, "-"], {
        stdio: ["ignore", "ignore", "ignore"],
      });
      try {
        await waitFor(async () => (await n1.run("cat", "/proc/net/udp")).includes(":12B5 "));
        const { error } = await driverOn(n1).open(endOf(n1), OWNER);
        expect(error?.code).toBe("port-taken");
        expect(error?.message).toContain(`process ${socat.pid} (socat) uses it`);
        expect(await stateOf(n1)).toBe(before);
      } finally {
        socat.kill("SIGKILL");
        await socat.exited;
      }
    });

    test("a route to a peer that came later", async () => {
      const driver = await openOn(n1);
      await ip(n1, "route add 10.200.0.2/32 dev eth0");
      const theirs = "10.200.0.2 dev eth0 scope link";
      const { refused } = await driver.apply([peerOf(n2), peerOf(n3)]);
      expect(refused).toEqual([
        {
          name: "n2",
          reason:
            "cannot add a route to 10.200.0.2: another program has added route 10.200.0.2/32 over eth0 (boot)",
        },
      ]);
      expect(await routesOf(n1)).toContain("10.200.0.3 mtu 1450");
      await applied(driver);
      expect(await ip(n1, "-o route")).toContain(theirs);
      await driver.close();
      expect(await ip(n1, "-o route")).toContain(theirs);
    });

    test("the device's name, taken while it ran", async () => {
      const driver = await openOn(n1);
      await ip(n1, `link delete ${DEVICE}`);
      await ip(n1, `link add dev ${DEVICE} type bridge`);
      const before = await stateOf(n1);
      expect((await driver.apply([peerOf(n2)])).error?.code).toBe("device-taken");
      expect(await driver.close()).toMatchObject({ error: null });
      expect(await stateOf(n1)).toBe(before);
    });
  });

  test("without CAP_NET_ADMIN it says what to grant", async () => {
    const before = await stateOf(n1);
    const setpriv = [findProgram("setpriv")!, "--bounding-set", "-net_admin", "--inh-caps", "-net_admin"];
    const { error } = await driverOn(n1, setpriv).open(endOf(n1), OWNER);
    expect(error?.code).toBe("not-permitted");
    expect(error?.message).toContain(`cannot create ${DEVICE}: CAP_NET_ADMIN is missing`);
    expect(await stateOf(n1)).toBe(before);
  });
});

function overlayAddress(node: NetworkNode): string {
  return `10.200.0.${node.name.slice(1)}`;
}

function macText(address: string): string {
  const bytes = address.split(".").map((byte) => Number(byte).toString(16).padStart(2, "0"));
  return ["02", "42", ...bytes].join(":");
}

function ip(node: NetworkNode, command: string): Promise<string> {
  return node.run(findProgram("ip")!, ...command.split(" "));
}

/** One answer to a packet of so many bytes that may not be fragmented; rejects without. */
async function ping(node: NetworkNode, address: string, packetBytes = 84): Promise<void> {
  const size = String(packetBytes - 28);
  await node.run("ping", "-n", "-c", "3", "-i", "0.2", "-W", "2", "-M", "do", "-s", size, address);
}

/** From then on nothing about its interfaces changes by itself, as IPv6 addresses and carriers do when they are new. */
async function settle(node: NetworkNode): Promise<void> {
  const noDetection = ["all", "default"].map((which) => `net.ipv6.conf.${which}.accept_dad=0`);
  await node.run("sysctl", "-q", "-w", ...noDetection);
  await ip(node, "link set eth0 addrgenmode none");
  await ip(node, "-6 address flush dev eth0");
  await waitFor(async () => (await linkOf(node, "eth0")).includes(" state UP "));
}

/** Interfaces, addresses, routes, neighbours and forwarding entries, without what counts or ages. */
async function stateOf(node: NetworkNode): Promise<string> {
  const parts = await Promise.all([
    ip(node, "-d -o link"),
    ip(node, "-o address"),
    ip(node, "-o route show table all"),
    ip(node, "-o neighbour show nud permanent"),
    node.run("bridge", "fdb"),
  ]);
  return parts.join("\n").replaceAll(/ {2,}|\t/g, " ");
}

/** The lines of a state that do not name the device. */
function without(state: string, device: string): string {
  return state
    .split("\n")
    .filter((line) => !line.includes(device))
    .join("\n");
}

async function linkOf(node: NetworkNode, device: string): Promise<string> {
  return ip(node, `-d -o link show ${device}`);
}

/** What is there for peers. */
async function entriesOf(node: NetworkNode): Promise<string> {
  const parts = [
    ip(node, "-o route"),
    ip(node, "-o neighbour show nud permanent"),
    node.run("bridge", "fdb"),
  ];
  return (await Promise.all(parts)).join("\n");
}

/** "10.200.0.2 mtu 1450" */
async function routesOf(node: NetworkNode): Promise<string[]> {
  const lines = (await ip(node, `-o route show dev ${DEVICE}`)).split("\n");
  return lines.map((line) => `${line.split(" ")[0]} ${/mtu \d+/.exec(line)?.[0] ?? ""}`.trim());
}

/** What `ip monitor` tells of the device while something is done, up to a change that is made after it. */
async function changesOf(node: NetworkNode, action: () => Promise<void>): Promise<string[]> {
  const monitor = Bun.spawn(
    [...node.wrapper, findProgram("ip")!, "-o", "monitor", "link", "address", "route", "neigh"],
    {
      stdio: ["ignore", "pipe", "ignore"],
    },
  );
  let output = "";
  const reading = (async () => {
    for await (const chunk of monitor.stdout) output += Buffer.from(chunk).toString();
  })();
  const mark = async (address: string) => {
    await waitFor(
      async () => {
        await ip(node, `address replace ${address}/32 dev lo`);
        return output.includes(address);
      },
      { what: "ip monitor to tell of a change" },
    );
  };
  try {
    await mark("127.0.1.1");
    await action();
    await mark("127.0.1.2");
  } finally {
    monitor.kill("SIGKILL");
    await reading;
  }
  return output.split("\n").filter((line) => line.includes(DEVICE));
}

/**
 * The userspace driver between namespaces: with itself, and frame for frame with a VXLAN device of the kernel that was
 * made by hand.
 *
 *   n1 10.99.x.1 eth0 ──┐            overlay 10.200.0.1   userspace
 *   n2 10.99.x.2 eth0 ──┤ bridge     overlay 10.200.0.2   userspace
 *   n3 10.99.x.3 eth0 ──┘            overlay 10.200.0.3   kernel, by hand; a stranger in some tests
 */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import type { OverlayEnd, OverlayPeer } from "../../src/overlay/index.ts";
import { randomBytes, sendStream } from "../support/load/send-stream.ts";
import { Namespaces } from "../support/network/namespaces.ts";
import type { NetworkNode } from "../support/network/network-node.ts";
import { findProgram } from "../support/os/require-program.ts";
import { tempDir } from "../support/os/temp-dir.ts";
import { lacksTun } from "../support/overlay/overlay-devices.ts";
import { UserspaceOverlayProcess } from "../support/overlay/userspace-overlay-process.ts";
import { waitFor } from "../support/time/wait-for.ts";

const DEVICE = "portmesh0";
const VNI = 4711;
const PORT = 4789;
const MTU_BYTES = 1450;
const BULK_BYTES = 16 * 1024 * 1024;
/** For what takes milliseconds on a machine that has nothing else to do. */
const SWEEP = resolve("test/support/load/datagram-sweep.ts");
const UDP_HEADERS_BYTES = 28;

const PROGRAMS = ["ping", "bridge", "setpriv", "socat", "tshark", "ethtool", "ss"];

describe.skipIf(lacksTun(...PROGRAMS))("the userspace driver", () => {
  let network: Namespaces;
  let n1: NetworkNode;
  let n2: NetworkNode;
  let n3: NetworkNode;
  const processes: UserspaceOverlayProcess[] = [];

  beforeEach(() => {
    network = Namespaces.create(3);
    [n1, n2, n3] = network.nodes as [NetworkNode, NetworkNode, NetworkNode];
  });

  afterEach(async () => {
    await Promise.all(processes.splice(0).map((process) => process.kill()));
    network.close();
    expect(Namespaces.leftovers()).toEqual([]);
  });

  function endOf(node: NetworkNode, changes: Partial<OverlayEnd> = {}): OverlayEnd {
    const end = { vni: VNI, port: PORT, device: DEVICE, prefixLength: 16, underlayAddress: node.address };
    return { ...end, address: overlayAddress(node), ...changes };
  }

  function peerOf(node: NetworkNode, changes: Partial<OverlayPeer> = {}): OverlayPeer {
    const peer = { name: node.name, underlayAddress: node.address, port: PORT, secrets: null };
    return { ...peer, overlayAddress: overlayAddress(node), ...changes };
  }

  function driverOn(node: NetworkNode, wrapper: readonly string[] = []): UserspaceOverlayProcess {
    const process = new UserspaceOverlayProcess([...node.wrapper, ...wrapper]);
    processes.push(process);
    return process;
  }

  async function openOn(node: NetworkNode, ...peers: OverlayPeer[]): Promise<UserspaceOverlayProcess> {
    const driver = driverOn(node);
    expect(await driver.open(endOf(node))).toMatchObject({ error: null, mtuBytes: MTU_BYTES });
    expect(await driver.apply(peers)).toMatchObject({ error: null, refused: [] });
    return driver;
  }

  /** A kernel's device with an address and MAC of its own choice, that asks by ARP where others are. */
  async function configureByHand(node: NetworkNode, peer: NetworkNode): Promise<void> {
    await ip(node, `link add dev vx type vxlan id ${VNI} dstport ${PORT} local ${node.address} nolearning`);
    await ip(node, `link set vx mtu ${MTU_BYTES} up`);
    await ip(node, `address add ${overlayAddress(node)}/16 dev vx`);
    const everybody = ["00:00:00:00:00:00", "dev", "vx", "dst", peer.address];
    await node.run("bridge", "fdb", "append", ...everybody);
  }

  test("two of them: packets up to the MTU and streams in both directions", async () => {
    const d1 = await openOn(n1, peerOf(n2));
    const d2 = await openOn(n2, peerOf(n1));
    await ping(n1, "10.200.0.2", MTU_BYTES);
    await ping(n2, "10.200.0.1", MTU_BYTES);
    await expect(ping(n1, "10.200.0.2", MTU_BYTES + 1)).rejects.toThrow();
    await sendStream(n1, n2, "10.200.0.2", randomBytes(BULK_BYTES));
    await sendStream(n2, n1, "10.200.0.1", randomBytes(BULK_BYTES));
    const counts = await d1.counts("n2");
    expect(counts).toMatchObject({ framesDropped: {}, packetsDropped: {}, isSegmentationRefused: false });
    // super-packets are cut here and joined there
    expect(counts.datagramsOut).toBeGreaterThan(2 * counts.packetsOut);
    const { datagramsIn, packetsIn } = await d2.counts("n1");
    expect(datagramsIn).toBeGreaterThan(2 * packetsIn);
    expect(await checksumErrors(n1)).toBe(0);
    expect(await checksumErrors(n2)).toBe(0);
  });

  test("with a device that was made by hand and asks by ARP, in both directions", async () => {
    await configureByHand(n3, n1);
    const driver = await openOn(n1, peerOf(n3));
    await ping(n3, "10.200.0.1", MTU_BYTES);
    await ping(n1, "10.200.0.3", MTU_BYTES);
    await sendStream(n1, n3, "10.200.0.3", randomBytes(BULK_BYTES));
    await sendStream(n3, n1, "10.200.0.1", randomBytes(BULK_BYTES));
    expect((await driver.counts("n3")).packetsDropped).toEqual({});
    expect(await checksumErrors(n3)).toBe(0);
  });

  test.each(["userspace", "kernel"])(
    "UDP of every size, whole and in fragments, to a node with %s",
    async (kind) => {
      const other = kind === "kernel" ? n3 : n2;
      if (kind === "kernel") await configureByHand(n3, n1);
      else await openOn(n2, peerOf(n1));
      await openOn(n1, peerOf(other));
      const address = overlayAddress(other);
      await ping(n1, address);
      const echo = Bun.spawn([...other.wrapper, process.execPath, SWEEP, "echo", address, "7000"], {
        stdio: ["ignore", "pipe", "inherit"],
      });
      try {
        await echo.stdout.getReader().read();
        const largest = MTU_BYTES - UDP_HEADERS_BYTES;
        await n1.run(process.execPath, SWEEP, "sweep", address, "7000", "1", String(largest));
        for (const size of [largest + 1, 2 * largest + 13, 9000, 65_507]) {
          await n1.run(process.execPath, SWEEP, "sweep", address, "7000", String(size), String(size));
        }
      } finally {
        echo.kill("SIGKILL");
        await echo.exited;
      }
    },
    120_000,
  );

  test("its frames are VXLAN to others' eyes: VNI, MAC addresses, lengths and checksums are right", async () => {
    await configureByHand(n3, n1);
    await openOn(n1, peerOf(n3));
    await ping(n1, "10.200.0.3");
    await n1.run("ethtool", "-K", "eth0", "gso", "off", "tx-udp-segmentation", "off");
    await n3.run("ethtool", "-K", "eth0", "gro", "off");
    using directory = tempDir();
    const file = directory.file("frames.pcap");
    const filter = `udp port ${PORT} and src host ${n1.address}`;
    const tshark = findProgram("tshark")!;
    const capture = Bun.spawn([...n3.wrapper, tshark, "-i", "eth0", "-f", filter, "-w", file], {
      stdio: ["ignore", "ignore", "pipe"],
    });
    await capture.stderr.getReader().read();
    await waitFor(() => existsSync(file));
    await sendStream(n1, n3, "10.200.0.3", randomBytes(1024 * 1024));
    await ping(n1, "10.200.0.3", MTU_BYTES);
    capture.kill("SIGINT");
    await capture.exited;
    const mac = (await n3.run("cat", "/sys/class/net/vx/address")).trim();
    const fields = [
      "vxlan.vni",
      "eth.src",
      "eth.dst",
      "ip.checksum.status",
      "tcp.checksum.status",
      "frame.len",
    ];
    const options = ["ip.check_checksum:TRUE", "tcp.check_checksum:TRUE"].flatMap((option) => ["-o", option]);
    const lines = (
      await n3.run(tshark, "-r", file, ...options, "-T", "fields", ...fields.flatMap((name) => ["-e", name]))
    )
      .trim()
      .split("\n")
      .map((line) => line.split("\t"));
    expect(lines.length).toBeGreaterThan(700);
    for (const [vni, from, to, ipStatus, tcpStatus, length] of lines) {
      expect(vni).toBe(String(VNI));
      expect(from).toEndWith(",02:42:0a:c8:00:01");
      expect(to).toEndWith(`,${mac}`);
      // of the outer and the inner header: good
      expect(ipStatus).toBe("1,1");
      expect(["1", ""]).toContain(tcpStatus!);
      expect(Number(length)).toBeLessThanOrEqual(1514);
    }
    expect(lines.filter(([, , , , tcp]) => tcp === "1").length).toBeGreaterThan(700);
  });

  test("malformed packets are dropped and counted, without harm to others", async () => {
    const driver = await openOn(n1, peerOf(n2));
    await openOn(n2, peerOf(n1));
    await ping(n1, "10.200.0.2");
    const send = (node: NetworkNode, ...datagrams: Uint8Array[]) =>
      node.run(
        process.execPath,
        "-e",
        SEND_SCRIPT,
        n1.address,
        ...datagrams.map((bytes) => Buffer.from(bytes).toString("hex")),
      );
    await send(n3, frame({}), new Uint8Array(1200));
    await waitFor(async () => (await driver.counts()).framesDropped["unknown-sender"] === 2);
    await send(
      n2,
      frame({}).subarray(0, 20),
      frame({ vni: VNI + 1 }),
      frame({ flags: 0 }),
      frame({ from: "10.200.0.3" }),
      frame({ to: "10.200.0.9" }),
      frame({ etherType: 0x86dd }),
      frame({}).subarray(0, 30),
    );
    const wanted = {
      short: 1,
      "wrong-vni": 1,
      "no-vni-flag": 1,
      "spoofed-inner-source": 1,
      "not-for-us": 1,
      "not-ipv4": 1,
      malformed: 1,
    };
    await waitFor(async () => Bun.deepEquals((await driver.counts("n2")).framesDropped, wanted));
    const before = await driver.counts("n2");
    // every reserved bit set: a good frame
    await send(n2, frame({ flags: 0xff, reserved: 0xff }));
    await waitFor(async () => (await driver.counts("n2")).packetsIn > before.packetsIn);
    await ping(n1, "10.200.0.2", MTU_BYTES);
  });

  test("a node that encrypts neither takes nor sends clear frames", async () => {
    const driver = driverOn(n1);
    expect(await driver.open(endOf(n1), { isEncrypting: true })).toMatchObject({ error: null });
    await driver.apply([peerOf(n2)]);
    await openOn(n2, peerOf(n1));
    await expect(ping(n2, "10.200.0.1")).rejects.toThrow();
    const { framesDropped, packetsIn } = await driver.counts("n2");
    expect(framesDropped["clear-frame"]).toBeGreaterThan(0);
    expect(packetsIn).toBe(0);
    await expect(ping(n1, "10.200.0.2")).rejects.toThrow();
    const { datagramsOut, packetsDropped } = await driver.counts("n2");
    expect(datagramsOut).toBe(0);
    expect(packetsDropped["no-seal"]).toBeGreaterThan(0);
  });

  test("a peer without a route loses its packets, and no other peer does", async () => {
    const driver = await openOn(n1, peerOf(n2), peerOf(n3));
    await openOn(n2, peerOf(n1));
    await ip(n1, `route add unreachable ${n3.address}/32`);
    await expect(ping(n1, "10.200.0.3")).rejects.toThrow();
    await sendStream(n1, n2, "10.200.0.2", randomBytes(BULK_BYTES));
    expect((await driver.counts("n3")).packetsDropped.unreachable).toBeGreaterThan(0);
    expect(await driver.counts("n2")).toMatchObject({ packetsDropped: {}, isSegmentationRefused: false });
  });

  test("a peer that moves is followed; one that leaves is forgotten, with its route", async () => {
    const driver = await openOn(n1, peerOf(n2));
    await openOn(n2, peerOf(n1));
    await ping(n1, "10.200.0.2");
    expect(await ip(n1, "route show dev portmesh0")).toContain("10.200.0.2 ");
    await driver.apply([]);
    expect(await ip(n1, "route show dev portmesh0")).not.toContain("10.200.0.2 ");
    await expect(ping(n1, "10.200.0.2")).rejects.toThrow();
    expect((await driver.counts()).packetsDropped["no-peer"]).toBeGreaterThan(0);
    await ip(n2, `address add ${network.subnet}.100/24 dev eth0`);
    await driver.apply([peerOf(n2, { underlayAddress: `${network.subnet}.100` })]);
    expect((await driver.counts("n2")).packetsOut).toBe(0);
  });

  test("another program's route to a peer is left alone", async () => {
    const driver = await openOn(n1);
    await ip(n1, "route add 10.200.0.2/32 dev eth0");
    const { refused } = await driver.apply([peerOf(n2), peerOf(n3)]);
    expect(refused).toEqual([
      {
        name: "n2",
        reason:
          "cannot add a route to 10.200.0.2: another program has added route 10.200.0.2/32 over eth0 (boot)",
      },
    ]);
    expect(await ip(n1, `route show dev ${DEVICE}`)).toContain("10.200.0.3 ");
    expect(await ip(n1, "route show 10.200.0.2")).toContain("dev eth0");
  });

  test("close and kill leave nothing", async () => {
    const before = await stateOf(n1);
    const closed = await openOn(n1, peerOf(n2));
    expect(await stateOf(n1)).not.toBe(before);
    expect(await closed.close()).toMatchObject({ error: null });
    expect(await stateOf(n1)).toBe(before);
    const killed = await openOn(n1, peerOf(n2));
    await killed.kill();
    await waitFor(async () => (await stateOf(n1)) === before);
  });

  test("over IPv6", async () => {
    await ip(n1, "address add fd99::1/64 dev eth0 nodad");
    await ip(n2, "address add fd99::2/64 dev eth0 nodad");
    const [d1, d2] = [driverOn(n1), driverOn(n2)];
    expect(await d1.open(endOf(n1, { underlayAddress: "fd99::1" }))).toMatchObject({ mtuBytes: 1430 });
    expect(await d2.open(endOf(n2, { underlayAddress: "::" }))).toMatchObject({ error: null });
    await d1.apply([peerOf(n2, { underlayAddress: "fd99::2" })]);
    await d2.apply([peerOf(n1, { underlayAddress: "fd99::1" })]);
    await ping(n1, "10.200.0.2", 1430);
    await sendStream(n1, n2, "10.200.0.2", randomBytes(BULK_BYTES));
  });

  test("errors name what is missing or held by another program", async () => {
    const before = await stateOf(n1);
    const setpriv = [findProgram("setpriv")!, "--bounding-set", "-net_admin", "--inh-caps", "-net_admin"];
    const unprivileged = await driverOn(n1, setpriv).open(endOf(n1));
    expect(unprivileged.error).toMatchObject({ code: "not-permitted" });
    expect(unprivileged.error?.message).toContain("CAP_NET_ADMIN is missing");
    await ip(n1, "link add dev their0 type vxlan external dstport 4789");
    await ip(n1, "link set their0 up");
    expect((await driverOn(n1).open(endOf(n1))).error).toMatchObject({ code: "port-taken" });
    await ip(n1, "link delete their0");
    await ip(n1, `link add dev ${DEVICE} type bridge`);
    expect((await driverOn(n1).open(endOf(n1))).error).toMatchObject({ code: "device-taken" });
    await ip(n1, `link delete ${DEVICE}`);
    await ip(n1, "address add 10.200.7.1/24 dev eth0");
    expect((await driverOn(n1).open(endOf(n1))).error).toMatchObject({ code: "subnet-taken" });
    await ip(n1, "address delete 10.200.7.1/24 dev eth0");
    expect(await stateOf(n1)).toBe(before);
  });
});

/** Sends datagrams, given in hexadecimal, one by one to port 4789 of an address. */
const SEND_SCRIPT = `
const [to, ...datagrams] = process.argv.slice(1);
const socket = await Bun.udpSocket({});
for (const hex of datagrams) { socket.send(Buffer.from(hex, "hex"), ${PORT}, to); await Bun.sleep(1); }
socket.close();`;

interface FrameParts {
  readonly flags?: number;
  readonly reserved?: number;
  readonly vni?: number;
  readonly etherType?: number;
  readonly from?: string;
  readonly to?: string;
}

/** A VXLAN frame with an IPv4 packet of an experimental protocol [RFC 3692], from n2 to n1 unless said otherwise. */
function frame(parts: FrameParts): Uint8Array {
  const { flags = 0x08, reserved = 0, vni = VNI, etherType = 0x0800 } = parts;
  const { from = "10.200.0.2", to = "10.200.0.1" } = parts;
  const bytes = Buffer.alloc(8 + 14 + 20 + 10);
  bytes.fill(reserved, 1, 8);
  bytes[0] = flags;
  bytes.writeUIntBE(vni, 4, 3);
  bytes.writeUInt16BE(etherType, 20);
  const packet = bytes.subarray(22);
  packet.writeUInt8(0x45, 0);
  packet.writeUInt16BE(packet.length, 2);
  packet.writeUInt8(64, 8);
  packet.writeUInt8(253, 9);
  packet.set(from.split(".").map(Number), 12);
  packet.set(to.split(".").map(Number), 16);
  return bytes;
}

function overlayAddress(node: NetworkNode): string {
  return `10.200.0.${node.name.slice(1)}`;
}

function ip(node: NetworkNode, command: string): Promise<string> {
  return node.run(findProgram("ip")!, ...command.split(" "));
}

/** Interfaces, addresses and routes, without counters. */
async function stateOf(node: NetworkNode): Promise<string> {
  const links = (await ip(node, "-o -br link")).replaceAll(/@\S+/g, "");
  return links + (await ip(node, "-o -4 address")) + (await ip(node, "route show table all type unicast"));
}

/** Three answers to packets of so many bytes that may not be fragmented; rejects without. */
async function ping(node: NetworkNode, address: string, packetBytes = 84): Promise<void> {
  const size = String(packetBytes - UDP_HEADERS_BYTES);
  await node.run("ping", "-n", "-c", "3", "-i", "0.2", "-W", "2", "-M", "do", "-s", size, address);
}

/** Of TCP and UDP, as the kernel of a namespace has counted them. */
async function checksumErrors(node: NetworkNode): Promise<number> {
  const text = await node.run("cat", "/proc/net/snmp");
  const rows = text.split("\n").map((line) => line.split(" "));
  const countOf = (name: string) => {
    const [names, values] = rows.filter(([first]) => first === name);
    return Number(values![names!.indexOf("InCsumErrors")]);
  };
  return countOf("Tcp:") + countOf("Udp:");
}

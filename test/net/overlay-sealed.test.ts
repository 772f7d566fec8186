/**
 * The userspace driver where pairs have secrets: what crosses the wire, what is lost, what comes again.
 *
 *   n1 10.99.x.1 eth0 ──┐ bridge     overlay 10.200.0.1   userspace, sealed
 *   n2 10.99.x.2 eth0 ──┘            overlay 10.200.0.2   userspace, sealed
 */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { OverlayPeer } from "../../src/overlay/index.ts";
import { randomBytes, sendStream } from "../support/load/send-stream.ts";
import { Namespaces } from "../support/network/namespaces.ts";
import type { NetworkNode } from "../support/network/network-node.ts";
import { findProgram } from "../support/os/require-program.ts";
import { tempDir } from "../support/os/temp-dir.ts";
import { lacksTun } from "../support/overlay/overlay-devices.ts";
import { UserspaceOverlayProcess } from "../support/overlay/userspace-overlay-process.ts";
import { waitFor } from "../support/time/wait-for.ts";

const PORT = 4789;
const BULK_BYTES = 8 * 1024 * 1024;
/** For what takes milliseconds on a machine that has nothing else to do. */
const MARKER = "portmesh readable marker ";
const [SECRET, NEXT_SECRET, FOREIGN_SECRET] = ["11", "22", "33"].map((byte) => byte.repeat(32)) as [
  string,
  string,
  string,
];

const PROGRAMS = ["ping", "socat", "tcpdump", "nft", "ss"];

describe.skipIf(lacksTun(...PROGRAMS))("the userspace driver with secrets", () => {
  let network: Namespaces;
  let n1: NetworkNode;
  let n2: NetworkNode;
  const processes: UserspaceOverlayProcess[] = [];

  beforeEach(() => {
    network = Namespaces.create(2);
    [n1, n2] = network.nodes as [NetworkNode, NetworkNode];
  });

  afterEach(async () => {
    await Promise.all(processes.splice(0).map((process) => process.kill()));
    network.close();
    expect(Namespaces.leftovers()).toEqual([]);
  });

  function peerOf(node: NetworkNode, secrets: readonly string[]): OverlayPeer {
    const { name, address: underlayAddress } = node;
    return { name, underlayAddress, port: PORT, secrets, overlayAddress: overlayAddress(node) };
  }

  async function openOn(node: NetworkNode, peer: OverlayPeer): Promise<UserspaceOverlayProcess> {
    const driver = new UserspaceOverlayProcess(node.wrapper);
    processes.push(driver);
    const end = { vni: 4711, port: PORT, device: "portmesh0", prefixLength: 16 };
    const address = overlayAddress(node);
    const opened = await driver.open(
      { ...end, address, underlayAddress: node.address },
      { isEncrypting: true },
    );
    expect(opened).toMatchObject({ error: null });
    expect(await driver.apply([peer])).toMatchObject({ error: null, refused: [] });
    return driver;
  }

  async function openBoth(): Promise<[UserspaceOverlayProcess, UserspaceOverlayProcess]> {
    const d1 = await openOn(n1, peerOf(n2, [SECRET]));
    return [d1, await openOn(n2, peerOf(n1, [SECRET]))];
  }

  test("streams arrive byte for byte, and nothing of them can be read; what comes again is dropped", async () => {
    const [d1, d2] = await openBoth();
    using directory = tempDir();
    const file = join(directory.path, "wire.pcap");
    const capture = Bun.spawn(
      [
        ...n2.wrapper,
        findProgram("tcpdump")!,
        "-i",
        "eth0",
        "-Z",
        "root",
        "-B",
        "65536",
        "-U",
        "-w",
        file,
        "udp",
      ],
      { stdio: ["ignore", "ignore", "ignore"] },
    );
    try {
      await waitFor(() => existsSync(file) && Bun.file(file).size >= 24, { what: "tcpdump" });
      await ping(n1, n2);
      await sendStream(n1, n2, overlayAddress(n2), Buffer.alloc(BULK_BYTES, MARKER));
      // it misses some when it is slow
      await waitFor(() => Bun.file(file).size > BULK_BYTES / 4, { what: "the capture" });
    } finally {
      capture.kill();
      await capture.exited;
    }
    const wire = Buffer.from(await Bun.file(file).arrayBuffer());
    expect(wire.includes(MARKER)).toBe(false);
    expect((await d1.counts("n2")).datagramsOut).toBeGreaterThan(BULK_BYTES / 1500);
    expect((await d2.counts("n1")).framesDropped).toEqual({});

    const replayed = datagramsTo(wire, n2.address).filter(([kind, , count]) => kind === 0x50 && count === 1);
    expect(replayed.length).toBeGreaterThan(0);
    const before = (await d2.counts("n1")).packetsIn;
    await sendRaw(
      n1,
      n2.address,
      replayed.slice(0, 20).map((bytes) => bytes.toString("hex")),
    );
    await waitFor(async () => ((await d2.counts("n1")).framesDropped.replay ?? 0) > 0);
    expect((await d2.counts("n1")).packetsIn).toBe(before);
  });

  test("a peer that leaves and comes back with the same secret is understood", async () => {
    const [d1, d2] = await openBoth();
    await ping(n1, n2);
    await d1.apply([]);
    await d1.apply([peerOf(n2, [SECRET])]);
    await ping(n1, n2);
    await ping(n2, n1);
    expect((await d2.counts("n1")).framesDropped).not.toHaveProperty("replay");
  });

  test("secrets change on one side after the other without a lost packet", async () => {
    const [d1, d2] = await openBoth();
    await ping(n1, n2);
    const pings = n1.run("ping", "-n", "-q", "-c", "300", "-i", "0.01", "-W", "2", overlayAddress(n2));
    for (const secrets of [[SECRET, NEXT_SECRET], [NEXT_SECRET, SECRET], [NEXT_SECRET]]) {
      await d1.apply([peerOf(n2, secrets)]);
      await d2.apply([peerOf(n1, secrets)]);
    }
    expect(await pings).toContain("300 packets transmitted, 300 received");
    expect((await d2.counts("n1")).framesDropped).toEqual({});
  });

  test("with 5 % of the datagrams lost nothing stalls", async () => {
    await openBoth();
    const nft = findProgram("nft")!;
    await n2.run(nft, "add table ip lossy");
    await n2.run(nft, "add chain ip lossy in { type filter hook input priority 0 ; }");
    await n2.run(nft, `add rule ip lossy in udp dport ${PORT} numgen random mod 100 < 5 counter drop`);
    await sendStream(n1, n2, overlayAddress(n2), randomBytes(BULK_BYTES / 4));
    expect(await n2.run(nft, "list table ip lossy")).toMatch(/counter packets [1-9]/);
  });

  test("another cluster's secrets open nothing", async () => {
    await openOn(n1, peerOf(n2, [FOREIGN_SECRET]));
    const d2 = await openOn(n2, peerOf(n1, [SECRET]));
    await expect(ping(n1, n2)).rejects.toThrow();
    expect((await d2.counts()).framesDropped["unknown-key"]).toBeGreaterThan(0);
    expect((await d2.counts("n1")).packetsIn).toBe(0);
  });
});

function overlayAddress(node: NetworkNode): string {
  return `10.200.0.${node.name.slice(1)}`;
}

async function ping(from: NetworkNode, to: NetworkNode): Promise<void> {
  await from.run("ping", "-n", "-c", "3", "-i", "0.2", "-W", "2", overlayAddress(to));
}

/** Payloads of UDP datagrams over IPv4 to an address, of a capture of Ethernet frames. [pcap, little-endian] */
function datagramsTo(capture: Buffer, address: string): Buffer[] {
  const datagrams: Buffer[] = [];
  const to = Buffer.from(address.split(".").map(Number));
  for (let at = 24; at + 16 <= capture.length; at += 16 + capture.readUInt32LE(at + 8)) {
    const frame = capture.subarray(at + 16, at + 16 + capture.readUInt32LE(at + 8));
    if (frame.length > 42 && frame.subarray(30, 34).equals(to)) datagrams.push(frame.subarray(42));
  }
  return datagrams;
}

const SEND_SCRIPT = `
const [to, ...datagrams] = process.argv.slice(1);
const socket = await Bun.udpSocket({});
for (const hex of datagrams) socket.send(Buffer.from(hex, "hex"), ${PORT}, to);
socket.close();`;

async function sendRaw(from: NetworkNode, to: string, datagrams: readonly string[]): Promise<void> {
  await from.run(process.execPath, "-e", SEND_SCRIPT, to, ...datagrams);
}

/**
 * What others send to the overlay's port of a node that encrypts: dropped, counted by reason, of no effect on members.
 *
 *   clients ── bridge ──┬─ n1  userspace, encrypted
 *                       ├─ n2  userspace, encrypted, all tasks
 *                       └─ n3  no member: sends what it likes, also in n2's name
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { macOf } from "../../src/overlay/index.ts";
import { SEAL_HEADER_BYTES, SEAL_PACKET } from "../../src/wire/index.ts";
import { OverlayMesh, PORTS } from "../support/cluster/overlay-mesh.ts";
import { sendHostile } from "../support/load/hostile-sender.ts";
import { HttpLoad } from "../support/load/http-load.ts";
import type { NetworkNode } from "../support/network/network-node.ts";
import { PacketCapture } from "../support/network/packet-capture.ts";
import { memoryBytesOf } from "../support/os/process-stats.ts";
import { lacksTun } from "../support/overlay/overlay-devices.ts";
import { innerPacket, SealedEnd } from "../support/overlay/sealed-pair.ts";
import { waitFor } from "../support/time/wait-for.ts";

const PORT = 4789;
const VNI = 4096;
const TIMEOUT_MS = 120_000;
const OUTER_HEADERS_BYTES = 14 + 20 + 8;
const END = 'driver = "userspace"\nencrypt = true';
const FLOOD = { perSecond: 100_000, seconds: 3 };

let mesh: OverlayMesh;
let stranger: NetworkNode;
let own: string;
let other: string;

/** A VXLAN frame with an IP packet, as n2 would send it in clear. [RFC 7348 §5] */
function clearFrame({ vni = VNI, flags = 0x08, source = other, destination = own } = {}): Buffer {
  const ethernet = Buffer.concat([macOf(own), macOf(other), Buffer.from([0x08, 0x00])]);
  const vxlan = Buffer.from([flags, 0, 0, 0, vni >> 16, vni >> 8, vni & 0xff, 0]);
  return Buffer.concat([vxlan, ethernet, innerPacket(40, 7, source, destination).subarray(10)]);
}

async function rejected(): Promise<Record<string, number>> {
  return { ...(await mesh.n1.status()).overlay!.rejectedTotal };
}

async function rejectedOfPeer(): Promise<Record<string, number>> {
  return { ...(await mesh.peerOf(mesh.n1)).rejectedTotal };
}

/** Sends it to n1 and waits until it is counted like this. */
async function isCounted(
  from: string,
  datagrams: readonly Uint8Array[],
  counts: () => Promise<Record<string, number>>,
  reason: string,
): Promise<void> {
  const before = (await counts())[reason] ?? 0;
  await sendHostile(stranger.wrapper, from, mesh.n1.address, PORT, datagrams);
  await waitFor(async () => ((await counts())[reason] ?? 0) === before + datagrams.length, {
    what: `${datagrams.length} ${reason}, not ${JSON.stringify(await counts())}`,
  });
}

/** Sealed datagrams of n2 that hold a whole seal each. */
async function capturedSeals(): Promise<Buffer[]> {
  const capture = await PacketCapture.start(mesh.network.nodes[0]!);
  const { client, task } = await mesh.open();
  for (let i = 0; i < 20; i++) {
    await task.send(`answer ${i}`);
    await client.receiveText(`answer ${i}`.length);
  }
  client.close();
  task.close();
  const packets = await capture.packetsBetween(mesh.n2.address, mesh.n1.address);
  return packets
    .filter((packet) => [...packet.subarray(26, 30)].join(".") === mesh.n2.address)
    .map((packet) => packet.subarray(OUTER_HEADERS_BYTES))
    .filter((bytes) => bytes[0] === SEAL_PACKET && bytes[2] === 1);
}

describe.skipIf(lacksTun())("what others send to the overlay", () => {
  beforeAll(async () => {
    mesh = await OverlayMesh.start({ label: "hostile", ends: [END, END], machines: 3 }, "overlay");
    stranger = mesh.network.nodes[2]!;
    own = (await mesh.n1.status()).overlay!.address!;
    other = (await mesh.n2.status()).overlay!.address!;
    // it answers nobody who asks for n2's, and sends in its name
    await stranger.run("ip", "address", "add", `${mesh.n2.address}/32`, "dev", "lo");
    await stranger.run("sysctl", "-qw", "net.ipv4.conf.all.arp_ignore=1");
  }, TIMEOUT_MS);
  afterAll(() => mesh?.close(), TIMEOUT_MS);

  test.each([
    ["a clear frame", () => [clearFrame()], "unknown-sender"],
    ["a single byte", () => [Buffer.from([0x08])], "unknown-sender"],
    ["what looks like a seal, under no key", () => [sealLike(), sealLike()], "unknown-key"],
    ["what looks like a seal and is cut short", () => [sealLike().subarray(0, 12)], "short"],
    ["a seal of impossible lengths", () => [sealLike({ length: 9_999 })], "malformed"],
    ["another cluster's seals", () => foreignSeals(), "unknown-key"],
  ] as const)(
    "from a stranger: %s",
    async (_, datagrams, reason) => {
      await isCounted(stranger.address, datagrams(), rejected, reason);
    },
    TIMEOUT_MS,
  );

  test.each([
    ["a clear frame", () => clearFrame(), "clear-frame"],
    ["a clear frame of another VNI", () => clearFrame({ vni: 7 }), "clear-frame"],
    [
      "a clear frame with a spoofed inner source",
      () => clearFrame({ source: "10.200.99.99" }),
      "clear-frame",
    ],
  ] as const)(
    "in a member's name: %s",
    async (_, datagram, reason) => {
      await isCounted(mesh.n2.address, [datagram()], rejectedOfPeer, reason);
    },
    TIMEOUT_MS,
  );

  test(
    "recorded seals are replays, from wherever they come; changed ones are forged",
    async () => {
      const seals = (await capturedSeals()).slice(0, 8);
      expect(seals.length).toBe(8);
      for (const from of [stranger.address, mesh.n2.address])
        await isCounted(from, seals, rejectedOfPeer, "replay");
      const forged = seals.map((seal, index) => {
        const bytes = Buffer.from(seal);
        bytes.writeUInt32BE(bytes.readUInt32BE(12) + 1_000_000 + index, 12); // a counter that is yet to come
        return bytes;
      });
      await isCounted(stranger.address, forged, rejectedOfPeer, "bad-tag");
      const cut = seals.map((seal) => seal.subarray(0, seal.length - 1));
      await isCounted(stranger.address, cut, rejected, "malformed");
      const { client, task } = await mesh.open();
      await client.send("still");
      expect(await task.receiveText(5)).toBe("still");
      client.close();
      task.close();
    },
    TIMEOUT_MS,
  );

  test(
    "100,000 datagrams a second from a stranger fail no request and leave nothing behind",
    async () => {
      const flood = [
        ...Array.from({ length: 50 }, () => randomBytes(64)),
        ...Array.from({ length: 50 }, () => sealLike()),
        clearFrame(),
        randomBytes(1_400),
      ].map((bytes) => bytes.toString("hex"));
      const before = memoryBytesOf(mesh.n1.pid);
      const load = new HttpLoad(mesh.n1.address, PORTS.web, 2, { pauseMs: 5 });
      const { client, task } = await mesh.open();
      const sent = await sendHostile(stranger.wrapper, stranger.address, mesh.n1.address, PORT, {
        ...FLOOD,
        flood,
      });
      expect(sent).toBe(FLOOD.perSecond * FLOOD.seconds);
      await client.send("after");
      expect(await task.receiveText(5)).toBe("after");
      await load.stop();
      expect(load.failures).toEqual([]);
      expect(load.records.length).toBeGreaterThan(20);
      // what the socket's buffer could not hold the kernel has dropped
      const counted = Object.values(await rejected()).reduce((sum, count) => sum + count, 0);
      expect(counted).toBeGreaterThan(1_000);
      expect(memoryBytesOf(mesh.n1.pid) - before).toBeLessThan(150 * 1024 * 1024);
      expect(await mesh.peerOf(mesh.n1)).toMatchObject({ path: "overlay" });
      client.close();
      task.close();
    },
    TIMEOUT_MS,
  );
});

/** The header of a seal under a key that nobody has, and noise. */
function sealLike({ length = 80 } = {}): Buffer {
  const bytes = randomBytes(SEAL_HEADER_BYTES + 80);
  bytes.set([SEAL_PACKET, 0, 1, 0]);
  bytes.writeUInt32BE(0, 8);
  bytes.writeUInt32BE(7, 12);
  bytes.writeUInt16BE(length, 16);
  bytes.writeUInt16BE(80, 18);
  return bytes;
}

function foreignSeals(): Uint8Array[] {
  const end = new SealedEnd({ own: other, other: own, secrets: ["99".repeat(32)] });
  return end.seal(innerPacket(3_000, 7, other, own));
}

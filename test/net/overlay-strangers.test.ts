/**
 * Frames in clear that strangers send to the overlay's port of a node: nothing of them gets to what runs on the node or
 * behind it, whatever firewall and routing would do with them, and relays go on.
 *
 *   clients ── bridge ──┬─ n1  entry node ── c0 ── n4  a container: n1 forwards, its firewall drops on eth0
 *      and tasks        ├─ n2  exit node
 *                       └─ n3  no member: sends what it likes, also from n2's address
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { macOf } from "../../src/overlay/index.ts";
import { RELAY_PORT } from "../support/cluster/mesh-config.ts";
import { OverlayMesh, PORTS } from "../support/cluster/overlay-mesh.ts";
import { sendHostile } from "../support/load/hostile-sender.ts";
import { HttpLoad } from "../support/load/http-load.ts";
import { UdpPeer } from "../support/load/udp-peer.ts";
import type { NetworkNode } from "../support/network/network-node.ts";
import { findProgram } from "../support/os/require-program.ts";
import { lacksTun, lacksVxlan } from "../support/overlay/overlay-devices.ts";
import { slowSum } from "../support/overlay/plain-frames.ts";
import { waitFor } from "../support/time/wait-for.ts";

const TIMEOUT_MS = 120_000;
const DEVICE = `portmesh${RELAY_PORT}`;
const VNI = 4096;
const SERVICE_PORT = 9001;
const GATEWAY = "172.19.0.1";
const CONTAINER = "172.19.0.2";
const TCP = 6;
const UDP = 17;
const ICMP = 1;
const SYN = 0x02;

interface Inner {
  readonly to?: Uint8Array;
  readonly source?: string;
  readonly destination?: string;
  readonly protocol?: number;
  readonly sourcePort?: number;
  readonly port?: number;
}

describe.skipIf(lacksTun() || lacksVxlan("socat", "tc"))("strangers' frames", () => {
  describe.each([
    ["kernel, encrypted", 'driver = "kernel"\nencrypt = true', true],
    ["kernel, plain", 'driver = "kernel"\nencrypt = false', false],
    ["userspace, encrypted", 'driver = "userspace"\nencrypt = true', true],
    ["userspace, plain", 'driver = "userspace"\nencrypt = false', false],
  ] as const)("%s", (title, end, isEncrypted) => {
    const isKernel = title.startsWith("kernel");
    const directory = mkdtempSync(join(tmpdir(), "portmesh-strangers-"));
    let mesh: OverlayMesh;
    let machine: NetworkNode;
    let container: NetworkNode;
    let stranger: NetworkNode;
    let own: string;
    let member: string;

    beforeAll(async () => {
      const label = `strangers-${title.replaceAll(/[^a-z]+/g, "-")}`;
      mesh = await OverlayMesh.start({ label, ends: [end, end], machines: 4 }, "overlay");
      [machine, , stranger, container] = mesh.network.nodes as [
        NetworkNode,
        NetworkNode,
        NetworkNode,
        NetworkNode,
      ];
      own = (await mesh.n1.status()).overlay!.address!;
      member = (await mesh.n2.status()).overlay!.address!;
      await openContainer();
      // what a container engine does: on every device, also the overlay's
      await machine.run("sysctl", "-qw", "net.ipv4.ip_forward=1");
      await machine.run("nft", FIREWALL);
      // it answers nobody who asks for n2's, and sends in its name
      await stranger.run("ip", "address", "add", `${mesh.n2.address}/32`, "dev", "lo");
      await stranger.run("sysctl", "-qw", "net.ipv4.conf.all.arp_ignore=1");
    }, TIMEOUT_MS);
    afterAll(async () => {
      await mesh?.close();
      rmSync(directory, { recursive: true, force: true });
    }, TIMEOUT_MS);

    async function openContainer(): Promise<void> {
      const peer = ["peer", "name", "c0", "netns", container.namespace];
      await machine.run("ip", "link", "add", "c0", "type", "veth", ...peer);
      await machine.run("ip", "address", "add", `${GATEWAY}/24`, "dev", "c0");
      await machine.run("ip", "link", "set", "c0", "up");
      await container.run("ip", "address", "flush", "dev", "eth0");
      await container.run("ip", "address", "add", `${CONTAINER}/24`, "dev", "c0");
      await container.run("ip", "link", "set", "c0", "up");
      await container.run("ip", "route", "add", "default", "via", GATEWAY);
    }

    /** A service that writes down what it gets; resolves with a look at that when it listens. */
    async function listen(on: NetworkNode): Promise<() => string> {
      const file = join(directory, on.name);
      const command = ["-u", `UDP4-RECV:${SERVICE_PORT}`, `CREATE:${file}`];
      Bun.spawn([...on.wrapper, findProgram("socat")!, ...command]);
      await waitFor(async () => (await on.run("ss", "-Hlun")).includes(`:${SERVICE_PORT} `), {
        what: `the service on ${on.name} to listen`,
      });
      return () => readFileSync(file, "utf8");
    }

    /** An IPv4 packet of 64 bytes in a frame, as n2 would send it. */
    function frame(inner: Inner): Buffer {
      const { to = macOf(own), source = member, destination = own, protocol = UDP } = inner;
      const { sourcePort = 40_000, port = SERVICE_PORT } = inner;
      const packet = Buffer.alloc(64);
      packet[0] = 0x45;
      packet.writeUInt16BE(packet.length, 2);
      packet[8] = 64;
      packet[9] = protocol;
      packet.set(source.split(".").map(Number), 12);
      packet.set(destination.split(".").map(Number), 16);
      packet.writeUInt16BE(~slowSum(packet.subarray(0, 20)) & 0xffff, 10);
      if (protocol === ICMP) packet[20] = 8;
      else packet.writeUInt16BE(sourcePort, 20);
      if (protocol !== ICMP) packet.writeUInt16BE(port, 22);
      if (protocol === UDP) packet.writeUInt16BE(packet.length - 20, 24);
      if (protocol === TCP) packet.set([0x50, SYN], 32);
      packet.write("stranger", 48);
      return encapsulated(to, 0x0800, packet);
    }

    function encapsulated(to: Uint8Array, ethertype: number, packet: Buffer): Buffer {
      const vxlan = Buffer.from([0x08, 0, 0, 0, VNI >> 16, VNI >> 8, VNI & 0xff, 0]); // RFC 7348 §5
      const type = Buffer.from([ethertype >> 8, ethertype & 0xff]);
      return Buffer.concat([vxlan, to, macOf(member), type, packet]);
    }

    /** Of any family, to everybody: who has the node's overlay address? [RFC 826] */
    function arpRequest(): Buffer {
      const packet = Buffer.alloc(28);
      packet.set([0, 1, 0x08, 0, 6, 4, 0, 1]);
      packet.set(macOf(member), 8);
      packet.set(member.split(".").map(Number), 14);
      packet.set(own.split(".").map(Number), 24);
      return encapsulated(BROADCAST_MAC, 0x0806, packet);
    }

    function ipv6Packet(): Buffer {
      const packet = Buffer.alloc(64);
      packet.set([0x60, 0, 0, 0, 0, 24, UDP, 64, 0xfe, 0x80]);
      packet.set([0xff, 0x02], 24);
      packet[39] = 1;
      packet.writeUInt16BE(SERVICE_PORT, 42);
      packet.writeUInt16BE(24, 44);
      return encapsulated(Buffer.from("333300000001", "hex"), 0x86dd, packet);
    }

    function hostileFrames() {
      const always = [
        frame({ destination: CONTAINER }),
        frame({ destination: machine.address }),
        frame({ destination: GATEWAY }),
        frame({ destination: "127.0.0.1" }),
        frame({ source: "10.200.99.99" }),
        frame({ source: stranger.address }),
        frame({ source: own }),
        frame({ source: "127.0.0.1" }),
        frame({ to: macOf("10.200.99.99") }),
        frame({ to: BROADCAST_MAC }),
        frame({ destination: "10.200.255.255", to: BROADCAST_MAC }),
        frame({ destination: "224.0.0.251", to: Buffer.from("01005e0000fb", "hex") }),
        frame({ destination: CONTAINER, protocol: TCP }),
        frame({ destination: "10.200.99.99" }),
        arpRequest(),
        ipv6Packet(),
      ];
      const inMembersName = [
        frame({}),
        frame({ sourcePort: RELAY_PORT }),
        frame({ protocol: TCP }),
        frame({ protocol: TCP, sourcePort: RELAY_PORT }),
        frame({ protocol: ICMP }),
      ];
      return { always, inMembersName };
    }

    async function rejected(): Promise<number> {
      const { rejectedTotal, peers } = (await mesh.n1.status()).overlay!;
      const counts = [rejectedTotal, ...peers.map((peer) => peer.rejectedTotal)].flatMap(Object.values);
      return counts.reduce((sum: number, count) => sum + count, 0);
    }

    test(
      "none gets to a container, to the node's own addresses, to a service on the node; relays go on",
      async () => {
        const inContainer = await listen(container);
        const onNode = await listen(machine);
        const load = new HttpLoad(mesh.n1.address, PORTS.web, 2, { pauseMs: 5 });
        const { client, task } = await mesh.open();
        const { always, inMembersName } = hostileFrames();
        const send = (from: string, datagrams: readonly Buffer[]) =>
          sendHostile(stranger.wrapper, from, mesh.n1.address, RELAY_PORT, datagrams);
        const before = await rejected();
        await send(stranger.address, [...always, ...inMembersName]);
        // what a kernel's device drops is counted, what does not get to it from a stranger's address is not
        let frames = [...always, ...inMembersName];
        if (isKernel) {
          // in clear, what comes from a member's address in its name is the member's
          frames = isEncrypted ? frames : always;
          await send(mesh.n2.address, frames);
        }
        await waitFor(async () => (await rejected()) >= before + frames.length, {
          what: `${frames.length} frames to be rejected, not ${(await rejected()) - before}`,
        });

        // the services do write down what they get
        const sendAllowed = (to: string) =>
          machine.run("sh", "-c", `printf control | socat -u - UDP4-SENDTO:${to}:${SERVICE_PORT}`);
        await sendAllowed(CONTAINER);
        await sendAllowed(machine.address);
        for (const heard of [inContainer, onNode]) {
          await waitFor(() => heard().includes("control"), { what: "a datagram to be written down" });
          expect(heard()).toBe("control");
        }

        await client.send("still");
        expect(await task.receiveText(5)).toBe("still");
        const udp = await UdpPeer.open(mesh.network.outside);
        const answer = await udp.ask(Buffer.alloc(4_000, 7), PORTS.echo, mesh.n1.address);
        expect(answer.data.length).toBe(4_000);
        udp.close();
        await load.stop();
        expect(load.failures).toEqual([]);
        expect(await mesh.peerOf(mesh.n1)).toMatchObject({ path: "overlay" });
        client.close();
        task.close();
      },
      TIMEOUT_MS,
    );

    if (!isKernel) return;
    test(
      "what is for another device at the same port gets to that",
      async () => {
        const vni = 99;
        const device = ["their0", "type", "vxlan", "id", String(vni), "dstport", String(RELAY_PORT)];
        await machine.run("ip", "link", "add", ...device);
        await machine.run("ip", "address", "add", `${THEIR_ADDRESS}/24`, "dev", "their0");
        await machine.run("ip", "link", "set", "their0", "address", "02:00:00:00:00:99", "up");
        await machine.run("nft", COUNT_THEIRS);
        const to = Buffer.from("020000000099", "hex");
        const theirs = frame({ to, source: "172.18.99.2", destination: THEIR_ADDRESS });
        theirs.writeUIntBE(vni, 4, 3);
        await sendHostile(stranger.wrapper, stranger.address, mesh.n1.address, RELAY_PORT, [theirs]);
        await waitFor(
          async () => (await machine.run("nft", "list", "table", "ip", "theirs")).includes("packets 1 "),
          {
            what: "the other device to receive it",
          },
        );
        await machine.run("ip", "link", "delete", "their0");
      },
      TIMEOUT_MS,
    );

    test(
      "what is left after kill -9 lets nothing in, and a new start takes its place",
      async () => {
        await mesh.n1.kill();
        const filter = await machine.run("tc", "filter", "show", "dev", DEVICE, "ingress");
        expect(filter).toContain("direct-action");
        await mesh.n1.start();
        await mesh.cluster.allAlive();
        await mesh.reaches("overlay");
        await mesh.isServed();
        const filters = await machine.run("tc", "filter", "show", "dev", DEVICE, "ingress");
        expect(filters.match(/direct-action/g)).toHaveLength(1);
        const settings = ["forwarding", "accept_local", "accept_redirects", "rp_filter"];
        const names = settings.map((setting) => `net.ipv4.conf.${DEVICE}.${setting}`);
        expect((await machine.run("sysctl", "-n", ...names)).trim().split("\n")).toEqual([
          "0",
          "0",
          "0",
          "1",
        ]);
      },
      TIMEOUT_MS,
    );
  });
});

const THEIR_ADDRESS = "172.18.99.1";
const COUNT_THEIRS = [
  "add table ip theirs",
  "add chain ip theirs in { type filter hook input priority 0; }",
  `add rule ip theirs in iifname "their0" udp dport ${SERVICE_PORT} counter`,
].join("; ");
const BROADCAST_MAC = new Uint8Array(6).fill(0xff);

/** Nothing of eth0 gets to the service or is forwarded. */
const FIREWALL = [
  "add table inet guard",
  "add chain inet guard in { type filter hook input priority 0; }",
  `add rule inet guard in iifname "eth0" udp dport ${SERVICE_PORT} drop`,
  "add chain inet guard through { type filter hook forward priority 0; }",
  'add rule inet guard through iifname "eth0" drop',
].join("; ");

/**
 * Machines of a network that are far from each other: each has a second link, `far`, to a router, which keeps what passes
 * for a while and loses some of it.
 *
 *   n1 far 10.97.1.1, fd97:1::1 ──┐
 *   n2 far 10.97.2.1, fd97:2::1 ──┼── router ── far0, a TUN device: what comes from a machine goes out there,
 *   …                             ┘             and comes back after half the round-trip time
 *
 * A machine's distance is in milliseconds; the round trip between two takes the mean of both distances. The router's
 * process runs in its namespace and ends with its input.
 */
import { resolve } from "node:path";
import { Arena } from "../../src/sys/arena.ts";
import { close } from "../../src/sys/socket.ts";
import { openTun, readPacket, writePacket } from "../../src/sys/tun.ts";
import { runIp } from "./namespace-lifetime.ts";
import type { NetworkNode } from "./network-node.ts";
import { seededRandom } from "./seeded-random.ts";

const SELF = resolve("test/support/far-links-process.ts");
const DEVICE = "far0";
const LINK = "far";
const TABLE = "97";
const VNET_HEADER_BYTES = 10;
const PACKET_BYTES = 1 << 17;
const MAX_WAITING = 20_000;

/** How far away a machine is, as the round trip to one that is as far. */
export interface Distance {
  readonly rttMs: number;
  /** Of each direction, 0…99. */
  readonly lossPercent?: number;
}

/** Of the machine with this index, from 0. */
export function farLinkAddress(index: number, family: 4 | 6 = 4): string {
  return family === 4 ? `10.97.${index + 1}.1` : `fd97:${(index + 1).toString(16)}::1`;
}

/** Connects the machines; resolves when packets are carried. `stop` ends that. */
export async function startFarLinks(
  router: NetworkNode,
  machines: readonly NetworkNode[],
  distances: readonly Distance[],
): Promise<{ readonly stop: () => Promise<void> }> {
  await router.run("sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1");
  await router.run("sysctl", "-qw", "net.ipv4.conf.all.rp_filter=0", "net.ipv4.conf.default.rp_filter=0");
  for (const [index, machine] of machines.entries()) await connect(router, machine, index);
  const command = [...router.wrapper, process.execPath, SELF, JSON.stringify(distances)];
  const child = Bun.spawn(command, { stdio: ["pipe", "pipe", "inherit"] });
  const first = await child.stdout.getReader().read();
  if (new TextDecoder().decode(first.value).trim() !== "ready") throw new Error("cannot start far links");
  return {
    stop: async () => {
      child.kill("SIGKILL");
      await child.exited;
    },
  };
}

async function connect(router: NetworkNode, machine: NetworkNode, index: number): Promise<void> {
  const port = `${LINK}${index + 1}x`;
  const [own4, own6] = [farLinkAddress(index), farLinkAddress(index, 6)];
  const [hop4, hop6] = [`10.97.${index + 1}.254`, `fd97:${(index + 1).toString(16)}::fe`];
  await machine.run(
    "ip",
    "link",
    "add",
    LINK,
    "type",
    "veth",
    "peer",
    "name",
    port,
    "netns",
    router.namespace,
  );
  for (const [one, device, addresses] of [
    [machine, LINK, [own4, own6]],
    [router, port, [hop4, hop6]],
  ] as const) {
    await one.run("ip", "address", "add", `${addresses[0]}/24`, "dev", device);
    await one.run("ip", "address", "add", `${addresses[1]}/64`, "dev", device, "nodad");
    await one.run("ip", "link", "set", device, "up");
  }
  await machine.run("ip", "route", "add", "10.97.0.0/16", "via", hop4);
  await machine.run("ip", "route", "add", "fd97::/16", "via", hop6);
  for (const family of ["-4", "-6"])
    await router.run("ip", family, "rule", "add", "iif", port, "lookup", TABLE, "priority", "50");
}

class Router {
  readonly #memory = new Arena(PACKET_BYTES + 4096);
  readonly #packetAt = this.#memory.take(PACKET_BYTES);
  readonly #iovecAt = this.#memory.take(16);
  readonly #random = seededRandom(7);
  readonly #fd = openTun(DEVICE).fd;
  #waiting = 0;

  constructor(readonly distances: readonly Distance[]) {}

  turn(): void {
    const { bytes } = this.#memory;
    for (;;) {
      const length = readPacket(this.#fd, this.#memory.address(this.#packetAt), PACKET_BYTES);
      if (length < 0) return;
      const packet = bytes.slice(this.#packetAt, this.#packetAt + length);
      const [from, to] = endsOf(packet).map((index) => this.distances[index]);
      if (from === undefined || to === undefined || this.#waiting >= MAX_WAITING) continue;
      const lossPercent = Math.max(from.lossPercent ?? 0, to.lossPercent ?? 0);
      if (this.#random() * 100 < lossPercent) continue;
      this.#waiting++;
      setTimeout(() => this.#deliver(packet), (from.rttMs + to.rttMs) / 4);
    }
  }

  close(): void {
    close(this.#fd);
  }

  #deliver(packet: Uint8Array): void {
    this.#waiting--;
    this.#memory.bytes.set(packet, this.#packetAt);
    const address = BigInt(this.#memory.address(this.#packetAt) as number);
    this.#memory.view.setBigUint64(this.#iovecAt, address, true);
    this.#memory.view.setBigUint64(this.#iovecAt + 8, BigInt(packet.length), true);
    writePacket(this.#fd, this.#memory.address(this.#iovecAt), 1);
  }
}

/** Indices of the machines that a packet comes from and goes to. */
function endsOf(packet: Uint8Array): [number, number] {
  const isIpv4 = packet[VNET_HEADER_BYTES]! >> 4 === 4;
  const [source, destination] = isIpv4 ? [12 + 2, 16 + 2] : [8 + 3, 24 + 3];
  return [packet[VNET_HEADER_BYTES + source]! - 1, packet[VNET_HEADER_BYTES + destination]! - 1];
}

async function run(distances: readonly Distance[]): Promise<void> {
  const router = new Router(distances);
  runIp(["link", "set", DEVICE, "up", "txqueuelen", "10000"]);
  for (const family of ["-4", "-6"])
    runIp([family, "route", "add", "default", "dev", DEVICE, "table", TABLE]);
  setInterval(() => router.turn(), 1);
  console.log("ready");
  await Bun.stdin.text();
  router.close();
  process.exit(0);
}

if (import.meta.main) await run(JSON.parse(process.argv[2]!));

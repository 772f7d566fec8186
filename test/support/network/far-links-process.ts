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
import {
  type CarrierProcess,
  DelayedTun,
  type Passage,
  startCarrier,
  VNET_HEADER_BYTES,
} from "./delayed-tun.ts";
import { runIp } from "./namespace-lifetime.ts";
import type { NetworkNode } from "./network-node.ts";

const SELF = resolve("test/support/network/far-links-process.ts");
const DEVICE = "far0";
const LINK = "far";
const TABLE = "97";

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
): Promise<CarrierProcess> {
  await router.run("sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1");
  await router.run("sysctl", "-qw", "net.ipv4.conf.all.rp_filter=0", "net.ipv4.conf.default.rp_filter=0");
  for (const [index, machine] of machines.entries()) await connect(router, machine, index);
  return startCarrier([...router.wrapper, process.execPath, SELF, JSON.stringify(distances)]);
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

/** Indices of the machines that a packet comes from and goes to. */
function endsOf(packet: Uint8Array): [number, number] {
  const isIpv4 = packet[VNET_HEADER_BYTES]! >> 4 === 4;
  const [source, destination] = isIpv4 ? [12 + 2, 16 + 2] : [8 + 3, 24 + 3];
  return [packet[VNET_HEADER_BYTES + source]! - 1, packet[VNET_HEADER_BYTES + destination]! - 1];
}

function passageOf(packet: Uint8Array, distances: readonly Distance[]): Passage | null {
  const [from, to] = endsOf(packet).map((index) => distances[index]);
  if (from === undefined || to === undefined) return null;
  const lossPercent = Math.max(from.lossPercent ?? 0, to.lossPercent ?? 0);
  return { delayMs: (from.rttMs + to.rttMs) / 4, lossPercent };
}

async function run(distances: readonly Distance[]): Promise<never> {
  const router = new DelayedTun({ device: DEVICE, passageOf: (packet) => passageOf(packet, distances) });
  for (const family of ["-4", "-6"])
    runIp([family, "route", "add", "default", "dev", DEVICE, "table", TABLE]);
  return router.run();
}

if (import.meta.main) await run(JSON.parse(process.argv[2]!));

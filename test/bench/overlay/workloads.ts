/** What goes over the cable, and what is measured of it. */
import type { Metric } from "../workload.ts";
import type { ContestantName, OverlayWorkloadName } from "./names.ts";

const KIBIBYTE = 1024;

export type Traffic =
  /** iperf3, from left to right. */
  | { readonly kind: "bulk"; readonly streams: number }
  /** Requests and answers, one at a time on each connection. */
  | { readonly kind: "exchange"; readonly messageBytes: number; readonly connections: number };

export interface OverlayWorkload {
  readonly name: OverlayWorkloadName;
  readonly title: string;
  /** By way of the tunnel's addresses, or of a published port where there is one. */
  readonly via: "tunnel" | "relay";
  readonly traffic: Traffic;
  /** Of IPv4 packets, in each direction. */
  readonly lossPerMille: number;
  readonly contestants: readonly ContestantName[];
  /** The first is the one whose spread over the rounds is shown. */
  readonly metrics: readonly Metric[];
}

const RIVALS: readonly ContestantName[] = ["veth", "kernel-vxlan", "nebula", "wireguard-go"];

/** An encrypting kernel device takes nothing but relays, and `none` has no device: no rows for those. */
const TUNNELS: readonly ContestantName[] = [
  ...RIVALS,
  "portmesh-kernel",
  "portmesh-userspace",
  "portmesh-userspace-sealed",
];

const RELAYS: readonly ContestantName[] = [
  ...RIVALS,
  "portmesh-kernel",
  "portmesh-userspace",
  "portmesh-none",
  "portmesh-kernel-sealed",
  "portmesh-userspace-sealed",
  "portmesh-none-sealed",
];

const BULK_METRICS: readonly Metric[] = [
  { key: "rate", label: "Gbit/s", better: "more", digits: 2, isCompared: true },
  { key: "cpu", label: "CPU s/GB, machine", better: "less", digits: 2, isCompared: true },
  { key: "processCpu", label: "CPU s/GB, its processes", better: "less", digits: 2, isCompared: false },
];

const LATENCY_METRICS: readonly Metric[] = [
  { key: "p50", label: "p50 us", better: "less", digits: 0, isCompared: true },
  { key: "p99", label: "p99 us", better: "less", digits: 0, isCompared: true },
  { key: "exchanges", label: "exchanges/s", better: "more", digits: 0, isCompared: false },
];

const EXCHANGE_METRICS: readonly Metric[] = [
  { key: "rate", label: "Gbit/s each way", better: "more", digits: 2, isCompared: true },
  ...BULK_METRICS.slice(1),
  ...LATENCY_METRICS.slice(0, 2),
];

export const overlayWorkloads: Readonly<Record<OverlayWorkloadName, OverlayWorkload>> = {
  "tunnel-1": tunnel("tunnel-1", "Tunnel: bulk, 1 stream (iperf3)", 1),
  "tunnel-4": tunnel("tunnel-4", "Tunnel: bulk, 4 streams (iperf3)", 4),
  "relay-1": relay("relay-1", "Published port to a task on the other node: bulk, 1 stream (iperf3)"),
  "relay-exchange": exchange(
    "relay-exchange",
    "64 KiB there and 64 KiB back, 4 connections",
    64 * KIBIBYTE,
    4,
  ),
  "relay-latency-1": exchange("relay-latency-1", "128 bytes there and back, 1 connection", 128, 1),
  "relay-latency-16": exchange("relay-latency-16", "128 bytes there and back, 16 connections", 128, 16),
  "tunnel-loss-0.1": tunnel("tunnel-loss-0.1", "Tunnel: bulk, 1 stream, 0.1 % of datagrams lost", 1, 1),
  "tunnel-loss-1": tunnel("tunnel-loss-1", "Tunnel: bulk, 1 stream, 1 % of datagrams lost", 1, 10),
  "relay-loss-0.1": relay("relay-loss-0.1", "Published port: bulk, 1 stream, 0.1 % of datagrams lost", 1),
  "relay-loss-1": relay("relay-loss-1", "Published port: bulk, 1 stream, 1 % of datagrams lost", 10),
};

function tunnel(
  name: OverlayWorkloadName,
  title: string,
  streams: number,
  lossPerMille = 0,
): OverlayWorkload {
  const traffic = { kind: "bulk", streams } as const;
  return { name, title, via: "tunnel", traffic, lossPerMille, contestants: TUNNELS, metrics: BULK_METRICS };
}

function relay(name: OverlayWorkloadName, title: string, lossPerMille = 0): OverlayWorkload {
  const traffic = { kind: "bulk", streams: 1 } as const;
  return { name, title, via: "relay", traffic, lossPerMille, contestants: RELAYS, metrics: BULK_METRICS };
}

function exchange(
  name: OverlayWorkloadName,
  what: string,
  messageBytes: number,
  connections: number,
): OverlayWorkload {
  return {
    name,
    title: `Published port to a task on the other node: ${what}`,
    via: "relay",
    traffic: { kind: "exchange", messageBytes, connections },
    lossPerMille: 0,
    contestants: RELAYS,
    metrics: messageBytes >= KIBIBYTE ? EXCHANGE_METRICS : LATENCY_METRICS,
  };
}

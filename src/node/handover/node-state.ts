/**
 * What continues of a node besides its sockets (socket-list.ts), as bytes and descriptors: values of msgpack in which a descriptor
 * is an index, since it has another number in every process.
 */
import { decode, encode } from "@msgpack/msgpack";
import { type NodeEvent, nodeEvent } from "../../model/index.ts";
import type { CounterState, Handed as HandedValue, InheritedProxy, UdpState } from "../../proxy/index.ts";
import type { HandedCluster } from "../cluster/cluster.ts";
import type { MetricsState } from "../metrics/node-metrics.ts";
import type { Handed } from "./handover-part.ts";

interface ProxyValue {
  readonly udp: UdpState;
  readonly counters: CounterState;
}

export function packProxy(udp: HandedValue<UdpState>, counters: CounterState): Handed {
  const value: ProxyValue = { udp: udp.value, counters };
  return { bytes: encode(value), fds: udp.descriptors };
}

export function unpackProxy({ bytes, fds }: Handed): InheritedProxy {
  const { udp, counters } = decode(bytes) as ProxyValue;
  return { counters, udp: { value: udp, descriptors: fds } };
}

export function packMetrics(state: MetricsState): Handed {
  return { bytes: encode(state), fds: [] };
}

export function unpackMetrics({ bytes }: Handed): MetricsState {
  return decode(bytes) as MetricsState;
}

export function packCluster(cluster: HandedCluster): Handed {
  const fds: number[] = [];
  const value = withDescriptors(cluster, (fd) => (fd < 0 ? fd : fds.push(fd) - 1));
  return { bytes: encode(value), fds };
}

export function unpackCluster({ bytes, fds }: Handed): HandedCluster {
  return withDescriptors(decode(bytes) as HandedCluster, (index) => fds[index] ?? -1);
}

export function packEvents(events: readonly NodeEvent[]): Handed {
  return { bytes: encode(events), fds: [] };
}

/** Events of another version that this one cannot read are left out. */
export function unpackEvents({ bytes }: Handed): NodeEvent[] {
  return (decode(bytes) as unknown[]).flatMap((event) => nodeEvent.safeParse(event).data ?? []);
}

function withDescriptors(
  { catalog, members, overlay }: HandedCluster,
  change: (fd: number) => number,
): HandedCluster {
  return {
    catalog,
    members,
    overlay: overlay && {
      device: overlay.device && { ...overlay.device, fd: change(overlay.device.fd) },
    },
  };
}

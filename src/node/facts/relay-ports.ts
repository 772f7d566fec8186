/** Where nodes take relays, and what they have said of their end of the overlay. */
import type { NodeRecord, OverlayRecord } from "../../catalog/index.ts";
import type { RelayPorts } from "../../overlay/index.ts";

/** Of nodes that have not said how they take part. */
const SILENT = { driver: "none", address: null, encrypt: false, publicKey: null } as const;

/** Inside the overlay: the port of UDP is the one of echoes too. */
export function relayPortsAt(tcp: number, udp: number): RelayPorts {
  return { tcp, udp: [udp] };
}

/** UDP port of a node with a relay. */
export function udpPortOf(node: NodeRecord): number {
  return node.relay!.udpPort ?? formerUdpPortOf(announcementOf(node));
}

/** The port of nodes of an older version, which do not announce one and assume it of all others. */
export function formerUdpPortOf({ driver, port }: Pick<OverlayRecord, "driver" | "port">): number {
  return driver === "none" ? port : port + 1;
}

/** What a node with a relay has said of its end, or what is true of one that has said nothing. */
export function announcementOf({ overlay, relay }: NodeRecord): OverlayRecord {
  return overlay ?? { ...SILENT, vni: 0, port: relay!.port };
}

/** What the rest of the node has to know of its overlay: what it announces, and which nodes it reaches. Pure. */
import type { NodeRecord, OverlayRecord } from "../../catalog/index.ts";
import type { GossipAddress, OverlayConfig } from "../../config/index.ts";
import type { PeerReach } from "../build-routing-input.ts";
import { announcementOf, formerUdpPortOf, udpPortOf } from "./relay-ports.ts";

export interface OverlayFacts {
  /** What this node announces. */
  readonly announcement: OverlayRecord;
  /** Where relays over UDP are taken. */
  readonly udpPort: number;
  /** Where the node itself has a socket at `udpPort`; null: nowhere. */
  readonly sharedUdpAddresses: readonly string[] | null;
  /** Where nodes of an older version send relays over UDP; null: there are none, or the port is the same. */
  readonly formerUdpPort: number | null;
  /** Addresses of this node that only the overlay leads to. */
  readonly addresses: readonly string[];
  /** Where relays in clear are taken. */
  readonly acceptsClear: "always" | readonly string[];
  /** By name: nodes that answer over the overlay. */
  readonly reached: ReadonlyMap<string, OverlayReach>;
}

export interface OverlayReach {
  /** Overlay address. */
  readonly address: string;
  /** The overlay encrypts what goes there. */
  readonly isEncrypted: boolean;
}

/** This node's own end. */
export interface OverlayOwnEnd {
  readonly config: OverlayConfig;
  readonly gossip: GossipAddress;
  readonly driver: OverlayRecord["driver"];
  /** Overlay address; null: none. */
  readonly address: string | null;
  readonly publicKey: string | null;
  /** Some nodes do not announce where they take relays over UDP. */
  readonly hasOlderNodes: boolean;
  /** The node has a socket for echoes at its overlay address. */
  readonly hasEchoSocket: boolean;
  readonly reached: OverlayFacts["reached"];
}

/** Where a driver holds the overlay's port, relays over UDP are taken at the port of gossip, beside gossip and echoes. */
export function overlayFacts(end: OverlayOwnEnd): OverlayFacts {
  const { config, gossip, driver, address, publicKey, hasOlderNodes, hasEchoSocket, reached } = end;
  const { vni, port, encrypt } = config;
  const addresses = address === null ? [] : [address];
  const udpPort = driver === "none" ? port : gossip.port;
  const formerUdpPort = formerUdpPortOf({ driver, port });
  const encryptedOverlay = driver === "userspace" ? addresses : [];
  return {
    announcement: { driver, address, vni, port, encrypt, publicKey },
    udpPort,
    sharedUdpAddresses: driver === "none" ? null : [gossip.host, ...(hasEchoSocket ? addresses : [])],
    formerUdpPort: hasOlderNodes && formerUdpPort !== udpPort ? formerUdpPort : null,
    addresses,
    acceptsClear: encrypt ? encryptedOverlay : "always",
    reached,
  };
}

/**
 * How the relay of a node is reached; null: it has none.
 * @param source where relays leave from that do not go over the overlay; null: anywhere
 */
export function reachOf(
  name: string,
  node: NodeRecord,
  overlay: Pick<OverlayFacts, "announcement" | "reached">,
  source: string | null = null,
): PeerReach | null {
  const { relay } = node;
  if (relay === null) return null;
  const udpPort = udpPortOf(node);
  const isEncrypted = overlay.announcement.encrypt || announcementOf(node).encrypt;
  const inside = overlay.reached.get(name);
  if (inside === undefined)
    return {
      address: relay.address,
      port: relay.port,
      udpPort,
      isSealed: isEncrypted,
      ...(source !== null && { source }),
    };
  const isSealed = isEncrypted && !inside.isEncrypted;
  return { address: inside.address, port: relay.port, udpPort, isSealed, isOverlay: true };
}

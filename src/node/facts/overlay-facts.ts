/** What the rest of the node has to know of its overlay: what it announces, and which nodes it reaches. Pure. */
import type { NodeRecord, OverlayRecord } from "../../catalog/index.ts";
import type { Reach } from "../build-routing-input.ts";
import { announcementOf, udpPortOf } from "./relay-ports.ts";

export interface OverlayFacts {
  /** What this node tells all others. */
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

/**
 * How the relay of a node is reached; null: it has none.
 * @param source where relays leave from that do not go over the overlay; null: anywhere
 */
export function reachOf(
  name: string,
  node: NodeRecord,
  overlay: Pick<OverlayFacts, "announcement" | "reached">,
  source: string | null = null,
): Reach | null {
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
  return { address: inside.address, port: relay.port, udpPort, isSealed: isEncrypted && !inside.isEncrypted };
}

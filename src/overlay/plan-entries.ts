/** Which entries the peers need, and which peers cannot have any. Pure. */
import { formatIp, parseIp, parsePrefix } from "../wire/index.ts";
import { isInSubnet, macOf } from "./address-plan.ts";
import type { OverlayEnd, OverlayPeer, RelayPorts } from "./driver.ts";
import { macText } from "./rtnetlink/address-text.ts";

/** The kernel's entries for a peer. */
export interface PeerEntry {
  readonly name: string;
  readonly overlayAddress: string;
  readonly macAddress: string;
  readonly underlayAddress: string;
  readonly port: number;
  readonly mtuBytes: number;
  /** null: it has no relay. */
  readonly relayPorts: RelayPorts | null;
}

/** A peer that has no entries, and why: "cannot …". */
export interface RefusedPeer {
  readonly name: string;
  readonly reason: string;
}

export interface EntryPlan {
  readonly entries: readonly PeerEntry[];
  readonly refused: readonly RefusedPeer[];
}

/** @param mtuOf inner packets to this peer */
export function planEntries(
  end: OverlayEnd,
  peers: readonly OverlayPeer[],
  mtuOf: (peer: OverlayPeer) => number,
): EntryPlan {
  const subnet = subnetOf(end);
  const entries: PeerEntry[] = [];
  const refused: RefusedPeer[] = [];
  for (const peer of peers) {
    const { name, overlayAddress, underlayAddress, port } = peer;
    const reason = problemOf(end, subnet, peer);
    if (reason !== null) refused.push({ name, reason });
    else {
      const macAddress = macText(macOf(overlayAddress));
      const { relayPorts = null } = peer;
      const mtuBytes = mtuOf(peer);
      entries.push({ name, overlayAddress, macAddress, underlayAddress, port, mtuBytes, relayPorts });
    }
  }
  return { entries, refused };
}

function problemOf(
  end: OverlayEnd,
  subnet: string,
  { overlayAddress, underlayAddress }: OverlayPeer,
): string | null {
  const ownFamily = parseIp(end.underlayAddress)?.family;
  const family = parseIp(underlayAddress)?.family;
  if (family === undefined) return `cannot reach "${underlayAddress}": it is not an IP address`;
  if (family !== ownFamily)
    return `cannot reach ${underlayAddress}: this node's underlay address is IPv${ownFamily} (${end.underlayAddress})`;
  if (overlayAddress === end.address) return `cannot add ${overlayAddress}: it is this node's own address`;
  if (!isInSubnet(overlayAddress, subnet)) return `cannot add ${overlayAddress}: it is outside ${subnet}`;
  if (isInSubnet(underlayAddress, subnet))
    return `cannot reach ${underlayAddress}: it is an address of the overlay itself`;
  return null;
}

/** Canonical prefix. */
function subnetOf({ address, prefixLength }: OverlayEnd): string {
  const { family, network } = parsePrefix(`${address}/${prefixLength}`)!;
  return `${formatIp(family, network)}/${prefixLength}`;
}

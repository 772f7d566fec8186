/** What the device's filter lets in from whom, and which peers it has no room for. Pure. */
import type { OverlayEnd } from "../driver.ts";
import type { PeerEntry, RefusedPeer } from "../plan-entries.ts";
import { type FilterPlan, MEMBERS_MAX, PORTS_MAX } from "./frame-filter.ts";

export interface PlannedFilter {
  readonly plan: FilterPlan;
  /** Of peers whose frames are taken. */
  readonly entries: readonly PeerEntry[];
  readonly refused: readonly RefusedPeer[];
}

export function planFilter(end: OverlayEnd, entries: readonly PeerEntry[]): PlannedFilter {
  const memberTcp = new Set<number>();
  const memberUdp = new Set<number>();
  const taken: PeerEntry[] = [];
  const refused: RefusedPeer[] = [];
  for (const entry of entries) {
    const { tcp, udp } = portsOf(entry);
    const hasRoom =
      taken.length < MEMBERS_MAX &&
      memberTcp.union(tcp).size <= PORTS_MAX &&
      memberUdp.union(udp).size <= PORTS_MAX;
    if (!hasRoom) {
      refused.push({ name: entry.name, reason: noRoom(end, entry) });
      continue;
    }
    taken.push(entry);
    for (const port of tcp) memberTcp.add(port);
    for (const port of udp) memberUdp.add(port);
  }
  const ports = { memberTcp: ascending(memberTcp), memberUdp: ascending(memberUdp) };
  const relays = end.relaysOnly === undefined ? null : { own: end.relaysOnly, ...ports };
  const members = taken.map(({ overlayAddress }) => overlayAddress);
  return { plan: { address: end.address, members, relays }, entries: taken, refused };
}

function portsOf({ relayPorts }: PeerEntry): { readonly tcp: Set<number>; readonly udp: Set<number> } {
  if (relayPorts === null) return { tcp: new Set(), udp: new Set() };
  return { tcp: new Set([relayPorts.tcp]), udp: new Set(relayPorts.udp) };
}

function noRoom({ device }: OverlayEnd, { overlayAddress }: PeerEntry): string {
  return (
    `cannot accept frames from ${overlayAddress}: the filter of ${device} holds at most ${MEMBERS_MAX} nodes ` +
    `with ${PORTS_MAX} different overlay ports`
  );
}

function ascending(ports: ReadonlySet<number>): number[] {
  return [...ports].sort((a, b) => a - b);
}

/**
 * What has to be done to a device so that it is what it has to be, in the order in which it has to be done. Pure.
 *
 * A repair with a fault undoes a change by another program. One without follows a change of
 * our own: a peer that came, another MTU. What is right is left alone, so that nothing in flight is lost. Addresses and
 * routes of others over the device are theirs, except a route to the very address of a peer.
 */
import { formatIp, parsePrefix } from "../../wire/index.ts";
import { RT_TABLE_MAIN } from "../../wire/netlink/index.ts";
import { CLOSED_TO_OTHERS, isClosedToOthers } from "../closed-device.ts";
import type { PeerEntry } from "../plan-entries.ts";
import type { InterfaceAddress, LinkChange, ListedRoute } from "../rtnetlink/index.ts";
import type { MadeDevice, ReportedDevice, WantedDevice } from "./state.ts";

/** Who made a route: "p", of the numbers that iproute2 leaves free (rt_protos). */
export const ROUTE_PROTOCOL = 112;
const HOST_BITS = 32;

export type Repair = (
  | { readonly do: "change-link"; readonly change: LinkChange }
  | { readonly do: "set-filter"; readonly program: Uint8Array }
  | { readonly do: "add-address"; readonly address: string; readonly prefixLength: number }
  | { readonly do: "remove-address"; readonly address: InterfaceAddress }
  | { readonly do: "set-forwarding"; readonly peer: PeerEntry }
  | { readonly do: "remove-forwarding"; readonly macAddress: string }
  | { readonly do: "set-neighbour"; readonly peer: PeerEntry }
  | { readonly do: "remove-neighbour"; readonly address: string }
  | { readonly do: "add-route"; readonly peer: PeerEntry }
  | { readonly do: "replace-route"; readonly peer: PeerEntry }
  | { readonly do: "remove-route"; readonly route: ListedRoute }
  | { readonly do: "add-subnet-route"; readonly destination: string; readonly prefixLength: number }
) & { readonly fault: Fault | null };

/** What another program did to the device. */
export interface Fault {
  /** The same for everything that one act does to many entries. */
  readonly kind:
    | "removed"
    /** Strangers get in: not to be put off. */
    | "protection"
    | "renamed"
    | "port"
    | "down"
    | "settings"
    | "address"
    | "forwarding"
    | "neighbours"
    | "routes";
  /** "it was down" */
  readonly text: string;
}

/** @param made what was made when it was last looked at */
export function planRepairs(wanted: WantedDevice, reported: ReportedDevice, made: MadeDevice): Repair[] {
  return [
    ...planProtection(wanted, reported, made),
    ...planLink(wanted, reported, made),
    ...planAddress(wanted, reported),
    ...(wanted.frames === null ? [] : planForwarding(wanted.frames.port, wanted, reported, made)),
    ...(wanted.frames === null ? [] : planNeighbours(wanted, reported, made)),
    ...planRoutes(wanted, reported, made),
    ...planSubnetRoute(wanted, reported),
  ];
}

function planProtection(
  { frames }: WantedDevice,
  { link, filter }: ReportedDevice,
  made: MadeDevice,
): Repair[] {
  const repairs: Repair[] = [];
  if (!isClosedToOthers(link.ipv4Settings)) {
    const change = { ipv4Settings: CLOSED_TO_OTHERS };
    repairs.push({ do: "change-link", change, fault: OPENED });
  }
  if (frames !== null && !isSameProgram(filter, frames.filter)) {
    const isOthers = isSameProgram(made.filter, frames.filter);
    repairs.push({ do: "set-filter", program: frames.filter, fault: isOthers ? FILTER_CHANGED : null });
  }
  return repairs;
}

function isSameProgram(a: Uint8Array | null, b: Uint8Array): boolean {
  return a !== null && Buffer.compare(a, b) === 0;
}

/** One request each: what the kernel does not allow must not keep the rest from being done. Up comes last. */
function planLink(wanted: WantedDevice, { link }: ReportedDevice, made: MadeDevice): Repair[] {
  const { name, alias, mtuBytes, frames, gsoMaxBytes } = wanted;
  const repairs: Repair[] = [];
  const change = (change: LinkChange, fault: Fault | null) =>
    repairs.push({ do: "change-link", change, fault });
  if (link.alias !== alias) change({ alias }, { kind: "settings", text: `its alias was "${link.alias}"` });
  if (link.master !== 0) change({ master: 0 }, { kind: "port", text: "it was attached to a bridge or VRF" });
  if (link.name !== name) change({ name }, { kind: "renamed", text: `its name was ${link.name}` });
  if (link.mtuBytes !== mtuBytes) {
    const isOthers = made.mtuBytes !== 0 && link.mtuBytes !== made.mtuBytes;
    change({ mtuBytes }, isOthers ? { kind: "settings", text: `its MTU was ${link.mtuBytes}` } : null);
  }
  if (frames !== null && link.macAddress !== frames.macAddress)
    change(
      { macAddress: frames.macAddress },
      { kind: "settings", text: `its MAC address was ${link.macAddress}` },
    );
  if (gsoMaxBytes !== null && link.gsoMaxBytes !== 0 && link.gsoMaxBytes !== gsoMaxBytes)
    change({ gsoMaxBytes }, { kind: "settings", text: `its gso_max_size was ${link.gsoMaxBytes}` });
  // begun anew when the MTU has been too small for IPv6
  if (link.hasIpv6LinkLocal === true) change({ hasIpv6LinkLocal: false }, null);
  if (!link.isUp) change({ isUp: true }, { kind: "down", text: "it was down" });
  return repairs;
}

function planAddress({ address, prefixLength }: WantedDevice, { addresses }: ReportedDevice): Repair[] {
  const own = addresses.filter((entry) => entry.address === address);
  const linkLocal = addresses.filter((entry) => /^fe[89ab]/.test(entry.address));
  const repairs: Repair[] = [
    ...linkLocal.map((entry) => ({ do: "remove-address", address: entry, fault: null }) as const),
    ...own
      .filter((entry) => entry.prefixLength !== prefixLength)
      .map((entry) => {
        const fault = { kind: "address", text: `its address was ${address}/${entry.prefixLength}` } as const;
        return { do: "remove-address", address: entry, fault } as const;
      }),
  ];
  if (own.some((entry) => entry.prefixLength === prefixLength)) return repairs;
  const fault: Fault = { kind: "address", text: `its address ${address}/${prefixLength} was missing` };
  return [...repairs, { do: "add-address", address, prefixLength, fault }];
}

function planForwarding(
  devicePort: number,
  wanted: WantedDevice,
  reported: ReportedDevice,
  made: MadeDevice,
): Repair[] {
  const present = new Map(reported.forwarding.map((entry) => [entry.macAddress, entry]));
  const known = new Set([...made.peers.values()].map(({ macAddress }) => macAddress));
  const repairs: Repair[] = [];
  for (const peer of wanted.peers) {
    const { macAddress, underlayAddress, port } = peer;
    const old = present.get(macAddress);
    present.delete(macAddress);
    if (old?.destination === underlayAddress && (old.port ?? devicePort) === port) continue;
    const before = made.peers.get(peer.overlayAddress);
    const isOthers = before?.underlayAddress === underlayAddress && before.port === port;
    repairs.push({ do: "set-forwarding", peer, fault: isOthers ? FORWARDING_CHANGED : null });
  }
  for (const macAddress of present.keys()) {
    const fault = known.has(macAddress) ? null : FORWARDING_CHANGED;
    repairs.push({ do: "remove-forwarding", macAddress, fault });
  }
  return repairs;
}

function planNeighbours(wanted: WantedDevice, reported: ReportedDevice, made: MadeDevice): Repair[] {
  const present = new Map(reported.neighbours.map((entry) => [entry.address, entry.macAddress]));
  const repairs: Repair[] = [];
  for (const peer of wanted.peers) {
    const old = present.get(peer.overlayAddress);
    present.delete(peer.overlayAddress);
    if (old === peer.macAddress) continue;
    const fault = made.peers.has(peer.overlayAddress) ? NEIGHBOURS_CHANGED : null;
    repairs.push({ do: "set-neighbour", peer, fault });
  }
  for (const address of present.keys()) {
    const fault = made.peers.has(address) ? null : NEIGHBOURS_CHANGED;
    repairs.push({ do: "remove-neighbour", address, fault });
  }
  return repairs;
}

function planRoutes(wanted: WantedDevice, { routes }: ReportedDevice, made: MadeDevice): Repair[] {
  const present = new Map(routes.filter(isToHost).map((route) => [route.destination, route]));
  const repairs: Repair[] = [];
  for (const peer of wanted.peers) {
    const old = present.get(peer.overlayAddress);
    present.delete(peer.overlayAddress);
    if (old !== undefined && isRouteOf(old, peer, wanted.address)) continue;
    const before = made.peers.get(peer.overlayAddress);
    // this node itself wants another MTU than before
    const isOthers = before !== undefined && (old === undefined || old.mtuBytes !== before.mtuBytes);
    const fault = isOthers ? ROUTES_CHANGED : null;
    repairs.push({ do: old === undefined ? "add-route" : "replace-route", peer, fault });
  }
  for (const route of present.values())
    if (route.protocol === ROUTE_PROTOCOL)
      repairs.push({
        do: "remove-route",
        route,
        fault: made.peers.has(route.destination) ? null : ROUTES_CHANGED,
      });
  return repairs;
}

/**
 * The kernel makes it when the address is given and the device goes up, and never again. Without it packets to nodes
 * that are no peers would leave by the default route.
 */
function planSubnetRoute(
  { address, prefixLength }: WantedDevice,
  { link, addresses, routes }: ReportedDevice,
): Repair[] {
  const isReady =
    link.isUp &&
    link.master === 0 &&
    addresses.some((entry) => entry.address === address && entry.prefixLength === prefixLength);
  const destination = formatIp(4, parsePrefix(`${address}/${prefixLength}`)!.network);
  const isThere = routes.some(
    (route) =>
      route.table === RT_TABLE_MAIN &&
      route.destination === destination &&
      route.prefixLength === prefixLength,
  );
  if (!isReady || isThere) return [];
  return [{ do: "add-subnet-route", destination, prefixLength, fault: ROUTES_CHANGED }];
}

/** Another priority makes another route of it. */
function isToHost({ table, prefixLength, priority, destination }: ListedRoute): boolean {
  return (
    table === RT_TABLE_MAIN && prefixLength === HOST_BITS && priority === 0 && !destination.includes(":")
  );
}

function isRouteOf(route: ListedRoute, { mtuBytes }: PeerEntry, source: string): boolean {
  return route.protocol === ROUTE_PROTOCOL && route.mtuBytes === mtuBytes && route.preferredSource === source;
}

/** Not of a plan: a device that is gone has none. */
export const REMOVED: Fault = { kind: "removed", text: "it was removed" };
const OPENED: Fault = {
  kind: "protection",
  text: "its IPv4 settings, such as forwarding, were changed",
};
const FILTER_CHANGED: Fault = { kind: "protection", text: "its filter was changed" };
const FORWARDING_CHANGED: Fault = { kind: "forwarding", text: "its forwarding entries were changed" };
const NEIGHBOURS_CHANGED: Fault = { kind: "neighbours", text: "its neighbour entries were changed" };
const ROUTES_CHANGED: Fault = { kind: "routes", text: "its routes were changed" };

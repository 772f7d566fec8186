/**
 * Makes the kernel's entries for the peers equal to a list. Per peer:
 *
 *     route       10.200.3.7/32 over the device, with the MTU of the way there
 *     neighbour   10.200.3.7 is 02:42:0a:c8:03:07
 *     forwarding  02:42:0a:c8:03:07 is behind 192.0.2.7 port 4789
 *
 * What is right is left alone, so that nothing in flight is lost; routes of others over the device are theirs.
 */
import { EEXIST } from "../../sys/errno.ts";
import { AF_INET } from "../../sys/sockaddr.ts";
import { RT_TABLE_MAIN } from "../../wire/netlink/index.ts";
import {
  addRoute,
  listForwarding,
  listNeighbours,
  listRoutes,
  NetlinkError,
  type NetlinkSession,
  type Route,
  removeForwarding,
  removeNeighbour,
  removeRoute,
  replaceForwarding,
  replaceNeighbour,
  replaceRoute,
} from "../route/index.ts";
import type { PeerEntry, RefusedPeer } from "./plan-entries.ts";

/** Who made a route: "p", of the numbers that iproute2 leaves free (rt_protos). */
export const ROUTE_PROTOCOL = 112;
const HOST_BITS = 32;

export interface EntryDevice {
  readonly interfaceIndex: number;
  /** This node's overlay address. */
  readonly address: string;
  /** Of entries that name no port. */
  readonly port: number;
}

/** Gives the peers to which somebody else has a route. */
export function applyEntries(
  session: NetlinkSession,
  device: EntryDevice,
  entries: readonly PeerEntry[],
): readonly RefusedPeer[] {
  applyForwarding(session, device, entries);
  applyNeighbours(session, device, entries);
  return applyRoutes(session, device, entries);
}

function applyForwarding(
  session: NetlinkSession,
  { interfaceIndex, port: devicePort }: EntryDevice,
  entries: readonly PeerEntry[],
): void {
  const present = new Map(listForwarding(session, interfaceIndex).map((entry) => [entry.macAddress, entry]));
  for (const { macAddress, underlayAddress, port } of entries) {
    const old = present.get(macAddress);
    present.delete(macAddress);
    if (old?.destination === underlayAddress && (old.port ?? devicePort) === port) continue;
    replaceForwarding(session, { interfaceIndex, macAddress, destination: underlayAddress, port });
  }
  for (const macAddress of present.keys()) removeForwarding(session, { interfaceIndex, macAddress });
}

function applyNeighbours(
  session: NetlinkSession,
  { interfaceIndex }: EntryDevice,
  entries: readonly PeerEntry[],
): void {
  const present = new Map(
    listNeighbours(session, interfaceIndex).map((entry) => [entry.address, entry.macAddress]),
  );
  for (const { overlayAddress: address, macAddress } of entries) {
    const old = present.get(address);
    present.delete(address);
    if (old !== macAddress) replaceNeighbour(session, { interfaceIndex, address, macAddress });
  }
  for (const address of present.keys()) removeNeighbour(session, { interfaceIndex, address });
}

function applyRoutes(
  session: NetlinkSession,
  { interfaceIndex, address }: EntryDevice,
  entries: readonly PeerEntry[],
): readonly RefusedPeer[] {
  const present = ownRoutes(session, interfaceIndex);
  const refused: RefusedPeer[] = [];
  for (const { name, overlayAddress: destination, mtuBytes } of entries) {
    const old = present.get(destination);
    present.delete(destination);
    if (old?.mtuBytes === mtuBytes && old.preferredSource === address) continue;
    const route = {
      destination,
      prefixLength: HOST_BITS,
      interfaceIndex,
      preferredSource: address,
      mtuBytes,
    };
    if (old !== undefined) replaceRoute(session, route, ROUTE_PROTOCOL);
    else if (!tryAddRoute(session, route))
      refused.push({ name, reason: `cannot add a route to ${destination}: somebody else has one` });
  }
  for (const route of present.values()) removeRoute(session, route);
  return refused;
}

function ownRoutes(session: NetlinkSession, interfaceIndex: number): Map<string, Route> {
  const routes = listRoutes(session, AF_INET, interfaceIndex).filter(
    ({ protocol, table, prefixLength }) =>
      protocol === ROUTE_PROTOCOL && table === RT_TABLE_MAIN && prefixLength === HOST_BITS,
  );
  return new Map(routes.map((route) => [route.destination, route]));
}

/** false: there is one, of somebody else. */
function tryAddRoute(session: NetlinkSession, route: Route): boolean {
  try {
    addRoute(session, route, ROUTE_PROTOCOL);
    return true;
  } catch (error) {
    if (error instanceof NetlinkError && error.errnoValue === EEXIST) return false;
    throw error;
  }
}

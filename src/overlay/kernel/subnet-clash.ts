/**
 * Whether the overlay's subnet is already in use. These clash with it:
 *
 *   - an address or a network of another interface that overlaps it in either direction
 *   - a route to a part of it, or to all of it
 *
 * A wider route over a gateway (10.0.0.0/8 to a router) does not: a more specific one beside it is what routing
 * tables are for.
 */
import { AF_INET } from "../../sys/sockaddr.ts";
import { parsePrefix } from "../../wire/index.ts";
import { RT_SCOPE_LINK, RT_TABLE_LOCAL, RTN_UNICAST } from "../../wire/netlink/index.ts";
import type { OverlayEnd } from "../driver.ts";
import {
  findLink,
  type ListedRoute,
  listAddresses,
  listRoutes,
  type NetlinkSession,
} from "../rtnetlink/index.ts";

/** An IPv4 prefix: its network as a number. */
interface Network {
  readonly network: number;
  readonly prefixLength: number;
}

/** Says what clashes: "address 10.200.0.1/24 of eth0"; null: nothing. The overlay's own device is not there yet. */
export function findSubnetClash(session: NetlinkSession, end: OverlayEnd): string | null {
  const subnet = networkOf(end.address, end.prefixLength);
  const address = listAddresses(session).find(
    (entry) => !entry.address.includes(":") && overlap(networkOf(entry.address, entry.prefixLength), subnet),
  );
  if (address !== undefined) {
    const owner = findLink(session, address.interfaceIndex)?.name ?? "an interface";
    return `address ${address.address}/${address.prefixLength} of ${owner}`;
  }
  const route = listRoutes(session, AF_INET).find((entry) => clashes(entry, subnet));
  if (route === undefined) return null;
  const over = route.interfaceIndex === 0 ? null : findLink(session, route.interfaceIndex);
  return `route ${route.destination}/${route.prefixLength}${over === null ? "" : ` over ${over.name}`}`;
}

function clashes(route: ListedRoute, subnet: Network): boolean {
  if (route.prefixLength === 0 || route.table === RT_TABLE_LOCAL) return false;
  const network = networkOf(route.destination, route.prefixLength);
  if (!overlap(network, subnet)) return false;
  const isWider = network.prefixLength < subnet.prefixLength;
  return !isWider || (route.type === RTN_UNICAST && route.scope === RT_SCOPE_LINK);
}

function networkOf(address: string, prefixLength: number): Network {
  const bytes = parsePrefix(`${address}/${prefixLength}`)!.network;
  return { network: new DataView(bytes.buffer, bytes.byteOffset, 4).getUint32(0), prefixLength };
}

/** Prefixes nest or are disjoint. */
function overlap(a: Network, b: Network): boolean {
  const size = 2 ** (32 - Math.min(a.prefixLength, b.prefixLength));
  return Math.floor(a.network / size) === Math.floor(b.network / size);
}

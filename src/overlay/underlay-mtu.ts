/** How large packets of the underlay may be, as far as the routing tables know: to a node, and at this node's own end. */
import { AF_INET, AF_INET6 } from "../sys/sockaddr.ts";
import { RT_TABLE_MAIN } from "../wire/netlink/index.ts";
import {
  findLink,
  findRouteTo,
  listAddresses,
  listRoutes,
  NetlinkError,
  type NetlinkSession,
} from "./rtnetlink/index.ts";

/** Of Ethernet: without any better knowledge. */
const DEFAULT_MTU_BYTES = 1500;

/** MTU of the route to an address, or the result of path MTU discovery for it; null: no route now. */
export function underlayMtu(session: NetlinkSession, address: string): number | null {
  try {
    return findRouteTo(session, address).mtuBytes;
  } catch (error) {
    if (error instanceof NetlinkError) return null;
    throw error;
  }
}

/**
 * MTU of the interface that has the address; for a wildcard, and for an address of no interface, of that of the default
 * route.
 */
export function localUnderlayMtu(session: NetlinkSession, underlayAddress: string): number {
  const owner = listAddresses(session).find(({ address }) => address === underlayAddress);
  const index = owner?.interfaceIndex ?? defaultInterface(session, underlayAddress);
  const link = index === undefined ? null : findLink(session, index);
  return link?.mtuBytes ?? DEFAULT_MTU_BYTES;
}

/** Of the default route in use: the main table's lowest metric. */
function defaultInterface(session: NetlinkSession, underlayAddress: string): number | undefined {
  const family = underlayAddress.includes(":") ? AF_INET6 : AF_INET;
  const defaults = listRoutes(session, family).filter(
    ({ prefixLength, interfaceIndex, table }) =>
      prefixLength === 0 && interfaceIndex !== 0 && table === RT_TABLE_MAIN,
  );
  return defaults.sort((a, b) => a.priority - b.priority)[0]?.interfaceIndex;
}

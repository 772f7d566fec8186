/**
 * Routes and routing rules of others that lead packets for peers past the device. They are intentional: they are
 * named, not fought.
 */
import { AF_INET } from "../../sys/sockaddr.ts";
import { RT_TABLE_LOCAL, RT_TABLE_MAIN } from "../../wire/netlink/index.ts";
import type { PeerEntry, RefusedPeer } from "../plan-entries.ts";
import {
  findLink,
  findRouteTo,
  type ListedRoute,
  listRoutes,
  listRules,
  NetlinkError,
  type NetlinkSession,
  type Rule,
} from "../rtnetlink/index.ts";

const HOST_BITS = 32;
const RT_TABLE_DEFAULT = 253;
/** Those of rt_protos that a person or a daemon is known by. */
const PROTOCOLS: Readonly<Record<number, string>> = {
  2: "kernel",
  3: "boot",
  4: "static",
  11: "zebra",
  12: "bird",
  16: "dhcp",
  42: "babel",
  186: "bgp",
  187: "isis",
  188: "ospf",
  189: "rip",
};

/** "cannot add a route to 10.200.0.2: route 10.200.0.2/32 over eth0 (static) is in the way; remove it" */
export function nameRouteInTheWay(session: NetlinkSession, overlayAddress: string): string {
  const cannot = `cannot add a route to ${overlayAddress}: `;
  const other = listRoutes(session, AF_INET).find((route) => isInTheWay(route, overlayAddress));
  if (other === undefined) return `${cannot}another program has added one`;
  const over = other.interfaceIndex === 0 ? null : findLink(session, other.interfaceIndex);
  const how = over === null ? "" : ` over ${over.name}`;
  const who = PROTOCOLS[other.protocol] ?? `protocol ${other.protocol}`;
  return `${cannot}another program has added route ${overlayAddress}/${HOST_BITS}${how} (${who})`;
}

function isInTheWay({ destination, prefixLength, priority, table }: ListedRoute, address: string): boolean {
  return destination === address && prefixLength === HOST_BITS && priority === 0 && table === RT_TABLE_MAIN;
}

/** Peers to which a routing rule sends packets another way. */
export function findDetours(
  session: NetlinkSession,
  interfaceIndex: number,
  source: string,
  peers: readonly PeerEntry[],
): RefusedPeer[] {
  if (peers.length === 0 || areOrdinary(listRules(session))) return [];
  return peers.flatMap(({ name, overlayAddress }) => {
    const reason = detourOf(session, interfaceIndex, overlayAddress, source);
    return reason === null ? [] : { name, reason };
  });
}

/** Those of every machine: local, main and default. */
function areOrdinary(rules: readonly Rule[]): boolean {
  const tables = rules.map(({ table }) => table);
  const ordinary = [RT_TABLE_LOCAL, RT_TABLE_MAIN, RT_TABLE_DEFAULT];
  return tables.includes(RT_TABLE_MAIN) && tables.every((table) => ordinary.includes(table));
}

function detourOf(
  session: NetlinkSession,
  interfaceIndex: number,
  overlayAddress: string,
  source: string,
): string | null {
  const instead = `cannot send to ${overlayAddress}: a routing rule (ip rule) `;
  try {
    const route = findRouteTo(session, overlayAddress, source);
    if (route.interfaceIndex === interfaceIndex) return null;
    const over = findLink(session, route.interfaceIndex)?.name ?? "another interface";
    return `${instead}sends it over ${over}, table ${route.table}`;
  } catch (error) {
    if (!(error instanceof NetlinkError)) throw error;
    return `${instead}leaves no route to it`;
  }
}

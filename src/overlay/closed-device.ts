/**
 * IP settings of the overlay device: no IPv6; IPv4 packets are delivered to this node only, never forwarded, and only from
 * sources that are routed over the device. `net.ipv4.ip_forward = 1`, which container engines write, turns forwarding on
 * again on every device.
 */
import { EAFNOSUPPORT } from "../sys/errno.ts";
import {
  IPV4_DEVCONF_ACCEPT_LOCAL,
  IPV4_DEVCONF_ACCEPT_REDIRECTS,
  IPV4_DEVCONF_ACCEPT_SOURCE_ROUTE,
  IPV4_DEVCONF_FORWARDING,
  IPV4_DEVCONF_ROUTE_LOCALNET,
  IPV4_DEVCONF_RP_FILTER,
} from "../wire/netlink/index.ts";
import { NetlinkError, type NetlinkSession, setLink } from "./rtnetlink/index.ts";

export const CLOSED_TO_OTHERS: ReadonlyMap<number, number> = new Map([
  [IPV4_DEVCONF_FORWARDING, 0],
  [IPV4_DEVCONF_RP_FILTER, 1],
  [IPV4_DEVCONF_ACCEPT_LOCAL, 0],
  [IPV4_DEVCONF_ACCEPT_SOURCE_ROUTE, 0],
  [IPV4_DEVCONF_ACCEPT_REDIRECTS, 0],
  [IPV4_DEVCONF_ROUTE_LOCALNET, 0],
]);

/** Settings that the kernel does not report are assumed to be right. */
export function isClosedToOthers(settings: ReadonlyMap<number, number>): boolean {
  return [...CLOSED_TO_OTHERS].every(([setting, value]) => (settings.get(setting) ?? value) === value);
}

/** The overlay is IPv4: router solicitations would only be noise. */
export function disableIpv6(session: NetlinkSession, device: string): void {
  try {
    setLink(session, device, { hasIpv6LinkLocal: false });
  } catch (error) {
    const isIpv6Off = error instanceof NetlinkError && error.errnoValue === EAFNOSUPPORT;
    if (!isIpv6Off) throw error;
  }
}

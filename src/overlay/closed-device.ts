/**
 * Settings for IPv4 of the overlay's device: what comes in ends at this node, and comes from where its source would be
 * reached. `net.ipv4.ip_forward = 1`, which container engines write, turns forwarding on again on every device.
 */
import {
  IPV4_DEVCONF_ACCEPT_LOCAL,
  IPV4_DEVCONF_ACCEPT_REDIRECTS,
  IPV4_DEVCONF_ACCEPT_SOURCE_ROUTE,
  IPV4_DEVCONF_FORWARDING,
  IPV4_DEVCONF_ROUTE_LOCALNET,
  IPV4_DEVCONF_RP_FILTER,
} from "../wire/netlink/index.ts";

export const CLOSED_TO_OTHERS: ReadonlyMap<number, number> = new Map([
  [IPV4_DEVCONF_FORWARDING, 0],
  [IPV4_DEVCONF_RP_FILTER, 1],
  [IPV4_DEVCONF_ACCEPT_LOCAL, 0],
  [IPV4_DEVCONF_ACCEPT_SOURCE_ROUTE, 0],
  [IPV4_DEVCONF_ACCEPT_REDIRECTS, 0],
  [IPV4_DEVCONF_ROUTE_LOCALNET, 0],
]);

/** What the kernel does not tell is taken to be right. */
export function isClosedToOthers(settings: ReadonlyMap<number, number>): boolean {
  return [...CLOSED_TO_OTHERS].every(([setting, value]) => (settings.get(setting) ?? value) === value);
}

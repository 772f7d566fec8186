/** The address of this machine that others most likely reach: that of the interface the default route leaves by. */
import { readFileSync } from "node:fs";
import { isIPv4 } from "node:net";
import type { LocalAddress } from "./local-addresses.ts";

const ROUTE_TABLE = "/proc/net/route";

/** null: there is no default route, or it has no IPv4 address. */
export function readDefaultRouteInterface(): string | null {
  try {
    return defaultInterface(readFileSync(ROUTE_TABLE, "utf8"));
  } catch {
    return null; // no /proc, no IPv4
  }
}

/**
 * The first IPv4 address of the default route's interface; without one, the only other IPv4 address there is. null
 * where it would be a guess.
 */
export function defaultAddress(
  defaultRouteInterface: string | null,
  addresses: readonly LocalAddress[],
): string | null {
  const usable = addresses.filter(({ address }) => isIPv4(address) && !/^(127|169\.254)\./.test(address));
  const onRoute = usable.find((entry) => entry.interface === defaultRouteInterface);
  if (onRoute !== undefined) return onRoute.address;
  return usable.length === 1 ? usable[0]!.address : null;
}

/** proc_net_route: columns Iface Destination Gateway Flags RefCnt Use Metric Mask, in hexadecimal. */
function defaultInterface(table: string): string | null {
  const routes = table
    .split("\n")
    .slice(1)
    .map((line) => line.trim().split(/\s+/));
  const defaults = routes.filter((fields) => fields[1] === "00000000" && fields[7] === "00000000");
  const best = defaults.sort((a, b) => Number(a[6]) - Number(b[6]))[0];
  return best?.[0] ?? null;
}

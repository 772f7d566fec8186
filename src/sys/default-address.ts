/** The address of this machine that others most likely reach: that of the interface the default route leaves by. */
import { closeSync, openSync, readFileSync, readSync } from "node:fs";
import { isIP } from "node:net";
import type { LocalAddress } from "./local-addresses.ts";

const HEAD_BYTES = 4_096;

export type Family = 4 | 6;

/** null: no default route of this family. */
export function readDefaultRouteInterface(family: Family): string | null {
  try {
    return family === 4
      ? defaultInterface(readHead("/proc/net/route"))
      : defaultInterface6(readFileSync("/proc/net/ipv6_route", "utf8"));
  } catch {
    return null; // no /proc, or the kernel does not have this family
  }
}

/**
 * The first address of a family of the default route's interface; without one, the only other address of the family
 * there is. null where it would be a guess.
 */
export function defaultAddress(
  family: Family,
  defaultRouteInterface: string | null,
  addresses: readonly LocalAddress[],
): string | null {
  const usable = reachableAddresses(family, addresses);
  const onRoute = usable.find((entry) => entry.interface === defaultRouteInterface);
  if (onRoute !== undefined) return onRoute.address;
  return usable.length === 1 ? usable[0]!.address : null;
}

/** Of a family, without loopback and link-local ones. */
export function reachableAddresses(family: Family, addresses: readonly LocalAddress[]): LocalAddress[] {
  return addresses.filter(({ address }) => isIP(address) === family && !isConfined(address));
}

/** Loopback or link-local. */
function isConfined(address: string): boolean {
  return /^(127\.|169\.254\.|::1$|fe[89ab])/i.test(address);
}

/** The table is in the order of destinations: default routes come first, of perhaps a million. */
function readHead(path: string): string {
  const fd = openSync(path, "r");
  try {
    const bytes = Buffer.alloc(HEAD_BYTES);
    return bytes.toString("latin1", 0, readSync(fd, bytes));
  } finally {
    closeSync(fd);
  }
}

/** proc_net_route: columns Iface Destination Gateway Flags RefCnt Use Metric Mask, in hexadecimal. */
function defaultInterface(table: string): string | null {
  const routes = rowsOf(table).slice(1);
  const defaults = routes.filter((fields) => fields[1] === "00000000" && fields[7] === "00000000");
  const best = defaults.sort((a, b) => Number(a[6]) - Number(b[6]))[0];
  return best?.[0] ?? null;
}

/** Columns: destination, its length, source, its length, next hop, metric, …, interface; in hexadecimal. */
function defaultInterface6(table: string): string | null {
  const defaults = rowsOf(table).filter(
    (fields) => fields[0] === "0".repeat(32) && fields[1] === "00" && fields[9] !== "lo",
  );
  const metric = (fields: readonly string[]) => Number.parseInt(fields[5] ?? "", 16);
  const best = defaults.sort((a, b) => metric(a) - metric(b))[0];
  return best?.[9] ?? null;
}

function rowsOf(table: string): string[][] {
  return table.split("\n").map((line) => line.trim().split(/\s+/));
}

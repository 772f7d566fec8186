/** Valid addresses by which no other node can reach this one. [RFC 6890, RFC 4291 §2.4] */
import ipaddr from "ipaddr.js";

/** The first that matches counts. */
const RANGES = [
  ["0.0.0.0/32", "stands for every address"],
  ["0.0.0.0/8", "is not the address of a machine"],
  ["224.0.0.0/4", "is a multicast address"],
  ["255.255.255.255/32", "is the broadcast address"],
  ["240.0.0.0/4", "is reserved"],
  ["::/128", "stands for every address"],
  ["100::/64", "is discarded by routers"],
  ["fe80::/10", "is link-local: other nodes would need an interface of their own to use it"],
  ["ff00::/8", "is a multicast address"],
] as const;

const PREFIXES = RANGES.map(([prefix, reason]) => [ipaddr.parseCIDR(prefix), reason] as const);

/**
 * To be read behind the address: "is a multicast address"; null: others may reach it.
 * @param address as canonicalAddress gives it
 */
export function whyUnreachable(address: string): string | null {
  const parsed = ipaddr.parse(address);
  const found = PREFIXES.find(
    ([[network, bits]]) => network.kind() === parsed.kind() && parsed.match(network, bits),
  );
  return found?.[1] ?? null;
}

export function isLoopback(address: string): boolean {
  return ipaddr.parse(address).range() === "loopback";
}

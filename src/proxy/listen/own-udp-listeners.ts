/** The open UDP sockets of published ports -> the addresses and ports that clients of this node reach. Pure. */

import type { UdpListeners } from "../table/routing-table.ts";
import type { ListenAddress } from "./listen-address.ts";

const LOOPBACK = { "0.0.0.0": "127.0.0.0/8", "::": "::1" } as const;

/** @param localAddresses of this machine: a wildcard address stands for those of its family */
export function ownUdpListeners(
  open: readonly ListenAddress[],
  localAddresses: readonly string[],
): UdpListeners[] {
  const udp = open.filter(({ protocol }) => protocol === "udp");
  const byAddress = Map.groupBy(udp, ({ address }) => address);
  return [...byAddress].map(([address, listeners]) => ({
    addresses: reachedAt(address, localAddresses),
    ports: listeners.map(({ port }) => port),
  }));
}

function reachedAt(address: string, localAddresses: readonly string[]): string[] {
  if (address !== "0.0.0.0" && address !== "::") return [address];
  const isIpv6 = address === "::";
  return [LOOPBACK[address], ...localAddresses.filter((local) => local.includes(":") === isIpv6)];
}

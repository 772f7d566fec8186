/** The address this node announces: the configured one, that of cluster.bind, or that of the default route. */
import type { ClusterConfig, NodeConfig } from "../../config/index.ts";
import { defaultAddress, type Family, reachableAddresses } from "../../sys/default-address.ts";
import type { LocalAddress } from "../../sys/local-addresses.ts";
import { isWildcard } from "../../wire/index.ts";
import { NodeError } from "../node-error.ts";

/** Throws NodeError when none of them is known. */
export function ownAddress(
  node: NodeConfig,
  cluster: ClusterConfig,
  readDefaultRouteInterface: (family: Family) => string | null,
  addresses: readonly LocalAddress[],
  /** Names: an overlay's address is none that others reach this node by. Throws where the kernel does not say. */
  readOverlayInterfaces: () => ReadonlySet<string>,
): string {
  if (node.advertise !== null) return node.advertise;
  const { host } = cluster.bind;
  if (!isWildcard(host)) return host;
  const family = host === "::" ? 6 : 4;
  const overlays = ask(family, readOverlayInterfaces);
  const candidates = addresses.filter((entry) => !overlays.has(entry.interface));
  const route = readDefaultRouteInterface(family);
  const address = defaultAddress(family, route, candidates);
  if (address !== null) return address;
  const found = reachableAddresses(family, candidates).map(
    (entry) => `${entry.address} on ${entry.interface}`,
  );
  const routeText =
    route === null ? "no default route" : `no address on ${route}, which has the default route`;
  throw unknownAddress(family, `${routeText}; other addresses: ${found.join(", ") || "none"}`);
}

function ask<T>(family: Family, read: () => T): T {
  try {
    return read();
  } catch (cause) {
    throw unknownAddress(family, (cause as Error).message, { cause });
  }
}

function unknownAddress(family: Family, why: string, options?: ErrorOptions): NodeError {
  return new NodeError(
    "no-address",
    `cannot determine the IPv${family} address at which other nodes reach this one (${why}): set node.advertise, or cluster.bind to one address`,
    options,
  );
}

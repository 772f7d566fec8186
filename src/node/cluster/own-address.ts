/** The address this node announces: the configured one, that of cluster.bind, or that of the default route. */
import type { ClusterConfig, NodeConfig } from "../../config/index.ts";
import { defaultAddress, type Family } from "../../sys/default-address.ts";
import type { LocalAddress } from "../../sys/local-addresses.ts";
import { isWildcard } from "../../wire/index.ts";
import { NodeError } from "../node-error.ts";

/** Throws NodeError when none of them is known. */
export function ownAddress(
  node: NodeConfig,
  cluster: ClusterConfig,
  readDefaultRouteInterface: (family: Family) => string | null,
  addresses: readonly LocalAddress[],
  /** Names: an overlay's address is none that others reach this node by. */
  overlayInterfaces: ReadonlySet<string>,
): string {
  if (node.advertise !== null) return node.advertise;
  const { host } = cluster.bind;
  if (!isWildcard(host)) return host;
  const family = host === "::" ? 6 : 4;
  const candidates = addresses.filter((entry) => !overlayInterfaces.has(entry.interface));
  const address = defaultAddress(family, readDefaultRouteInterface(family), candidates);
  if (address !== null) return address;
  throw new NodeError(
    "no-address",
    `cannot determine the IPv${family} address at which other nodes reach this one: set node.advertise, or cluster.bind to one address`,
  );
}

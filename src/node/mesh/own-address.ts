/** Which address this node tells the others: the configured one, that of cluster.bind, that of the default route. */
import type { ClusterConfig, NodeConfig } from "../../config/index.ts";
import { defaultAddress } from "../../sys/default-address.ts";
import type { LocalAddress } from "../../sys/local-addresses.ts";
import { MeshError } from "./mesh-error.ts";

const WILDCARDS = ["0.0.0.0", "::"];

/** Throws MeshError when it cannot be told. */
export function ownAddress(
  node: NodeConfig,
  cluster: ClusterConfig,
  defaultRouteInterface: string | null,
  addresses: readonly LocalAddress[],
): string {
  if (node.advertise !== null) return node.advertise;
  if (!WILDCARDS.includes(cluster.bind.host)) return cluster.bind.host;
  const address = defaultAddress(defaultRouteInterface, addresses);
  if (address !== null) return address;
  throw new MeshError(
    "no-address",
    "cannot tell which address other nodes reach this one by: set node.advertise, or cluster.bind to one address",
  );
}

/** The addresses a node announces: those that other nodes can reach, and where its services listen. Pure. */
import { MAX_NODE_ADDRESSES, type NodeNetwork } from "../../catalog/index.ts";
import type { LocalNetwork } from "../../sys/local-addresses.ts";
import { PrefixSet, parseIp } from "../../wire/index.ts";

/** Many rules make a large record; a node with more is taken to listen at all of its addresses. */
const MAX_BIND_RULES = 128;
/** They mean something else on every machine. */
const OF_THE_MACHINE_ALONE = PrefixSet.from(["127.0.0.0/8", "::1", "fe80::/10"]);

export function announcedNetwork({ addresses }: LocalNetwork, bind: readonly string[]): NodeNetwork {
  const reachable = addresses.filter(({ address }) => {
    const ip = parseIp(address);
    return ip !== null && !OF_THE_MACHINE_ALONE.matches(ip.family, ip.bytes, 0);
  });
  return {
    addresses: reachable
      .slice(0, MAX_NODE_ADDRESSES)
      .map((local): [string, string] => [local.interface, local.address]),
    bind: bind.length > MAX_BIND_RULES ? [] : bind,
  };
}

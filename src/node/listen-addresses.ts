/** `bind` rules, the machine's addresses and the tasks on it -> the addresses a port is listened on. Pure. */
import { isIP } from "node:net";
import type { LeftAddress } from "../proxy/index.ts";
import type { LocalNetwork } from "../sys/local-addresses.ts";
import { isWildcard, PrefixSet, parseIp } from "../wire/index.ts";
import type { TaskAddresses } from "./own-task-ports.ts";

const LINK_LOCAL = PrefixSet.from(["fe80::/10"]);
const LOOPBACK = PrefixSet.from(["127.0.0.0/8", "::1"]);
const WILDCARDS = ["0.0.0.0", "::"] as const;

export function listenAddresses(
  bind: readonly string[],
  network: LocalNetwork,
  warn: (message: string) => void,
): string[] {
  if (bind.length === 0) return network.hasIpv6 ? [...WILDCARDS] : ["0.0.0.0"];
  const addresses = bind.flatMap((rule) => {
    const found = addressesOfRule(rule, network);
    if (found.length === 0) warn(`bind: "${rule}" matches no address of this machine`);
    return found;
  });
  return [...new Set(addresses)];
}

/**
 * `addresses` without those that tasks have at this port. A wildcard would take a task's address with it, so it is
 * replaced by the machine's other addresses of its family.
 */
export function withoutTaskAddresses(
  addresses: readonly string[],
  tasks: TaskAddresses,
  network: LocalNetwork,
): { readonly listenAddresses: readonly string[]; readonly leftToTasks: readonly LeftAddress[] } {
  const covered = (address: string) =>
    isWildcard(address)
      ? [...tasks.keys()].filter((task) => isSameFamily(task, address) && isLocal(task, network))
      : [address].filter((one) => tasks.has(one));
  const left = new Set(addresses.flatMap(covered));
  const kept = addresses.flatMap((address) => {
    if (covered(address).length === 0) return [address];
    return isWildcard(address) ? usableAddresses(network, address).filter((one) => !left.has(one)) : [];
  });
  return {
    listenAddresses: [...new Set(kept)],
    leftToTasks: [...left].map((address) => ({ address, ...tasks.get(address)! })),
  };
}

function isSameFamily(one: string, other: string): boolean {
  return one.includes(":") === other.includes(":");
}

function isLocal(address: string, { addresses }: LocalNetwork): boolean {
  return isInside(LOOPBACK, address) || addresses.some((local) => local.address === address);
}

/** All of the machine that can be bound, of the wildcard's family. */
function usableAddresses({ addresses }: LocalNetwork, wildcard: string): string[] {
  const ofFamily = addresses.filter(({ address }) => isSameFamily(address, wildcard));
  return ofFamily.map(({ address }) => address).filter((address) => !isInside(LINK_LOCAL, address));
}

/** A prefix that holds a whole family is the wildcard address: one socket instead of one per address. */
function addressesOfRule(rule: string, { addresses: local, hasIpv6 }: LocalNetwork): string[] {
  if (isIP(rule) !== 0) return [rule];
  if (rule === "0.0.0.0/0") return ["0.0.0.0"];
  if (rule === "::/0") return hasIpv6 ? ["::"] : [];
  const usable = local.filter((entry) => !isInside(LINK_LOCAL, entry.address));
  const prefix = rule.includes("/") ? PrefixSet.from([rule]) : null;
  return usable
    .filter((entry) => (prefix === null ? entry.interface === rule : isInside(prefix, entry.address)))
    .map((entry) => entry.address);
}

function isInside(prefixes: PrefixSet, address: string): boolean {
  const ip = parseIp(address);
  return ip !== null && prefixes.matches(ip.family, ip.bytes, 0);
}

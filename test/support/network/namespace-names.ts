/**
 * Names of the tests' network namespaces: they tell which process made them, so that whoever comes later can see that
 * it is gone. A process is its id and its start time, because ids are used again.
 *
 *   portmesh-4711-88123-0-n1      process 4711, started at tick 88123, its first network, node "n1"
 *   pm35v24k0                     the network's interface in the tests' own namespace, at most 15 characters
 */
import { readFileSync } from "node:fs";

const PREFIX = "portmesh";

export interface NamespaceName {
  readonly pid: number;
  readonly startTicks: number;
  readonly network: number;
  /** Of the node; "hub" for the one with the bridge. */
  readonly node: string;
}

export function formatName({ pid, startTicks, network, node }: NamespaceName): string {
  return [PREFIX, pid, startTicks, network, node].join("-");
}

/** null when it is not one of ours. */
export function parseName(name: string): NamespaceName | null {
  const match = new RegExp(`^${PREFIX}-(\\d+)-(\\d+)-(\\d+)-([a-z0-9]+)$`).exec(name);
  if (match === null) return null;
  const [, pid, startTicks, network, node] = match;
  return { pid: Number(pid), startTicks: Number(startTicks), network: Number(network), node: node! };
}

/** IFNAMSIZ is 16 with the final NUL: pids are below 2^22, in base 36 five characters. */
export function uplinkName(pid: number, network: number): string {
  return `pm${pid.toString(36)}k${network.toString(36)}`;
}

/** Clock ticks since boot at which the process started; null when there is none of that id. */
export function startTicksOf(pid: number): number | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19]);
  } catch {
    return null;
  }
}

export function isOwnerGone({ pid, startTicks }: NamespaceName): boolean {
  return startTicksOf(pid) !== startTicks;
}

/** Whether listening sockets fit into the limit of open files, in words with the figures. Pure. */
import type { DescriptorBudget } from "./descriptor-budget.ts";
import { type ListenAddress, portKey } from "./listen-address.ts";

export interface ListeningNeed {
  /** Of all services and the relay. */
  readonly places: readonly ListenAddress[];
  /** Other nodes with tasks: what is open to them is taken from the same limit. */
  readonly peers: number;
}

/** null: they fit. */
export function describeExcess({ places, peers }: ListeningNeed, budget: DescriptorBudget): string | null {
  const { limit, workers } = budget;
  const needed = places.length * workers;
  const allowed = budget.forListeners(peers);
  if (needed <= allowed) return null;
  return (
    `${figuresOf(places)} × ${workers === 1 ? "1 worker" : `${workers} workers`} need ${needed} descriptors, ` +
    `and ${allowed} of the limit of ${limit} are for listening: publish fewer ports, bind to fewer addresses, ` +
    "lower proxy.workers, or raise the limit (ulimit -n, LimitNOFILE)"
  );
}

/** "10001 ports × 2 addresses", where every port has as many. */
function figuresOf(places: readonly ListenAddress[]): string {
  const ports = new Set(places.map(portKey)).size;
  const addresses = places.length / ports;
  if (!Number.isInteger(addresses)) return `${places.length} published addresses and ports`;
  return `${ports} ports × ${addresses === 1 ? "1 address" : `${addresses} addresses`}`;
}

/** Where a routing table wants the proxy to listen: for its services, and for the relay of this node. Pure. */
import type { Protocol } from "../../model/index.ts";
import { isWildcard } from "../../wire/index.ts";
import { addressesOf } from "../table/port-tasks.ts";
import type { Relay, RoutingTable } from "../table/routing-table.ts";
import type { DescriptorBudget } from "./descriptor-budget.ts";
import { type ListenAddress, listenerKey } from "./listen-address.ts";
import { describeExcess } from "./listener-limit.ts";
import { type Wanted, withoutPaired } from "./wildcard-pair.ts";

/** The service that a listener of the relay is reported as. */
export const RELAY_NAME = "(relay)";

/** By key: a listener of the relay has another than one of a service at the same address. */
export function wantedListeners(table: RoutingTable): Map<string, Wanted> {
  const wanted = new Map<string, Wanted>();
  for (const at of table.relay === null ? [] : relayListeners(table.relay))
    wanted.set(relayKey(at), { service: RELAY_NAME, at });
  for (const service of table.services) {
    for (const port of service.ports) {
      for (const address of addressesOf(service, port)) {
        const at = { protocol: port.protocol, address, port: port.published };
        const key = listenerKey(at);
        const other = wanted.get(key);
        wanted.set(
          key,
          other === undefined ? { service: service.name, at } : withAnother(other, service.name),
        );
      }
    }
  }
  return wanted;
}

function withAnother(wanted: Wanted, service: string): Wanted {
  return { ...wanted, sharedWith: [...(wanted.sharedWith ?? []), service] };
}

export function relayListeners(relay: Relay): ListenAddress[] {
  const { listenAddresses, port, udpPort, sharedUdpAddresses, formerUdpPort } = relay;
  const listeners = (protocol: Protocol, port: number): ListenAddress[] =>
    listenAddresses.map((address) => ({ protocol, address, port }));
  return [
    ...listeners("tcp", port),
    ...(sharedUdpAddresses?.map(
      (address): ListenAddress => ({ protocol: "udp", address, port: udpPort, isBesideNode: true }),
    ) ?? listeners("udp", udpPort)),
    ...(formerUdpPort === undefined ? [] : listeners("udp", formerUdpPort)),
  ];
}

export function relayKey(at: ListenAddress): string {
  return `relay ${listenerKey(at)}`;
}

/** Sockets of one process may share a port: without this, clients of a service would reach the relay. */
export function isRelayAddress({ protocol, address, port }: ListenAddress, relay: Relay | null): boolean {
  if (relay === null) return false;
  const isIpv6 = address.includes(":");
  return relayListeners(relay).some(
    (other) =>
      other.protocol === protocol &&
      other.port === port &&
      ((other.isBesideNode && other.address === "::") || // it takes IPv4 too
        (other.address.includes(":") === isIpv6 &&
          (other.address === address || isWildcard(other.address) || isWildcard(address)))),
  );
}

/** Why a process with this budget cannot open all published ports; null: it can. */
export function excessListeners(table: RoutingTable, budget: DescriptorBudget): string | null {
  const places = withoutPaired(wantedListeners(withoutClosing(table)));
  return describeExcess({ places, peers: table.peers.length }, budget);
}

/** Every port may be opened at any time. */
function withoutClosing(table: RoutingTable): RoutingTable {
  const services = table.services.map((service) => ({
    ...service,
    ports: service.ports.map(({ isClosed: _, ...port }) => port),
  }));
  return { ...table, services };
}

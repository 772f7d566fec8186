/** A routing table as one worker gets it: with its listening sockets, and the slots where everything is counted. */
import type { Protocol } from "../model/index.ts";
import { isWildcard } from "../wire/index.ts";
import type { CounterSlots } from "./counter-slots.ts";
import type { DescriptorBudget } from "./listen/descriptor-budget.ts";
import { type ListenAddress, listenerKey, portKey } from "./listen/listen-address.ts";
import type { Listeners } from "./listen/listeners.ts";
import { ownUdpListeners } from "./listen/own-udp-listeners.ts";
import { relayKey, relayListeners } from "./listen/wanted-listeners.ts";
import type { PublishedPort, Relay, RoutingTable, Service } from "./table/routing-table.ts";
import type { WorkerListener, WorkerRelay, WorkerService, WorkerTable } from "./table/worker-messages.ts";
import type { InheritedUdp } from "./udp-state.ts";

/** Where the ports are listened on that services share by server names, by portKey. */
type SharedAddresses = ReadonlyMap<string, readonly string[]>;

export class WorkerTables {
  constructor(
    readonly listeners: Listeners,
    readonly slots: CounterSlots,
    readonly budget: DescriptorBudget,
  ) {}

  /** With the sockets that are running. @param worker its index */
  tableOf(table: RoutingTable, worker: number, inherited: InheritedUdp | null = null): WorkerTable {
    const { services, peers, relay, localAddresses, otherUdpListeners } = table;
    const { openPorts, socketCount } = this.listeners;
    const shared = sharedAddresses(services, openPorts);
    return {
      services: services.map((service) => this.#serviceOf(service, worker, shared)),
      peers: peers.map((peer) => ({ ...peer, slot: this.slots.peers.take(peer.name) })),
      relay: relay === null ? null : this.#relayOf(relay, worker),
      udpListeners: [...ownUdpListeners(openPorts, localAddresses), ...otherUdpListeners],
      descriptors: this.budget.perWorker({ listeners: socketCount, peers: peers.length }),
      inherited: inherited?.take(worker, this.listeners.running) ?? null,
    };
  }

  #serviceOf(service: Service, worker: number, shared: SharedAddresses): WorkerService {
    const { listenAddresses: _listenAddresses, ...rules } = service;
    return {
      ...rules,
      slot: this.slots.services.take(service.name),
      tasks: service.tasks.map((task) => ({ ...task, slot: this.slots.takeTask(service, task) })),
      ports: service.ports.map(({ listenAddresses, leftToTasks: _left, ...port }) => ({
        ...port,
        listeners: withShared(listenAddresses ?? service.listenAddresses, port, shared).flatMap((address) =>
          this.#listenerAt(listenerKey({ ...port, address, port: port.published }), address, worker),
        ),
      })),
    };
  }

  #relayOf(relay: Relay, worker: number): WorkerRelay {
    const { node, keys, acceptsClear } = relay;
    const listenersOf = (protocol: Protocol): WorkerListener[] =>
      relayListeners(relay)
        .filter((at) => at.protocol === protocol)
        .flatMap((at) => this.#listenerAt(relayKey(at), at.address, worker));
    return { node, keys, acceptsClear, tcpListeners: listenersOf("tcp"), udpListeners: listenersOf("udp") };
  }

  /** None where the port is not open, or another listener's socket serves it; several after a process with more workers. */
  #listenerAt(key: string, address: string, worker: number): WorkerListener[] {
    const { workers } = this.budget;
    const fds = this.listeners.running.get(key)?.fds ?? [];
    return fds.filter((_, index) => index % workers === worker).map((fd) => ({ fd, address }));
  }
}

function sharedAddresses(services: readonly Service[], openPorts: readonly ListenAddress[]): SharedAddresses {
  const shared = new Set(
    services.flatMap(({ ports }) =>
      ports.flatMap((port) =>
        port.sni === undefined ? [] : [portKey({ ...port, address: "", port: port.published })],
      ),
    ),
  );
  if (shared.size === 0) return new Map();
  const listened = Map.groupBy(openPorts, (at) => portKey(at));
  return new Map([...shared].map((key) => [key, (listened.get(key) ?? []).map(({ address }) => address)]));
}

/** A service at a wildcard address has clients too at the addresses where another that shares its port listens alone. */
function withShared(
  addresses: readonly string[],
  port: PublishedPort,
  shared: SharedAddresses,
): readonly string[] {
  const others = shared.get(portKey({ ...port, address: "", port: port.published }));
  if (others === undefined) return addresses;
  const families = addresses.filter(isWildcard).map((address) => address.includes(":"));
  const covered = others.filter(
    (address) => families.includes(address.includes(":")) && !isWildcard(address),
  );
  return [...new Set([...addresses, ...covered])];
}

/** One worker's TCP connections on sockets in memory, with a routing table and no thread: for tests of the state machines. */

import { createBalancer } from "../../../src/proxy/balance/index.ts";
import { identityOf, NO_IDENTITY, type RelaySettings } from "../../../src/proxy/relay/identity.ts";
import { OwnKeys } from "../../../src/proxy/relay/own-key.ts";
import { ConnectionRecorder } from "../../../src/proxy/table/connection-record.ts";
import { createCounters } from "../../../src/proxy/table/counters.ts";
import { DescriptorGate } from "../../../src/proxy/table/descriptor-gate.ts";
import { DescriptorShares } from "../../../src/proxy/table/descriptor-shares.ts";
import {
  type CompiledTable,
  EMPTY_TABLE,
  findOwnRoute,
  type Route,
  TableCompiler,
} from "../../../src/proxy/table/route.ts";
import type { Target } from "../../../src/proxy/table/target.ts";
import type { WorkerContext } from "../../../src/proxy/table/worker-context.ts";
import type { WorkerPeer, WorkerService } from "../../../src/proxy/table/worker-messages.ts";
import { Clients } from "../../../src/proxy/tcp/clients.ts";
import type { InboundOwner } from "../../../src/proxy/tcp/relay/inbound-relay.ts";
import { InboundRelay } from "../../../src/proxy/tcp/relay/inbound-relay.ts";
import { RelayPools } from "../../../src/proxy/tcp/relay/relay-pool.ts";
import { RelayedClient } from "../../../src/proxy/tcp/relayed-client.ts";
import { TcpContext } from "../../../src/proxy/tcp/tcp-context.ts";
import { type MemorySocket, MemorySockets } from "./memory-sockets.ts";
import { type CollectedRecord, RecordCollector } from "./record-collector.ts";
import { type TestService, tableOf } from "./routing-table.ts";

/** A descriptor that can be duplicated: what the gate asks for to learn whether there are any. */
const STDOUT = 1;
const PUBLISHED = 8080;
const LISTEN = "0.0.0.0";
const CLIENT = { family: 4, bytes: Uint8Array.of(198, 51, 100, 7), offset: 0, port: 5555 } as const;
const RELAY: RelaySettings = { node: "here", keys: ["5a".repeat(32)], acceptsClear: "always" };
const PLENTY = 10_000;

export interface WorkerOptions {
  readonly sockets?: MemorySockets;
  readonly service: Partial<TestService> & Pick<TestService, "tasks">;
  readonly peers?: readonly WorkerPeer[];
  readonly relay?: RelaySettings;
  readonly descriptors?: number;
  readonly maxPipes?: number;
}

/** Why other nodes' clients were closed. */
const relayedEnds = new WeakMap<TcpContext, string[]>();
Object.assign(RelayedClient.prototype, {
  record(this: RelayedClient, reason: string): void {
    relayedEnds.get(this.context)!.push(reason);
  },
});

export class MemoryWorker {
  readonly sockets: MemorySockets;
  readonly counters = createCounters(1);
  readonly gate: DescriptorGate;
  readonly shares: DescriptorShares;
  readonly context: TcpContext;
  readonly clients: Clients;
  readonly inbound: InboundRelay[] = [];
  readonly #records = new RecordCollector();
  readonly #recorder = new ConnectionRecorder(this.#records.ring);
  readonly #relay: RelaySettings;
  readonly #descriptors: number;
  #table: CompiledTable = EMPTY_TABLE;
  readonly #listener: { route: Route; readonly text: Uint8Array };

  constructor({ sockets, service, peers, relay = RELAY, descriptors = PLENTY, maxPipes = 0 }: WorkerOptions) {
    this.sockets = sockets ?? new MemorySockets();
    this.#relay = relay;
    this.#descriptors = descriptors;
    this.gate = new DescriptorGate(Number.POSITIVE_INFINITY, this.counters, 0, STDOUT, () => {});
    this.shares = new DescriptorShares(this.gate);
    this.#recorder.rule = { errors: true, every: 1 };
    const worker = {
      index: 0,
      loop: this.sockets,
      counters: this.counters,
      recorder: this.#recorder,
      descriptors: this.gate,
      shares: this.shares,
      ownKeys: new OwnKeys(),
    };
    this.context = new TcpContext(
      worker as unknown as WorkerContext,
      maxPipes,
      ({ service: name, task, targetPort }) => findOwnRoute(this.#table, "tcp", name, task, targetPort),
      this.sockets,
    );
    relayedEnds.set(this.context, []);
    this.context.relay.change(identityOf(relay, NO_IDENTITY));
    this.clients = new Clients(this.context, new RelayPools(this.context));
    this.#listener = { route: this.apply(service, peers), text: new TextEncoder().encode(LISTEN) };
  }

  get route(): Route {
    return this.#listener.route;
  }

  get targets(): readonly Target[] {
    return this.route.targets;
  }

  /** A new table, as a reload brings it. */
  apply(service: WorkerOptions["service"], peers: readonly WorkerPeer[] = []): Route {
    const compiler = new TableCompiler(this.#table, this.counters, 0, this.sockets.nowMs);
    const services = [workerService(service)];
    this.#table = compiler.compile({
      services,
      peers,
      relay: { ...this.#relay, tcpListeners: [], udpListeners: [] },
    });
    this.shares.divide(this.#descriptors, services, peers.length > 0);
    const route = [...this.#table.services.values()][0]!.listeners[0]!.route;
    // the real one starts at a random task
    Object.assign(route, { balancer: createBalancer("round-robin", route.targets, () => 0) });
    if (this.#listener !== undefined) this.#listener.route = route;
    for (const client of this.clients.all()) client.onTargetsChanged();
    this.clients.relayPools.keepOnly(this.#table.peers);
    return route;
  }

  /** A client connects; returns its end. */
  connect(before: (client: MemorySocket) => void = () => {}): MemorySocket {
    const { near, far } = this.sockets.createPair();
    before(far);
    Atomics.add(this.counters.open, 0, 1);
    this.clients.startLocal(near.fd, { ...CLIENT }, this.#listener);
    return far;
  }

  /** Serves the relay at a port of the sockets, for other workers there. */
  serveRelay(port: number): void {
    const owner: InboundOwner = {
      onBeating: () => {},
      makeRoomFor: ({ rules }) => this.clients.of(rules.slot).makeRoom(this.sockets.nowMs),
      onClient: (...client) => this.clients.startRelayed(...client),
      onGone: (relay) => void this.inbound.splice(this.inbound.indexOf(relay), 1),
    };
    this.sockets.port(port).onAccept = ({ fd }) => {
      const relay = new InboundRelay(this.context, fd, owner);
      this.inbound.push(relay);
      relay.start();
    };
  }

  /** Of the connections that have been closed since the last call. */
  records(): readonly CollectedRecord[] {
    return this.#records.take();
  }

  /** Of all that have been closed since the last call: of other nodes' clients too, which have no records here. */
  reasons(): string[] {
    return [...this.records().map(({ reason }) => reason), ...relayedEnds.get(this.context)!.splice(0)];
  }

  /** What is still open, by the books: all zero once no client is left. */
  get inUse(): { clients: number; relayed: number; onTasks: number; descriptors: number } {
    return {
      clients: this.counters.open[0]!,
      relayed: this.counters.relayedOpen[0]!,
      onTasks: this.targets.reduce((sum, { open }) => sum + open, 0),
      descriptors: this.shares.tcp(0).used,
    };
  }
}

export const NOTHING_IN_USE = { clients: 0, relayed: 0, onTasks: 0, descriptors: 0 };

function workerService(service: WorkerOptions["service"]): WorkerService {
  const { listenAddresses, ...rest } = tableOf({ protocol: "tcp", published: PUBLISHED, ...service })
    .services[0]!;
  const ports = rest.ports.map((port) => ({ ...port, listeners: [{ fd: 3, address: listenAddresses[0]! }] }));
  return { ...rest, slot: 0, ports, tasks: rest.tasks.map((task, slot) => ({ ...task, slot })) };
}

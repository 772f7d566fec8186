/**
 * The main thread's side of the proxy: opens listening sockets, hands workers their tables, sums their counters.
 *
 * A change is prepared (every socket it needs is open) before it is committed (workers swap tables), so a change that
 * fails has touched nothing. Ports that cannot be bound are no failure: they are reported and retried.
 */

import { cpus } from "node:os";
import type { Protocol } from "../model/index.ts";
import { steadyClock } from "../sys/clock.ts";
import { raiseFileLimit } from "../sys/file-limit.ts";
import { readLocalPorts } from "../sys/local-ports.ts";
import { OwnPorts } from "../sys/port-owner.ts";
import { Slots } from "../sys/slots.ts";
import { close } from "../sys/socket.ts";
import { isWildcard } from "../wire/index.ts";
import { DescriptorBudget } from "./descriptor-budget.ts";
import { describeExcess } from "./listener-limit.ts";
import {
  cannotListen,
  type ListenAddress,
  openListeningSockets,
  startListening,
  stopListening,
} from "./listening-sockets.ts";
import { ownUdpListeners } from "./own-udp-listeners.ts";
import { TaskWatch } from "./reach/task-watch.ts";
import { readStatus } from "./read-status.ts";
import { type Shortage, ShortageWatch } from "./shortage-watch.ts";
import {
  clearPeer,
  clearServiceIfIdle,
  clearTaskIfIdle,
  createCounters,
  MAX_PEERS,
  MAX_SERVICES,
  MAX_TASKS,
  type SharedCounters,
  silentLooksAt,
  sumRows,
  T_OPEN,
  TASK_FIELDS,
} from "./table/counters.ts";
import { addressesOf } from "./table/port-tasks.ts";
import type {
  PublishedPort,
  Relay,
  RoutingTable,
  Service,
  Task,
  TaskEndpoint,
} from "./table/routing-table.ts";
import { type SourcePortStatus, sessionPorts, sourcePortStatus } from "./table/source-ports.ts";
import type { ConnectionRecord, ProxyStatus } from "./table/status.ts";
import type { WorkerListener, WorkerRelay, WorkerTable } from "./table/worker-messages.ts";
import { otherWildcard, type Wanted, withoutPaired } from "./wildcard-pair.ts";
import { type WorkerEvents, WorkerThread } from "./worker-thread.ts";

const FIRST_RETRY_MS = 1_000;
/** How long a port that has become free may stay closed. */
const MAX_RETRY_MS = 30_000;
const DRAIN_POLL_MS = 50;
/** For clients that were still waiting for a task when the drain began. */
const DRAIN_SLACK_MS = 10_000;

export interface ProxyOptions {
  /** 0 = one per core. */
  readonly workers: number;
  /** Called in batches while connection records are switched on. */
  readonly onConnectionsClosed: (records: readonly ConnectionRecord[]) => void;
  /** Listeners that could not be opened, or have been opened after all (error null), of one change. */
  readonly onListeners: (listeners: readonly ListenerReport[]) => void;
  /** Every listener that cannot be opened now, the relay's among them; called when they are others than before. */
  readonly onBindErrors?: (errors: readonly BindError[]) => void;
  /** Descriptors have run out: those of the process, or a service's share; at once, then ever more rarely while it goes on. */
  readonly onShortage?: (shortage: Shortage) => void;
  /** The process serves gossip connections too, which need descriptors. */
  readonly hasGossip?: boolean;
  /** A task of this node is down, or reachable again: see `isTaskUp`. */
  readonly onReachChange?: () => void;
}

export interface BindError extends ListenAddress {
  readonly service: string;
  readonly error: string;
}

export interface ListenerReport extends ListenAddress {
  readonly service: string;
  readonly error: string | null;
}

/** The difference between the running table and another: for `reload` and `reload --dry-run`. */
export interface TableChanges {
  /** "tcp 0.0.0.0:8080" */
  readonly listenersOpened: readonly string[];
  readonly listenersClosed: readonly string[];
}

/** Sockets are open and bound, nothing is visible to clients yet. Commit or abandon it, once. */
export interface PreparedTable {
  readonly changes: TableChanges;
  /** Ports that cannot be bound now; they do not stop a commit and are retried. */
  readonly bindErrors: readonly BindError[];
  readonly table: RoutingTable;
  /** by listener key; those that stay are the running ones */
  readonly listeners: ReadonlyMap<string, Listener>;
}

/** One published address: its sockets, one per worker, or why there are none. */
export interface Listener {
  readonly service: string;
  readonly at: ListenAddress;
  readonly fds: readonly number[];
  readonly error: string | null;
  /** The sockets at "::" are those of "0.0.0.0" too, which has none of its own. */
  readonly isPaired?: true;
}

/** What a listener of the relay is reported as. */
const RELAY_NAME = "(relay)";
const RELAY_HINT =
  ": no node can reach tasks of this one; Docker Swarm uses 4789 too: overlay.port may be another";
export const EMPTY_TABLE: RoutingTable = {
  services: [],
  peers: [],
  relay: null,
  localAddresses: [],
  otherUdpListeners: [],
};

export class SpliceProxy {
  readonly #services = new Slots(MAX_SERVICES, "services");
  readonly #tasks = new Slots(MAX_TASKS, "tasks");
  readonly #peers = new Slots(MAX_PEERS, "peers");
  #table: RoutingTable = EMPTY_TABLE;
  #listeners: ReadonlyMap<string, Listener> = new Map();
  #isHurried = false;
  #retry: ReturnType<typeof setTimeout> | null = null;
  #retryAfterMs = FIRST_RETRY_MS;
  readonly #shortages: ShortageWatch;

  private constructor(
    readonly options: ProxyOptions,
    readonly counters: SharedCounters,
    readonly budget: DescriptorBudget,
    readonly sourcePorts: SourcePortStatus,
    readonly workers: readonly WorkerThread[],
    readonly taskWatch: TaskWatch,
  ) {
    this.#shortages = new ShortageWatch({
      counters,
      clock: steadyClock,
      fileLimit: budget.limit,
      slots: () => this.#services.entries,
      onShortage: (shortage) => options.onShortage?.(shortage),
    });
  }

  static async start(options: ProxyOptions): Promise<SpliceProxy> {
    const count = options.workers === 0 ? cpus().length : options.workers;
    const counters = createCounters(count);
    const budget = new DescriptorBudget(raiseFileLimit(), count, options.hasGossip ?? false);
    const { scarceAtFd, maxPipesPerWorker: maxPipes } = budget;
    const localPorts = readLocalPorts();
    const sourcePorts = sessionPorts(localPorts);
    const taskWatch = new TaskWatch({
      nowMs: () => performance.now(),
      onChange: () => options.onReachChange?.(),
    });
    let proxy: SpliceProxy | null = null;
    const events: WorkerEvents = {
      onConnectionsClosed: (records) => options.onConnectionsClosed(records),
      onTaskFailed: (task, errno, patienceMs) => taskWatch.onFailed(task, errno, patienceMs),
      onShortage: () => proxy?.onShortage(),
    };
    const workers = Array.from({ length: count }, (_, index) => {
      const setup = { index, counters, scarceAtFd, maxPipes, sourcePorts };
      return new WorkerThread(setup, events);
    });
    await Promise.all(workers.map((worker) => worker.ready));
    proxy = new SpliceProxy(options, counters, budget, sourcePortStatus(localPorts), workers, taskWatch);
    return proxy;
  }

  /** What a commit of `table` would change; opens nothing. */
  compare(table: RoutingTable): TableChanges {
    const wanted = wantedListeners(table);
    return {
      listenersOpened: [...wanted].filter(([key]) => !this.#isOpen(key)).map(([key]) => key),
      listenersClosed: [...this.#listeners.keys()].filter((key) => this.#isOpen(key) && !wanted.has(key)),
    };
  }

  /** Why the table's ports are more than there are descriptors for; null: they are not. */
  excessOf(table: RoutingTable): string | null {
    return excessListeners(table, this.budget);
  }

  prepare(table: RoutingTable): PreparedTable {
    const changes = this.compare(table);
    const excess = this.excessOf(table);
    const mostOpen = this.budget.forListeners(table.peers.length) / this.workers.length;
    const openPorts = new Set([...this.#listeners.values()].filter(isOpen).map(({ at }) => portKey(at)));
    const listeners = new Map<string, Listener>();
    const wanted = wantedListeners(table);
    const ownPorts = new OwnPorts();
    let opened = [...wanted.keys()].filter((key) => this.#hasSockets(key)).length;
    for (const [key, each] of wanted) {
      const { service, at } = each;
      const running = this.#listeners.get(key);
      const pair = service === RELAY_NAME ? null : otherWildcard(each, wanted, listenerKey);
      const isStaying = running !== undefined && isOpen(running) && (pair !== null || !running.isPaired);
      if (listeners.has(key)) continue; // opened together with the other
      if (service !== RELAY_NAME && isRelays(at, table.relay))
        listeners.set(key, { service, at, fds: [], error: relaysPort(at) });
      else if (isStaying) listeners.set(key, { ...running, service });
      else if (excess !== null && ++opened > mostOpen)
        listeners.set(key, { service, at, fds: [], error: cannotListen(at, excess) });
      else {
        const isShared = openPorts.has(portKey(at));
        const canPair =
          pair !== null && !listeners.has(listenerKey(pair.at)) && !isRelays(pair.at, table.relay);
        const both =
          canPair && !this.#hasSockets(listenerKey(pair.at))
            ? this.#openPair(each, isShared, ownPorts)
            : null;
        if (both === null) listeners.set(key, this.#open(service, at, isShared, ownPorts));
        for (const listener of both ?? []) listeners.set(listenerKey(listener.at), listener);
      }
    }
    return { changes, bindErrors: bindErrorsOf(listeners), table, listeners };
  }

  abandon(prepared: PreparedTable): void {
    for (const [key, listener] of prepared.listeners) {
      if (!this.#isRunning(key, listener)) listener.fds.forEach(close);
    }
  }

  /** Resolves when every worker runs the new table. Ports that it does not have are closed with no client cut off. */
  async commit(prepared: PreparedTable): Promise<void> {
    this.#report(prepared.listeners);
    this.#retryAfterMs = FIRST_RETRY_MS;
    await this.#switchTo(prepared.table, prepared.listeners);
    this.#releaseSlots();
  }

  /** Of a task of this node. false: every attempt to reach it has failed for seconds. */
  isTaskUp(
    { address, port }: Pick<Task, "address" | "port">,
    { protocol, target }: Pick<PublishedPort, "protocol" | "target">,
  ): boolean {
    return this.taskWatch.isIdle || !this.taskWatch.isDown({ protocol, address, port: port ?? target });
  }

  /** Looks in a row that found it silent, by the worker that listens to it; 0: it can be reached. */
  silentLooksOf(name: string): number {
    const slot = this.#peers.get(name);
    return slot === undefined ? 0 : silentLooksAt(this.counters, slot);
  }

  /** Open connections and sessions of a task, those of other nodes' clients among them. */
  openConnectionsOf(service: Service, task: Task): number {
    const slot = this.#tasks.get(taskKey(service, task));
    return slot === undefined ? 0 : sumRows(this.counters.tasks, slot * TASK_FIELDS + T_OPEN);
  }

  status(): ProxyStatus {
    const counted = {
      table: this.#table,
      listeners: this.#listeners,
      counters: this.counters,
      services: this.#services,
      tasks: this.#tasks,
      peers: this.#peers,
      sourcePorts: this.sourcePorts,
    };
    return readStatus(counted, Date.now());
  }

  /** Turns connection records on or off (they cost a message per batch). */
  recordConnections(isOn: boolean): void {
    for (const worker of this.workers) worker.post({ type: "record", isOn });
  }

  /**
   * Closes all listeners, then gives every connection its service's drain timeout. Resolves true when all have ended
   * or were cut, false when `hurry` was called before or one does not end.
   */
  async drain(): Promise<boolean> {
    this.#stopRetrying();
    await this.#switchTo(this.#table, new Map());
    await this.#switchTo(drainingTable(this.#table), new Map());
    const longestMs = Math.max(0, ...this.#table.services.map((service) => service.drainTimeoutMs));
    const endMs = performance.now() + longestMs + DRAIN_SLACK_MS;
    while (this.#openConnections() > 0) {
      if (this.#isHurried || performance.now() > endMs) return false;
      await Bun.sleep(DRAIN_POLL_MS);
    }
    return true;
  }

  /** Ends a drain that is under way, or the next one, at once. */
  hurry(): void {
    this.#isHurried = true;
  }

  /** A worker says that something has run out. */
  onShortage(): void {
    this.#shortages.onShortage();
  }

  /** Ends the workers and every connection. */
  async stop(): Promise<void> {
    this.#stopRetrying();
    this.#shortages.stop();
    this.taskWatch.close();
    await Promise.all(this.workers.map((worker) => worker.stop()));
  }

  /** Open TCP connections of all services, those that other nodes have accepted among them. */
  #openConnections(): number {
    const { open, relayedOpen } = this.counters;
    return open.reduce((sum, count) => sum + count, 0) + relayedOpen.reduce((sum, count) => sum + count, 0);
  }

  #isOpen(key: string): boolean {
    const listener = this.#listeners.get(key);
    return listener !== undefined && isOpen(listener);
  }

  #hasSockets(key: string): boolean {
    return (this.#listeners.get(key)?.fds.length ?? 0) > 0;
  }

  /** Its sockets are those that run. */
  #isRunning(key: string, { fds }: Listener): boolean {
    return this.#listeners.get(key)?.fds === fds;
  }

  /** One socket per worker for both families; null: it cannot be had. */
  #openPair({ service, at }: Wanted, isShared: boolean, ownPorts: OwnPorts): Listener[] | null {
    const [v4, v6] = ["0.0.0.0", "::"].map((address) => ({ ...at, address }));
    const opened = openListeningSockets({ ...v6!, isDual: true }, this.workers.length, isShared, ownPorts);
    if ("error" in opened) return null;
    return [
      { service, at: v4!, fds: [], error: null, isPaired: true },
      { service, at: v6!, fds: opened.fds, error: null, isPaired: true },
    ];
  }

  #open(service: string, at: ListenAddress, isShared: boolean, ownPorts: OwnPorts): Listener {
    const opened = openListeningSockets(at, this.workers.length, isShared, ownPorts);
    return "fds" in opened
      ? { service, at, fds: opened.fds, error: null }
      : { service, at, fds: [], error: service === RELAY_NAME ? opened.error + RELAY_HINT : opened.error };
  }

  #report(listeners: ReadonlyMap<string, Listener>): void {
    const changed = [...listeners].filter(
      ([key, { error }]) => error !== (this.#listeners.get(key)?.error ?? null),
    );
    if (changed.length === 0) return;
    this.options.onListeners(changed.map(([, { service, at, error }]) => ({ service, ...at, error })));
  }

  async #switchTo(table: RoutingTable, listeners: ReadonlyMap<string, Listener>): Promise<void> {
    for (const [key, listener] of listeners) {
      if (listener.at.protocol === "tcp" && !this.#isRunning(key, listener))
        listener.fds.forEach(startListening);
    }
    const closing = this.#closing(listeners);
    if (closing.length > 0) {
      this.#stopRetrying(); // what it opens meanwhile would be missing in what is adopted
      await stopListening(closing);
    }
    this.#stopRetrying();
    this.#table = table;
    this.taskWatch.keepOnly(ownEndpoints(table));
    this.#adopt(listeners);
    this.#retryFailed();
    await Promise.all(this.workers.map((worker, index) => worker.apply(this.#workerTable(index))));
  }

  /** TCP sockets that are not among these. */
  #closing(listeners: ReadonlyMap<string, Listener>): number[] {
    const staying = new Set([...listeners.values()].flatMap(({ fds }) => fds));
    const tcp = [...this.#listeners.values()].filter(({ at }) => at.protocol === "tcp");
    return tcp.flatMap(({ fds }) => fds).filter((fd) => !staying.has(fd));
  }

  #adopt(listeners: ReadonlyMap<string, Listener>): void {
    const before = bindErrorsOf(this.#listeners);
    this.#listeners = listeners;
    const now = bindErrorsOf(listeners);
    if (!Bun.deepEquals(now, before)) this.options.onBindErrors?.(now);
  }

  #workerTable(worker: number): WorkerTable {
    const { services, peers, relay, localAddresses, otherUdpListeners } = this.#table;
    return {
      services: services.map((service) => this.#workerService(service, worker)),
      peers: peers.map((peer) => ({ ...peer, slot: this.#peers.take(peer.name) })),
      relay: relay === null ? null : this.#workerRelay(relay, worker),
      udpListeners: [...ownUdpListeners(this.#openPorts(), localAddresses), ...otherUdpListeners],
      descriptors: this.budget.perWorker({ listeners: this.#listeningSockets(), peers: peers.length }),
    };
  }

  /** Without the relay's. */
  #openPorts(): ListenAddress[] {
    const ofServices = [...this.#listeners.values()].filter(({ service }) => service !== RELAY_NAME);
    return ofServices.filter(isOpen).map(({ at }) => at);
  }

  #listeningSockets(): number {
    return [...this.#listeners.values()].reduce((sum, { fds }) => sum + fds.length, 0);
  }

  #workerRelay(relay: Relay, worker: number): WorkerRelay {
    const { node, keys, acceptsClear } = relay;
    const listenersOf = (protocol: Protocol): WorkerListener[] =>
      relayListeners(relay).flatMap((at) => {
        const fd = at.protocol === protocol ? this.#listeners.get(relayKey(at))?.fds[worker] : undefined;
        return fd === undefined ? [] : [{ fd, address: at.address }];
      });
    return { node, keys, acceptsClear, tcpListeners: listenersOf("tcp"), udpListeners: listenersOf("udp") };
  }

  #listenersAt(
    protocol: Protocol,
    addresses: readonly string[],
    port: number,
    worker: number,
  ): WorkerListener[] {
    return addresses.flatMap((address) => {
      const fd = this.#listeners.get(listenerKey({ protocol, address, port }))?.fds[worker];
      return fd === undefined ? [] : [{ fd, address }];
    });
  }

  #workerService(service: Service, worker: number): WorkerTable["services"][number] {
    const { listenAddresses: _listenAddresses, ...rules } = service;
    return {
      ...rules,
      slot: this.#services.take(service.name),
      tasks: service.tasks.map((task) => ({ ...task, slot: this.#tasks.take(taskKey(service, task)) })),
      ports: service.ports.map(({ listenAddresses, leftToTasks: _left, ...port }) => ({
        ...port,
        listeners: this.#listenersAt(
          port.protocol,
          listenAddresses ?? service.listenAddresses,
          port.published,
          worker,
        ),
      })),
    };
  }

  /** Every attempt that opens nothing doubles the wait for the next: ten thousand ports are not tried every second. */
  #retryFailed(): void {
    const hasFailed = [...this.#listeners.values()].some((listener) => listener.error !== null);
    if (!hasFailed) this.#stopRetrying();
    else this.#retry ??= setTimeout(() => this.#retryOnce(), this.#retryAfterMs);
  }

  #retryOnce(): void {
    this.#retry = null;
    const prepared = this.prepare(this.#table);
    if (prepared.changes.listenersOpened.length > prepared.bindErrors.length) {
      void this.commit(prepared);
      return;
    }
    this.#adopt(prepared.listeners);
    this.#retryAfterMs = Math.min(this.#retryAfterMs * 2, MAX_RETRY_MS);
    this.#retryFailed();
  }

  #stopRetrying(): void {
    if (this.#retry !== null) clearTimeout(this.#retry);
    this.#retry = null;
  }

  /** Counters of what has left the table are kept until its last connection has ended. */
  #releaseSlots(): void {
    const services = new Set(this.#table.services.map((service) => service.name));
    const tasks = new Set(
      this.#table.services.flatMap((service) => service.tasks.map((task) => taskKey(service, task))),
    );
    releaseUnused(this.#services, services, (slot) => clearServiceIfIdle(this.counters, slot));
    releaseUnused(this.#tasks, tasks, (slot) => clearTaskIfIdle(this.counters, slot));
    const peers = new Set(this.#table.peers.map((peer) => peer.name));
    releaseUnused(this.#peers, peers, (slot) => clearPeer(this.counters, slot));
  }
}

function releaseUnused(
  slots: Slots,
  used: ReadonlySet<string>,
  clearIfIdle: (slot: number) => boolean,
): void {
  for (const key of [...slots.keys()]) {
    if (!used.has(key) && clearIfIdle(slots.get(key)!)) slots.release(key);
  }
}

/** The same services, none of whose tasks gets a new connection. */
function drainingTable(table: RoutingTable): RoutingTable {
  return {
    ...table,
    services: table.services.map((service) => ({
      ...service,
      tasks: service.tasks.map((task) => ({ ...task, isDraining: true })),
    })),
  };
}

function* ownEndpoints({ services }: RoutingTable): Generator<TaskEndpoint> {
  for (const { ports, tasks } of services) {
    for (const { protocol, target } of ports) {
      for (const { node, address, port } of tasks)
        if (node === null) yield { protocol, address, port: port ?? target };
    }
  }
}

function isOpen(listener: Listener): boolean {
  return listener.error === null;
}

function bindErrorsOf(listeners: ReadonlyMap<string, Listener>): BindError[] {
  return [...listeners.values()].flatMap(({ service, at, error }) =>
    error === null ? [] : [{ service, ...at, error }],
  );
}

function portKey(at: ListenAddress): string {
  return `${at.protocol} ${at.port}`;
}

export function listenerKey(at: ListenAddress): string {
  return `${at.protocol} ${at.address.includes(":") ? `[${at.address}]` : at.address}:${at.port}`;
}

function relayKey(at: ListenAddress): string {
  return `relay ${listenerKey(at)}`;
}

/** Sockets of one process may share a port: without this, clients of a service would get into the relay. */
function isRelays({ protocol, address, port }: ListenAddress, relay: Relay | null): boolean {
  if (relay === null) return false;
  const family = address.includes(":");
  return relayListeners(relay).some(
    (other) =>
      other.protocol === protocol &&
      other.port === port &&
      ((other.isBesideNode && other.address === "::") || // it takes IPv4 too
        (other.address.includes(":") === family &&
          (other.address === address || isWildcard(other.address) || isWildcard(address)))),
  );
}

function relaysPort(at: ListenAddress): string {
  return cannotListen(
    at,
    "the relay of this node does: publish another port, or set overlay.port or cluster.bind",
  );
}

/** What is published here cannot all be opened by a process with this budget; null: it can. */
export function excessListeners(table: RoutingTable, budget: DescriptorBudget): string | null {
  const places = withoutPaired(wantedListeners(withoutClosing(table)), listenerKey);
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

export function taskKey(service: Service, task: Task): string {
  return `${service.name} ${task.name} ${task.address} ${task.port} ${task.node ?? ""}`;
}

function relayListeners(relay: Relay): ListenAddress[] {
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

function wantedListeners(table: RoutingTable): Map<string, Wanted> {
  const wanted = new Map<string, Wanted>();
  for (const at of table.relay === null ? [] : relayListeners(table.relay))
    wanted.set(relayKey(at), { service: RELAY_NAME, at });
  for (const service of table.services) {
    for (const port of service.ports) {
      for (const address of addressesOf(service, port)) {
        const at = { protocol: port.protocol, address, port: port.published };
        wanted.set(listenerKey(at), { service: service.name, at });
      }
    }
  }
  return wanted;
}

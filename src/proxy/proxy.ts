/**
 * The main thread's side of the proxy: gives every worker its table, and sums what they count.
 *
 * A change is prepared (every socket it needs is open) before it is committed (workers swap tables), so a change that
 * fails has touched nothing. Ports that cannot be bound are no failure: they are reported and retried.
 */
import { cpus } from "node:os";
import { steadyClock } from "../sys/clock.ts";
import { raiseFileLimit } from "../sys/file-limit.ts";
import type { InheritedSockets } from "../sys/inherited-sockets.ts";
import { readLocalPorts } from "../sys/local-ports.ts";
import { close } from "../sys/socket.ts";
import { CounterSlots } from "./counter-slots.ts";
import { type CounterState, continueCounters, exportCounters } from "./counter-state.ts";
import { DescriptorBudget } from "./listen/descriptor-budget.ts";
import {
  type BindError,
  type ListenerMap,
  type ListenerReport,
  Listeners,
  type PreparedTable,
  type TableChanges,
} from "./listen/listeners.ts";
import { startListening, stopListening } from "./listen/listening-sockets.ts";
import { excessListeners } from "./listen/wanted-listeners.ts";
import { TaskWatch } from "./reach/task-watch.ts";
import { type Counted, readStatus } from "./read-status.ts";
import { type ProxyTotals, TotalsReader } from "./read-totals.ts";
import { createRecordRing, RecordReader, type RecordSink } from "./record-reader.ts";
import { RetryTimer } from "./retry-timer.ts";
import { type Shortage, ShortageWatch } from "./shortage-watch.ts";
import type { RecordRule } from "./table/connection-record.ts";
import {
  createCounters,
  type SharedCounters,
  silentLooksAt,
  sumRows,
  T_OPEN,
  TASK_FIELDS,
} from "./table/counters.ts";
import type { PublishedPort, RoutingTable, Service, Task, TaskEndpoint } from "./table/routing-table.ts";
import { type SourcePortStatus, sessionPorts, sourcePortStatus } from "./table/source-ports.ts";
import type { ProxyStatus } from "./table/status.ts";
import { exportUdp, type Handed, InheritedUdp, type UdpState } from "./udp-state.ts";
import { WorkerTables } from "./worker-tables.ts";
import { type WorkerEvents, WorkerThread } from "./worker-thread.ts";

const DRAIN_POLL_MS = 50;
/** For clients that were still waiting for a task when the drain began. */
const DRAIN_SLACK_MS = 10_000;

export interface ProxyOptions {
  /** 0 = one per core. */
  readonly workers: number;
  /** Takes the records of finished connections; absent: there are none. */
  readonly records?: RecordSink;
  /** Listeners that could not be opened, or have been opened after all (error null), of one change. */
  readonly onListeners: (listeners: readonly ListenerReport[]) => void;
  /** Every listener that cannot be opened now, the relay's among them; called when they are others than before. */
  readonly onBindErrors?: (errors: readonly BindError[]) => void;
  /** Time to call retryPorts, when no other table is being prepared; absent: it is called at once. */
  readonly onRetryDue?: () => void;
  /** Descriptors have run out: those of the process, or a service's share; at once, then ever more rarely while it goes on. */
  readonly onShortage?: (shortage: Shortage) => void;
  /** The process serves gossip connections too, which need descriptors. */
  readonly hasGossip?: boolean;
  /** A task of this node is down, or reachable again: see `isTaskUp`. */
  readonly onReachChange?: () => void;
  /** Listening sockets have been opened, or will be closed: `sockets` are those that stay. */
  readonly onSockets?: () => void;
  /** Listening sockets from another process. */
  readonly inherited?: InheritedSockets | undefined;
}

/** Of the process that this one takes over from. */
export interface InheritedProxy {
  readonly counters: CounterState;
  readonly udp: Handed<UdpState>;
}

export const EMPTY_TABLE: RoutingTable = {
  services: [],
  peers: [],
  relay: null,
  localAddresses: [],
  otherUdpListeners: [],
};

export class SpliceProxy {
  #table: RoutingTable = EMPTY_TABLE;
  #isHurried = false;
  #inheritedUdp: InheritedUdp | null = null;
  readonly #slots = new CounterSlots();
  readonly #totals = new TotalsReader();
  readonly #listeners: Listeners;
  readonly #workerTables: WorkerTables;
  readonly #retry = new RetryTimer(steadyClock, () => this.#onRetry());
  readonly #shortages: ShortageWatch;

  private constructor(
    readonly options: ProxyOptions,
    readonly counters: SharedCounters,
    readonly budget: DescriptorBudget,
    readonly sourcePorts: SourcePortStatus,
    readonly workers: readonly WorkerThread[],
    readonly taskWatch: TaskWatch,
    readonly records: RecordReader,
  ) {
    this.#listeners = new Listeners({ budget, inherited: options.inherited });
    this.#workerTables = new WorkerTables(this.#listeners, this.#slots, budget);
    this.#shortages = new ShortageWatch({
      counters,
      clock: steadyClock,
      fileLimit: budget.limit,
      slots: () => this.#slots.services.entries,
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
    const rings = Array.from({ length: count }, createRecordRing);
    const records = new RecordReader(rings, options.records ?? null);
    const events: WorkerEvents = {
      onRecords: () => records.read(),
      onTaskFailed: (task, errno, patienceMs) => taskWatch.onFailed(task, errno, patienceMs),
      onShortage: () => proxy?.onShortage(),
    };
    const workers = Array.from({ length: count }, (_, index) => {
      const setup = { index, counters, recordRing: rings[index]!, scarceAtFd, maxPipes, sourcePorts };
      return new WorkerThread(setup, events);
    });
    await Promise.all(workers.map((worker) => worker.ready));
    proxy = new SpliceProxy(
      options,
      counters,
      budget,
      sourcePortStatus(localPorts),
      workers,
      taskWatch,
      records,
    );
    return proxy;
  }

  /** What a commit of `table` would change; opens nothing. */
  compare(table: RoutingTable): TableChanges {
    return this.#listeners.compare(table);
  }

  /** Why the table's ports need more descriptors than there are; null: they do not. */
  excessOf(table: RoutingTable): string | null {
    return excessListeners(table, this.budget);
  }

  prepare(table: RoutingTable): PreparedTable {
    return this.#listeners.prepare(table);
  }

  abandon(prepared: PreparedTable): void {
    this.#listeners.abandon(prepared);
  }

  /** Resolves when every worker runs the new table. Ports that it does not have are closed with no client cut off. */
  async commit({ table, listeners }: PreparedTable): Promise<void> {
    const changed = this.#listeners.changedIn(listeners);
    if (changed.length > 0) this.options.onListeners(changed);
    this.#retry.reset();
    await this.#switchTo(table, listeners);
    this.#slots.releaseUnused(this.#table, this.counters);
    this.#inheritedUdp?.takeRest().forEach(close);
    this.#inheritedUdp = null;
  }

  /** Tries the ports again that could not be bound. Not while another table is prepared. */
  async retryPorts(): Promise<void> {
    const prepared = this.prepare(this.#table);
    if (prepared.changes.listenersOpened.length > prepared.bindErrors.length)
      return await this.commit(prepared);
    this.#retry.backOff();
    this.#runListeners(prepared.listeners);
  }

  /** Of a task of this node. false: every attempt to reach it has failed for seconds. */
  isTaskUp(
    { address, port }: Pick<Task, "address" | "port">,
    { protocol, target }: Pick<PublishedPort, "protocol" | "target">,
  ): boolean {
    return this.taskWatch.isIdle || !this.taskWatch.isDown({ protocol, address, port: port ?? target });
  }

  /** How often in a row the heartbeat has found the peer silent; 0: it can be reached. */
  silentLooksOf(name: string): number {
    const slot = this.#slots.peers.get(name);
    return slot === undefined ? 0 : silentLooksAt(this.counters, slot);
  }

  /** Open connections and sessions of a task, those of other nodes' clients among them. */
  openConnectionsOf(service: Service, task: Task): number {
    const slot = this.#slots.taskOf(service, task);
    return slot === undefined ? 0 : sumRows(this.counters.tasks, slot * TASK_FIELDS + T_OPEN);
  }

  status(): ProxyStatus {
    return readStatus(this.#counted, Date.now());
  }

  /** The same as numbers: ten thousand tasks are read often. */
  totals(): ProxyTotals {
    return this.#totals.read(this.#counted, Date.now());
  }

  /** No UDP socket is read until `resumeUdp`. What another process needs to continue, which then gets the sockets too. */
  async pauseUdp(): Promise<Handed<UdpState>> {
    const workers = await Promise.all(this.workers.map((worker) => worker.pauseUdp()));
    return exportUdp(workers, this.#listeners.running);
  }

  /** The other process does not go on. */
  async resumeUdp(): Promise<void> {
    this.#listeners.pickAgain();
    await Promise.all(this.workers.map((worker) => worker.endPauseOfUdp("resume")));
  }

  /** The other process serves: this one closes its descriptors of all UDP sockets and opens no others. */
  async forgetUdp(): Promise<void> {
    await Promise.all(this.workers.map((worker) => worker.endPauseOfUdp("forget")));
  }

  /** Everything counted since the first start, for a process that takes over. */
  exportCounters(): CounterState {
    return exportCounters(this.counters, this.#slots);
  }

  /** What another process has counted and has open for UDP; before the first table. */
  continueFrom({ counters, udp }: InheritedProxy): void {
    continueCounters(counters, this.counters, this.#slots);
    this.#inheritedUdp = new InheritedUdp(udp, this.workers.length);
  }

  /** Listening sockets for another process, by key. */
  get sockets(): readonly (readonly [key: string, fd: number])[] {
    return this.#listeners.sockets;
  }

  /**
   * Another process accepts clients on the same sockets: this one ends its descriptors of them and nothing else. Then
   * `drain`.
   */
  async forget(): Promise<void> {
    this.#retry.stop();
    for (const worker of this.workers) worker.post({ type: "forget" });
    this.#listeners.replace(new Map());
    await this.#switchTo(this.#table, new Map());
  }

  /** Open TCP connections, of clients and of other nodes. */
  get openConnections(): number {
    return this.#openConnections();
  }

  /** Which connections are recorded from now on; none at first. */
  recordConnections(rule: RecordRule): void {
    for (const worker of this.workers) worker.post({ type: "record", rule });
  }

  /** Resolves when another process can open them. */
  async closePorts(): Promise<void> {
    this.#retry.stop();
    if (this.#listeners.running.size > 0) await this.#switchTo(this.#table, new Map());
  }

  /**
   * Closes all listeners that are open, then gives every connection its service's drain timeout. Resolves true when all have ended
   * or were cut, false when `hurry` was called before or one does not end.
   */
  async drain(): Promise<boolean> {
    await this.closePorts();
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

  /** Resolves when every worker has answered. */
  async ping(): Promise<void> {
    await Promise.all(this.workers.map((worker) => worker.ping()));
  }

  /** A worker says that something has run out. */
  onShortage(): void {
    this.#shortages.onShortage();
  }

  /** Ends the workers and every connection. */
  async stop(): Promise<void> {
    this.#retry.stop();
    this.#shortages.stop();
    this.taskWatch.close();
    await Promise.all(this.workers.map((worker) => worker.stop()));
    this.records.readAll();
  }

  get #counted(): Counted {
    return {
      table: this.#table,
      listeners: this.#listeners.running,
      counters: this.counters,
      slots: this.#slots,
      sourcePorts: this.sourcePorts,
    };
  }

  /** Open TCP connections of all services, those that other nodes have accepted among them. */
  #openConnections(): number {
    const { open, relayedOpen } = this.counters;
    return open.reduce((sum, count) => sum + count, 0) + relayedOpen.reduce((sum, count) => sum + count, 0);
  }

  async #switchTo(table: RoutingTable, listeners: ListenerMap): Promise<void> {
    for (const { at, fds } of this.#listeners.newIn(listeners))
      if (at.protocol === "tcp") fds.forEach(startListening);
    const closing = this.#listeners.tcpSocketsNotIn(listeners);
    if (closing.length > 0) {
      this.#retry.stop(); // the sockets that it opens meanwhile would be missing in `listeners`
      await stopListening(closing);
    }
    this.#retry.stop();
    this.#table = table;
    this.taskWatch.keepOnly(ownEndpoints(table));
    this.#runListeners(listeners);
    await Promise.all(
      this.workers.map((worker, index) =>
        worker.apply(this.#workerTables.tableOf(table, index, this.#inheritedUdp)),
      ),
    );
  }

  #runListeners(listeners: ListenerMap): void {
    const haveErrorsChanged = this.#listeners.replace(listeners);
    this.options.onSockets?.();
    const { bindErrors } = this.#listeners;
    if (haveErrorsChanged) this.options.onBindErrors?.(bindErrors);
    if (bindErrors.length > 0) this.#retry.start();
  }

  #onRetry(): void {
    const { onRetryDue } = this.options;
    if (onRetryDue !== undefined) onRetryDue();
    else void this.retryPorts();
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

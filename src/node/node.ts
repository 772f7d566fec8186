/**
 * A running node: reloads, reports its status, drains and stops. start-node.ts starts its parts; they are stopped here
 * in reverse order.
 */

import type {
  ApiError,
  ClusterNode,
  EventList,
  EventStream,
  NodeInfo,
  ServiceInfo,
  Trace,
  TraceQuery,
} from "../admin/index.ts";
import type { Catalog } from "../catalog/index.ts";
import type { Config, SettingChange } from "../config/index.ts";
import type { EventFilter, Protocol } from "../model/index.ts";
import type { ProxyStatus } from "../proxy/index.ts";
import { pause } from "../sys/clock.ts";
import { readProcessFigures } from "../sys/process-figures.ts";
import type { AdminTcp } from "./admin/admin-tcp.ts";
import type { Cluster } from "./cluster/cluster.ts";
import { Commands } from "./commands.ts";
import { type ConnectionLog, recordRule, recordSettings } from "./connection-log/index.ts";
import type { Events } from "./events/events.ts";
import { routingInput, withConfig } from "./facts/derive.ts";
import type { Reconciler } from "./facts/reconcile.ts";
import type { CommandGate } from "./handover/command-gate.ts";
import { handoverParts } from "./handover/frozen-node.ts";
import { Handover } from "./handover/handover.ts";
import type { HandoverEndpoint } from "./handover/handover-endpoint.ts";
import { identityOf } from "./handover/identity.ts";
import { Predecessors } from "./handover/predecessors.ts";
import type { TaskChecks } from "./health/task-checks.ts";
import { inputWithChange, type ServiceChange } from "./input-with-change.ts";
import {
  type ClusterSnapshot,
  type DifferingService,
  differingServices,
  type KeptService,
  keptServices,
  nodeInfos,
  portConflicts,
  serviceInfo,
  serviceInfos,
  taskHealth,
} from "./listings.ts";
import { clusterFigures } from "./metrics/cluster-figures.ts";
import { LazyMetrics } from "./metrics/lazy-metrics.ts";
import type { MetricsState } from "./metrics/node-metrics.ts";
import type { NodeSources } from "./metrics/node-sources.ts";
import type { NodeLog } from "./node-log.ts";
import type { NodeOptions, NodeParts, NodeProxy } from "./node-parts.ts";
import { whyPortNotReady } from "./port-ready.ts";
import type { PeerPorts } from "./port-test/judge.ts";
import { Reloader } from "./reload.ts";
import type { ReloadReport, ReloadTrigger } from "./reload-report.ts";
import type { Resolver } from "./resolver.ts";
import { servicesInPanic } from "./rotation.ts";
import type { SocketList } from "./socket-list.ts";
import type { ClusterStatus, NodeStatus } from "./status.ts";
import type { Objection, TableUpdates } from "./table-updates.ts";
import { traceRoute } from "./trace.ts";

/** The watch takes what it finds first as known; a save between our reading and that is caught by reading once more. */
const SECOND_LOOK_MS = 1_000;

export interface StartedParts {
  readonly options: NodeOptions;
  readonly parts: NodeParts;
  readonly log: NodeLog;
  /** Of this node. */
  readonly events: Events;
  readonly adminTcp: AdminTcp;
  /** On which it answers commands. */
  readonly socket: string;
  /** Holds them while another process takes over. */
  readonly gate: CommandGate;
  /** For another process of this node. */
  readonly sockets: SocketList;
  /** For a successor in another container. */
  readonly endpoint: HandoverEndpoint;
  /** ms since 1970 */
  readonly startedAt: number;
  readonly resolver: Resolver;
  readonly checks: TaskChecks;
  readonly proxy: NodeProxy;
  readonly connectionLog: ConnectionLog;
  readonly tables: TableUpdates;
  readonly cluster: Cluster;
  readonly catalog: Catalog;
  readonly reconciler: Reconciler;
  /** Of the process before this one; null: there was none. */
  readonly metricsState: MetricsState | null;
  /** That of `stops` which ends every connection. */
  readonly stopProxy: () => unknown;
  /** In the order of starting; run in reverse. */
  readonly stops: (() => unknown)[];
}

/** After a takeover, commands that had come before it get so long for their answers. */
const ANSWERS_MS = 5_000;
/** For the answers to leave the process. */
const WRITTEN_MS = 50;

/** As old may be what answers about ports are made of. */
const PROXY_STATUS_MS = 250;

/** A change by command waits so long for the names it brings. */
const NEW_NAMES_MS = 2_000;

export class Node implements ClusterNode {
  readonly commands: Commands;
  readonly handover: Handover;
  readonly metrics: LazyMetrics;
  readonly #started: StartedParts;
  readonly #predecessors: Predecessors;
  readonly #reloader: Reloader;
  #state: NodeStatus["state"] = "serving";
  #appliedAt: number;
  /** Of the drain, in the time of the steady clock. */
  #drainEndMs = 0;
  /** Another process waits for the admin socket and the state. */
  readonly #wayWanted = Promise.withResolvers<null>();
  readonly #drained = Promise.withResolvers<void>();
  #lastReload: ReloadReport | null = null;
  #proxyStatus: { readonly atMs: number; readonly status: ProxyStatus } | null = null;
  /** What came of a reload that the watch does not know of yet, until it has reported something. */
  #secondLook: ReloadReport | null = null;

  constructor(started: StartedParts) {
    const { options, parts, tables, cluster, catalog, reconciler } = started;
    this.#started = started;
    this.#predecessors = options.takeover?.predecessors ?? new Predecessors(parts.clock.steady);
    started.stops.push(() => this.#predecessors.close());
    this.commands = new Commands({
      catalog,
      writes: cluster.writes,
      nodes: cluster,
      self: options.config.node.name,
      nowMs: () => parts.clock.nowMs(),
      runsAnyExec: () => reconciler.facts.file.config.node.execChecks,
      objectTo: (change) => this.#objectTo(change),
      apply: () => this.#apply(),
    });
    this.#appliedAt = parts.clock.nowMs();
    this.#reloader = new Reloader(
      {
        file: options.file,
        read: parts.readConfig,
        tables,
        inputWith: (config) => routingInput(withConfig(reconciler.facts, config), parts.clock.nowMs()),
        keptWith: (config, removed) => this.#keptWith(config, removed),
        differingWith: (config) => this.#differingWith(config),
        unpublishedWith: (config) => cluster.unpublishedWith(config),
        clock: parts.clock,
        onApplied: (config) => this.#onApplied(config),
        onUnchanged: () => cluster.offerAgain(),
      },
      options.config,
    );
    this.metrics = new LazyMetrics({
      clock: parts.clock.steady,
      startedMs: this.#appliedAt,
      state: started.metricsState,
      sources: (own) => this.#metricsSources(own),
    });
    started.stops.push(() => this.metrics.stop());
    this.#followKey(options.config, parts.fileChangedAtMs(options.config.cluster?.keysFile ?? options.file));
    this.handover = this.#newHandover();
    this.#watchFile();
    const { services } = options.config;
    const { version } = options.version;
    started.log.fileWarnings(options.fileWarnings ?? []);
    started.log.serving(
      { file: options.file, socket: started.socket, services: services.length, version },
      options.takeover ?? null,
    );
  }

  async reload(isDryRun: boolean, trigger: ReloadTrigger = "command"): Promise<ReloadReport> {
    const { namedFiles } = this.#reloader;
    const { manager } = this.#started.options;
    if (!isDryRun) manager?.reloading();
    const report = await this.#reloader.reload(trigger, isDryRun);
    if (!isDryRun) manager?.reloaded(this.summary);
    this.metrics.reloads.add(report);
    if (!isDryRun && !this.#isNoNews(report)) {
      this.#lastReload = report;
      this.#started.log.reload(report);
    }
    if (!Bun.deepEquals(this.#reloader.namedFiles, namedFiles)) this.#secondLook = report; // the watch sees another list of files
    return report;
  }

  makeWay(): boolean {
    if (this.#state !== "draining") return false;
    this.#wayWanted.resolve(null);
    return true;
  }

  get notReady(): string | null {
    return this.#state === "serving" ? null : "the node is draining: it will stop";
  }

  /** One line for the service manager. */
  get summary(): string {
    const { tables, proxy } = this.#started;
    const { services } = tables.table;
    if (this.#state === "serving") return `serving ${count(services.length, "service")}`;
    const tasks = services.flatMap((service) => service.tasks.map((task) => [service, task] as const));
    const open = tasks.reduce((sum, [service, task]) => sum + proxy.openConnectionsOf(service, task), 0);
    return `draining: ${count(open, "connection")} open`;
  }

  /** Locked by this process; null: there is none. */
  get stateDirectory(): string | null {
    return this.#started.cluster.stateDirectory;
  }

  /** Resolves when its workers have answered. */
  async ping(): Promise<void> {
    const { proxy, cluster } = this.#started;
    await Promise.all([proxy.ping(), cluster.ping()]);
  }

  whyPortNotReady(protocol: Protocol, port: number): string | null {
    const { catalog, reconciler, tables } = this.#started;
    const seen = { ...this.#nodes, catalog, proxy: this.#recentProxyStatus() };
    return whyPortNotReady(protocol, port, { ...seen, input: reconciler.routing, table: tables.table });
  }

  /** Load balancers ask for every port, each of them every second. */
  #recentProxyStatus(): ProxyStatus {
    const { parts, proxy } = this.#started;
    const nowMs = parts.clock.steady.nowMs();
    if (this.#proxyStatus === null || nowMs - this.#proxyStatus.atMs >= PROXY_STATUS_MS)
      this.#proxyStatus = { atMs: nowMs, status: proxy.status() };
    return this.#proxyStatus.status;
  }

  status(): NodeStatus {
    const { options, parts, startedAt, adminTcp, proxy, tables, cluster, reconciler } = this.#started;
    return {
      node: this.#reloader.running.node.name,
      version: options.version,
      state: this.#state,
      pid: process.pid,
      predecessor: this.#predecessors.status[0] ?? null,
      predecessors: this.#predecessors.status,
      startedAt,
      now: parts.clock.nowMs(),
      config: {
        file: options.file,
        appliedAt: this.#appliedAt,
        lastReload: this.#lastReload,
        needsRestart: this.#settingsWaiting,
      },
      names: this.#names(),
      warnings: tables.warnings,
      differing: this.#differingWith(this.#reloader.running),
      unpublished: cluster.unpublished,
      addressProblem: reconciler.facts.address?.problem ?? null,
      storeError: cluster.storeError,
      logLoss: options.log.loss,
      admin: adminTcp.status,
      health: taskHealth(this.#started.catalog),
      inPanic: servicesInPanic(this.#started.catalog),
      proxy: proxy.status(),
      cluster: this.#cluster(),
      overlay: cluster.overlayStatus,
    };
  }

  // --- the cluster

  services(): readonly ServiceInfo[] {
    return serviceInfos(this.#snapshot());
  }

  service(name: string): ServiceInfo | null {
    const service = this.#started.catalog.services().get(name);
    return service === undefined ? null : serviceInfo(service, this.#snapshot());
  }

  nodes(): readonly NodeInfo[] {
    return nodeInfos(this.#snapshot(), this.#reloader.running.node.labels);
  }

  async testPorts(): Promise<readonly PeerPorts[]> {
    return this.#started.cluster.testPorts();
  }

  events(filter: EventFilter): Promise<EventList> {
    return this.#started.cluster.events.query(filter);
  }

  followEvents(filter: EventFilter, stream: EventStream): Promise<Disposable> {
    return this.#started.cluster.events.follow(filter, stream);
  }

  async trace(query: TraceQuery): Promise<Trace> {
    const { reconciler, tables } = this.#started;
    return traceRoute(query, { ...this.#snapshot(), input: reconciler.routing, table: tables.table });
  }

  /**
   * Resolves when all is stopped: true when no connection was left, false when it was hurried.
   * @param keepsSockets the service manager has them too: new clients wait in their queues for the next process
   */
  async drainAndStop(keepsSockets = false): Promise<boolean> {
    const { options, log, proxy, cluster } = this.#started;
    log.draining(this.#enterDrain());
    options.manager?.draining(() => this.summary);
    await cluster.announceLeaving();
    const { isDrained } = await this.#drain(keepsSockets);
    const first = await Promise.race([isDrained, this.#wayWanted.promise]);
    await cluster.leave();
    if (first === null) log.madeWay(proxy.openConnections);
    return this.#stop(isDrained);
  }

  /** After another process has taken over: resolves when the connections that were open here have ended. */
  get drained(): Promise<void> {
    return this.#drained.promise;
  }

  /** Ends a drain at once: open connections are reset, and nodes that have not heard the announcement find this one gone. */
  hurry(): void {
    this.#started.proxy.hurry();
    this.#started.cluster.hurry();
  }

  #newHandover(): Handover {
    const { options, parts, socket, sockets, gate, endpoint, events, tables, proxy, cluster, checks } =
      this.#started;
    return new Handover({
      version: options.version.version,
      log: options.log,
      clock: parts.clock.steady,
      adminSocket: socket,
      command: options.command ?? null,
      identity: () => identityOf(options.config),
      socket: () => endpoint.takeoverSocket(socket),
      parts: handoverParts({
        commands: gate,
        predecessors: this.#predecessors,
        events,
        tables,
        checks,
        proxy,
        cluster,
        metrics: this.metrics,
      }),
      sockets: () => sockets.all,
      isDraining: () => this.#state === "draining",
      predecessors: () => this.#predecessors.status,
      draining: () => {
        const leftMs = Math.max(0, Math.round(this.#drainEndMs - parts.clock.steady.nowMs()));
        return { openConnections: proxy.openConnections, leftMs };
      },
      leave: () => this.#leave(),
    });
  }

  /** Another process runs this node. */
  async #leave(): Promise<void> {
    const { options, parts, gate, adminTcp, cluster } = this.#started;
    options.manager?.silence(); // before sockets are closed: they are the successor's to keep
    this.#enterDrain();
    adminTcp.leave();
    cluster.events.close(); // who follows goes on with the other process
    const { isDrained } = await this.#drain(true);
    await isDrained;
    await Promise.race([gate.answered(), pause(parts.clock, ANSWERS_MS)]);
    await this.#stop(isDrained);
    await pause(parts.clock, WRITTEN_MS);
    this.#drained.resolve();
  }

  /** How long it may take: ms. */
  #enterDrain(): number {
    const timeoutMs = this.#drainTimeoutMs;
    this.#state = "draining";
    this.#drainEndMs = this.#started.parts.clock.steady.nowMs() + timeoutMs;
    return timeoutMs;
  }

  /**
   * No client is accepted any more; what is open ends by itself, up to its drain_timeout.
   * @param isForgetting sockets stay open elsewhere
   */
  async #drain(isForgetting: boolean): Promise<{ readonly isDrained: Promise<boolean> }> {
    const { proxy, tables } = this.#started;
    await tables.close(); // a change now would open the listeners again
    if (isForgetting) await proxy.forget();
    await proxy.closePorts();
    return { isDrained: proxy.drain() };
  }

  /** The connections last: a process that waits for the rest finds it free. */
  async #stop(drained: Promise<boolean>): Promise<boolean> {
    const { log, stopProxy } = this.#started;
    await this.#stopAllButProxy();
    const isDrained = await drained;
    await stopProxy();
    log.stopped(isDrained);
    return isDrained;
  }

  /** The longest of its services. */
  get #drainTimeoutMs(): number {
    const { services } = this.#started.tables.table;
    return Math.max(0, ...services.map((service) => service.drainTimeoutMs));
  }

  /** The admin socket last: a process that waits for it finds the rest free. */
  async #stopAllButProxy(): Promise<void> {
    const { stops, stopProxy } = this.#started;
    for (const stop of stops.toReversed()) if (stop !== stopProxy) await stop();
  }

  #watchFile(): void {
    const { parts, options, stops } = this.#started;
    const reload = () => {
      if (this.#state === "serving") void this.reload(false, "file");
    };
    const isRefused = () => this.#lastReload?.outcome === "refused";
    const paths = () => [options.file, ...this.#reloader.namedFiles];
    const watch = parts.watchConfig({ paths, onChange: reload, isRefused });
    const lookAgain = async () => {
      if (this.#state === "serving") this.#secondLook = await this.reload(false, "file");
    };
    stops.push(
      () => watch.stop(),
      parts.clock.after(SECOND_LOOK_MS, () => void lookAgain()),
    );
  }

  /**
   * The file was touched without a change, and the last report was not a refusal; or the watch reports late, with its
   * patience for missing files, what the second look has reported.
   */
  #isNoNews({ trigger, outcome, problems }: ReloadReport): boolean {
    if (trigger !== "file") return false;
    if (outcome === "unchanged") return this.#lastReload?.outcome !== "refused";
    const seen = this.#secondLook;
    this.#secondLook = null;
    return outcome === "refused" && seen === this.#lastReload && Bun.deepEquals(problems, seen?.problems);
  }

  #onApplied(config: Config): void {
    const { options, parts, proxy, adminTcp, connectionLog, cluster } = this.#started;
    void adminTcp.follow(config.admin.http);
    this.#appliedAt = parts.clock.nowMs();
    this.#followKey(config, this.#appliedAt);
    cluster.writes.applyFile(config);
    options.log.level = config.log.level;
    connectionLog.settings = recordSettings(config.log, options.log);
    proxy.recordConnections(recordRule(config.log.connections));
  }

  #followKey({ cluster }: Config, sinceMs: number | null): void {
    this.metrics.keyAge.follow(cluster?.keys[0] ?? null, sinceMs);
  }

  #metricsSources({ reloads, keyAge }: LazyMetrics): NodeSources {
    const { options, parts, proxy, tables, cluster, catalog, resolver } = this.#started;
    const config = () => this.#reloader.running;
    return {
      version: options.version,
      config,
      isReady: () => this.notReady === null,
      appliedAt: () => this.#appliedAt,
      reloads,
      settingsWaiting: () => this.#settingsWaiting.length,
      warnings: () => tables.warnings.length,
      namesFailing: () => resolver.status().filter(({ error }) => error !== null).length,
      logLinesLost: () => options.log.loss?.lines ?? 0,
      isStoreBroken: () => cluster.storeError !== null,
      totals: () => proxy.totals(),
      cluster: () => {
        const { node, cluster: ofFile } = config();
        if (ofFile === null) return null;
        const own = { name: ofFile.name, self: node.name, keySinceMs: keyAge.sinceMs };
        return clusterFigures(own, cluster, catalog);
      },
      overlay: () => cluster.overlayStatus,
      nowMs: () => parts.clock.nowMs(),
      steadyMs: () => parts.clock.steady.nowMs(),
      process: readProcessFigures,
    };
  }

  #objectTo(change: ServiceChange): Pick<ApiError, "error" | "about"> | null {
    const { tables, reconciler } = this.#started;
    const objections = tables.objectionsTo(inputWithChange(reconciler.routing, change));
    const isAsked = ({ loop }: Objection) =>
      loop?.service === change.name && change.addTasks.some(({ name }) => name === loop.task);
    const first = objections.find(isAsked) ?? objections[0];
    if (first === undefined) return null;
    return first.loop === null
      ? { error: first.message }
      : { error: first.message, about: { task: first.loop.task } };
  }

  /** What the catalog says is served here from now on; by a node that stops, nothing more is. */
  async #apply(): Promise<void> {
    const { tables, reconciler } = this.#started;
    if (this.#state === "draining") return;
    await tables.change((turn) => turn.apply(reconciler.routing, NEW_NAMES_MS));
  }

  #differingWith(config: Config): DifferingService[] {
    const { cluster } = this.#started;
    return differingServices(cluster.writes.servicesWith(config).values(), this.#nodes);
  }

  #keptWith(config: Config, removed: readonly string[]): KeptService[] {
    if (removed.length === 0) return [];
    const { cluster } = this.#started;
    return keptServices(removed, cluster.writes.servicesWith(config), this.#nodes);
  }

  get #settingsWaiting(): SettingChange[] {
    return (this.#lastReload?.changes.settings ?? []).filter((setting) => setting.needsRestart);
  }

  get #nodes(): Pick<ClusterSnapshot, "self" | "members"> {
    const { cluster, options } = this.#started;
    return { self: options.config.node.name, members: cluster.members() };
  }

  #snapshot(): ClusterSnapshot {
    const { catalog, proxy } = this.#started;
    return { ...this.#nodes, catalog, proxy: proxy.status() };
  }

  #cluster(): ClusterStatus | null {
    const { cluster: config } = this.#reloader.running;
    const { cluster, catalog } = this.#started;
    if (config === null) return null;
    const { healthScore, queueLengths, droppedTotal } = cluster.stats;
    return {
      name: config.name,
      members: this.nodes(),
      gossip: {
        healthScore,
        queueLengths,
        droppedTotal,
        keyTrouble: cluster.keyMismatches,
        silentSeeds: cluster.silentSeeds,
      },
      conflicts: portConflicts(catalog),
      catalog: {
        services: catalog.services().size,
        tasks: catalog.tasks().length,
        revision: catalog.fingerprint,
      },
    };
  }

  #names(): NodeStatus["names"] {
    const { services } = this.#reloader.running;
    const uses = (host: string) =>
      services.filter((service) => service.tasks.some((task) => task.host === host));
    return this.#started.resolver
      .status()
      .map((name) => ({ ...name, services: uses(name.host).map((service) => service.name) }));
  }
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}

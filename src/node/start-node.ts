/**
 * Builds the parts of a node and starts them in order: the admin socket (a second node on it must fail before it
 * touches a port), cluster and proxy workers side by side, the first table, and then the word to the others that this
 * node serves. What is started when a later step fails is stopped again.
 */
import { resolve } from "node:path";
import { besideOf, clusterApp, handoverApp, listenOnFirst } from "../admin/index.ts";
import { Catalog } from "../catalog/index.ts";
import type { ClusterConfig } from "../config/index.ts";
import { InheritedSockets } from "../sys/inherited-sockets.ts";
import { standardSockets } from "../sys/standard-paths.ts";
import { AdminTcp } from "./admin/admin-tcp.ts";
import { afterPredecessor } from "./after-predecessor.ts";
import { AddressWatch } from "./cluster/address-watch.ts";
import { Cluster, type HandedCluster } from "./cluster/cluster.ts";
import { ClusterLog } from "./cluster/cluster-log.ts";
import { ownAddress } from "./cluster/own-address.ts";
import { ConnectionLog, recordRule, recordSettings } from "./connection-log/index.ts";
import { Events } from "./events/events.ts";
import { FactEvents } from "./fact-events.ts";
import { type Facts, factsAtStart, hasAddress } from "./facts/facts.ts";
import { Reconciler } from "./facts/reconcile.ts";
import { CommandGate } from "./handover/command-gate.ts";
import { CLUSTER_PART, EVENTS_PART, METRICS_PART, PROXY_PART } from "./handover/frozen-node.ts";
import { HandoverEndpoint } from "./handover/handover-endpoint.ts";
import { unpackCluster, unpackEvents, unpackMetrics, unpackProxy } from "./handover/node-state.ts";
import type { Takeover } from "./handover/takeover.ts";
import { TaskChecks } from "./health/task-checks.ts";
import { InterfaceWatch } from "./interface-watch.ts";
import { bindErrorsOf } from "./listings.ts";
import { LookupLimit } from "./lookup-limit.ts";
import type { MetricsState } from "./metrics/node-metrics.ts";
import { Node, type StartedParts } from "./node.ts";
import { NodeLog } from "./node-log.ts";
import type { NodeOptions, NodeParts, NodeProxy } from "./node-parts.ts";
import { type HandedOverlay, Overlay } from "./overlay/overlay.ts";
import { OverlayLog } from "./overlay/overlay-log.ts";
import { PortGate, ReachNews } from "./port-gate.ts";
import { isReportedDown, ReachReport, reachIn, servedTask } from "./reach-report.ts";
import { Resolver } from "./resolver.ts";
import { SocketList } from "./socket-list.ts";
import { TableUpdates } from "./table-updates.ts";

/** Names that resolve at once are in the first table. */
const FIRST_NAMES_MS = 50;

/** From the process that this one takes over from. */
interface Inherited {
  readonly cluster: HandedCluster | undefined;
  readonly metrics: MetricsState | undefined;
}

/** To be run in reverse. */
type Stops = (() => unknown)[];

/** Throws AdminSocketError, NodeError or OverlayError when the node cannot begin. */
export async function startNode(options: NodeOptions, parts: NodeParts): Promise<Node> {
  const { config, version } = options;
  const stops: Stops = [];
  let node: Node | null = null;
  try {
    const commandSockets =
      config.admin.socket === null ? standardSockets(config.node.dataDir) : [config.admin.socket];
    const gate = new CommandGate(clusterApp(() => node, version).fetch, () => admin);
    const taken = takenSocket(options);
    const paths = taken === null ? commandSockets : [besideOf(taken)];
    const admin = await afterPredecessor(() => listenOnFirst(paths, gate.handle), {
      ...options,
      clock: parts.clock.steady,
    });
    stops.push(() => (gate.hasLeft ? undefined : admin.close()));
    const events = new Events({ self: config.node.name, nowMs: () => parts.clock.nowMs() });
    const sockets = new SocketList(options.inherited ?? new InheritedSockets(), (all) =>
      options.manager?.stores(all),
    );
    const adminTcp = new AdminTcp({
      onSockets: () => sockets.set("admin", adminTcp.sockets),
      handle: gate.handle,
      self: config.node.name,
      log: options.log,
      events,
      clock: parts.clock.steady,
    });
    adminTcp.adopt(config.admin.http, sockets.inherited);
    stops.push(() => adminTcp.close());
    const endpoint = new HandoverEndpoint(options.log);
    stops.push(() => endpoint.close());
    const { lookup } = new LookupLimit(parts.lookup, parts.clock);
    const socket = taken ?? admin.path;
    const opened = { gate, endpoint, socket, sockets, events, adminTcp };
    const begun = await startParts(options, { ...parts, lookup }, opened, stops);
    node = begun;
    if (taken !== null) admin.moveTo(taken);
    if (options.takeover != null) options.manager?.becomesMain(); // before the predecessor may end
    await options.takeover?.ready();
    await adminTcp.follow(config.admin.http);
    await endpoint.open(begun.stateDirectory, handoverApp(begun).fetch);
    return begun;
  } catch (error) {
    await options.takeover?.fail(error instanceof Error ? error.message : String(error));
    for (const stop of stops.reverse()) await stop();
    throw error;
  }
}

async function startParts(
  options: NodeOptions,
  parts: NodeParts,
  opened: Pick<StartedParts, "gate" | "endpoint" | "socket" | "sockets" | "events" | "adminTcp">,
  stops: Stops,
): Promise<Node> {
  const { clock, readNetwork } = parts;
  const startedAt = clock.nowMs();
  const { events, sockets } = opened;
  const log = new NodeLog(options.log, events);
  const catalog = new Catalog(options.config.node.name);
  const reconciler = new Reconciler({
    facts: firstFacts(options, parts, catalog),
    clock,
    onError: (part, error) => log.reconcileFailed(part, error),
  });
  stops.push(() => reconciler.close());
  const resolver = new Resolver({
    clock,
    lookup: parts.lookup,
    onChange: (name) => {
      log.name(name);
      reconciler.learn({ localChanges: reconciler.facts.localChanges + 1 });
    },
  });
  const checks = new TaskChecks({
    catalog,
    reconciler,
    clock,
    random: parts.random,
    addressesOf: (host) => resolver.addressesOf(host),
    log,
    isTakeover: options.takeover != null,
  });
  stops.push(() => checks.close());
  checks.start();
  const news = new ReachNews();
  const connectionLog = newConnectionLog(options, parts);
  const startingProxy = startProxy(options, parts, { log, connectionLog, reconciler, news, sockets });
  const { takeover } = options;
  const inheriting = takeover
    ? startingProxy.then((started) => inherit(takeover, started, events))
    : undefined;
  const startingCluster = Promise.resolve(inheriting).then((inherited) =>
    startCluster(options, parts, { catalog, reconciler, events, sockets }, stops, inherited?.cluster),
  );
  const stopProxy = async () => {
    await (await startingProxy).stop();
    connectionLog.close();
  };
  const [proxy, cluster] = await bothOf(startingProxy, startingCluster, stopProxy, stops);
  const interfaces = new InterfaceWatch({
    clock,
    read: readNetwork,
    onChange: (network) => {
      const { address } = reconciler.facts;
      const isLocal = hasAddress(network, address?.announced ?? null);
      reconciler.learn({ network, address: address === null ? null : { ...address, isLocal } });
    },
  });
  stops.push(
    () => resolver.keep([]),
    () => interfaces.setActive(false),
  );
  const gate = newGate(proxy, news, parts, { log, events }, reconciler);
  stops.push(() => gate.stop());
  const tables = new TableUpdates({
    proxy,
    gate,
    resolver,
    interfaces,
    currentInput: () => reconciler.routing,
    onWarnings: (warnings) => log.warnings(warnings),
    onLoops: (loops) => log.loops(loops),
    onTaskAddresses: (taskAddresses) => reconciler.learn({ taskAddresses }),
  });
  await tables.change((turn) => turn.apply(reconciler.routing, FIRST_NAMES_MS));
  gate.start();
  serve(reconciler, tables, events);
  watchAddress(options, parts, cluster, reconciler, stops);
  return new Node({
    options,
    parts,
    log,
    ...opened,
    startedAt,
    catalog,
    reconciler,
    resolver,
    checks,
    proxy,
    connectionLog,
    tables,
    cluster,
    metricsState: (await inheriting)?.metrics ?? null,
    stopProxy,
    stops,
  });
}

/** The first table is in force: it follows the facts, and others may send their clients to tasks of this node. */
function serve(reconciler: Reconciler, tables: TableUpdates, events: Events): void {
  const watch = new FactEvents(events);
  reconciler.attach("events", () => watch.follow(reconciler.facts));
  reconciler.attach("tables", ({ routingSources }) => tables.follow(routingSources));
  reconciler.attach("ports", ({ portRetries }) => tables.retryPorts(portRetries));
  reconciler.learn({ phase: "serving" });
  reconciler.now();
}

function firstFacts({ config, file, version }: NodeOptions, parts: NodeParts, catalog: Catalog): Facts {
  const { node, cluster } = config;
  const network = parts.readNetwork();
  const announced =
    cluster === null
      ? null
      : ownAddress(
          node,
          cluster,
          parts.readDefaultRouteInterface,
          network.addresses,
          parts.readOverlayInterfaces,
        );
  return factsAtStart({ config, path: resolve(file), version: version.version, catalog, network, announced });
}

function newConnectionLog({ config, log }: NodeOptions, { clock }: NodeParts): ConnectionLog {
  const self = config.node.name;
  return new ConnectionLog({ ...recordSettings(config.log, log), log, clock: clock.steady, self });
}

/** What hears of the proxy. */
interface ProxyListeners {
  readonly log: NodeLog;
  readonly connectionLog: ConnectionLog;
  readonly reconciler: Reconciler;
  readonly news: ReachNews;
  readonly sockets: SocketList;
}

async function startProxy(
  { config }: NodeOptions,
  parts: NodeParts,
  { log, connectionLog, reconciler, news, sockets }: ProxyListeners,
): Promise<NodeProxy> {
  let proxy: NodeProxy | null = null;
  proxy = await parts.startProxy({
    workers: config.proxy.workers,
    records: connectionLog,
    onListeners: (listeners) => log.listeners(listeners),
    onShortage: (shortage) => log.shortage(shortage),
    hasGossip: config.cluster !== null,
    inherited: sockets.inherited,
    onSockets: () => sockets.set("proxy", proxy?.sockets ?? []),
    onBindErrors: (errors) => reconciler.learn({ bindErrors: bindErrorsOf(errors) }),
    onReachChange: () => news.set(),
    onRetryDue: () => reconciler.learn({ portRetries: reconciler.facts.portRetries + 1 }),
  });
  proxy.recordConnections(recordRule(config.log.connections));
  return proxy;
}

/** Starts both side by side; when one fails the other is stopped with the rest. */
async function bothOf(
  startingProxy: Promise<NodeProxy>,
  startingCluster: Promise<Cluster>,
  stopProxy: () => unknown,
  stops: Stops,
): Promise<[NodeProxy, Cluster]> {
  const [proxy, cluster] = await Promise.allSettled([startingProxy, startingCluster]);
  if (proxy.status === "fulfilled") stops.push(stopProxy);
  if (cluster.status === "fulfilled") stops.push(() => cluster.value.close());
  return Promise.all([startingProxy, startingCluster]);
}

function startCluster(
  { config, file, log, onFatal }: NodeOptions,
  parts: NodeParts,
  known: Pick<StartedParts, "catalog" | "reconciler" | "events" | "sockets">,
  stops: Stops,
  inherited: HandedCluster | undefined,
): Promise<Cluster> {
  const { reconciler, events, sockets } = known;
  const { clock, lookup, random, gossip, fileChangedAtMs } = parts;
  const { address } = reconciler.facts;
  const overlay =
    config.cluster === null || address === null
      ? null
      : newOverlay({ config, log }, parts, config.cluster, { reconciler, sockets }, inherited?.overlay);
  stops.push(() => overlay?.close()); // after all that uses it
  return Cluster.start({
    ...known,
    overlay,
    clock,
    lookup,
    transport: gossip,
    random,
    log: new ClusterLog(log, clock, events),
    fileChangedAtMs: () => fileChangedAtMs(file),
    onFatal,
    inherited,
  });
}

/** Nobody else is this node from here on. What the proxy continues is there before its first table. */
async function inherit(takeover: Takeover, proxy: NodeProxy, events: Events): Promise<Inherited> {
  const state = await takeover.begin();
  const [ofProxy, ofCluster] = [state.get(PROXY_PART), state.get(CLUSTER_PART)];
  const ofEvents = state.get(EVENTS_PART);
  if (ofEvents !== undefined) events.continueFrom(unpackEvents(ofEvents));
  const ofMetrics = state.get(METRICS_PART);
  if (ofProxy !== undefined) proxy.continueFrom(unpackProxy(ofProxy));
  return {
    cluster: ofCluster === undefined ? undefined : unpackCluster(ofCluster),
    metrics: ofMetrics === undefined ? undefined : unpackMetrics(ofMetrics),
  };
}

/** That of the predecessor; null: there is none here, or the file names another. */
function takenSocket({ config, takeover }: NodeOptions): string | null {
  if (takeover == null) return null;
  const { socket } = config.admin;
  return socket === null || socket === takeover.adminSocket ? takeover.adminSocket : null;
}

function newOverlay(
  { config, log }: Pick<NodeOptions, "config" | "log">,
  parts: NodeParts,
  cluster: ClusterConfig,
  { reconciler, sockets }: Pick<StartedParts, "reconciler" | "sockets">,
  inherited: HandedOverlay | null | undefined,
): Overlay {
  const { node, overlay } = config;
  const { clock, random } = parts;
  return new Overlay({
    self: node.name,
    config: overlay,
    cluster,
    address: reconciler.facts.address!.announced,
    hasAddress: (wanted) => hasAddress(parts.readNetwork(), wanted),
    libcrypto: overlay.encrypt ? parts.libcryptoVersion() : null,
    open: parts.openDrivers(`${cluster.name}/${node.name}`, clock),
    watchPaths: (watched) => parts.watchPaths({ ...watched, random, clock: clock.steady }),
    clock: clock.steady,
    log: new OverlayLog(log, clock),
    onChange: (facts) => reconciler.learn({ overlay: facts }),
    inherited: inherited ?? undefined,
    sockets,
  });
}

function newGate(
  proxy: NodeProxy,
  news: ReachNews,
  { clock }: NodeParts,
  told: Pick<StartedParts, "log" | "events">,
  reconciler: Reconciler,
): PortGate {
  const report = new ReachReport({ ...told, onReach: (reach) => reconciler.learn({ reach }) });
  return new PortGate({
    reach: proxy,
    news,
    clock,
    isReportedDown: (node, ...task) => isReportedDown(reconciler.facts.catalog.nodes().get(node), ...task),
    onDue: () => reconciler.learn({ localChanges: reconciler.facts.localChanges + 1 }),
    onReach: (input, table) => report.report(reachIn(input, table, proxy), servedTask(input)),
  });
}

/** From now on: a change before is seen at the first look. */
function watchAddress(
  { config }: NodeOptions,
  { clock, readUsableAddresses, readDefaultRouteInterface }: NodeParts,
  cluster: Cluster,
  { facts: { address } }: Reconciler,
  stops: Stops,
): void {
  if (config.cluster === null || address === null) return;
  const watch = new AddressWatch({
    node: config.node,
    cluster: config.cluster,
    address: address.announced,
    readAddresses: readUsableAddresses,
    readDefaultRouteInterface,
    clock,
    onChange: (change) => cluster.changeAddress(change),
  });
  watch.start();
  stops.push(() => watch.stop());
}

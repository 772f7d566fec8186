/**
 * Builds the parts of a node and starts them in order: the admin socket (a second node on it must fail before it
 * touches a port), names and interfaces, proxy workers, first table. What is started when a later step fails is
 * stopped again.
 */
import { resolve } from "node:path";
import { listenOnSocket, meshApp } from "../admin/index.ts";
import type { ClusterConfig, Config, ConfigCheck, FileResult, WatchOptions } from "../config/index.ts";
import type { ProxyOptions, SpliceProxy } from "../proxy/index.ts";
import { type Clock, steadyClock } from "../sys/clock.ts";
import type { LocalAddress, LocalNetwork } from "../sys/local-addresses.ts";
import type { LookupHost } from "../sys/lookup-host.ts";
import { AddressWatch } from "./cluster/address-watch.ts";
import { ClusterLog } from "./cluster/cluster-log.ts";
import { Mesh } from "./cluster/mesh.ts";
import { ownAddress } from "./cluster/own-address.ts";
import { InterfaceWatch } from "./interface-watch.ts";
import { bindErrorsOf } from "./listings.ts";
import { type Log, wantsConnections } from "./log.ts";
import { LookupLimit } from "./lookup-limit.ts";
import { Node } from "./node.ts";
import type { NodeError } from "./node-error.ts";
import { NodeLog } from "./node-log.ts";
import type { OpenDrivers } from "./overlay/open-driver.ts";
import { Overlay, type Paths } from "./overlay/overlay.ts";
import { OverlayLog } from "./overlay/overlay-log.ts";
import type { PathWatchOptions } from "./overlay/path-watch.ts";
import { PortGate } from "./port-gate.ts";
import { ReachReport, reachOf } from "./reach-report.ts";
import { type NameStatus, Resolver } from "./resolver.ts";
import type { BuildInfo } from "./status.ts";
import { TableUpdates } from "./table-updates.ts";

/** Names that resolve at once are in the first table. */
const FIRST_NAMES_MS = 50;

/** The outside world, so that tests can replace it. */
export interface NodeParts {
  readonly startProxy: (options: ProxyOptions) => Promise<NodeProxy>;
  readonly lookup: LookupHost;
  readonly readNetwork: () => LocalNetwork;
  /** The machine's addresses that work: none that IPv6 still looks for a second owner of. */
  readonly readUsableAddresses: () => readonly LocalAddress[];
  readonly clock: Clock;
  readonly readConfig: (file: string, check: ConfigCheck) => FileResult | Promise<FileResult>;
  readonly watchConfig: (options: Pick<WatchOptions, "path" | "onChange" | "isRefused">) => { stop(): void };
  /** When the file was last written, ms since 1970; null: not known. */
  readonly fileChangedAtMs: (file: string) => number | null;
  readonly readDefaultRouteInterface: (family: 4 | 6) => string | null;
  /** Names of the interfaces of overlays, also of those that killed nodes have left. */
  readonly readOverlayInterfaces: () => ReadonlySet<string>;
  /** @param owner "<cluster>/<node>" */
  readonly openDrivers: (owner: string) => OpenDrivers;
  readonly watchPaths: (options: PathWatchOptions) => Paths;
  /** null: the system has none. */
  readonly libcryptoVersion: () => string | null;
  /** [0, 1) */
  readonly random: () => number;
}

export type NodeProxy = Pick<
  SpliceProxy,
  | "compare"
  | "excessOf"
  | "prepare"
  | "commit"
  | "isTaskUp"
  | "silentLooksOf"
  | "openConnectionsOf"
  | "status"
  | "recordConnections"
  | "drain"
  | "hurry"
  | "stop"
>;

export interface NodeOptions {
  readonly file: string;
  /** What `file` says: it has been read already, because the log depends on it. */
  readonly config: Config;
  /** What of `file` should be repaired. */
  readonly fileWarnings?: readonly string[];
  readonly version: BuildInfo;
  readonly log: Log;
  /** The node cannot go on after it has started. */
  readonly onFatal: (error: NodeError) => void;
}

/** Throws AdminSocketError, NodeError or OverlayError when the node cannot begin. */
export async function startNode(options: NodeOptions, parts: NodeParts): Promise<Node> {
  const { config, version } = options;
  const stops: (() => unknown)[] = [];
  let node: Node | null = null;
  try {
    const admin = await listenOnSocket(config.admin.socket, meshApp(() => node, version).fetch);
    stops.push(() => admin.close());
    const { lookup } = new LookupLimit(parts.lookup, parts.clock);
    node = await startParts(options, { ...parts, lookup }, stops);
    return node;
  } catch (error) {
    for (const stop of stops.reverse()) await stop();
    throw error;
  }
}

async function startParts(options: NodeOptions, parts: NodeParts, stops: (() => unknown)[]): Promise<Node> {
  const { config } = options;
  const log = new NodeLog(options.log);
  const startedAt = parts.clock.nowMs();
  let tables: TableUpdates | null = null;
  let gate: PortGate | null = null;
  const refresh = () => tables?.refresh(); // before there is a tables nothing needs it: the first table is yet to come
  const { clock, lookup, readNetwork } = parts;
  const onChange = (name: NameStatus) => {
    log.name(name);
    refresh();
  };
  const resolver = new Resolver({ clock, lookup, onChange });
  stops.push(() => resolver.keep([]));
  const onNetwork = (network: LocalNetwork) => {
    mesh.setNetwork(network); // it is watched from the first table on
    refresh();
  };
  const interfaces = new InterfaceWatch({ clock, read: readNetwork, onChange: onNetwork });
  stops.push(() => interfaces.setActive(false));
  const [proxy, mesh] = await bothOf(
    parts.startProxy({
      workers: config.proxy.workers,
      onConnectionsClosed: (records) => log.connections(records),
      onListeners: (listeners) => log.listeners(listeners),
      onShortage: (shortage) => log.shortage(shortage),
      hasGossip: config.cluster !== null,
      onBindErrors: (errors) => mesh.setBindErrors(bindErrorsOf(errors)), // there are none before the first table
      onReachChange: () => gate?.lookSoon(),
    }),
    startMesh(options, parts, refresh, stops),
    stops,
  );
  proxy.recordConnections(wantsConnections(config.log.level));
  const report = new ReachReport({ mesh, log });
  gate = new PortGate({
    reach: proxy,
    clock,
    isReportedDown: (...task) => mesh.isReportedDown(...task),
    onDue: refresh,
    onReach: (input, table) => report.report(reachOf(input, table, proxy)),
  });
  stops.push(() => gate?.stop());
  tables = new TableUpdates({
    proxy,
    gate,
    resolver,
    interfaces,
    currentInput: () => mesh.input(),
    onWarnings: (warnings) => log.warnings(warnings),
    onLoops: (loops) => log.loops(loops),
    onTaskAddresses: (addresses) => mesh.setTaskAddresses(addresses),
    onRefreshError: (error) => log.refreshFailed(error),
  });
  await tables.change((turn) => turn.apply(mesh.input(), FIRST_NAMES_MS));
  gate.start();
  mesh.announceStart();
  watchAddress(options, parts, mesh, stops);
  return new Node({ options, parts, log, startedAt, resolver, proxy, tables, mesh, stops });
}

/** Starts both side by side; when one fails the other is stopped with the rest. */
async function bothOf(
  startingProxy: Promise<NodeProxy>,
  startingMesh: Promise<Mesh>,
  stops: (() => unknown)[],
): Promise<[NodeProxy, Mesh]> {
  const [proxy, mesh] = await Promise.allSettled([startingProxy, startingMesh]);
  if (proxy.status === "fulfilled") stops.push(() => proxy.value.stop());
  if (mesh.status === "fulfilled") stops.push(() => mesh.value.close());
  return Promise.all([startingProxy, startingMesh]);
}

async function startMesh(
  options: NodeOptions,
  parts: NodeParts,
  onChange: () => void,
  stops: (() => unknown)[],
): Promise<Mesh> {
  const { config, version, file, onFatal } = options;
  const { clock, lookup, random, readNetwork, readDefaultRouteInterface, fileChangedAtMs } = parts;
  const { node, cluster } = config;
  const { addresses } = readNetwork();
  const overlays = parts.readOverlayInterfaces();
  const address =
    cluster === null ? null : ownAddress(node, cluster, readDefaultRouteInterface, addresses, overlays);
  let mesh: Mesh | null = null;
  const onOverlay = () => mesh?.onOverlayChanged(); // before there is a mesh nothing has been said of it
  const overlay = cluster === null ? null : newOverlay(options, parts, cluster, address!, onOverlay);
  stops.push(() => overlay?.close()); // after all that uses it
  mesh = await Mesh.start({
    config,
    file: resolve(file),
    address,
    overlay,
    network: readNetwork(),
    version: version.version,
    clock,
    lookup,
    random,
    log: new ClusterLog(options.log, clock),
    fileChangedAtMs: () => fileChangedAtMs(file),
    onChange,
    onFatal,
  });
  return mesh;
}

/** From now on: a change before is seen at the first look. */
function watchAddress(
  { config: { node, cluster } }: NodeOptions,
  { clock, readUsableAddresses, readDefaultRouteInterface }: NodeParts,
  mesh: Mesh,
  stops: (() => unknown)[],
): void {
  const { address } = mesh;
  if (cluster === null || address === null) return;
  const watch = new AddressWatch({
    node,
    cluster,
    address,
    readAddresses: readUsableAddresses,
    readDefaultRouteInterface,
    clock,
    onChange: (change) => mesh.changeAddress(change),
  });
  watch.start();
  stops.push(() => watch.stop());
}

function newOverlay(
  { config, log }: NodeOptions,
  parts: NodeParts,
  cluster: ClusterConfig,
  address: string,
  onChange: () => void,
): Overlay {
  const { node, overlay } = config;
  return new Overlay({
    self: node.name,
    config: overlay,
    cluster,
    address,
    hasAddress: (wanted) => parts.readNetwork().addresses.some(({ address: own }) => own === wanted),
    libcrypto: overlay.encrypt ? parts.libcryptoVersion() : null,
    open: parts.openDrivers(`${cluster.name}/${node.name}`),
    watchPaths: (watched) => parts.watchPaths({ ...watched, random: parts.random }),
    clock: steadyClock,
    log: new OverlayLog(log, parts.clock),
    onChange,
  });
}

/**
 * Facts -> everything that follows from them: this node's own record, the nodes for its overlay, what is kept on disk;
 * and, apart from these, the input of its routing table. Pure: the same facts give the same result, so that a pass can compare and do nothing.
 */
import {
  type CatalogState,
  compareFile,
  type Definition,
  type FileChanges,
  findConflicts,
  type NodeRecord,
  type VisibleService,
} from "../../catalog/index.ts";
import type { ClusterConfig, Config } from "../../config/index.ts";
import { areSpecsEqual } from "../../model/index.ts";
import { buildRoutingInput } from "../build-routing-input.ts";
import type { InputRelay, RoutingInput } from "../routing-input.ts";
import { declarationsOf, servicesWith, tasksWith } from "./declarations.ts";
import { type Facts, sourceOf } from "./facts.ts";
import { type OverlayFacts, reachOf } from "./overlay-facts.ts";
import { ownRecord } from "./own-record.ts";
import { relayKeys } from "./relay-keys.ts";

/** Overlay addresses are IPv4: a socket for all of IPv6 does not receive what is sent to them. */
const ALL_IPV4 = "0.0.0.0";

export interface Derived {
  readonly record: NodeRecord;
  /** Tasks made by command on this node whose service is gone. */
  readonly orphans: readonly { readonly service: string; readonly name: string }[];
  /** Services of this node's file, with the newer definition that is in force instead. */
  readonly superseded: ReadonlyMap<string, Definition>;
  readonly writes: number;
  /** null: no cluster. */
  readonly members: MembersInput | null;
  readonly overlay: OverlayInput | null;
  /** Kept with the catalog. */
  readonly kept: CatalogState;
  readonly portRetries: number;
  /** Equal in two passes when what routingInput gives is. */
  readonly routingSources: readonly unknown[];
}

export interface MembersInput extends Pick<ClusterConfig, "keys" | "join"> {
  /** Literal address that others reach this node by. */
  readonly address: string;
  /** Literal address that gossip leaves from; null: any. */
  readonly source: string | null;
}

export interface OverlayInput {
  readonly address: string;
  readonly clusterKeys: readonly string[];
  readonly nodes: ReadonlyMap<string, NodeRecord>;
  /** Names of nodes with tasks: packets go to them. */
  readonly active: ReadonlySet<string>;
}

export function derive(facts: Facts): Derived {
  return {
    record: ownRecord(facts),
    orphans: orphansOf(facts),
    superseded: supersededIn(facts),
    writes: facts.writes,
    members: membersInput(facts),
    overlay: overlayInput(facts),
    kept: keptState(facts),
    portRetries: facts.portRetries,
    routingSources: routingSources(facts),
  };
}

export function keptState({ file, members }: Facts): CatalogState {
  return { isFileKnown: file.isKnown, members: members.known };
}

/** The facts as they would be with another file. */
export function withConfig(facts: Facts, config: Config): Facts {
  return { ...facts, file: { ...facts.file, config } };
}

/** What the file declares and the catalog does not have yet, or otherwise. */
export function fileChanges({ self, catalog, file }: Facts): FileChanges {
  return compareFile({
    next: declarationsOf(file.config, file.path),
    declared: catalog.ownDeclarations(),
    pending: file.pending,
    services: catalog.services(),
    ownTasks: catalog.tasks().filter((task) => task.owner === self),
    previousTasks: file.tasks,
    age: file.age,
  });
}

/** Tasks made by command go with their service, on whichever node it was removed; those of a file wait for it. */
function orphansOf({ self, catalog }: Facts): Derived["orphans"] {
  const services = catalog.services();
  return catalog
    .tasks()
    .filter(({ owner, origin, service }) => owner === self && origin === "api" && !services.has(service));
}

function supersededIn({ catalog }: Facts): Map<string, Definition> {
  const superseded = new Map<string, Definition>();
  for (const [name, { spec }] of catalog.ownDeclarations()) {
    const inForce = catalog.services().get(name)!;
    if (!areSpecsEqual(inForce.spec, spec)) superseded.set(name, inForce.definitions[0]!);
  }
  return superseded;
}

function membersInput(facts: Facts): MembersInput | null {
  const { cluster } = facts.file.config;
  if (cluster === null || facts.address === null) return null;
  const { keys, join } = cluster;
  return { address: facts.address.announced, source: sourceOf(facts), keys, join };
}

function overlayInput({ catalog, address, file: { config } }: Facts): OverlayInput | null {
  if (config.cluster === null || address === null) return null;
  return {
    address: address.announced,
    clusterKeys: config.cluster.keys,
    nodes: catalog.nodes(),
    active: new Set(catalog.tasks().map(({ owner }) => owner)),
  };
}

/** By identity: a fact that is learned again as it was is not replaced. */
function routingSources({
  catalogRevision,
  file,
  address,
  network,
  overlay,
  localChanges,
  shares,
}: Facts): unknown[] {
  return [catalogRevision, file, address, network, overlay, localChanges, shares];
}

/** Not part of a pass: the routing table is made again, later, when the sources have changed. */
export function routingInput(facts: Facts, nowMs: number): RoutingInput {
  const { self, catalog, overlay } = facts;
  const { config } = facts.file;
  const source = sourceOf(facts);
  const changes = fileChanges(facts);
  const services = servicesWith(catalog, changes, nowMs);
  return buildRoutingInput({
    self: { name: self, labels: config.node.labels },
    isSelfDraining: catalog.directiveOf(self) === "drain",
    bind: config.proxy.bind,
    relay: overlay === null ? null : relayOf(config, overlay),
    reach: (name, node) => (overlay === null ? null : reachOf(name, node, overlay, source)),
    services,
    tasks: tasksWith(catalog.tasks(), changes, self).map((task) => beforeFirstProbe(task, services, facts)),
    shares: facts.shares,
    nodes: catalog.nodes(),
    conflicts: services === catalog.services() ? catalog.conflicts() : findConflicts(services.values()),
    fileOrder: config.services.map((service) => service.name),
  });
}

/** A new task of this node that the catalog does not have yet. */
function beforeFirstProbe(
  task: ReturnType<typeof tasksWith>[number],
  services: ReadonlyMap<string, Pick<VisibleService, "spec">>,
  { self, catalog }: Facts,
): ReturnType<typeof tasksWith>[number] {
  if (task.owner !== self || task.health !== undefined || !services.get(task.service)?.spec.check)
    return task;
  const isKnown = catalog
    .tasksOf(task.service)
    .some(({ owner, name }) => owner === self && name === task.name);
  return isKnown ? task : { ...task, health: { state: "starting", reason: "", since: 0 } };
}

function relayOf({ cluster, overlay: { port } }: Config, overlay: OverlayFacts): InputRelay | null {
  if (cluster === null) return null;
  const { host } = cluster.bind;
  const { udpPort, addresses, acceptsClear, sharedUdpAddresses, formerUdpPort } = overlay;
  return {
    listenAddresses: host === ALL_IPV4 ? [host] : [host, ...addresses],
    port,
    udpPort,
    ...(sharedUdpAddresses !== null && { sharedUdpAddresses }),
    ...(formerUdpPort !== null && { formerUdpPort }),
    acceptsClear,
    keys: relayKeys(cluster.keys, cluster.name),
    isWan: cluster.profile === "wan",
  };
}

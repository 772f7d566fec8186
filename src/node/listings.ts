/** The cluster as listings show it: the catalog together with this node's own observations. Pure. */

import type {
  DefinitionInfo,
  HealthInfo,
  NodeInfo,
  OverwrittenInfo,
  PortConflict,
  ServiceInfo,
  TaskInfo,
  TaskState,
} from "../admin/index.ts";
import type { Catalog, Overwritten, VisibleService, VisibleTask } from "../catalog/index.ts";
import type { Member, MemberState } from "../membership/index.ts";
import { compareSpecs, type Labels } from "../model/index.ts";
import { type BindError, type ProxyStatus, rangesOf, type TaskStatus } from "../proxy/index.ts";
import { formatHostPort } from "../wire/index.ts";
import { addressText } from "./cluster/address.ts";
import { isTaskDraining, servicesInPanic } from "./rotation.ts";
import { ZONE_LABEL } from "./routing-input.ts";

/** A service that is defined differently in several places. */
export interface DifferingService {
  readonly service: string;
  readonly inForce: DefinitionInfo;
  /** Newest first. */
  readonly others: readonly DefinitionInfo[];
}

/** A service that a file no longer declares, and where it still is. */
export interface KeptService {
  readonly service: string;
  /** The one in force first. */
  readonly definitions: readonly DefinitionInfo[];
}

export interface ClusterSnapshot {
  readonly self: string;
  readonly catalog: Catalog;
  readonly proxy: ProxyStatus;
  readonly members: readonly Member[];
}

export function serviceInfos(seen: ClusterSnapshot): ServiceInfo[] {
  return [...seen.catalog.services().values()].map((service) => serviceInfo(service, seen));
}

export function serviceInfo(service: VisibleService, seen: ClusterSnapshot): ServiceInfo {
  const { name, spec, origin, stamp, created, createdAtMs, updatedAtMs } = service;
  const statuses = statusesOf(name, seen.proxy);
  const tasks = seen.catalog.tasksOf(name).map((task) => taskInfo(task, statuses, seen));
  return {
    name,
    spec,
    origin,
    definitions: definitionInfos(service, seen),
    stamp,
    created,
    createdAtMs,
    updatedAtMs,
    tasks,
    conflicts: conflictsOf(name, seen.catalog),
    isInPanic: servicesInPanic(seen.catalog, [name]).length > 0,
    overwritten: seen.catalog.overwrittenOf(name).map(overwrittenInfo),
  };
}

function overwrittenInfo({ lost, by }: Overwritten): OverwrittenInfo {
  const places = { node: lost.stamp.node, atMs: lost.atMs, byNode: by.stamp.node, byAtMs: by.atMs };
  if (lost.spec === null) return { ...places, differences: ["removed -> kept"] };
  if (by.spec === null) return { ...places, differences: ["changed -> removed"] };
  return { ...places, differences: compareSpecs(lost.spec, by.spec) };
}

/** The one in force first. */
function definitionInfos(
  { spec, definitions }: Pick<VisibleService, "spec" | "definitions">,
  { self, members }: Pick<ClusterSnapshot, "self" | "members">,
): DefinitionInfo[] {
  const alive = new Set(members.flatMap(({ name, state }) => (state === "alive" ? [name] : [])));
  return definitions.map((definition) => ({
    node: definition.node,
    file: definition.file,
    isAlive: definition.node === self || alive.has(definition.node),
    changedAtMs: definition.updatedAtMs,
    differences: definition.spec === spec ? [] : compareSpecs(spec, definition.spec),
  }));
}

/** Services that nodes define differently. */
export function differingServices(
  services: Iterable<VisibleService>,
  seen: Pick<ClusterSnapshot, "self" | "members">,
): DifferingService[] {
  return [...services].flatMap((service) => {
    if (service.definitions.length < 2) return [];
    const [inForce, ...others] = definitionInfos(service, seen);
    const differing = others.filter(({ differences }) => differences.length > 0);
    return differing.length === 0 ? [] : [{ service: service.name, inForce: inForce!, others: differing }];
  });
}

/** Those of `removed` that are still there. */
export function keptServices(
  removed: readonly string[],
  services: ReadonlyMap<string, VisibleService>,
  seen: Pick<ClusterSnapshot, "self" | "members">,
): KeptService[] {
  return removed.flatMap((name) => {
    const service = services.get(name);
    return service === undefined ? [] : [{ service: name, definitions: definitionInfos(service, seen) }];
  });
}

export function portConflicts(catalog: Catalog): PortConflict[] {
  return [...catalog.conflicts().keys()].flatMap((name) => conflictsOf(name, catalog));
}

export interface TaskHealthStatus extends HealthInfo {
  readonly service: string;
  readonly task: string;
  readonly node: string;
}

/** Of the tasks of all nodes that are checked. */
export function taskHealth(catalog: Catalog): TaskHealthStatus[] {
  return catalog.tasks().flatMap(({ service, name, owner, health }) => {
    return health === undefined ? [] : [{ service, task: name, node: owner, ...health }];
  });
}

/** By name; a node without a cluster sees itself. */
export function nodeInfos(seen: ClusterSnapshot, labels: Labels): NodeInfo[] {
  const tasks = countTasks(seen.catalog);
  const viewOf = (name: string, member: Member | null) =>
    nodeInfo(name, member, seen, labels, tasks.get(name) ?? 0);
  const members = seen.members.map((member) => viewOf(member.name, member));
  const all = members.length === 0 ? [viewOf(seen.self, null)] : members;
  return all.sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** By node. */
function countTasks(catalog: Catalog): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { owner } of catalog.tasks()) counts.set(owner, (counts.get(owner) ?? 0) + 1);
  return counts;
}

function nodeInfo(
  name: string,
  member: Member | null,
  { self, catalog }: ClusterSnapshot,
  ownLabels: Labels,
  tasks: number,
): NodeInfo {
  const record = catalog.nodes().get(name);
  const labels = record?.labels ?? (name === self ? ownLabels : {});
  return {
    name,
    address: member === null ? null : addressText(member.address),
    state: member === null ? "alive" : STATES[member.state],
    isSelf: name === self,
    isDraining: record?.isDraining ?? false,
    labels,
    zone: labels[ZONE_LABEL] ?? null,
    tasks,
    version: record?.version ?? null,
    relay: record?.relay == null ? null : formatHostPort(record.relay.address, record.relay.port),
    rttMs: member?.rttMs ?? null,
    bindErrors: (record?.bindErrors ?? []).map(([service, listener, error]) => ({
      service,
      listener,
      error,
    })),
  };
}

const STATES: Readonly<Record<MemberState, NodeInfo["state"]>> = {
  alive: "alive",
  suspect: "suspect",
  dead: "failed",
  left: "left",
};

function conflictsOf(service: string, catalog: Catalog): PortConflict[] {
  const lost = catalog.conflicts().get(service) ?? [];
  return lost.map(({ protocol, published, keptBy }) => ({
    service,
    protocol,
    port: published,
    with: keptBy,
  }));
}

function taskInfo(task: VisibleTask, statuses: TaskStatuses, seen: ClusterSnapshot): TaskInfo {
  const { name, host, port, weight, owner, origin, isBackup, health = null } = task;
  const status = pickStatus(statuses.get(statusKey(name, owner === seen.self ? null : owner)));
  const isDraining = isTaskDraining(task, seen.catalog.nodes().get(owner)?.isDraining === true);
  const state = stateOf(task, isDraining, status, seen);
  const error = health === null || state !== health.state ? errorOf(state, status) : health.reason;
  return {
    ...{ name, host, port, weight, node: owner, origin, state, error, health },
    ...(isBackup === true && { isBackup }),
  };
}

function errorOf(state: TaskState, status: TaskStatus | undefined): string | null {
  if (state === "active" || state === "draining") return null;
  return (state === "loop" ? status?.loop : status?.lastError?.message) ?? null;
}

/** By statusKey: a service may have ten thousand tasks. */
type TaskStatuses = ReadonlyMap<string, readonly TaskStatus[]>;

function statusesOf(service: string, { services }: ProxyStatus): TaskStatuses {
  const tasks = services.find((each) => each.name === service)?.tasks ?? [];
  return Map.groupBy(tasks, ({ name, node }) => statusKey(name, node));
}

function statusKey(name: string, node: string | null): string {
  return `${node ?? ""} ${name}`;
}

/** A name with several addresses fails, or leads back, when all of them do. @param task with null for the node it is asked on */
export function statusOfTask(
  service: string,
  { name, node }: { readonly name: string; readonly node: string | null },
  { services }: ProxyStatus,
): TaskStatus | undefined {
  const tasks = services.find((each) => each.name === service)?.tasks ?? [];
  return pickStatus(tasks.filter((status) => status.node === node && status.name === name));
}

function pickStatus(statuses: readonly TaskStatus[] = []): TaskStatus | undefined {
  return statuses.find(({ state }) => state !== "failing" && state !== "loop") ?? statuses[0];
}

function stateOf(
  task: VisibleTask,
  isDraining: boolean,
  status: TaskStatus | undefined,
  seen: ClusterSnapshot,
): TaskState {
  if (status?.state === "loop") return "loop";
  const peer = seen.proxy.peers.find(({ name }) => name === task.owner);
  if (peer?.isReachable === false) return "unreachable";
  // also one that this node's proxy takes for draining: it has not heard yet that this is over
  if (isDraining || status?.state === "draining") return "draining";
  const { health } = task;
  if (health?.state === "starting" || health?.state === "unhealthy") return health.state;
  return status?.state === "failing" || isReportedDown(task, seen) ? "failing" : "active";
}

/** Its node cannot reach it. */
function isReportedDown({ service, name, owner }: VisibleTask, { catalog }: ClusterSnapshot): boolean {
  const down = catalog.nodes().get(owner)?.downTasks ?? [];
  return down.some((task) => task.service === service && task.task === name);
}

/** As this node announces it to the others. */
export function bindErrorsOf(
  errors: readonly BindError[],
): [service: string, listener: string, error: string][] {
  return rangesOf(errors).map(({ first: { service, protocol, address, port }, lastPort, error }) => [
    service,
    `${protocol} ${formatHostPort(address, port)}${lastPort === port ? "" : `-${lastPort}`}`,
    error ?? "",
  ]);
}

/**
 * Which task a client would get from here, and why: the proxy's own rules, applied to what its counters say. Pure; nothing
 * is opened and no turn is used up. Where turns or chance decide, the workers' own are not known here: one of those whose
 * turn it may be is named.
 */

import type { ServiceTrace, Trace, TraceCandidate, TraceQuery } from "../admin/index.ts";
import { findByServerName, namesOfPort, type Prefer, selects } from "../model/index.ts";
import {
  type Candidate,
  createBalancer,
  type Distance,
  hashClient,
  hashText,
  loopOf,
  orderOfPicks,
  type PublishedPort,
  type RoutingTable,
  type Service,
  servesPort,
  type Task,
} from "../proxy/index.ts";
import { formatHostPort, PrefixSet, parseIp } from "../wire/index.ts";
import { type ClusterSnapshot, statusOfTask } from "./listings.ts";
import type { RoutingInput } from "./routing-input.ts";

export interface TraceInput extends ClusterSnapshot {
  readonly input: RoutingInput;
  readonly table: RoutingTable;
}

/** A task as the balancer sees it. */
interface Traced extends Candidate {
  readonly task: Task;
  readonly shown: Omit<TraceCandidate, "passedOver">;
}

export function traceRoute(query: TraceQuery, sources: TraceInput): Trace {
  const published = sources.table.services.flatMap((service) => {
    const port = service.ports.find(
      (each) => each.protocol === query.protocol && each.published === query.port,
    );
    return port === undefined ? [] : [{ service, port }];
  });
  const services = withServerName(published, query.sni).map(({ service, port }) =>
    traceService(service, port, query, sources),
  );
  return { ...query, node: sources.self, services };
}

interface Published {
  readonly service: Service;
  readonly port: PublishedPort;
}

/** Several have one name only where their `bind` differs. @param sni undefined: any */
function withServerName(published: readonly Published[], sni: string | undefined): readonly Published[] {
  if (sni === undefined) return published;
  const byName = new Map<string, Published[]>();
  for (const each of published)
    for (const name of namesOfPort(each.port)) byName.set(name, [...(byName.get(name) ?? []), each]);
  return findByServerName(byName, sni) ?? [];
}

function traceService(
  service: Service,
  port: PublishedPort,
  query: TraceQuery,
  sources: TraceInput,
): ServiceTrace {
  const { name, balance, prefer } = service;
  const traced = service.tasks.map((task) => trace(task, service, port, sources));
  const eligible = traced.filter(({ task }) => servesPort(port, task));
  const ip = query.client === null ? null : parseIp(query.client);
  const clientHash = ip === null ? 0 : hashClient(ip.family, ip.bytes, 0);
  const order = orderOfPicks(
    createBalancer(balance, eligible, () => 0, prefer),
    clientHash,
    NOW,
  );
  const others = traced.filter((candidate) => !order.includes(candidate));
  const refusal = whyRefused(service, query, sources);
  const pick = refusal === null ? (order[0] ?? null) : null;
  return {
    service: name,
    target: port.target,
    mode: port.mode,
    ...(port.sni !== undefined && { sni: port.sni }),
    balance,
    prefer,
    listeners: (port.listenAddresses ?? service.listenAddresses).map((address) =>
      formatHostPort(address, port.published),
    ),
    candidates: [...order, ...others].map((candidate) => ({
      ...candidate.shown,
      passedOver: candidate === pick ? null : whyPassedOver(candidate, port, prefer, pick),
    })),
    pick: pick === null ? null : { node: pick.shown.node, task: pick.task.name },
    reason: refusal ?? whyPicked(pick, service, port, query),
  };
}

/** Any time does: a failing candidate fails until Number.MAX_VALUE. */
const NOW = 0;

function trace(task: Task, service: Service, port: PublishedPort, sources: TraceInput): Traced {
  const status = statusOfTask(service.name, task, sources.proxy);
  const peer = task.node === null ? undefined : sources.proxy.peers.find(({ name }) => name === task.node);
  const state =
    loopOf(port, task) !== undefined
      ? "loop"
      : peer?.isReachable === false
        ? "unreachable"
        : task.isDraining
          ? "draining"
          : (healthOf(task, service, sources) ?? (status?.state === "failing" ? "failing" : "active"));
  const targetPort = task.port ?? port.target;
  const via =
    peer === undefined
      ? formatHostPort(task.address, targetPort)
      : `relay ${formatHostPort(peer.address, peer.port)}`;
  const { weight, isDraining, distance, identity } = task;
  return {
    task,
    shown: { node: task.node ?? sources.self, task: task.name, via, distance, weight, state },
    weight: weight * (task.share ?? 1),
    isDraining,
    isBackup: task.isBackup === true,
    isOutOfRotation: task.isOutOfRotation === true,
    distance,
    hash: hashText(identity),
    failingUntilMs: state === "failing" || state === "unreachable" ? Number.MAX_VALUE : 0,
    openConnections: () => status?.openConnections ?? 0,
  };
}

/** null: its check has nothing against it. */
function healthOf(
  { name, node }: Task,
  service: Service,
  { self, catalog }: TraceInput,
): "starting" | "unhealthy" | null {
  const owner = node ?? self;
  const task = catalog.tasksOf(service.name).find((each) => each.owner === owner && each.name === name);
  const state = task?.health?.state;
  return state === "starting" || state === "unhealthy" ? state : null;
}

/** null: a client is served if there is a task. */
function whyRefused(service: Service, query: TraceQuery, { input }: TraceInput): string | null {
  const { nodes = {} } = input.services.find(({ name }) => name === service.name) ?? {};
  if (!selects(nodes, input.self.labels)) {
    const wanted = Object.entries(nodes).map(([key, value]) => `${key}=${value}`);
    return `not on this node: nodes requires ${wanted.join(", ")}`;
  }
  if (service.listenAddresses.length === 0) return "this node listens on no address for it";
  const ip = query.client === null ? null : parseIp(query.client);
  if (ip === null) return null;
  const matching = (prefixes: readonly string[]) =>
    prefixes.find((prefix) => PrefixSet.from([prefix]).matches(ip.family, ip.bytes, 0));
  const denied = matching(service.deny);
  if (denied !== undefined) return `denied by ${denied}`;
  return matching(service.allow) === undefined ? "no allow prefix matches" : null;
}

/** Nearest first, as the balancer has them. */
const TIERS: Readonly<Record<Prefer, Readonly<Record<Distance, number>>>> = {
  any: { local: 0, zone: 0, far: 0 },
  local: { local: 0, zone: 1, far: 2 },
  zone: { local: 0, zone: 0, far: 1 },
};

function whyPassedOver(
  { task, shown }: Traced,
  port: PublishedPort,
  prefer: Prefer,
  pick: Traced | null,
): string | null {
  if (port.mode === "host" && task.node !== null) return "mode host: only tasks of this node";
  const loop = loopOf(port, task);
  if (loop !== undefined) return `loop: ${loop.path}`;
  if (shown.state !== "active") return shown.state;
  if (pick === null || pick.shown.state !== "active") return null;
  if (task.isBackup === true && pick.task.isBackup !== true) return "backup: other tasks come first";
  return TIERS[prefer][pick.distance] < TIERS[prefer][task.distance]
    ? `not the nearest: ${pick.distance} tasks come first`
    : null;
}

function whyPicked(
  pick: Traced | null,
  { balance, tasks }: Service,
  port: PublishedPort,
  query: TraceQuery,
): string {
  if (tasks.length === 0) return "the service has no task";
  if (port.mode === "host" && tasks.every(({ node }) => node !== null)) return "no task runs on this node";
  if (!tasks.some((task) => servesPort(port, task))) return "every task loops back to this port";
  if (pick === null)
    return tasks.some(({ isOutOfRotation }) => isOutOfRotation === true)
      ? "no task is healthy"
      : "every task is draining";
  if (pick.shown.state === "unhealthy") return "no task is healthy: unhealthy ones are used (panic)";
  if (pick.shown.state !== "active") return "no other task is available";
  switch (balance) {
    case "least-connections":
      return `fewest open connections: ${pick.openConnections()}`;
    case "source-hash":
      return query.client === null ? "by client address: give one with --client" : "by client address";
    case "round-robin":
      return "in turn; each worker keeps its own turn, so any of the best tasks may be next";
    case "random":
      return "at random among the best tasks";
  }
}

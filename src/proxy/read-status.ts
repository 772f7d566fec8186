/** Adds up the workers' counters into what `status` shows. */
import type { ClientLimits } from "../model/index.ts";
import { errnoText } from "../sys/errno.ts";
import type { CounterSlots } from "./counter-slots.ts";
import { listenerKey } from "./listen/listen-address.ts";
import type { ListenerMap } from "./listen/listeners.ts";
import {
  P_FAILURES,
  P_RTT_MS,
  PEER_FIELDS,
  REFUSAL_REASONS,
  RELAY_DROPS,
  RELAY_ERRORS,
  S_ACCEPTED,
  S_BYTES_IN,
  S_BYTES_OUT,
  S_REFUSALS,
  S_RELAYED_BYTES_IN,
  S_RELAYED_BYTES_OUT,
  S_RELAYED_DATAGRAMS_IN,
  S_RELAYED_DATAGRAMS_OUT,
  S_RELAYED_OPEN,
  S_RELAYED_SESSIONS,
  S_RELAYED_TCP,
  S_RELAYED_TCP_BYTES_IN,
  S_RELAYED_TCP_BYTES_OUT,
  S_UDP_BYTES_IN,
  S_UDP_BYTES_OUT,
  S_UDP_DATAGRAMS_IN,
  S_UDP_DATAGRAMS_OUT,
  S_UDP_OPEN,
  S_UDP_SESSIONS,
  SERVICE_FIELDS,
  type SharedCounters,
  silentLooksAt,
  sumRows,
  T_FAILING,
  T_FAILURES,
  T_LAST_ERRNO,
  T_LAST_FAILURE_AT,
  T_OPEN,
  T_TOTAL,
  TASK_FIELDS,
} from "./table/counters.ts";
import { addressesOf, loopOf } from "./table/port-tasks.ts";
import type { Peer, RoutingTable, Service, Task } from "./table/routing-table.ts";
import type { SourcePortStatus } from "./table/source-ports.ts";
import type {
  ClientStatus,
  PeerStatus,
  PortStatus,
  ProxyStatus,
  ServiceStatus,
  TaskStatus,
} from "./table/status.ts";

import { topClients } from "./top-clients.ts";

/** After a failed connect that no worker has repeated nor seen mended since. */
const FAILING_SHOWN_MS = 60_000;

/** What runs, and where it is counted. */
export interface Counted {
  readonly table: RoutingTable;
  readonly listeners: ListenerMap;
  readonly counters: SharedCounters;
  readonly slots: CounterSlots;
  readonly sourcePorts: SourcePortStatus;
}

/** @param nowMs wall clock */
export function readStatus(
  { table, listeners, counters, slots, sourcePorts }: Counted,
  nowMs: number,
): ProxyStatus {
  const top = topClients(counters.clients, limitedSlots(table, slots));
  return {
    ...readWhole({ table, counters, slots, sourcePorts }),
    services: table.services.map((service) => ({
      name: service.name,
      ports: readPorts(service, listeners),
      tasks: service.tasks.map((task) => ({
        ...readTask(task, counters, nowMs, slots.taskOf(service, task)),
        ...readLoop(service, task),
      })),
      ...readService(counters, slots.services.get(service.name)),
      ...clientsOf(top.get(slots.services.get(service.name) ?? -1)),
    })),
  };
}

function limitedSlots({ services }: RoutingTable, slots: CounterSlots): Map<number, ClientLimits> {
  return new Map(
    services.flatMap(({ name, perClient }) => {
      const slot = slots.services.get(name);
      return perClient === undefined || slot === undefined ? [] : [[slot, perClient] as const];
    }),
  );
}

function clientsOf(topClients: readonly ClientStatus[] | undefined): Pick<ServiceStatus, "topClients"> {
  return topClients === undefined ? {} : { topClients };
}

/** What is not of single services. */
export function readWhole({
  table,
  counters,
  slots,
  sourcePorts,
}: Omit<Counted, "listeners">): Omit<ProxyStatus, "services"> {
  const untracked = counters.clients.untracked[0]!;
  return {
    workers: counters.services.length,
    workersOutOfDescriptors: counters.paused.reduce((sum, paused) => sum + paused, 0),
    ...(untracked > 0 && { untrackedClientsTotal: untracked }),
    sourcePorts,
    relay: {
      connectionsRefusedTotal: readRow(RELAY_ERRORS, counters.relayRefusals),
      datagramsDroppedTotal: readRow(RELAY_DROPS, counters.relayDrops),
    },
    peers: table.peers.map((peer) => readPeer(peer, counters, slots.peers.get(peer.name))),
  };
}

/** Only what has occurred. */
function readRow(
  reasons: readonly string[],
  rows: readonly Float64Array[],
): Readonly<Record<string, number>> {
  const counts = reasons.map((reason, index) => [reason, sumRows(rows, index)] as const);
  return Object.fromEntries(counts.filter(([, count]) => count > 0));
}

function readPeer({ name, address, port }: Peer, counters: SharedCounters, slot = -1): PeerStatus {
  const { peers } = counters;
  const at = slot * PEER_FIELDS;
  if (slot < 0) return { name, address, port, isReachable: true, rttMs: null, failuresTotal: 0 };
  const rttMs = peers[0]![at + P_RTT_MS]!;
  return {
    name,
    address,
    port,
    isReachable: silentLooksAt(counters, slot) === 0,
    rttMs: rttMs === 0 ? null : rttMs,
    failuresTotal: sumRows(peers, at + P_FAILURES),
  };
}

function readPorts(service: Service, listeners: ListenerMap): PortStatus[] {
  return service.ports.map((port) => {
    const { listenAddresses: _, loops: _loops, ...shown } = port;
    return {
      ...shown,
      listeners: addressesOf(service, port).map((address) => ({
        address,
        error: listeners.get(listenerKey({ ...port, address, port: port.published }))?.error ?? null,
      })),
    };
  });
}

type ServiceCounts = Pick<ServiceStatus, "tcp" | "udp" | "relayedUdp" | "refusedTotal">;

function readService(counters: SharedCounters, slot = -1): ServiceCounts {
  const read = (field: number) => (slot < 0 ? 0 : sumRows(counters.services, slot * SERVICE_FIELDS + field));
  const refused = REFUSAL_REASONS.map((reason, index) => [reason, read(S_REFUSALS + index)] as const);
  return {
    tcp: {
      openConnections: counters.open[slot] ?? 0,
      acceptedTotal: read(S_ACCEPTED),
      relayedOpen: counters.relayedOpen[slot] ?? 0,
      relayedTotal: read(S_RELAYED_TCP),
      bytesInTotal: read(S_BYTES_IN) + read(S_RELAYED_TCP_BYTES_IN),
      bytesOutTotal: read(S_BYTES_OUT) + read(S_RELAYED_TCP_BYTES_OUT),
    },
    udp: {
      openSessions: read(S_UDP_OPEN),
      sessionsTotal: read(S_UDP_SESSIONS),
      datagramsInTotal: read(S_UDP_DATAGRAMS_IN),
      datagramsOutTotal: read(S_UDP_DATAGRAMS_OUT),
      bytesInTotal: read(S_UDP_BYTES_IN),
      bytesOutTotal: read(S_UDP_BYTES_OUT),
    },
    relayedUdp: {
      openSessions: read(S_RELAYED_OPEN),
      sessionsTotal: read(S_RELAYED_SESSIONS),
      datagramsInTotal: read(S_RELAYED_DATAGRAMS_IN),
      datagramsOutTotal: read(S_RELAYED_DATAGRAMS_OUT),
      bytesInTotal: read(S_RELAYED_BYTES_IN),
      bytesOutTotal: read(S_RELAYED_BYTES_OUT),
    },
    refusedTotal: Object.fromEntries(refused.filter(([, count]) => count > 0)),
  };
}

function readTask(task: Task, counters: SharedCounters, nowMs: number, slot = -1): TaskStatus {
  const at = slot * TASK_FIELDS;
  const sum = (field: number) => (slot < 0 ? 0 : sumRows(counters.tasks, at + field));
  return {
    name: task.name,
    node: task.node,
    address: task.address,
    port: task.port,
    weight: task.weight,
    ...(task.isBackup === true && { isBackup: true }),
    state: task.isDraining ? "draining" : isFailing(counters, at, nowMs) ? "failing" : "active",
    openConnections: sum(T_OPEN),
    connectionsTotal: sum(T_TOTAL),
    connectFailuresTotal: sum(T_FAILURES),
    lastError: slot < 0 ? null : readLastError(counters, at),
  };
}

/** Of the first port that it leads back to. */
export function readLoop({ ports }: Service, task: Task): Partial<TaskStatus> {
  for (const port of ports) {
    const loop = loopOf(port, task);
    if (loop !== undefined) return { loop: loop.path, state: "loop" };
  }
  return {};
}

/** A worker that gets no more clients does not learn that the task is back: what it knows is believed for a while. */
export function isFailing({ tasks }: SharedCounters, at: number, nowMs: number): boolean {
  if (at < 0) return false;
  return tasks.some(
    (row) => row[at + T_FAILING]! > 0 && nowMs - row[at + T_LAST_FAILURE_AT]! < FAILING_SHOWN_MS,
  );
}

/** The latest over all workers. */
function readLastError(counters: SharedCounters, at: number): TaskStatus["lastError"] {
  let latest: Float64Array | null = null;
  for (const row of counters.tasks) {
    if (row[at + T_LAST_ERRNO] === 0) continue;
    if (latest === null || row[at + T_LAST_FAILURE_AT]! > latest[at + T_LAST_FAILURE_AT]!) latest = row;
  }
  if (latest === null) return null;
  return { message: errnoText(latest[at + T_LAST_ERRNO]!), at: latest[at + T_LAST_FAILURE_AT]! };
}

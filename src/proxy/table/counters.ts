/**
 * Counters in shared memory. Every worker writes only its own row, so nothing is locked; the main thread
 * and least-connections read all rows. Values are float64 (exact up to 2^53).
 *
 * A service has SERVICE_FIELDS numbers in each row, a task TASK_FIELDS. Slots are handed out by the main thread.
 */

import { type ClientTableMemory, createClientTable, forgetClients } from "./client-table.ts";

export const MAX_SERVICES = 4096;
export const MAX_TASKS = 32768;
export const MAX_PEERS = 4096;
/** Clients of services with limits per client, which are known at a time. 40 bytes each, in use as they come. */
const CLIENT_ENTRIES = 65_536;

/** Why a connection or datagram was not served. The order is the order in memory. */
export const REFUSAL_REASONS = [
  "denied", // by allow/deny
  "connection-limit", // max_connections
  "bad-proxy-header",
  "no-task", // every task failed, or there is none
  "out-of-descriptors",
  "session-limit", // UDP: a session was evicted to make room
  "session-moved", // UDP: its task went or failed
  "too-long", // UDP: the datagram does not fit
  "send-failed", // UDP: socket buffer full or unreachable
  "idle", // closed by idle_timeout
  "drained", // closed by drain_timeout
  "unreachable", // UDP: the network said that the task was not reached
  "out-of-ports", // no source port left towards its task
  "published-source", // UDP: its source is a published port of a node, so it is forged
  "unknown-server-name", // no service of the port has the name in the client's TLS ClientHello, or it gives none
  "late-client-hello", // it came too slowly
  "client-limit", // max_connections_per_client, udp.max_sessions_per_client
  "client-rate", // rate_per_client
] as const;
export type RefusalReason = (typeof REFUSAL_REASONS)[number];

/** Why a datagram between nodes was dropped. The order is the order in memory. */
export const RELAY_DROPS = [
  "malformed",
  "unauthentic", // not written with the key
  "replayed",
  "stale", // so old that it may be a replay, or a handshake that took too long
  "clear", // of a relay that must be sealed here
  "unknown-link", // of a relay from before a restart; its node is notified
  "send-failed",
  "too-long",
] as const;
export type RelayDrop = (typeof RELAY_DROPS)[number];

/** Why a relay connection from another node was refused. The order is the order in memory. */
export const RELAY_ERRORS = [
  "malformed",
  "unauthentic", // not written with the key
  "replayed", // a header that was written for another connection
  "stale", // not begun, or not ended, in time
  "clear", // it has to be sealed here
  "forged-record", // of an open connection: changed, repeated, out of place or cut off
  "no-such-task",
  "draining",
  "task-failed",
  "out-of-descriptors",
] as const;
export type RelayError = (typeof RELAY_ERRORS)[number];

/** How a TCP connection broke that a client and a task had, or that a client waited for. The order is the order in memory. */
export const BREAKS = ["client-reset", "task-reset", "client-gone"] as const;

/** Why a connect to a task failed. The order is the order in memory. */
export const CONNECT_FAILURES = [
  "refused",
  "timeout",
  "unreachable",
  "reset",
  "draining", // its node takes no more clients
  "no-such-task", // its node does not know it
  "no-descriptor", // its node has none left
] as const;

/**
 * Upper bounds of a time to connect, the last of which is none: within a LAN, between sites, the least time before
 * another task is tried, a SYN sent again once and twice.
 */
export const TIME_BUCKETS_MS = [1, 5, 25, 100, 250, 1_000, 3_000, Number.POSITIVE_INFINITY] as const;
/** Of a histogram: its buckets and its sum. */
export const HISTOGRAM_FIELDS = TIME_BUCKETS_MS.length + 1;

/** Fields of a peer. The worker with the heartbeat writes the first two. */
/** Looks in a row, a heartbeat's interval apart at least, that found it silent; 0 = it can be reached. */
export const P_SILENT_LOOKS = 0;
/** Of the last heartbeat; 0 = none yet. */
export const P_RTT_MS = 1;
export const P_FAILURES = 2;
/** Greetings and answers of its relay, of each worker its own. */
export const P_ANSWERS = 3;
export const PEER_FIELDS = 4;

export const REFUSAL_INDEX: Readonly<Record<RefusalReason, number>> = Object.fromEntries(
  REFUSAL_REASONS.map((reason, index) => [reason, index]),
) as Record<RefusalReason, number>;

/** Fields of a service. */
export const S_ACCEPTED = 0;
export const S_BYTES_IN = 1;
export const S_BYTES_OUT = 2;
export const S_UDP_OPEN = 3;
export const S_UDP_SESSIONS = 4;
export const S_UDP_DATAGRAMS_IN = 5;
export const S_UDP_DATAGRAMS_OUT = 6;
export const S_UDP_BYTES_IN = 7;
export const S_UDP_BYTES_OUT = 8;
/** UDP sessions with tasks of this node whose clients other nodes have accepted, and count. */
export const S_RELAYED_OPEN = 9;
export const S_RELAYED_SESSIONS = 10;
export const S_RELAYED_DATAGRAMS_IN = 11;
export const S_RELAYED_DATAGRAMS_OUT = 12;
export const S_RELAYED_BYTES_IN = 13;
export const S_RELAYED_BYTES_OUT = 14;
/** 15 was that of a former version, and means nothing now. */
export const S_REFUSALS = 16;
const MAX_REASONS = 24;
/** TCP connections to tasks of this node whose clients other nodes have accepted, and their bytes. */
export const S_RELAYED_TCP = 40;
export const S_RELAYED_TCP_BYTES_IN = 41;
export const S_RELAYED_TCP_BYTES_OUT = 42;
/** Further connects for a client: after one that failed, and beside one that is late. */
export const S_RETRIES = 43;
export const S_HEDGES = 44;
/** TCP connections that ended otherwise than in order and than by a refusal: by BREAKS. */
export const S_BREAKS = 45;
/** From the accept of a client to that of its task: by TIME_BUCKETS_MS, then the sum in ms. */
export const S_WAITS = 48;
/** What of S_REFUSALS are UDP datagrams and sessions, by the same reasons. */
export const S_UDP_REFUSALS = 57;
export const SERVICE_FIELDS = S_UDP_REFUSALS + MAX_REASONS;

/** Fields of a task. Sessions count as connections. */
export const T_OPEN = 0;
export const T_TOTAL = 1;
export const T_FAILURES = 2;
/** errno of the last failure; 0 = none yet */
export const T_LAST_ERRNO = 3;
/** wall clock, ms */
export const T_LAST_FAILURE_AT = 4;
/** Targets of the task (one per published port) whose last connect has failed with no success since. */
export const T_FAILING = 5;
/** Of TCP and UDP, to the task and back. */
export const T_BYTES_IN = 8;
export const T_BYTES_OUT = 9;
/** Clients for whom another task was tried: after a connect to this one had failed, and beside one that was late. */
export const T_RETRIES = 10;
export const T_HEDGES = 11;
/** Failed connects by CONNECT_FAILURES; the rest of T_FAILURES has other reasons. */
export const T_FAILURES_BY = 12;
/** How long the task took to accept: by TIME_BUCKETS_MS, then the sum in ms. */
export const T_CONNECTS = 19;
export const TASK_FIELDS = 28;

export interface SharedCounters {
  /** One row per worker. */
  readonly services: readonly Float64Array[];
  readonly tasks: readonly Float64Array[];
  /** by RELAY_DROPS; one row per worker */
  readonly relayDrops: readonly Float64Array[];
  /** by RELAY_ERRORS; one row per worker */
  readonly relayRefusals: readonly Float64Array[];
  /** By slot and PEER_FIELDS; one row per worker, of which the first also says what is reachable. */
  readonly peers: readonly Float64Array[];
  /** Open TCP connections of a service that other nodes have accepted, over all workers (Atomics). */
  readonly relayedOpen: Int32Array;
  /** Open TCP connections of a service over all workers, kept exactly (Atomics) for max_connections. */
  readonly open: Int32Array;
  /** What clients of services with limits per client have open, over all workers. */
  readonly clients: ClientTableMemory;
  /** Per worker: open TCP connections, those of other nodes' clients too, and UDP sessions of its own clients. */
  readonly openOfWorker: Int32Array;
  /** Per worker: 1 while accepting is paused for want of descriptors. */
  readonly paused: Int32Array;
  /** Per worker: how often the kernel had no descriptor to give. */
  readonly exhausted: Int32Array;
  /** How late the loop was, looked at once a second: HISTOGRAM_FIELDS; one row per worker. */
  readonly loopLags: readonly Float64Array[];
}

export function createCounters(workers: number): SharedCounters {
  const row = (length: number) => new Float64Array(new SharedArrayBuffer(length * 8));
  return {
    services: Array.from({ length: workers }, () => row(MAX_SERVICES * SERVICE_FIELDS)),
    tasks: Array.from({ length: workers }, () => row(MAX_TASKS * TASK_FIELDS)),
    relayRefusals: Array.from({ length: workers }, () => row(RELAY_ERRORS.length)),
    peers: Array.from({ length: workers }, () => row(MAX_PEERS * PEER_FIELDS)),
    relayedOpen: new Int32Array(new SharedArrayBuffer(MAX_SERVICES * 4)),
    relayDrops: Array.from({ length: workers }, () => row(RELAY_DROPS.length)),
    open: new Int32Array(new SharedArrayBuffer(MAX_SERVICES * 4)),
    clients: createClientTable(CLIENT_ENTRIES, (Math.random() * 2 ** 32) | 0),
    openOfWorker: new Int32Array(new SharedArrayBuffer(workers * 4)),
    paused: new Int32Array(new SharedArrayBuffer(workers * 4)),
    exhausted: new Int32Array(new SharedArrayBuffer(workers * 4)),
    loopLags: Array.from({ length: workers }, () => row(HISTOGRAM_FIELDS)),
  };
}

/** Adds a time to the histogram whose fields begin at `at`. */
export function countTime(row: Float64Array, at: number, tookMs: number): void {
  let bucket = 0;
  while (tookMs > TIME_BUCKETS_MS[bucket]!) bucket++;
  row[at + bucket]!++;
  row[at + TIME_BUCKETS_MS.length]! += tookMs;
}

/** How often in a row the worker with the heartbeat has found it silent. */
export function silentLooksAt({ peers }: SharedCounters, slot: number): number {
  return peers[0]![slot * PEER_FIELDS + P_SILENT_LOOKS]!;
}

/** Sum of one field over all workers. */
export function sumRows(rows: readonly Float64Array[], index: number): number {
  let sum = 0;
  for (const row of rows) sum += row[index]!;
  return sum;
}

/** Open connections and sessions of all workers. */
export function openClients({ openOfWorker }: SharedCounters): number {
  let sum = 0;
  for (const count of openOfWorker) sum += count;
  return sum;
}

/** Zeroes the counters of a service that has left the table; false while it still has connections or sessions. */
export function clearServiceIfIdle(counters: SharedCounters, slot: number): boolean {
  const at = slot * SERVICE_FIELDS;
  const open = (field: number) => sumRows(counters.services, at + field);
  if (counters.open[slot] !== 0 || counters.relayedOpen[slot] !== 0) return false;
  if (open(S_UDP_OPEN) !== 0 || open(S_RELAYED_OPEN) !== 0) return false;
  for (const row of counters.services) row.fill(0, at, at + SERVICE_FIELDS);
  forgetClients(counters.clients, slot);
  return true;
}

/** Zeroes what is known of a peer that has left the table. */
export function clearPeer(counters: SharedCounters, slot: number): boolean {
  const at = slot * PEER_FIELDS;
  for (const row of counters.peers) row.fill(0, at, at + PEER_FIELDS);
  return true;
}

/** The same for a task. */
export function clearTaskIfIdle(counters: SharedCounters, slot: number): boolean {
  const at = slot * TASK_FIELDS;
  if (sumRows(counters.tasks, at + T_OPEN) !== 0) return false;
  for (const row of counters.tasks) row.fill(0, at, at + TASK_FIELDS);
  return true;
}

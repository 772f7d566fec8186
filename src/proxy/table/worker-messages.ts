/** The messages between main thread and worker. The wake-up descriptor announces a message to the worker. */

import type { MessagePort } from "node:worker_threads";
import type { PortRun } from "../../sys/local-ports.ts";
import type { RelaySettings } from "../relay/identity.ts";
import type { RecordRule } from "./connection-record.ts";
import type { SharedCounters } from "./counters.ts";
import type { Peer, PublishedPort, Service, Task, TaskEndpoint, UdpListeners } from "./routing-table.ts";
import type { HandedSessions } from "./session-rows.ts";

export interface WorkerSetup {
  readonly index: number;
  readonly port: MessagePort;
  readonly wakeupFd: number;
  readonly counters: SharedCounters;
  /** For its connection records: see sys/record-ring.ts. */
  readonly recordRing: SharedArrayBuffer;
  /** Descriptors at or above it pause accepting: the lowest free number is handed out, so few are left then. */
  readonly scarceAtFd: number;
  readonly maxPipes: number;
  /** Local ports for the UDP sessions of all workers. */
  readonly sourcePorts: readonly PortRun[];
}

/** A routing table with this worker's sockets and the counter slots filled in. */
export interface WorkerTable {
  readonly services: readonly WorkerService[];
  readonly peers: readonly WorkerPeer[];
  readonly relay: WorkerRelay | null;
  /** Where this node and others listen on published UDP ports. */
  readonly udpListeners: readonly UdpListeners[];
  /** What this worker's clients, pipes and relay connections may have open. */
  readonly descriptors: number;
  /** From another process, for the listeners that this table opens. */
  readonly inherited: HandedUdp | null;
}

export interface WorkerPeer extends Peer {
  readonly slot: number;
}

/** This node's part of the relay, with this worker's sockets. */
export interface WorkerRelay extends RelaySettings {
  readonly tcpListeners: readonly WorkerListener[];
  readonly udpListeners: readonly WorkerListener[];
}

export interface WorkerService extends Omit<Service, "ports" | "tasks" | "listenAddresses"> {
  readonly slot: number;
  readonly tasks: readonly WorkerTask[];
  readonly ports: readonly WorkerPort[];
}

export interface WorkerTask extends Task {
  readonly slot: number;
}

export interface WorkerPort extends Omit<PublishedPort, "listenAddresses" | "leftToTasks"> {
  readonly listeners: readonly WorkerListener[];
}

/** A bound socket; TCP ones already listen. The worker owns it from now on and closes it when it leaves the table. */
export interface WorkerListener {
  readonly fd: number;
  readonly address: string;
}

/** A worker's UDP sessions on their way to another process, or from one. */
export interface HandedUdp {
  readonly listeners: readonly (HandedSessions & { readonly fd: number })[];
  readonly claims: readonly HandedBlock[];
}

/** A block of source ports, this process's as long as the descriptor is open. */
export interface HandedBlock {
  readonly block: number;
  readonly fd: number;
  /** So many workers have sessions with ports of it. With more than one it is for no new sessions. */
  readonly users?: number;
}

/**
 * `pause`: nothing is received on any UDP socket. Then either `resume`, or `forget`: another process has the sockets,
 * and this one closes its own descriptors of them.
 */
export type UdpStep = "pause" | "resume" | "forget";

export type ToWorker =
  | { readonly type: "udp"; readonly sequence: number; readonly step: UdpStep }
  | { readonly type: "table"; readonly sequence: number; readonly table: WorkerTable }
  /** Another process has the listening sockets: those that leave the table are forgotten from now on, not closed. */
  | { readonly type: "forget" }
  | { readonly type: "record"; readonly rule: RecordRule }
  /** Answered by "pong": the worker's loop turns. */
  | { readonly type: "ping" }
  | { readonly type: "stop" };

export type FromWorker =
  | { readonly type: "ready" }
  | { readonly type: "applied"; readonly sequence: number }
  /** The answer to `pause`. */
  | { readonly type: "udp-paused"; readonly sequence: number; readonly udp: HandedUdp }
  /** A task of this node cannot be reached; again at most once a second. `patienceMs`: see TaskFailed. */
  | {
      readonly type: "task-failed";
      readonly task: TaskEndpoint;
      readonly errno: number;
      readonly patienceMs: number | null;
    }
  /** There are connection records in its ring. */
  | { readonly type: "records" }
  /** Something has run out; the counters say what. */
  | { readonly type: "shortage" }
  | { readonly type: "pong" }
  | { readonly type: "stopped" };

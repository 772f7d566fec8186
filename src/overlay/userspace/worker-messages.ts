/** The messages between main thread and worker. The wake-up descriptor announces a message to the worker. */
import type { MessagePort } from "node:worker_threads";
import type { OverlayPeer } from "../driver.ts";

export interface WorkerSetup {
  readonly port: MessagePort;
  readonly wakeupFd: number;
  /** Both are the main thread's: it closes them when the worker has stopped. */
  readonly tunFd: number;
  readonly socketFd: number;
  /** AF_INET or AF_INET6, of the socket. */
  readonly family: number;
  /** Overlay address of this node. */
  readonly address: string;
  readonly vni: number;
  /** Of the interface that the underlay begins with. */
  readonly localMtu: number;
  /** All plain frames are dropped. */
  readonly isEncrypting: boolean;
  readonly counters: Float64Array;
}

export interface WorkerPeer extends OverlayPeer {
  /** Of the counters. */
  readonly row: number;
}

export type ToWorker =
  | { readonly type: "peers"; readonly sequence: number; readonly peers: readonly WorkerPeer[] }
  | { readonly type: "local-mtu"; readonly bytes: number }
  /** Answered by "pong": the worker's loop turns. */
  | { readonly type: "ping" }
  | { readonly type: "stop" };

export type FromWorker =
  | { readonly type: "ready" }
  | { readonly type: "applied"; readonly sequence: number }
  | { readonly type: "pong" }
  | { readonly type: "stopped" };

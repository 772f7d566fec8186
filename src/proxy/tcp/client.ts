/**
 * A client's connection as the proxy accounts for it, from accept to close: where it came from, which rules it follows,
 * its place among the connections of its service. A phase handles its sockets:
 *
 *   (AwaitingHeader) ──▶ Dialing ──▶ Splicing ──▶ Closing
 *          │                │            │           │
 *          └────────────────┴────────────┴───────────┴──▶ closed
 *
 * A `LocalClient` connected to a published port of this node; a `RelayedClient` connected to another node, which asks
 * for a task of this node on its behalf.
 */
import type { Pollable } from "../../sys/event-loop.ts";
import type { Endpoint, RecordKeys } from "../../wire/index.ts";
import { STAGE_HEADER } from "../table/connection-record.ts";
import { BREAKS, type RefusalReason, S_BREAKS } from "../table/counters.ts";
import type { RecentList } from "../table/recent-list.ts";
import type { Route } from "../table/route.ts";
import type { Target } from "../table/target.ts";
import type { Flow } from "./flow/index.ts";
import type { Evictable, ServiceConnections } from "./service-connections.ts";
import type { TcpContext } from "./tcp-context.ts";

export type CloseReason = "done" | (typeof BREAKS)[number] | RefusalReason;

/** The handler of a connection's sockets. */
export interface Phase extends Pollable {
  /** null: no task has accepted yet. */
  readonly target: Target | null;
  readonly hasSpoken: boolean;
  readonly usedMs: number;
  /** Tasks were added or removed, or began to drain. */
  onTargetsChanged(): void;
  /** "done" closes in order, everything else with RST. */
  close(reason: CloseReason): void;
}

export abstract class Client implements Evictable<Client> {
  older: Client | null = null;
  newer: Client | null = null;
  among: RecentList<Client> | null = null;
  placedMs = 0;
  /** null: not started, or closed. */
  phase: Phase | null = null;
  readonly startedMs: number;
  // --- for its record
  /** STAGE_… */
  stage = STAGE_HEADER;
  /** When a task was first tried; -1: not yet. */
  dialedMs = -1;
  /** When one had accepted; -1: none has. */
  connectedMs = -1;
  /** Tasks tried, and how many of them while another attempt was under way. */
  attempts = 0;
  hedges = 0;
  /** Of what ended it, positive; 0: none. */
  errno = 0;
  /** What records call the task: that which has accepted, else the last one tried; null: none. */
  taskText: Uint8Array | null = null;

  constructor(
    readonly context: TcpContext,
    public connections: ServiceConnections<Client>,
    readonly fd: number,
    /** Where the client is, as far as known: a PROXY header may name another address. */
    public endpoint: Endpoint,
    public route: Route,
  ) {
    const { counters, index } = context.worker;
    this.startedMs = context.loop.nowMs;
    counters.openOfWorker[index]!++;
    connections.add(this);
  }

  /** Of a sealed relay; null: the client's bytes are not sealed. */
  abstract readonly keys: RecordKeys | null;

  /** By the service's allow and deny. */
  abstract readonly isAdmitted: boolean;

  /** Where its bytes are counted: S_… */
  abstract readonly bytesInField: number;
  abstract readonly bytesOutField: number;

  /** Open connections of its kind by slot, over all workers. */
  protected abstract readonly openCounts: Int32Array;

  /** Until a task has accepted, a connection follows the table in force: the tasks it knew at accept may all be gone. */
  abstract refreshRoute(): Route;

  /** A task has accepted. */
  abstract onConnected(): void;

  /** No task has accepted. Returns the reason to close with. @param errnoValue positive; 0: none */
  abstract onDialFailed(reason: RefusalReason, errnoValue: number): CloseReason;

  /** The flow whose destination is another node; null: neither is. */
  abstract flowToNode(target: Target, toTask: Flow, toClient: Flow): Flow | null;

  /** That node is gone once it has left so many transmissions in a row unanswered. */
  abstract maxUnanswered(target: Target): number;

  get hasSpoken(): boolean {
    return this.phase?.hasSpoken ?? false;
  }

  get usedMs(): number {
    return this.phase?.usedMs ?? this.startedMs;
  }

  /** Closes the connection once its task's drain time is over. */
  cutIfOverdue(nowMs: number): void {
    const { phase } = this;
    if (phase === null) return;
    if (phase.target !== null && phase.target.cutAtMs <= nowMs) phase.close("drained");
    else phase.onTargetsChanged();
  }

  onTargetsChanged(): void {
    this.phase?.onTargetsChanged();
  }

  cut(): void {
    this.phase?.close("drained");
  }

  /** Makes room for another client of its service. */
  evict(): void {
    this.phase?.close("out-of-descriptors");
  }

  /** Closes the client's socket. */
  closeSocket(reason: CloseReason): void {
    closeSocket(this.context, this.fd, reason);
  }

  /** It is open no more. */
  protected leave(): void {
    Atomics.sub(this.openCounts, this.route.rules.slot, 1);
  }

  /** Records its end, where it is this node's to record. */
  protected abstract record(
    reason: CloseReason,
    target: Target | null,
    bytesIn: number,
    bytesOut: number,
  ): void;

  /** The last step of its last phase; its sockets are closed. */
  onClosed(reason: CloseReason, target: Target | null, bytesIn: number, bytesOut: number): void {
    const { worker } = this.context;
    this.record(reason, target, bytesIn, bytesOut);
    this.phase = null;
    worker.counters.openOfWorker[worker.index]!--;
    target?.onClosed();
    this.leave();
    if (reason !== "done") this.#countEnd(reason);
    this.connections.remove(this);
    if (worker.descriptors.isWaitedFor) worker.descriptors.release();
  }

  #countEnd(reason: Exclude<CloseReason, "done">): void {
    const { rules } = this.route;
    if (isBreak(reason)) rules.count(S_BREAKS + BREAKS.indexOf(reason), 1);
    else rules.refuse(reason);
  }
}

function isBreak(reason: CloseReason): reason is (typeof BREAKS)[number] {
  return (BREAKS as readonly string[]).includes(reason);
}

/** Before a task has accepted. */
export function closeUnserved(client: Client, reason: CloseReason): void {
  client.closeSocket(reason);
  client.onClosed(reason, null, 0, 0);
}

/** "done" with FIN, everything else with RST, so that no peer takes it for a complete stream. */
export function closeSocket({ loop, sockets }: TcpContext, fd: number, reason: CloseReason): void {
  if (reason !== "done") sockets.setResetOnClose(fd);
  loop.close(fd);
}

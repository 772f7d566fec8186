/**
 * A client's connection while bytes pass between it and its task, in two independent flows:
 *
 *   Dialing ──▶ both flows open ──FIN──▶ one has ended ──FIN──▶ closed
 *                      │                       │
 *                      ├──reset──▶ Closing ◀───┤
 *                      └──idle, drained, ...───┴──────▶ closed
 *
 * FIN passes through in either direction after all bytes before it. Anything else that ends the connection ends it with
 * RST. A connection without traffic is closed after the service's idle timeout, if it has one.
 */
import type { DeadlineList } from "../../sys/deadline-list.ts";
import { EPOLLERR, EPOLLOUT, EPOLLPRI, EPOLLRDHUP } from "../../sys/epoll.ts";
import { ETIMEDOUT } from "../../sys/errno.ts";
import { END_EVENTS, READ_EVENTS } from "../../sys/tcp-sockets.ts";
import type { RecordKeys } from "../../wire/index.ts";
import { STAGE_DATA } from "../table/connection-record.ts";
import { keepAlive } from "../table/keep-alive.ts";
import type { Target } from "../table/target.ts";
import type { Client } from "./client.ts";
import { Closing } from "./closing.ts";
import { Established, eventsAt } from "./established.ts";
import {
  FLOW_DESTINATION_FAILED,
  FLOW_ENDED,
  FLOW_FULL,
  FLOW_MORE,
  FLOW_SOURCE_FAILED,
  type Flow,
} from "./flow/index.ts";
import { createFlow } from "./flow-between.ts";

/** A first message below it went out in one segment, which Nagle does not hold back. */
const ONE_SEGMENT_BYTES = 1024;

export class Splicing extends Established {
  /** When there was last something to read or room to write. */
  #usedMs: number;
  /** Where it waits for silence; null: it is checked at intervals instead, which also finds it idle. */
  readonly #idleList: DeadlineList | null;
  /** In the kernel for a slow peer, when last checked; null: not checked yet. */
  #unsentBytes: number | null = null;

  /** @param keys of a sealed relay to the task's node; null: the task's bytes are not sealed */
  constructor(client: Client, target: Target, fd: number, keys: RecordKeys | null) {
    const { context } = client;
    const toTask = createFlow(context, client.fd, client.keys, fd, keys);
    const toClient = createFlow(context, fd, keys, client.fd, client.keys);
    super(client, target, toTask, toClient);
    const { idleTimeoutMs, sendProxy } = client.route.rules;
    this.#usedMs = client.startedMs;
    // the other node may be gone long before a long idle timeout is over
    const isChecked =
      idleTimeoutMs === 0 || (idleTimeoutMs > context.relayCheck.durationMs && this.#toNode() !== null);
    this.#idleList = isChecked ? null : context.loop.deadlines.list(idleTimeoutMs);
    toTask.hasNoDelay = sendProxy !== "none" && target.peer === null;
  }

  get usedMs(): number {
    return this.#usedMs;
  }

  /** The task has accepted. @param isTaskWatched its socket is in the loop already, as `isClientWatched` for the other */
  start(isClientWatched: boolean, isTaskWatched: boolean): void {
    const { client, toTask, toClient } = this;
    const { loop, firstCheck } = client.context;
    client.phase = this;
    client.stage = STAGE_DATA;
    client.connectedMs = loop.nowMs;
    client.onConnected();
    this.target.onConnected();
    if (this.#idleList === null) firstCheck.arm(this, loop.nowMs);
    if (isClientWatched) loop.handOver(client.fd, this);
    if (isTaskWatched) loop.handOver(toTask.destinationFd, this);
    else if (!this.#watch(toTask)) return;
    // a request that is there already is forwarded before its socket is watched, which saves an event
    toTask.isReadable = true;
    const outcome = this.#moveNow(toTask);
    if (toTask.bytes > ONE_SEGMENT_BYTES) this.#setNoDelay();
    // events from before this phase are reported again
    if (isTaskWatched) loop.rewatch(toTask.destinationFd, eventsAt(toTask));
    if (isClientWatched) loop.rewatch(client.fd, eventsAt(toClient));
    else if (!this.#watch(toClient)) return;
    this.#onMoved(toTask, outcome);
  }

  onEvents(fd: number, events: number): void {
    const isClient = fd === this.client.fd;
    const incoming = isClient ? this.toTask : this.toClient;
    const outgoing = isClient ? this.toClient : this.toTask;
    // a last message is followed by FIN, which Nagle does not hold back
    if (isClient && !incoming.hasNoDelay && (events & EPOLLRDHUP) === 0) this.#setNoDelay();
    if ((events & (READ_EVENTS | END_EVENTS)) !== 0) {
      if ((events & EPOLLPRI) !== 0) incoming.onUrgent();
      if ((events & EPOLLERR) !== 0) return this.#break(outgoing, incoming);
      if ((events & EPOLLRDHUP) !== 0) incoming.onFin();
      incoming.isReadable = true;
      this.#pump(incoming);
    }
    if ((events & (EPOLLOUT | END_EVENTS)) !== 0 && outgoing.isFull && this.isCurrent) {
      outgoing.isFull = false;
      this.#pump(outgoing);
    }
  }

  onDeadline(): void {
    if (this.#idleList === null) this.#check();
    else if (this.#isReadSlowly()) this.#idleList.arm(this, this.#usedMs);
    else this.close("idle");
  }

  protected continue(): void {
    this.passEnd(this.toTask);
    this.passEnd(this.toClient);
    this.#pump(this.toTask);
    if (this.isCurrent) this.#pump(this.toClient);
  }

  #pump(flow: Flow): void {
    if (!flow.isEnded && !flow.isFull) this.#onMoved(flow, this.#moveNow(flow));
  }

  #moveNow(flow: Flow): number {
    this.#usedMs = this.client.context.loop.nowMs;
    this.#idleList?.arm(this, this.#usedMs);
    return this.move(flow);
  }

  #onMoved(flow: Flow, outcome: number): void {
    switch (outcome) {
      case FLOW_FULL:
        this.watchForRoom(flow);
        break;
      case FLOW_MORE:
        this.queue();
        break;
      case FLOW_ENDED:
        // the other side often ends within the same turn, and then one close serves both
        if (this.toTask.isEnded && this.toClient.isEnded) this.close("done");
        else this.queue();
        break;
      case FLOW_SOURCE_FAILED:
        this.#break(this.#opposite(flow), flow);
        break;
      case FLOW_DESTINATION_FAILED:
        this.#break(flow, this.#opposite(flow));
        break;
    }
  }

  /** The peer that `dead` leads to is gone. */
  #break(dead: Flow, last: Flow): void {
    this.waitingIn?.cancel(this);
    const { client, target, toTask, toClient } = this;
    new Closing(client, target, toTask, toClient, dead === toTask ? "task-reset" : "client-reset").start(
      dead,
      last,
    );
  }

  /** A connection that lasts gets keepalive towards its task; the node at the other end of a relay is checked. */
  #check(): void {
    const { context } = this.client;
    if (this.#unsentBytes === null) keepAlive(this.toTask.destinationFd, context.sockets);
    this.#unsentBytes ??= 0;
    const toNode = this.#toNode();
    if (toNode === null) return;
    const unanswered = context.sockets.unansweredSends(toNode.destinationFd);
    if (unanswered >= this.client.maxUnanswered(this.target)) {
      this.client.errno = ETIMEDOUT;
      return this.#break(toNode, this.#opposite(toNode));
    }
    if (this.#isIdle() && !this.#isReadSlowly()) return this.close("idle");
    context.relayCheck.arm(this, context.loop.nowMs);
  }

  #toNode(): Flow | null {
    return this.client.flowToNode(this.target, this.toTask, this.toClient);
  }

  #isIdle(): boolean {
    const { idleTimeoutMs } = this.client.route.rules;
    return idleTimeoutMs > 0 && this.client.context.loop.nowMs - this.#usedMs >= idleTimeoutMs;
  }

  /** A slow peer may still be reading what the kernel holds for it; it gets the idle timeout again. */
  #isReadSlowly(): boolean {
    const { loop, sockets } = this.client.context;
    const unsent = sockets.unsentBytes(this.client.fd) + sockets.unsentBytes(this.toTask.destinationFd);
    if (unsent === 0 || unsent === this.#unsentBytes) return false;
    this.#unsentBytes = unsent;
    this.#usedMs = loop.nowMs;
    return true;
  }

  #opposite(flow: Flow): Flow {
    return flow === this.toTask ? this.toClient : this.toTask;
  }

  /** From the second message on; the first segment of a connection leaves at once anyway. */
  #setNoDelay(): void {
    this.toTask.hasNoDelay = true;
    this.client.context.sockets.setNoDelay(this.toTask.destinationFd);
  }

  /** false: the connection is closed. */
  #watch(flow: Flow): boolean {
    if (this.client.context.loop.watch(flow.destinationFd, eventsAt(flow), this) >= 0) return true;
    this.close("out-of-descriptors");
    return false;
  }
}

/**
 * A client's connection from accept to close:
 *
 *   (PROXY header) -> dialing -> established -> (breaking -> lingering) -> closed
 *
 * No client byte is read before a task has accepted, except an inbound PROXY header. FIN passes through in either
 * direction after everything before it. Whatever ends a connection early (a broken peer, a timeout, a limit) ends it
 * with RST, so it is never taken for a clean end; when one peer broke it, what that peer had sent is delivered first.
 */

import { type DeadlineList, Waiting } from "../../sys/deadline-list.ts";
import { EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLOUT, EPOLLPRI, EPOLLRDHUP } from "../../sys/epoll.ts";
import { EPIPE, ETIMEDOUT } from "../../sys/errno.ts";
import type { Continuable, Pollable } from "../../sys/event-loop.ts";
import {
  setNoDelay,
  setResetOnClose,
  setThinStream,
  shutdownWrite,
  unansweredSends,
  unsentBytes,
} from "../../sys/socket.ts";
import {
  type Endpoint,
  RELAY_CONNECTED,
  RELAY_OUT_OF_DESCRIPTORS,
  RELAY_TASK_REFUSED,
  RELAY_TASK_TIMED_OUT,
  type RecordKeys,
} from "../../wire/index.ts";
import {
  REFUSAL_INDEX,
  type RefusalReason,
  S_ACCEPTED,
  S_BYTES_IN,
  S_BYTES_OUT,
  S_RELAYED_TCP,
} from "../table/counters.ts";
import { keepAlive } from "../table/keep-alive.ts";
import type { RecentList } from "../table/recent-list.ts";
import type { Route } from "../table/route.ts";
import type { Target } from "../table/target.ts";
import { connectionRecord } from "./connection-record.ts";
import { Dialer } from "./dialer.ts";
import {
  FLOW_DESTINATION_FAILED,
  FLOW_EMPTY,
  FLOW_ENDED,
  FLOW_FULL,
  FLOW_MORE,
  FLOW_SOURCE_FAILED,
  type Flow,
} from "./flow/index.ts";
import { createFlow } from "./flow-between.ts";
import { readProxyHeader } from "./header-reader.ts";
import { sendByte } from "./relay/single-byte.ts";
import type { Evictable, ServiceConnections } from "./service-connections.ts";
import type { TcpContext } from "./tcp-context.ts";

/** Registered once per socket; EPOLLOUT joins when a write has been refused for the first time. */
export const READ_EVENTS = EPOLLIN | EPOLLRDHUP | EPOLLPRI;
const END_EVENTS = EPOLLERR | EPOLLHUP;

/** Times LINGER_STEP_MS: how long a peer may take nothing of the last bytes of a broken connection. */
const LINGER_STEPS = 250;
/**
 * Sent again so often without an answer, for twelve seconds, the node at the other end of a relay or the way to it is
 * gone. TCP_USER_TIMEOUT would say so too, but also of a peer that only takes nothing for that long. While its heartbeat
 * is heard the way is only a bad one, and TCP decides; the node that only serves the other's clients hears none.
 */
const MAX_UNANSWERED = 6;
const MAX_UNANSWERED_WITHOUT_HEARTBEAT = 8;
/** A first message below it went out in one segment, which Nagle does not hold back. */
const ONE_SEGMENT_BYTES = 1024;

const STATE_HEADER = 0;
const STATE_DIALING = 1;
const STATE_ESTABLISHED = 2;
const STATE_BREAKING = 3;
const STATE_LINGERING = 4;
const STATE_CLOSED = 5;

export type CloseReason = "done" | "client-reset" | "task-reset" | "client-gone" | RefusalReason;

export class TcpConnection extends Waiting implements Pollable, Continuable, Evictable<TcpConnection> {
  older: TcpConnection | null = null;
  newer: TcpConnection | null = null;
  among: RecentList<TcpConnection> | null = null;
  placedMs = 0;
  /** Where it is counted until it is closed. */
  readonly connections: ServiceConnections<TcpConnection>;
  /** The address that an inbound PROXY header named as the published one. */
  namedLocal: Endpoint | null = null;
  route: Route;
  #state = STATE_DIALING;
  #dialer: Dialer | null = null;
  #target: Target | null = null;
  #upstreamFd = -1;
  #toTask: Flow | null = null;
  #toClient: Flow | null = null;
  #isClientWatched = false;
  #clientEvents = READ_EVENTS;
  #upstreamEvents = READ_EVENTS;
  #isQueued = false;
  #hasNoDelay = false;
  #isRelayed = false;
  /** Of the way to the other node's client; null: it is not sealed, or the client is this node's. */
  #clientKeys: RecordKeys | null = null;
  readonly #startedMs: number;
  /** null: the connection may be silent for ever. */
  readonly #idleList: DeadlineList | null;
  /** It is looked at from time to time, which is how its silence is noticed then. Else it waits in the idle list. */
  #isLookedAfter = false;
  /** When there was last something to read or room to write. */
  #usedMs = 0;
  #isSettled = false;
  #lingerSteps = 0;
  /** In the kernel for a slow peer, when it was last looked at. */
  #unsentBytes = 0;
  /** The last flow is known to end with FIN, if it ends. */
  #isEndKnown = false;
  #reason: CloseReason = "done";

  constructor(
    readonly context: TcpContext,
    readonly clientFd: number,
    readonly listener: { readonly route: Route },
    readonly client: Endpoint,
  ) {
    super();
    this.#startedMs = context.loop.nowMs;
    this.route = listener.route;
    const { idleTimeoutMs, slot } = this.route.rules;
    this.#idleList = idleTimeoutMs > 0 ? context.loop.deadlines.list(idleTimeoutMs) : null;
    this.connections = context.connectionsOf(slot);
    this.connections.add(this);
  }

  get hasSpoken(): boolean {
    return this.#toTask !== null && this.#toTask.bytes > 0;
  }

  get usedMs(): number {
    return Math.max(this.#startedMs, this.#usedMs);
  }

  /** The first step after accept: a client of this node. */
  start(): void {
    const { rules } = this.route;
    rules.count(S_ACCEPTED, 1);
    if (rules.hasAcceptProxy && rules.acceptProxy.matches(this.client.family, this.client.bytes, 0)) {
      this.#awaitHeader();
    } else if (!rules.admits(this.client.family, this.client.bytes, 0)) {
      this.#close("denied");
    } else {
      this.#dial();
    }
  }

  /**
   * A client of another node, which has let it in and waits for the answer.
   * @param published address it asked for
   * @param keys null: the relay is not sealed
   */
  startRelayed(published: Endpoint, keys: RecordKeys | null): void {
    const { rules } = this.route;
    rules.count(S_RELAYED_TCP, 1);
    Atomics.add(this.context.worker.counters.relayedOpen, rules.slot, 1);
    this.#isRelayed = true;
    this.#clientKeys = keys;
    this.#isClientWatched = true;
    this.namedLocal = published;
    this.context.loop.handOver(this.clientFd, this);
    this.#dial();
    if (this.#state === STATE_DIALING) this.context.loop.rewatch(this.clientFd, this.#clientEvents);
  }

  onEvents(fd: number, events: number): void {
    switch (this.#state) {
      case STATE_ESTABLISHED:
        this.#onEstablishedEvents(fd, events);
        break;
      case STATE_HEADER:
        this.#readHeader();
        break;
      case STATE_DIALING:
        // a FIN is no reason to give up, a reset is
        if ((events & END_EVENTS) !== 0) this.#close("client-gone");
        break;
      case STATE_BREAKING:
      case STATE_LINGERING:
        this.#onBrokenEvents(fd, events);
        break;
    }
  }

  onContinue(): void {
    this.#isQueued = false;
    if (this.#state === STATE_ESTABLISHED) {
      this.#passEnd(this.#toTask!);
      this.#passEnd(this.#toClient!);
      this.#pump(this.#toTask!);
      if (this.#state === STATE_ESTABLISHED) this.#pump(this.#toClient!);
    } else if (this.#state === STATE_BREAKING) {
      this.#pumpLast();
    }
  }

  onDeadline(): void {
    switch (this.#state) {
      case STATE_HEADER:
        this.#close("bad-proxy-header");
        break;
      case STATE_DIALING:
        this.#dialer!.onDeadline();
        break;
      case STATE_ESTABLISHED:
        if (this.#isLookedAfter) this.#lookAfter();
        else this.#onSilence();
        break;
      case STATE_BREAKING:
        if (this.#hasTakenSome()) this.context.stallDeadline.arm(this, this.context.loop.nowMs);
        else this.#close(this.#reason);
        break;
      case STATE_LINGERING:
        this.#linger();
        break;
    }
  }

  /** Ends the connection when its task's time is over. */
  cutIfOverdue(nowMs: number): void {
    if (this.#target !== null && this.#target.cutAtMs <= nowMs) this.cut();
    else this.#dialer?.onTargetsChanged();
  }

  cut(): void {
    this.#close("drained");
  }

  /** To make room for another client of its service. */
  evict(): void {
    this.#close("out-of-descriptors");
  }

  /**
   * Until it has a task, a connection goes by what is in force: those of the time of accept may all be gone. Not when
   * its port has become another service's.
   */
  refreshRoute(): void {
    const { route } = this.listener;
    if (route.rules.slot === this.route.rules.slot) this.route = route;
  }

  /** Tasks have come, gone or begun to drain. */
  onTargetsChanged(): void {
    this.#dialer?.onTargetsChanged();
  }

  // --- PROXY header

  #awaitHeader(): void {
    this.#state = STATE_HEADER;
    this.context.headerDeadline.arm(this, this.context.loop.nowMs);
    this.#readHeader();
    if (this.#state === STATE_HEADER) this.#watchClient();
  }

  #readHeader(): void {
    const named = { endpoint: null as Endpoint | null };
    const outcome = readProxyHeader(this.context, this.clientFd, this.client, named);
    if (outcome === "incomplete") return;
    this.waitingIn?.cancel(this);
    if (outcome === "malformed") return this.#close("bad-proxy-header");
    if (outcome === "ended") return this.#close("client-gone");
    this.namedLocal = named.endpoint;
    if (!this.route.rules.admits(this.client.family, this.client.bytes, 0)) return this.#close("denied");
    this.#dial();
  }

  // --- dialing

  #dial(): void {
    this.#state = STATE_DIALING;
    this.#dialer = new Dialer(this.context, this);
    this.#dialer.next();
    if (this.#state === STATE_DIALING) this.#watchClient();
  }

  /**
   * From the dialer: a task has accepted.
   * @param isWatched its socket is in the loop already, and may have events
   * @param keys of the way to another node; null: it is not sealed, or leads to a task of this one
   */
  onDialed(target: Target, fd: number, isWatched: boolean, keys: RecordKeys | null): void {
    const { loop, settleDeadline } = this.context;
    if (this.#isRelayed) this.#answer(RELAY_CONNECTED);
    if (this.#isRelayed) setThinStream(this.clientFd, false);
    this.#dialer = null;
    this.#target = target;
    target.onConnected();
    this.#upstreamFd = fd;
    this.#toTask = createFlow(this.context, this.clientFd, this.#clientKeys, fd, keys);
    this.#toClient = createFlow(this.context, fd, keys, this.clientFd, this.#clientKeys);
    this.#state = STATE_ESTABLISHED;
    this.#isLookedAfter = this.#idleList === null || this.#isRelayedForLong(this.#idleList);
    if (this.#isLookedAfter) settleDeadline.arm(this, loop.nowMs);
    this.#hasNoDelay = this.route.rules.sendProxy !== "none" && target.peer === null;
    if (isWatched) loop.handOver(fd, this);
    else if (loop.watch(fd, this.#upstreamEvents, this) < 0) return this.#close("out-of-descriptors");
    this.#toTask.isReadable = true;
    this.#pump(this.#toTask);
    if (this.#isClosed()) return;
    if (this.#toTask.bytes > ONE_SEGMENT_BYTES) this.#setNoDelay();
    // events that came before the flows did are reported once more
    if (isWatched) loop.rewatch(fd, this.#upstreamEvents);
    if (this.#isClientWatched) loop.rewatch(this.clientFd, this.#clientEvents);
    else this.#watchClient();
  }

  /** From the dialer: every task failed. */
  onDialFailed(reason: RefusalReason, errnoValue: number): void {
    this.#dialer = null;
    if (this.#isRelayed) this.#refuseRelayed(reason, errnoValue);
    else this.#close(reason);
  }

  /** The other node tells its client, or finds another task: this is no end for anybody here. */
  #refuseRelayed(reason: RefusalReason, errnoValue: number): void {
    const isScarce = reason === "out-of-descriptors" || reason === "out-of-ports";
    this.context.refuseRelay(isScarce ? "out-of-descriptors" : "task-failed");
    if (isScarce) this.#answer(RELAY_OUT_OF_DESCRIPTORS);
    else this.#answer(errnoValue === ETIMEDOUT ? RELAY_TASK_TIMED_OUT : RELAY_TASK_REFUSED);
    this.#close("done");
  }

  /** Into the empty buffer of a socket that has said little. */
  #answer(answer: number): void {
    sendByte(this.context, this.clientFd, this.#clientKeys, answer);
  }

  #isClosed(): boolean {
    return this.#state === STATE_CLOSED;
  }

  #watchClient(): void {
    if (this.#isClientWatched) return;
    this.#isClientWatched = true;
    if (this.context.loop.watch(this.clientFd, this.#clientEvents, this) < 0)
      this.#close("out-of-descriptors");
  }

  // --- established

  #onEstablishedEvents(fd: number, events: number): void {
    const isClient = fd === this.clientFd;
    const incoming = isClient ? this.#toTask! : this.#toClient!;
    const outgoing = isClient ? this.#toClient! : this.#toTask!;
    // a last message goes out with the FIN behind it in any case
    if (isClient && !this.#hasNoDelay && (events & EPOLLRDHUP) === 0) this.#setNoDelay();
    if ((events & (READ_EVENTS | END_EVENTS)) !== 0) {
      if ((events & EPOLLPRI) !== 0) incoming.onUrgent();
      if ((events & EPOLLERR) !== 0) return this.#break(outgoing, incoming);
      if ((events & EPOLLRDHUP) !== 0) incoming.onFin();
      incoming.isReadable = true;
      this.#pump(incoming);
    }
    if ((events & (EPOLLOUT | END_EVENTS)) !== 0 && outgoing.isFull && this.#state === STATE_ESTABLISHED) {
      outgoing.isFull = false;
      this.#pump(outgoing);
    }
  }

  #pump(flow: Flow): void {
    if (flow.isEnded || flow.isFull) return;
    this.#usedMs = this.context.loop.nowMs;
    if (!this.#isLookedAfter) this.#idleList!.arm(this, this.#usedMs);
    switch (this.#move(flow)) {
      case FLOW_EMPTY:
        break;
      case FLOW_FULL:
        this.#watchForRoom(flow);
        break;
      case FLOW_MORE:
        this.#queue();
        break;
      case FLOW_ENDED:
        // the other side often ends by itself within a turn, and closing says it all
        if (this.#toTask!.isEnded && this.#toClient!.isEnded) this.#close("done");
        else this.#queue();
        break;
      case FLOW_SOURCE_FAILED:
        this.#break(this.#opposite(flow), flow);
        break;
      case FLOW_DESTINATION_FAILED:
        this.#break(flow, this.#opposite(flow));
        break;
    }
  }

  /** Counts while the connection lasts: some last for months. */
  #move(flow: Flow): number {
    const before = flow.bytes;
    const outcome = flow.pump();
    this.route.rules.count(flow === this.#toTask ? S_BYTES_IN : S_BYTES_OUT, flow.bytes - before);
    return outcome;
  }

  /** Half-close: the source's FIN, once everything before it has been delivered. */
  #passEnd(flow: Flow): void {
    if (!flow.isEnded || flow.isEndPassed) return;
    flow.isEndPassed = true;
    shutdownWrite(flow.destinationFd);
  }

  /** A connection that lasts: keepalive for the task's side, and of a relayed one the other node is watched. */
  #lookAfter(): void {
    if (!this.#isSettled) keepAlive(this.#upstreamFd);
    this.#isSettled = true;
    const toNode = this.#toOtherNode();
    if (toNode === null) return;
    if (this.#isNodeGone(toNode)) return this.#break(toNode, this.#opposite(toNode));
    if (this.#isIdle() && !this.#isTakenSlowly()) return this.#close("idle");
    this.context.relayCheck.arm(this, this.context.loop.nowMs);
  }

  #isNodeGone({ destinationFd }: Flow): boolean {
    const unanswered = unansweredSends(destinationFd);
    if (this.#isRelayed) return unanswered >= MAX_UNANSWERED_WITHOUT_HEARTBEAT;
    return unanswered >= MAX_UNANSWERED && !this.#target!.isPeerHeard;
  }

  /** Its node may be gone long before the idle timeout is over, and nothing waits in two lists. */
  #isRelayedForLong(idleList: DeadlineList): boolean {
    return this.#toOtherNode() !== null && idleList.durationMs > this.context.relayCheck.durationMs;
  }

  #isIdle(): boolean {
    return this.#idleList !== null && this.context.loop.nowMs - this.#usedMs >= this.#idleList.durationMs;
  }

  /** null: client and task are both reached from here. */
  #toOtherNode(): Flow | null {
    if (this.#isRelayed) return this.#toClient;
    return this.#target!.peer === null ? null : this.#toTask;
  }

  /** Nothing was read or written for so long. */
  #onSilence(): void {
    if (!this.#isTakenSlowly()) return this.#close("idle");
    this.#idleList!.arm(this, this.context.loop.nowMs);
  }

  /** A slow peer may still be busy with what the kernel has for it; it gets the same time again. */
  #isTakenSlowly(): boolean {
    const unsent = unsentBytes(this.clientFd) + unsentBytes(this.#upstreamFd);
    if (unsent === 0 || unsent === this.#unsentBytes) return false;
    this.#unsentBytes = unsent;
    this.#usedMs = this.context.loop.nowMs;
    return true;
  }

  #opposite(flow: Flow): Flow {
    return flow === this.#toTask ? this.#toClient! : this.#toTask!;
  }

  #queue(): void {
    if (this.#isQueued) return;
    this.#isQueued = true;
    this.context.loop.continueLater(this);
  }

  /** EPOLLOUT is asked for once; edge-triggered, it costs nothing while there is room. */
  #watchForRoom(flow: Flow): void {
    if (flow === this.#toTask) {
      if ((this.#upstreamEvents & EPOLLOUT) !== 0) return;
      this.#upstreamEvents |= EPOLLOUT;
      this.context.loop.rewatch(this.#upstreamFd, this.#upstreamEvents);
      return;
    }
    if ((this.#clientEvents & EPOLLOUT) !== 0) return;
    this.#clientEvents |= EPOLLOUT;
    if (this.#isClientWatched) this.context.loop.rewatch(this.clientFd, this.#clientEvents);
  }

  /** From the second message on; the first segment of a connection goes out at once anyway. */
  #setNoDelay(): void {
    this.#hasNoDelay = true;
    setNoDelay(this.#upstreamFd);
  }

  // --- breaking

  /** The peer that `dead` leads to is gone; `last` carries what it had sent to the one that lives. */
  #break(dead: Flow, last: Flow): void {
    this.#reason = dead === this.#toTask ? "task-reset" : "client-reset";
    this.#state = STATE_BREAKING;
    // ECONNRESET is told once: whoever reads after it gets 0, as if FIN had come. EPIPE says that it has come
    this.#isEndKnown = last.isEnded || (last.error === 0 && (dead.error === 0 || dead.error === EPIPE));
    dead.isEnded = true;
    dead.release();
    last.isReadable = true;
    last.onBroken(this.#isEndKnown);
    this.context.stallDeadline.arm(this, this.context.loop.nowMs);
    this.#pumpLast();
  }

  #pumpLast(): void {
    const last = this.#last();
    switch (last.isEnded ? FLOW_ENDED : this.#move(last)) {
      case FLOW_FULL:
        this.#watchForRoom(last);
        this.#unsentBytes = unsentBytes(last.destinationFd);
        break;
      case FLOW_MORE:
        this.#queue();
        break;
      case FLOW_DESTINATION_FAILED:
        this.#close(this.#reason);
        break;
      case FLOW_ENDED:
        // RST came after FIN: what was sent is complete, and its reader is told both
        if (this.#isEndKnown) this.#passEnd(last);
        this.#startLingering();
        break;
      default:
        this.#startLingering();
    }
  }

  /** The flow to the peer that lives. */
  #last(): Flow {
    return this.#reason === "task-reset" ? this.#toClient! : this.#toTask!;
  }

  #onBrokenEvents(fd: number, events: number): void {
    const last = this.#last();
    if (fd !== last.destinationFd) return;
    // EPOLLHUP alone is FIN both ways, which does not stop it from taking the rest
    if ((events & EPOLLERR) !== 0) return this.#close(this.#reason);
    if (this.#state === STATE_BREAKING && (events & EPOLLOUT) !== 0) {
      last.isFull = false;
      this.context.stallDeadline.arm(this, this.context.loop.nowMs);
      this.#pumpLast();
    }
  }

  #startLingering(): void {
    this.#state = STATE_LINGERING;
    this.#unsentBytes = unsentBytes(this.#last().destinationFd);
    this.#linger();
  }

  /** RST makes the kernel forget what it has not sent, so it waits for that to leave. */
  #linger(): void {
    if (this.#hasTakenSome()) this.#lingerSteps = 0;
    if (this.#unsentBytes === 0 || this.#lingerSteps++ === LINGER_STEPS) return this.#close(this.#reason);
    this.context.lingerDeadline.arm(this, this.context.loop.nowMs);
  }

  /** Whether the peer that lives has taken a byte since it was last looked at: a slow one gets the time it needs. */
  #hasTakenSome(): boolean {
    const before = this.#unsentBytes;
    this.#unsentBytes = unsentBytes(this.#last().destinationFd);
    return this.#unsentBytes < before;
  }

  // --- closed

  /** "done" closes in order, everything else with RST. */
  #close(reason: CloseReason): void {
    const { loop, worker } = this.context;
    this.#state = STATE_CLOSED;
    this.waitingIn?.cancel(this);
    this.#dialer?.abandon();
    this.#toTask?.release();
    this.#toClient?.release();
    if (reason !== "done") {
      setResetOnClose(this.clientFd);
      if (this.#upstreamFd >= 0) setResetOnClose(this.#upstreamFd);
    }
    loop.close(this.clientFd);
    if (this.#upstreamFd >= 0) loop.close(this.#upstreamFd);
    this.#countClosed(reason);
    this.connections.remove(this);
    if (worker.recorder.isOn) this.#record(reason);
    if (worker.descriptors.isWaitedFor) worker.descriptors.release();
  }

  #countClosed(reason: CloseReason): void {
    const { rules } = this.route;
    this.#target?.onClosed();
    const { open, relayedOpen } = this.context.worker.counters;
    Atomics.sub(this.#isRelayed ? relayedOpen : open, rules.slot, 1);
    if (reason in REFUSAL_INDEX) rules.refuse(reason as RefusalReason);
  }

  #record(reason: CloseReason): void {
    const end = {
      target: this.#target,
      bytesIn: this.#toTask?.bytes ?? 0,
      bytesOut: this.#toClient?.bytes ?? 0,
      durationMs: this.context.loop.nowMs - this.#startedMs,
      reason,
    };
    this.context.worker.recorder.add(connectionRecord(this.route, this.client, end));
  }
}

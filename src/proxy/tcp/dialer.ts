/**
 * Finds a task for a client: connects to the one the balancer picks, and to the next when that one fails or has not
 * accepted within the hedge delay, which follows the task's usual time to accept. The first task to accept gets the
 * client; the others have not failed by that. A client fails only when every task has failed.
 */
import { Waiting } from "../../sys/deadline-list.ts";
import { EPOLLOUT } from "../../sys/epoll.ts";
import {
  EADDRNOTAVAIL,
  EAGAIN,
  EALREADY,
  EINPROGRESS,
  EMSGSIZE,
  ETIMEDOUT,
  isOutOfDescriptors,
} from "../../sys/errno.ts";
import { READ_EVENTS } from "../../sys/tcp-sockets.ts";
import { type Endpoint, encodeRelayTask, RELAY_CONNECTED, type RecordKeys } from "../../wire/index.ts";
import { hashClient } from "../balance/index.ts";
import { type RefusalReason, S_HEDGES, S_RETRIES } from "../table/counters.ts";
import type { DescriptorWaiter } from "../table/descriptor-gate.ts";
import type { DescriptorShare } from "../table/descriptor-shares.ts";
import type { RelayPeer } from "../table/peer.ts";
import type { Route } from "../table/route.ts";
import type { Target } from "../table/target.ts";
import { Attempt, type AttemptOwner, connectTo, errnoOfAnswer, RelayAttempt } from "./attempt.ts";
import { watchOvertaken } from "./overtaken.ts";
import type { RelayPools } from "./relay/relay-pool.ts";
import { writeProxyHeader } from "./send-proxy.ts";
import type { TcpContext } from "./tcp-context.ts";

const NONE: readonly never[] = [];

export interface DialerOwner {
  /** The address that the client connected to. */
  readonly published: Endpoint;
  /** The rules and tasks in force now. */
  refreshRoute(): Route;
  /**
   * A task has accepted.
   * @param isWatched its socket is in the loop already, and may have events
   * @param keys of the sealed relay to its node; null: it is a task of this node, or the relay is not sealed
   */
  onDialed(target: Target, fd: number, isWatched: boolean, keys: RecordKeys | null): void;
  /** No task has accepted. @param errnoValue of the last failure, positive; 0: there was none */
  onDialFailed(reason: RefusalReason, errnoValue: number): void;
}

export class Dialer extends Waiting implements DescriptorWaiter, AttemptOwner {
  readonly #clientHash: number;
  /** In force when a task was last picked. */
  #route!: Route;
  /** Targets that have failed or are being tried; bounded by the number of tasks. */
  #tried: Target[] | null = null;
  #attempts: readonly (Attempt | RelayAttempt)[] = NONE;
  /** Only the attempts in progress are left. */
  #isLastCall = false;
  #lacksDescriptor = false;
  /** No local port was free towards some task. */
  #lacksPort = false;
  #isOver = false;
  /** errno of the last failure, positive; 0: none. */
  lastErrno = 0;
  /** Tasks tried, the last of them, and how many while another attempt was under way. */
  attempts = 0;
  hedges = 0;
  lastTried: Target | null = null;

  /** @param share of the service's descriptors */
  constructor(
    readonly context: TcpContext,
    readonly relayPools: RelayPools,
    readonly client: Endpoint,
    readonly share: DescriptorShare,
    readonly owner: DialerOwner,
  ) {
    super();
    this.#clientHash = hashClient(client.family, client.bytes, client.offset);
  }

  /** Tries one more task. Ends in `onDialed`, `onDialFailed`, or an attempt in progress. */
  tryNext(): void {
    this.#route = this.owner.refreshRoute();
    for (;;) {
      const target = this.#route.balancer.pick(this.#clientHash, this.context.loop.nowMs, this.#tried);
      if (target === null) return this.#onNoneLeft();
      if (this.#tried !== null) this.#countFurther(this.#tried);
      this.#countAttempt(target);
      const { peer } = target;
      if (peer === null ? this.#dial(target) : this.#relay(target, peer, false)) return;
    }
  }

  onDescriptors(): void {
    if (this.#isOver || !this.#lacksDescriptor) return;
    this.#lacksDescriptor = false;
    this.tryNext();
  }

  /** A new task may serve the client; tasks that are gone need not be waited for. */
  onTargetsChanged(): void {
    if (this.owner.refreshRoute().isClosed) return this.#fail();
    const hasDropped = this.#dropCutOff();
    if ((this.#isLastCall || hasDropped) && !this.#lacksDescriptor) this.tryNext();
  }

  /** Drops the attempts whose tasks' drain time is over; returns whether there were any. */
  #dropCutOff(): boolean {
    const { nowMs } = this.context.loop;
    const cutOff = this.#attempts.filter(({ target }) => target.cutAtMs <= nowMs);
    for (const attempt of cutOff) this.#drop(attempt);
    return cutOff.length > 0;
  }

  /** The hedge delay is over, or the time of the last attempts. */
  onDeadline(): void {
    if (this.#isLastCall) return this.#timeOut();
    for (const attempt of this.#attempts) attempt.onLate();
    this.tryNext();
  }

  #timeOut(): void {
    for (const attempt of this.#attempts) attempt.onTimedOut();
    if (this.#attempts.length > 0) this.lastErrno = ETIMEDOUT;
    this.#fail();
  }

  /** Another task has accepted. Late attempts continue without the client, to learn whether their tasks are alive. */
  #dropRivals(): void {
    for (const attempt of this.#attempts) watchOvertaken(this.context, attempt, this.share);
    this.abandon();
  }

  /** Ends all attempts: the client is gone, or has a task. */
  abandon(): void {
    this.#isOver = true;
    this.waitingIn?.cancel(this);
    for (const attempt of this.#attempts) if (attempt.dialer === this) attempt.close();
    this.#countRivals(-Math.max(0, this.#attempts.length - 1));
    this.#attempts = NONE;
  }

  // --- tasks of other nodes

  /** The relay connection is ready for the request. */
  onRelayReady(attempt: RelayAttempt): void {
    if (this.#askRelay(attempt)) {
      this.#hedge(relayDelayMs(attempt));
      return;
    }
    this.#drop(attempt);
    this.tryNext();
  }

  onRelayAnswer(attempt: RelayAttempt, answer: number): void {
    const { target, relay, peer } = attempt;
    peer.onAnswered();
    if (answer === RELAY_CONNECTED && target.cutAtMs > this.context.loop.nowMs) {
      this.#takeOut(attempt);
      attempt.onAccepted();
      relay.release();
      this.#dropRivals();
      return this.owner.onDialed(target, relay.fd, true, relay.keys);
    }
    this.#drop(attempt);
    if (answer !== RELAY_CONNECTED) this.#onFailed(target, errnoOfAnswer(answer));
    this.tryNext();
  }

  /** A pooled connection may have been dead already: only a fresh one says something about the node. */
  onRelayLost(attempt: RelayAttempt, errnoValue: number): void {
    const { target, peer, isFresh } = attempt;
    this.#takeOut(attempt);
    if (!isFresh && this.#relay(target, peer, true)) return;
    if (isFresh) this.#onRelayFailed(target, peer, errnoValue);
    this.tryNext();
  }

  /** false: failed already, the next task is to be tried. */
  #relay(target: Target, peer: RelayPeer, isFresh: boolean): boolean {
    target.relayTask ??= encodeRelayTask(this.#route.rules.name, target.taskName, target.port);
    if (target.relayTask === null) {
      this.#onFailed(target, EMSGSIZE);
      return false;
    }
    const ready = isFresh ? null : this.relayPools.take(peer);
    const attempt = new RelayAttempt(this, target, peer, this.relayPools, ready);
    this.#addAttempt(attempt);
    if (ready === null) {
      const opened = attempt.relay.open();
      if (opened === 0) {
        this.relayPools.wait(attempt);
        return this.#hedge(relayDelayMs(attempt));
      }
      this.#takeOut(attempt);
      if (isOutOfDescriptors(-opened)) {
        this.#tried = this.#tried?.filter((tried) => tried !== target) ?? null;
        this.#awaitDescriptor();
        return true;
      }
      this.#onRelayFailed(target, peer, -opened);
      return false;
    }
    if (this.#askRelay(attempt)) return this.#hedge(relayDelayMs(attempt));
    this.#drop(attempt);
    return this.#relay(target, peer, true);
  }

  #askRelay(attempt: RelayAttempt): boolean {
    const { target, relay } = attempt;
    attempt.askedMs = this.context.loop.nowMs;
    return relay.ask({ source: this.client, destination: this.owner.published }, target.relayTask);
  }

  #onRelayFailed(target: Target, peer: RelayPeer, errnoValue: number): void {
    peer.onFailed(this.context.loop.nowMs);
    this.lastErrno = errnoValue;
    this.#addTried(target);
  }

  #countAttempt(target: Target): void {
    this.attempts++;
    if (this.#attempts.length > 0) this.hedges++;
    this.lastTried = target;
  }

  #addAttempt(attempt: Attempt | RelayAttempt): void {
    this.#attempts = [...this.#attempts, attempt];
    if (this.#attempts.length > 1) this.#countRivals(1);
    this.#addTried(attempt.target);
  }

  #hedge(delayMs: number): true {
    this.#isLastCall = false;
    this.context.hedgeDeadline(delayMs).arm(this, this.context.loop.nowMs);
    return true;
  }

  onAttemptEvents(attempt: Attempt): void {
    const outcome = connectTo(this.context, attempt.target, attempt.fd);
    if (outcome === -EALREADY) return;
    const { nowMs } = this.context.loop;
    // after the drain time of a task nothing would cut a connection to it
    if (outcome === 0 && attempt.target.cutAtMs > nowMs) {
      this.#takeOut(attempt);
      attempt.onAccepted();
      return this.#win(attempt.target, attempt.fd, true);
    }
    this.#drop(attempt);
    if (outcome !== 0) this.#onFailed(attempt.target, -outcome);
    this.tryNext();
  }

  /** false: failed already, the next task is to be tried. */
  #dial(target: Target): boolean {
    const { loop, sockets } = this.context;
    const fd = sockets.tcpSocket(target.family);
    if (isOutOfDescriptors(-fd)) {
      this.#awaitDescriptor();
      return true;
    }
    if (fd < 0) {
      this.#onFailed(target, -fd);
      return false;
    }
    sockets.setOutOfBandInline(fd);
    const outcome = this.#connect(target, fd);
    if (outcome === 0) {
      target.onAccepted(0, loop.nowMs);
      this.#win(target, fd, false);
      return true;
    }
    if (outcome === -EALREADY || outcome === -EINPROGRESS) {
      this.#await(target, fd);
      return true;
    }
    loop.close(fd);
    this.#onFailed(target, -outcome);
    return false;
  }

  /** On loopback and often on a LAN the handshake is over when the first call returns, so a second one follows at once. */
  #connect(target: Target, fd: number): number {
    const outcome = connectTo(this.context, target, fd);
    return outcome === -EINPROGRESS ? connectTo(this.context, target, fd) : outcome;
  }

  #await(target: Target, fd: number): void {
    const { loop } = this.context;
    const attempt = new Attempt(this, target, fd);
    this.#addAttempt(attempt);
    if (loop.watch(fd, READ_EVENTS | EPOLLOUT, attempt) < 0) {
      this.#drop(attempt);
      return this.#fail();
    }
    this.#hedge(target.acceptTimeoutMs);
  }

  #win(target: Target, fd: number, isWatched: boolean): void {
    const { sendProxy } = this.#route.rules;
    if (sendProxy !== "none" && !this.#sendProxyHeader(fd, sendProxy)) {
      this.context.loop.close(fd);
      this.#onFailed(target, EAGAIN);
      return this.tryNext();
    }
    this.#dropRivals();
    this.owner.onDialed(target, fd, isWatched, null);
  }

  /** The send buffer is empty, so the header fits or the connection is broken. */
  #sendProxyHeader(fd: number, version: "v1" | "v2"): boolean {
    const { memory, headerAt, sockets } = this.context;
    sockets.setNoDelay(fd);
    const length = writeProxyHeader(this.context, version, this.client, this.owner.published);
    return sockets.send(fd, memory.address(headerAt), length) === length;
  }

  #awaitDescriptor(): void {
    this.context.worker.descriptors.onExhausted();
    this.#lacksDescriptor = true;
    this.#isLastCall = true;
    this.context.stallDeadline.arm(this, this.context.loop.nowMs);
    this.context.worker.descriptors.wait(this);
  }

  #onNoneLeft(): void {
    if (this.#attempts.length === 0) return this.#fail();
    if (this.#isLastCall) return;
    this.#isLastCall = true;
    const timeoutMs = Math.max(...this.#attempts.map((attempt) => attempt.timeoutMs));
    this.context.connectDeadline(timeoutMs).arm(this, this.context.loop.nowMs);
  }

  #fail(): void {
    this.abandon();
    this.owner.onDialFailed(this.#refusal(), this.lastErrno);
  }

  #refusal(): RefusalReason {
    if (this.#lacksDescriptor) return "out-of-descriptors";
    return this.#lacksPort ? "out-of-ports" : "no-task";
  }

  #onFailed(target: Target, errnoValue: number): void {
    this.lastErrno = errnoValue;
    if (errnoValue === EADDRNOTAVAIL) return this.#onNoPort(target);
    target.onFailed(errnoValue, this.context.loop.nowMs);
    this.#addTried(target);
  }

  /** Every local port has a connection to the task, which is not the task's fault. */
  #onNoPort(target: Target): void {
    this.#lacksPort = true;
    this.context.worker.descriptors.onShortage();
    this.#addTried(target);
  }

  /** One more task is tried, because of the last one. */
  #countFurther(tried: readonly Target[]): void {
    const isHedge = this.#attempts.length > 0;
    this.#route.rules.count(isHedge ? S_HEDGES : S_RETRIES, 1);
    tried.at(-1)?.onPassedOver(isHedge);
  }

  #addTried(target: Target): void {
    this.#tried ??= [];
    if (!this.#tried.includes(target)) this.#tried.push(target);
  }

  #drop(attempt: Attempt | RelayAttempt): void {
    this.#takeOut(attempt);
    attempt.close();
  }

  #takeOut(attempt: Attempt | RelayAttempt): void {
    if (this.#attempts.length > 1) this.#countRivals(-1);
    this.#attempts = this.#attempts.filter((other) => other !== attempt);
  }

  /** The connection itself counts with one descriptor for its task; further attempts are counted here. */
  #countRivals(count: number): void {
    if (count > 0) this.share.add(count);
    else if (count < 0) this.share.remove(-count);
  }
}

/** A new connection takes two more round trips; one is added as the task's time may not have been measured yet. */
function relayDelayMs({ target, peer, relay }: RelayAttempt): number {
  return target.acceptTimeoutMs + (relay.isOpening ? 3 : 1) * Math.floor(peer.rttMs);
}

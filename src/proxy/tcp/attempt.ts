/** A dialer's attempts: a connect to a task of this node, or a request to the relay of another node. */
import { ECONNREFUSED, EISCONN, EMFILE, ENOENT, ESHUTDOWN, ETIMEDOUT } from "../../sys/errno.ts";
import type { Pollable } from "../../sys/event-loop.ts";
import {
  RELAY_DRAINING,
  RELAY_OUT_OF_DESCRIPTORS,
  RELAY_TASK_REFUSED,
  RELAY_TASK_TIMED_OUT,
} from "../../wire/index.ts";
import type { RelayPeer } from "../table/peer.ts";
import type { Target } from "../table/target.ts";
import { RelayConnection, type RelayConnectionOwner } from "./relay/relay-connection.ts";
import type { RelayPools, RelayWaiter } from "./relay/relay-pool.ts";
import type { TcpContext } from "./tcp-context.ts";

/** TCP resends its SYN after this, so a longer connect says little about the path. [RFC 6298 §2.1, §3] */
const SYN_TIMEOUT_MS = 1_000;

/** Receives the results of attempts. */
export interface AttemptOwner {
  readonly context: TcpContext;
  /** errno of the last failure, positive; 0: none. */
  lastErrno: number;
  onAttemptEvents(attempt: Attempt): void;
  onRelayReady(attempt: RelayAttempt): void;
  onRelayAnswer(attempt: RelayAttempt, answer: number): void;
  onRelayLost(attempt: RelayAttempt, errnoValue: number): void;
}

/** A connect in progress. */
export class Attempt implements Pollable {
  readonly startedMs: number;
  #isLate = false;

  constructor(
    public dialer: AttemptOwner,
    readonly target: Target,
    readonly fd: number,
  ) {
    this.startedMs = dialer.context.loop.nowMs;
  }

  /** It was late and another task has served the client; whether this task is slow or dead is not known yet. */
  get isUndecided(): boolean {
    return this.#isLate;
  }

  /** Milliseconds since the connect. */
  get tookMs(): number {
    return this.dialer.context.loop.nowMs - this.startedMs;
  }

  /** How long the task may take. */
  get timeoutMs(): number {
    return this.target.connectTimeoutMs;
  }

  /** The task has accepted. */
  onAccepted(): void {
    const { tookMs } = this;
    const { loop, sockets } = this.dialer.context;
    const withoutLossMs = tookMs < SYN_TIMEOUT_MS ? tookMs : sockets.roundTripMs(this.fd) || null;
    this.target.onAccepted(tookMs, loop.nowMs, withoutLossMs);
  }

  onEvents(): void {
    this.dialer.onAttemptEvents(this);
  }

  /** Not a failure: the task may still accept first. */
  onLate(): void {
    if (this.#isLate) return;
    this.#isLate = true;
    this.dialer.lastErrno = ETIMEDOUT;
    this.target.onLate(this.dialer.context.loop.nowMs);
  }

  /** Its connect timeout is over. */
  onTimedOut(): void {
    this.target.onFailed(ETIMEDOUT, this.dialer.context.loop.nowMs);
  }

  close(): void {
    this.dialer.context.loop.close(this.fd);
  }
}

/** A request for a task of another node. */
export class RelayAttempt implements RelayConnectionOwner, RelayWaiter {
  relay: RelayConnection;
  /** false: its connection comes from the pool. */
  readonly isFresh: boolean;
  /** When the request was sent. */
  askedMs = 0;
  #isLate = false;

  constructor(
    public dialer: AttemptOwner,
    readonly target: Target,
    readonly peer: RelayPeer,
    readonly relayPools: RelayPools,
    ready: RelayConnection | null,
  ) {
    this.isFresh = ready === null;
    this.relay = ready ?? new RelayConnection(dialer.context, peer, this);
    this.relay.owner = this;
  }

  /** How long the node and the task may take. */
  get timeoutMs(): number {
    return this.target.connectTimeoutMs + (this.relay.isOpening ? this.peer.openTimeoutMs : 0);
  }

  /** The task has accepted. */
  onAccepted(): void {
    const { tookMs, peer } = this;
    const withoutLossMs = tookMs < SYN_TIMEOUT_MS + peer.rttMs ? tookMs : null;
    this.target.onAccepted(tookMs, this.dialer.context.loop.nowMs, withoutLossMs);
  }

  /** A connection of the pool is ready before its own. */
  exchange(ready: RelayConnection): RelayConnection {
    const own = this.relay;
    this.relay = ready;
    ready.owner = this;
    return own;
  }

  onOpened(): void {
    this.dialer.onRelayReady(this);
  }

  onReady(): void {
    const { nowMs } = this.dialer.context.loop;
    this.relayPools.left(this);
    this.peer.onOpened(nowMs - this.relay.openedMs, nowMs);
    this.onOpened();
  }

  onAnswer(_relay: RelayConnection, answer: number): void {
    this.dialer.onRelayAnswer(this, answer);
  }

  onLost(_relay: RelayConnection, errnoValue: number): void {
    this.relayPools.left(this);
    this.dialer.onRelayLost(this, errnoValue);
  }

  /** The dialer has its own deadline. */
  onConnectionDeadline(): void {}

  /** Like that of `Attempt`, once its node has the request. */
  get isUndecided(): boolean {
    return this.#isLate && !this.relay.isOpening;
  }

  /** Milliseconds since the request. */
  get tookMs(): number {
    return this.dialer.context.loop.nowMs - this.askedMs;
  }

  /** Before the relay is ready the node is late, after that perhaps the task. Not a failure: see `Attempt`. */
  onLate(): void {
    if (this.#isLate) return;
    this.#isLate = true;
    const { nowMs } = this.dialer.context.loop;
    this.dialer.lastErrno = ETIMEDOUT;
    if (this.relay.isOpening) this.peer.onLate(nowMs);
    else this.target.onLate(nowMs);
  }

  /** Its connect timeout is over. */
  onTimedOut(): void {
    const { nowMs } = this.dialer.context.loop;
    if (this.relay.isOpening) this.peer.onFailed(nowMs);
    this.target.onFailed(ETIMEDOUT, nowMs);
  }

  close(): void {
    this.relayPools.left(this);
    this.relay.close();
  }
}

/** 0 once connected, -EALREADY or -EINPROGRESS while in progress, another -errno on failure. May be called repeatedly. */
export function connectTo({ memory, sockaddrAt, sockets }: TcpContext, target: Target, fd: number): number {
  memory.bytes.set(target.sockaddr, sockaddrAt);
  const outcome = sockets.connect(fd, memory.address(sockaddrAt), target.sockaddrLength);
  return outcome === -EISCONN ? 0 : outcome;
}

/** The errno shown for a task that its node could not connect to. */
export function errnoOfAnswer(answer: number): number {
  switch (answer) {
    case RELAY_TASK_REFUSED:
      return ECONNREFUSED;
    case RELAY_TASK_TIMED_OUT:
      return ETIMEDOUT;
    case RELAY_OUT_OF_DESCRIPTORS:
      return EMFILE;
    case RELAY_DRAINING:
      return ESHUTDOWN;
    default:
      return ENOENT;
  }
}

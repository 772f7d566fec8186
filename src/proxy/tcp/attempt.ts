/** What a client's dialer has under way: a connect to a task of this node, or a question to another node's relay. */
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

/** TCP sends its SYN again then, so a connect that took longer says little about the path. [RFC 6298 §2.1, §3] */
const SYN_TIMEOUT_MS = 1_000;

/** Who is told how it goes. */
export interface AttemptOwner {
  readonly context: TcpContext;
  /** Of the last failure, positive; 0: there was none. */
  lastErrno: number;
  onAttemptEvents(attempt: Attempt): void;
  onRelayReady(attempt: RelayAttempt): void;
  onRelayAnswer(attempt: RelayAttempt, answer: number): void;
  onRelayLost(attempt: RelayAttempt, errnoValue: number): void;
}

/** A connect that is under way. */
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

  /** The client has been served by another task; whether this one is dead is still to be seen. */
  get isUndecided(): boolean {
    return this.#isLate;
  }

  /** Milliseconds since the connect. */
  get tookMs(): number {
    return this.dialer.context.loop.nowMs - this.startedMs;
  }

  /** How long its target may take. */
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

  /** No failure: it may still win, or have been about to. */
  onLate(): void {
    if (this.#isLate) return;
    this.#isLate = true;
    this.dialer.lastErrno = ETIMEDOUT;
    this.target.onLate(this.dialer.context.loop.nowMs);
  }

  /** It has had all the time there is. */
  onTimedOut(): void {
    this.target.onFailed(ETIMEDOUT, this.dialer.context.loop.nowMs);
  }

  close(): void {
    this.dialer.context.loop.close(this.fd);
  }
}

/** A task of another node that is being asked for. */
export class RelayAttempt implements RelayConnectionOwner, RelayWaiter {
  relay: RelayConnection;
  /** false: the connection had been waiting for a client. */
  readonly isFresh: boolean;
  /** When its node was asked for it. */
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

  /** How long its node and its target may take. */
  get timeoutMs(): number {
    return this.target.connectTimeoutMs + (this.relay.isOpening ? this.peer.openTimeoutMs : 0);
  }

  /** The task has accepted. */
  onAccepted(): void {
    const { tookMs, peer } = this;
    const withoutLossMs = tookMs < SYN_TIMEOUT_MS + peer.rttMs ? tookMs : null;
    this.target.onAccepted(tookMs, this.dialer.context.loop.nowMs, withoutLossMs);
  }

  /** One of the pool's is ready before its own. */
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

  /** The client's own deadlines hold. */
  onConnectionDeadline(): void {}

  /** Its node has the question, and another task has served the client. */
  get isUndecided(): boolean {
    return this.#isLate && !this.relay.isOpening;
  }

  /** Milliseconds since the question. */
  get tookMs(): number {
    return this.dialer.context.loop.nowMs - this.askedMs;
  }

  /** Before the relay is ready it is its node that is late, then it may be the task. No failure: see Attempt. */
  onLate(): void {
    if (this.#isLate) return;
    this.#isLate = true;
    const { nowMs } = this.dialer.context.loop;
    this.dialer.lastErrno = ETIMEDOUT;
    if (this.relay.isOpening) this.peer.onLate(nowMs);
    else this.target.onLate(nowMs);
  }

  /** It has had all the time there is. */
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

/** 0 once connected, -EALREADY or -EINPROGRESS while it lasts, another -errno when it has failed. May be called again. */
export function connectTo({ memory, sockaddrAt, sockets }: TcpContext, target: Target, fd: number): number {
  memory.bytes.set(target.sockaddr, sockaddrAt);
  const outcome = sockets.connect(fd, memory.address(sockaddrAt), target.sockaddrLength);
  return outcome === -EISCONN ? 0 : outcome;
}

/** What is shown of a task that its node could not connect to. */
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

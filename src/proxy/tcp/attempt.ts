/** What a client's dialer has under way: a connect to a task of this node, or a question to another node's relay. */
import { ECONNREFUSED, EMFILE, ENOENT, ESHUTDOWN, ETIMEDOUT } from "../../sys/errno.ts";
import type { Pollable } from "../../sys/event-loop.ts";
import {
  RELAY_DRAINING,
  RELAY_OUT_OF_DESCRIPTORS,
  RELAY_TASK_REFUSED,
  RELAY_TASK_TIMED_OUT,
} from "../../wire/index.ts";
import type { RelayPeer } from "../worker/relay-peer.ts";
import type { Target } from "../worker/target.ts";
import { type LineOwner, RelayLine } from "./relay/relay-line.ts";
import type { TcpContext } from "./tcp-context.ts";

/** Who is told how it goes. */
export interface Dialing {
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
  #isCounted = false;

  constructor(
    readonly dialer: Dialing,
    readonly target: Target,
    readonly fd: number,
  ) {}

  onEvents(): void {
    this.dialer.onAttemptEvents(this);
  }

  /** Counted once as a failure, though it may still win. */
  onSlow(): void {
    if (this.#isCounted) return;
    this.#isCounted = true;
    this.dialer.lastErrno = ETIMEDOUT;
    this.target.onFailed(ETIMEDOUT, this.dialer.context.loop.nowMs);
  }

  close(): void {
    this.dialer.context.loop.close(this.fd);
  }
}

/** A task of another node that is being asked for. */
export class RelayAttempt implements LineOwner {
  readonly line: RelayLine;
  /** false: the connection had been waiting for a client. */
  readonly isFresh: boolean;
  #isCounted = false;

  constructor(
    readonly dialer: Dialing,
    readonly target: Target,
    readonly peer: RelayPeer,
    ready: RelayLine | null,
  ) {
    this.isFresh = ready === null;
    this.line = ready ?? new RelayLine(dialer.context, peer, this);
    this.line.owner = this;
  }

  onReady(): void {
    this.dialer.onRelayReady(this);
  }

  onAnswer(_line: RelayLine, answer: number): void {
    this.dialer.onRelayAnswer(this, answer);
  }

  onLost(_line: RelayLine, errnoValue: number): void {
    this.dialer.onRelayLost(this, errnoValue);
  }

  /** The client's own deadlines hold. */
  onLineDeadline(): void {}

  /** Before the relay is ready it is its node that is slow, then it may be the task. */
  onSlow(): void {
    if (this.#isCounted) return;
    this.#isCounted = true;
    const { nowMs } = this.dialer.context.loop;
    this.dialer.lastErrno = ETIMEDOUT;
    this.target.onFailed(ETIMEDOUT, nowMs);
    if (this.line.isOpening) this.peer.onFailed(nowMs);
  }

  close(): void {
    this.line.close();
  }
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

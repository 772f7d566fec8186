/**
 * One client and its task: a connected socket, so that replies find their client and ICMP errors their cause.
 *
 * It is passive data for the client's side (its `ReturnPath` opens and closes it, `TaskSendBatch` sends through it) and
 * a handler for the task's side.
 */

import { Waiting } from "../../sys/deadline-list.ts";
import { EPOLLERR, EPOLLIN } from "../../sys/epoll.ts";
import type { Continuable, Pollable } from "../../sys/event-loop.ts";
import { dropErrors, setBufferSizes } from "../../sys/socket.ts";
import type { Recent } from "../table/recent-list.ts";
import type { Rules } from "../table/route.ts";
import type { SessionRow } from "../table/session-rows.ts";
import type { Target } from "../table/target.ts";
import type { ReturnPath } from "./return-path.ts";
import { RANK_CONVERSING, RANK_ONE_SHOT, RANK_USED, type SessionRanks } from "./session-ranks.ts";
import type { TableEntry } from "./session-table.ts";
import type { PortLease } from "./task-ports.ts";

/** A session that has so much in one batch, either way, gets big socket buffers; the system's default is 208 KiB. */
export const BURST_BYTES = 32 * 1024;
const BIG_BUFFER_BYTES = 4 * 1024 * 1024;
/** A task that had failed is believed to work again when so much time of a session has passed without an error: more than
 * ARP needs to give up. */
const PROOF_MS = 4000;
/** A session that was answered before, and so long was not: the source address may have changed. */
const SILENCE_MS = 2000;
/** An address that the name of the task no longer has keeps its sessions while it answers within this time. */
const STRANDED_MS = 5000;

/** A session's path to its task on another node. */
export interface TaskRelay {
  /** That node. */
  readonly peer: object;
  /** The other node has accepted the session. */
  readonly isAccepted: boolean;
  /** To be called before `send`: 0 or a positive errno. */
  open(): number;
  /** Sends a datagram in the worker's memory. */
  send(dataAt: number, length: number): void;
  /** The session has ended. */
  end(): void;
}

export class UdpSession
  extends Waiting
  implements TableEntry<UdpSession>, Recent<UdpSession>, Pollable, Continuable
{
  nextInBucket: UdpSession | null = null;
  older: UdpSession | null = null;
  newer: UdpSession | null = null;
  isClosed = false;
  /** Answers wait in its socket, for this process or another that has it too. */
  #isPaused = false;
  /** Its datagrams in the batch at hand: slots of the `TaskSendBatch`, chained; -1 = none. */
  firstSlot = -1;
  lastSlot = -1;
  /** The PROXY header before each datagram to the task, once it was needed. */
  header: Uint8Array | null = null;
  /** Nothing sent so far has been seen to pass: look for an error right after sending. */
  isUnproven = true;
  /** Whether datagrams of one length may go down as one, to the task and to the client; tried until it fails. */
  canSegment = true;
  canSegmentReplies = true;
  /** The path to a task on another node; the session then has no socket of its own, and its descriptor is -1. */
  relay: TaskRelay | null = null;
  /** How many tasks in a row have not wanted what it sent. */
  moves = 0;
  rank = RANK_ONE_SHOT;
  /** Of its service's limits per client; negative: none. */
  ticket = -1;
  /** Its source port; null: the kernel has picked one, or it has no socket. */
  lease: PortLease<UdpSession> | null = null;
  /** When it last carried datagrams. */
  usedMs: number;
  /** When the first datagram since the last answer was sent; 0: none has been. */
  #unansweredSinceMs = 0;
  readonly openedMs: number;
  /** Both ways, for its record. */
  datagramsIn = 0;
  datagramsOut = 0;
  bytesIn = 0;
  bytesOut = 0;
  /** Why its task could not be reached, positive; 0: it can, or has answered since. */
  errno = 0;
  /** Answers that are still to come, where the service says how many there are to a datagram. */
  #owed = 0;
  #isQueued = false;
  #hasBigBuffers = false;
  #hasSent = false;
  #isAnswered = false;
  /** When it was last looked whether its source address is still the one to use. */
  #lookedMs = 0;

  constructor(
    readonly returnPath: ReturnPath<UdpSession>,
    readonly key: Int32Array,
    readonly hash: number,
    readonly clientHash: number,
    readonly target: Target,
    /** -1: it has none. Another one once this node's address has changed. */
    public fd: number,
    /** The service's when it was opened: where it is counted. */
    readonly rules: Rules,
    readonly ranks: SessionRanks<UdpSession>,
  ) {
    super();
    this.openedMs = this.usedMs = returnPath.context.loop.nowMs;
  }

  /** Answers, or an ICMP error. */
  onEvents(fd: number, events: number): void {
    if (!this.#isQueued) this.returnPath.context.replies.receiveFrom(this);
    if ((events & EPOLLERR) !== 0 && fd === this.fd && !this.isClosed) this.#dropErrors();
  }

  /** So many datagrams of the client have been sent to the task. */
  onDelivered(datagrams: number): void {
    this.#owed += datagrams * this.rules.udp.responses;
  }

  /** That many answers have come. True: no more are expected, as far as the service says. */
  isDoneAfter(answers: number): boolean {
    if (this.rules.udp.responses === 0) return false;
    this.#owed -= answers;
    return this.#owed <= 0;
  }

  /** Nothing has been sent since `isDoneAfter` said so. */
  get isDone(): boolean {
    return this.#owed <= 0;
  }

  /** The task has answered. */
  onAnswered(): void {
    this.#isAnswered = true;
    this.errno = 0;
    if (this.rank < RANK_USED) this.ranks.promote(this, RANK_USED);
    this.isUnproven = false;
    this.moves = 0;
    this.#unansweredSinceMs = 0;
    this.target.onAnswered();
  }

  /** So much has come from the task. */
  countOut(datagrams: number, bytes: number): void {
    this.datagramsOut += datagrams;
    this.bytesOut += bytes;
  }

  /** Its client has sent something. */
  onClientSent(): void {
    if (this.#isAnswered) this.#lookForAnswers();
    if (this.rank === RANK_CONVERSING) return;
    if (this.#isAnswered) this.ranks.promote(this, RANK_CONVERSING);
    else if (this.#hasSent && this.rank < RANK_USED) this.ranks.promote(this, RANK_USED);
    this.#hasSent = true;
  }

  /** The old socket sends from an address that this node no longer has, or no longer uses. */
  replaceSocket(fd: number, lease: PortLease<UdpSession> | null): void {
    const { loop } = this.returnPath.context;
    loop.close(this.fd);
    this.lease?.end();
    this.fd = fd;
    this.lease = lease;
    this.isUnproven = true;
    this.#hasBigBuffers = false;
  }

  /** A task that never answers, as with syslog, works if sending to it goes on without an error. */
  onSent(): void {
    const { target, openedMs } = this;
    const { nowMs } = this.returnPath.context.loop;
    if (this.#unansweredSinceMs === 0) this.#unansweredSinceMs = nowMs;
    if (target.failingUntilMs !== 0 && nowMs - openedMs > PROOF_MS) target.onAnswered();
  }

  /** Its task is elsewhere now, and the address it was at does not answer. */
  isStranded(nowMs: number): boolean {
    if (!this.target.isMissing) return false;
    return this.#unansweredSinceMs !== 0 && nowMs - this.#unansweredSinceMs > STRANDED_MS;
  }

  /** Nothing is received from its task until `resume`. */
  pause(): void {
    this.#isPaused = true;
    if (this.fd >= 0) this.returnPath.context.loop.unwatch(this.fd);
  }

  resume(): void {
    this.#isPaused = false;
    if (this.fd >= 0) this.returnPath.context.loop.watch(this.fd, EPOLLIN, this);
  }

  /** What another process needs to continue it. @param target what stands for its target there */
  toRow(target: number): SessionRow {
    const { fd, lease, clientHash, rank, key } = this;
    return {
      target,
      fd,
      port: lease === null ? 0 : lease.ports.portAt(lease.index),
      clientHash,
      rank,
      hasSent: this.#hasSent,
      isAnswered: this.#isAnswered,
      idleMs: Math.round(this.returnPath.context.loop.nowMs - this.usedMs),
      owed: this.#owed,
      key,
    };
  }

  /** It was another process's until now. */
  continueFrom({ rank, hasSent, isAnswered, owed }: SessionRow): void {
    this.#hasSent = hasSent;
    this.#isAnswered = isAnswered;
    this.isUnproven = !isAnswered;
    this.#owed = owed;
    if (rank > this.rank) this.ranks.promote(this, rank);
  }

  /** The part of its end that is the same wherever its client is; for its returnPath to call, once. */
  end(): void {
    const { loop, worker, toTasks } = this.returnPath.context;
    this.isClosed = true;
    toTasks.forget(this);
    this.waitingIn?.cancel(this);
    if (this.relay !== null) this.relay.end();
    else loop.close(this.fd);
    this.lease?.end();
    this.ranks.remove(this);
    this.target.onClosed();
    if (worker.descriptors.isWaitedFor) worker.descriptors.release();
  }

  /** There is more to receive: in the next turn. */
  queue(): void {
    if (this.#isQueued) return;
    this.#isQueued = true;
    this.returnPath.context.loop.continueLater(this);
  }

  /** Room for bursts, which most sessions never need. */
  growBuffers(): void {
    if (this.#hasBigBuffers || this.relay !== null) return;
    this.#hasBigBuffers = true;
    setBufferSizes(this.fd, BIG_BUFFER_BYTES);
  }

  onContinue(): void {
    this.#isQueued = false;
    if (!this.isClosed && !this.#isPaused) this.returnPath.context.replies.receiveFrom(this);
  }

  /** It was answered before: replies may go to an address that this node no longer has, without any error here. */
  #lookForAnswers(): void {
    const { nowMs } = this.returnPath.context.loop;
    if (this.#unansweredSinceMs === 0 || nowMs - this.#unansweredSinceMs < SILENCE_MS) return;
    if (this.relay !== null || nowMs - this.#lookedMs < SILENCE_MS) return;
    this.#lookedMs = nowMs;
    this.returnPath.reopen(this);
  }

  /** Each is a datagram that did not arrive. */
  #dropErrors(): void {
    const count = dropErrors(this.fd);
    if (count > 0) this.returnPath.refuse(this, "unreachable", count);
  }

  /** Idle for too long. */
  onDeadline(): void {
    this.returnPath.close(this, null);
  }
}

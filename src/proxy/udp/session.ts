/**
 * One client and its task: a connected socket, so that answers find their client and ICMP errors their cause.
 *
 * It is passive data for the listener's side (its `SessionHome` opens and closes it, `Outbox` sends through it) and a
 * handler for the task's side.
 */

import { setBufferSizes } from "../../sys/socket.ts";
import { Waiting } from "../worker/deadline-list.ts";
import type { Continuable, Pollable } from "../worker/event-loop.ts";
import type { Rules } from "../worker/route.ts";
import type { Target } from "../worker/target.ts";
import type { Recent, RecentList } from "./recent-list.ts";
import type { SessionHome } from "./session-home.ts";
import type { TableEntry } from "./session-table.ts";

/** A session that has so much in one batch, either way, gets big socket buffers; the system's default is 208 KiB. */
export const BURST_BYTES = 32 * 1024;
const BIG_BUFFER_BYTES = 4 * 1024 * 1024;

export class UdpSession
  extends Waiting
  implements TableEntry<UdpSession>, Recent<UdpSession>, Pollable, Continuable
{
  nextInBucket: UdpSession | null = null;
  older: UdpSession | null = null;
  newer: UdpSession | null = null;
  isClosed = false;
  /** Its datagrams in the batch at hand: slots of the `Outbox`, chained; -1 = none. */
  firstSlot = -1;
  lastSlot = -1;
  /** The PROXY header before each datagram to the task, once it was needed. */
  header: Uint8Array | null = null;
  /** Nothing sent so far has been seen to pass: look for an error right after sending. */
  isUnproven = true;
  /** Whether datagrams of one length may go down as one, to the task and to the client; tried until it fails. */
  canSegment = true;
  canSegmentReplies = true;
  readonly openedMs: number;
  #isQueued = false;
  #hasBigBuffers = false;

  constructor(
    readonly home: SessionHome,
    readonly key: Int32Array,
    readonly hash: number,
    readonly clientHash: number,
    readonly target: Target,
    readonly fd: number,
    /** The service's when it was opened: where it is counted. */
    readonly rules: Rules,
    readonly recent: RecentList<UdpSession>,
  ) {
    super();
    this.openedMs = home.context.loop.nowMs;
  }

  /** Answers, or an ICMP error. */
  onEvents(): void {
    if (!this.#isQueued) this.home.context.replies.receiveFrom(this);
  }

  /** There is more to receive: in the next turn. */
  queue(): void {
    if (this.#isQueued) return;
    this.#isQueued = true;
    this.home.context.loop.goOn(this);
  }

  /** Room for bursts, which most sessions never need. */
  growBuffers(): void {
    if (this.#hasBigBuffers) return;
    this.#hasBigBuffers = true;
    setBufferSizes(this.fd, BIG_BUFFER_BYTES);
  }

  onGoOn(): void {
    this.#isQueued = false;
    if (!this.isClosed) this.home.context.replies.receiveFrom(this);
  }

  /** Idle for too long. */
  onDeadline(): void {
    this.home.close(this, null);
  }
}

/**
 * One client and its task: a connected socket, so that answers find their client and ICMP errors their cause.
 *
 * It is passive data for the listener's side (`SessionSet` opens and closes it, `Outbox` sends through it) and a
 * handler for the task's side.
 */

import { Waiting } from "../worker/deadline-list.ts";
import type { Continuable, Pollable } from "../worker/event-loop.ts";
import type { Rules } from "../worker/route.ts";
import type { Target } from "../worker/target.ts";
import type { Recent, RecentList } from "./recent-list.ts";
import type { SessionSet } from "./session-set.ts";
import type { TableEntry } from "./session-table.ts";

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
  /** Its socket has been given room for bursts. */
  hasBigBuffers = false;
  readonly openedMs: number;
  #isQueued = false;

  constructor(
    readonly set: SessionSet,
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
    this.openedMs = set.context.loop.nowMs;
  }

  /** Answers, or an ICMP error. */
  onEvents(): void {
    if (!this.#isQueued) this.set.context.replies.receiveFrom(this);
  }

  /** There is more to receive: in the next turn. */
  queue(): void {
    if (this.#isQueued) return;
    this.#isQueued = true;
    this.set.context.loop.goOn(this);
  }

  onGoOn(): void {
    this.#isQueued = false;
    if (!this.isClosed) this.set.context.replies.receiveFrom(this);
  }

  /** Idle for too long. */
  onDeadline(): void {
    this.set.close(this, null);
  }
}

/**
 * What the sessions of one service have on this worker: a share of its max_sessions, descriptors for their sockets,
 * and time until they are idle. When there is no room the first in the order of `SessionRanks` goes.
 */

import type { DeadlineList } from "../../sys/deadline-list.ts";
import { EMFILE, ENFILE, ENOBUFS, ENOMEM } from "../../sys/errno.ts";
import { connect, udpSocket } from "../../sys/socket.ts";
import type { Refusal } from "../counters.ts";
import type { Rules } from "../worker/route.ts";
import type { Target } from "../worker/target.ts";
import type { UdpSession } from "./session.ts";
import type { SessionRanks } from "./session-ranks.ts";
import type { UdpContext } from "./udp-context.ts";

/** For one new session. */
const MAX_EVICTIONS = 2;

export class SessionQuota {
  readonly ranks: SessionRanks;
  readonly #idleList: DeadlineList | null;
  readonly #limit: number;

  constructor(
    readonly context: UdpContext,
    rules: Rules,
  ) {
    const { loop, worker } = context;
    const { udp, slot } = rules;
    this.ranks = context.ranksOf(slot);
    this.#idleList = udp.idleTimeoutMs > 0 ? loop.deadlines.list(udp.idleTimeoutMs) : null;
    this.#limit = Math.max(1, Math.ceil(udp.maxSessions / worker.counters.services.length));
  }

  enter(session: UdpSession): void {
    this.ranks.add(session);
    this.#idleList?.arm(session, this.context.loop.nowMs);
  }

  /** It has carried datagrams. */
  touch(session: UdpSession): void {
    if (this.#idleList === null) session.waitingIn?.cancel(session);
    else this.#idleList.arm(session, this.context.loop.nowMs);
    session.usedMs = this.context.loop.nowMs;
    session.ranks.touch(session);
  }

  /** For one session more. */
  makeRoom(): void {
    while (this.ranks.size >= this.#limit) this.#evict(this.ranks.first()!, "session-limit");
  }

  /** Makes room and opens a socket that talks to the target: its descriptor or -errno. */
  connect(target: Target): number {
    const { loop, memory, sockaddrAt } = this.context;
    this.makeRoom();
    const fd = this.#openSocket(target.family);
    if (fd < 0) return fd;
    memory.bytes.set(target.sockaddr, sockaddrAt);
    const connected = connect(fd, memory.address(sockaddrAt), target.sockaddrLength);
    if (connected === 0) return fd;
    loop.close(fd);
    return connected;
  }

  /** A descriptor, at the cost of a session when the share is used up; negative when there is none to be had. */
  #openSocket(family: number): number {
    const { descriptors } = this.context.worker;
    // more than one where a reload has made the share smaller: so it shrinks to that
    for (let evicted = 0; evicted < MAX_EVICTIONS && !this.ranks.share.hasRoom(1); evicted++) {
      if (!this.#evictForDescriptor()) return -EMFILE;
    }
    const fd = udpSocket(family);
    if (fd >= 0 && !descriptors.isScarce(fd)) return fd;
    if (fd < 0 && !isExhaustion(-fd)) return fd;
    descriptors.onExhausted();
    if (this.#evictForDescriptor()) return fd >= 0 ? fd : udpSocket(family);
    if (fd >= 0) this.context.loop.close(fd);
    return -EMFILE;
  }

  /** false: no session of the service has one. */
  #evictForDescriptor(): boolean {
    const session = this.ranks.firstWithSocket();
    this.context.worker.descriptors.onShortage();
    if (session !== null) this.#evict(session, "out-of-descriptors");
    return session !== null;
  }

  #evict(session: UdpSession, reason: Refusal): void {
    this.context.outbox.sendBefore(session);
    if (!session.isClosed) session.home.close(session, reason);
  }
}

/** There are no descriptors or no memory; nothing is wrong with the task. */
export function isExhaustion(error: number): boolean {
  return error === EMFILE || error === ENFILE || error === ENOBUFS || error === ENOMEM;
}

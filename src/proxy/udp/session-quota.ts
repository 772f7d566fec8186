/**
 * What the sessions of one service have on this worker: a share of its max_sessions, descriptors for their sockets,
 * and time until they are idle. The least recently used one goes when there is no room.
 */

import type { DeadlineList } from "../../sys/deadline-list.ts";
import { EMFILE, ENFILE, ENOBUFS, ENOMEM } from "../../sys/errno.ts";
import { connect, udpSocket } from "../../sys/socket.ts";
import type { Refusal } from "../counters.ts";
import type { RecentList } from "../recent-list.ts";
import type { Rules } from "../worker/route.ts";
import type { Target } from "../worker/target.ts";
import type { UdpSession } from "./session.ts";
import type { UdpContext } from "./udp-context.ts";

export class SessionQuota {
  readonly recent: RecentList<UdpSession>;
  readonly #idleList: DeadlineList | null;
  readonly #limit: number;

  constructor(
    readonly context: UdpContext,
    rules: Rules,
  ) {
    const { loop, worker } = context;
    const { udp, slot } = rules;
    this.recent = context.recentOf(slot);
    this.#idleList = udp.idleTimeoutMs > 0 ? loop.deadlines.list(udp.idleTimeoutMs) : null;
    this.#limit = Math.max(1, Math.ceil(udp.maxSessions / worker.counters.services.length));
  }

  enter(session: UdpSession): void {
    this.recent.add(session);
    this.#idleList?.arm(session, this.context.loop.nowMs);
  }

  /** It has carried datagrams. */
  touch(session: UdpSession): void {
    if (this.#idleList === null) session.waitingIn?.cancel(session);
    else this.#idleList.arm(session, this.context.loop.nowMs);
    session.recent.touch(session);
  }

  /** For one session more. */
  makeRoom(): void {
    while (this.recent.size >= this.#limit) this.#evict("session-limit");
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

  /** A descriptor, at the cost of the oldest session when there are few left; negative when there is none to be had. */
  #openSocket(family: number): number {
    const { descriptors } = this.context.worker;
    const fd = udpSocket(family);
    if (fd >= 0 && !descriptors.isScarce(fd)) return fd;
    if (fd < 0 && !isExhaustion(-fd)) return fd;
    if (this.recent.oldest === null) {
      if (fd >= 0) this.context.loop.close(fd);
      return -EMFILE;
    }
    this.#evict("out-of-descriptors");
    return fd >= 0 ? fd : udpSocket(family);
  }

  #evict(reason: Refusal): void {
    const oldest = this.recent.oldest!;
    this.context.outbox.sendBefore(oldest);
    if (!oldest.isClosed) oldest.home.close(oldest, reason);
  }
}

/** There are no descriptors or no memory; nothing is wrong with the task. */
export function isExhaustion(error: number): boolean {
  return error === EMFILE || error === ENFILE || error === ENOBUFS || error === ENOMEM;
}

/**
 * What the sessions of one service have on this worker: a share of its max_sessions, descriptors for their sockets,
 * and time until they are idle. When there is no room the first in the order of `SessionRanks` is evicted.
 */

import type { DeadlineList } from "../../sys/deadline-list.ts";
import { EPOLLIN } from "../../sys/epoll.ts";
import { EADDRINUSE, EADDRNOTAVAIL, EMFILE, isExhaustion } from "../../sys/errno.ts";
import type { RefusalReason } from "../table/counters.ts";
import type { Rules } from "../table/route.ts";
import type { Target } from "../table/target.ts";
import type { UdpSession } from "./session.ts";
import type { SessionRanks } from "./session-ranks.ts";
import type { PortLease, TaskPorts } from "./task-ports.ts";
import type { UdpContext } from "./udp-context.ts";

/** For one new session. */
const MAX_EVICTIONS = 2;
/** Ports of other programs that are passed over for one socket. */
const MAX_BINDS = 32;

export class SessionQuota {
  readonly ranks: SessionRanks<UdpSession>;
  readonly #idleList: DeadlineList | null;
  readonly #limit: number;
  /** What the socket connected last is bound to; -1: the kernel has picked a port. */
  #ports: TaskPorts<UdpSession> | null = null;
  #portIndex = -1;

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

  /** With the socket that was connected last, if it has one. */
  enter(session: UdpSession): void {
    if (session.fd >= 0) session.lease = this.#leaseFor(session);
    this.ranks.add(session);
    this.#idleList?.arm(session, this.context.loop.nowMs);
  }

  /**
   * With a socket that was another process's, whether the share has room for it or not: with more workers than that process
   * had, shares are smaller and sessions stay where their sockets are.
   * @param port that it is bound to; 0: the kernel has picked it
   */
  enterContinued(session: UdpSession, port: number, idleMs: number): void {
    const { blocks } = this.context.sourcePorts;
    const index = blocks.indexOf(port);
    if (index >= 0)
      session.lease = this.context.sourcePorts.of(session.target.endpoint).lease(index, session);
    session.usedMs -= idleMs;
    this.ranks.add(session);
    this.#idleList?.arm(session, this.context.loop.nowMs);
  }

  #leaseFor(session: UdpSession): PortLease<UdpSession> | null {
    return this.#portIndex < 0 ? null : this.#ports!.lease(this.#portIndex, session);
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
    while (this.ranks.size >= this.#limit)
      this.#evict(this.ranks.first(this.context.loop.nowMs)!, "session-limit");
  }

  /** Makes room and opens a socket that talks to the target: its descriptor or -errno. */
  connect(target: Target): number {
    this.makeRoom();
    const fd = this.#openSocket(target.family);
    return fd < 0 ? fd : this.#connect(fd, target);
  }

  /** See `ReturnPath.reopen`. The session keeps the old socket when no other can be opened. */
  reopen(session: UdpSession): boolean {
    const { loop, sockets } = this.context;
    const opened = sockets.open(session.target.family);
    const fd = opened < 0 ? opened : this.#connect(opened, session.target);
    if (fd < 0) return false;
    const isUseful = !session.isClosed && !sockets.haveSameSource(fd, session.fd);
    if (!isUseful || loop.watch(fd, EPOLLIN, session) < 0) {
      loop.close(fd);
      return false;
    }
    session.replaceSocket(fd, this.#leaseFor(session));
    return true;
  }

  /** Closes it when that cannot be. */
  #connect(fd: number, target: Target): number {
    const { loop, sockets } = this.context;
    const bound = this.#bind(fd, target);
    if (bound < 0) {
      loop.close(fd);
      return bound;
    }
    const connected = sockets.connect(fd, target);
    if (connected === 0) return fd;
    loop.close(fd);
    return connected;
  }

  /** To a port that no session with the target has: 0 or -errno. Takes that of another session when there is none. */
  #bind(fd: number, { endpoint, family }: Target): number {
    const { sourcePorts } = this.context;
    this.#portIndex = -1;
    const { blocks } = sourcePorts;
    this.#ports = sourcePorts.of(endpoint);
    const isFull = this.#ports.isFull && !blocks.grow(this.context.loop.nowMs);
    // without any port of its own: as the kernel picks, exclusively
    if (blocks.ports.length === 0) return 0;
    if (isFull) this.#evictForPort(endpoint);
    const bound = this.#bindToFree(fd, family);
    if (bound !== -EADDRINUSE) return bound;
    const index = this.#evictForPort(endpoint);
    return index < 0 ? -EADDRNOTAVAIL : this.#bindTo(fd, family, index);
  }

  #bindToFree(fd: number, family: number): number {
    const count = this.context.sourcePorts.blocks.ports.length;
    let index = Math.floor(Math.random() * count);
    for (let tries = 0; tries < MAX_BINDS; tries++) {
      index = this.#ports!.freeFrom(index);
      if (index < 0) break;
      const bound = this.#bindTo(fd, family, index);
      if (bound !== -EADDRINUSE) return bound;
      index = (index + 1) % count; // another program's
    }
    return -EADDRINUSE;
  }

  /** The index of the port that is free now; -1: no session had one. */
  #evictForPort(endpoint: string): number {
    const least = this.#ports!.leastImportant(this.context.loop.nowMs);
    this.context.worker.descriptors.onShortage();
    if (least === null) return -1;
    this.#evict(least.owner, "out-of-ports");
    this.#ports = this.context.sourcePorts.of(endpoint); // it may have been its last session
    return least.index;
  }

  #bindTo(fd: number, family: number, index: number): number {
    const bound = this.context.sockets.bind(fd, family, this.#ports!.portAt(index));
    if (bound === 0) this.#portIndex = index;
    return bound;
  }

  /** A descriptor, at the cost of a session when the share is used up; negative when there is none. */
  #openSocket(family: number): number {
    const { sockets, worker } = this.context;
    const { descriptors } = worker;
    // more than one where a reload has made the share smaller: so it shrinks to that
    for (let evicted = 0; evicted < MAX_EVICTIONS && !this.ranks.share.hasRoom(1); evicted++) {
      if (!this.#evictForDescriptor()) return -EMFILE;
    }
    const fd = sockets.open(family);
    if (fd >= 0 && !descriptors.isScarce(fd)) return fd;
    if (fd < 0 && !isExhaustion(-fd)) return fd;
    descriptors.onExhausted();
    if (this.#evictForDescriptor()) return fd >= 0 ? fd : sockets.open(family);
    if (fd >= 0) this.context.loop.close(fd);
    return -EMFILE;
  }

  /** false: no session of the service has one. */
  #evictForDescriptor(): boolean {
    const session = this.ranks.firstWithSocket(this.context.loop.nowMs);
    this.context.worker.descriptors.onShortage();
    if (session !== null) this.#evict(session, "out-of-descriptors");
    return session !== null;
  }

  #evict(session: UdpSession, reason: RefusalReason): void {
    this.context.toTasks.sendBefore(session);
    if (!session.isClosed) session.returnPath.close(session, reason);
  }
}

/**
 * The sessions of one listener: finds the one a datagram belongs to, opens and moves it, evicts, ends it.
 *
 * A session stays with its task until it is idle; it moves when the task has gone, its drain time is over, or it has
 * failed while another works.
 */

import { EPOLLIN } from "../../sys/epoll.ts";
import type { Endpoint } from "../../wire/index.ts";
import { hashClient } from "../balance/index.ts";
import { type Refusal, S_UDP_OPEN, S_UDP_SESSIONS } from "../counters.ts";
import type { Route, Rules } from "../worker/route.ts";
import type { Target } from "../worker/target.ts";
import type { KeyLayout } from "./client-key.ts";
import { writeProxyHeader } from "./send-proxy.ts";
import { UdpSession } from "./session.ts";
import type { SessionHome } from "./session-home.ts";
import { isExhaustion, SessionQuota } from "./session-quota.ts";
import { SessionTable } from "./session-table.ts";
import type { UdpContext } from "./udp-context.ts";

/** A task that had failed is believed to work again when so much time of a session has passed without an error. */
const PROOF_MS = 1000;

export class SessionSet implements SessionHome {
  /** Why the last call gave no session. */
  refusal: Refusal = "no-task";
  #route!: Route;
  #isPerPacket = false;
  #quota!: SessionQuota;
  /** bounded by #quota; the least recently used of the service is evicted */
  readonly #table = new SessionTable<UdpSession>((Math.random() * 2 ** 32) | 0);
  /** The one found last: datagrams of a client come in runs. */
  #last: UdpSession | null = null;

  constructor(
    readonly context: UdpContext,
    /** of the listener */
    readonly fd: number,
    readonly layout: KeyLayout,
    /** The listener's own address. */
    readonly local: Endpoint,
    route: Route,
  ) {
    this.route = route;
  }

  get route(): Route {
    return this.#route;
  }

  /** Sessions go on; from the next datagram they follow the new rules. */
  set route(route: Route) {
    this.#route = route;
    this.#isPerPacket = route.rules.udp.mode === "packet";
    this.#quota = new SessionQuota(this.context, route.rules);
  }

  /** The session for the context's key and client, opened if there is none; null: see `refusal`. */
  forDatagram(): UdpSession | null {
    return this.#isPerPacket ? this.#forPacket() : this.#forClient();
  }

  rulesOf(): Rules {
    return this.#route.rules;
  }

  touch(session: UdpSession): void {
    this.#quota.touch(session);
  }

  onAnswered(session: UdpSession): void {
    session.isUnproven = false;
    session.target.onAnswered();
  }

  /** A task that never answers, as with syslog, works if sending to it goes on without an error. */
  onSent(session: UdpSession): void {
    const { target, openedMs } = session;
    if (target.failingUntilMs !== 0 && this.context.loop.nowMs - openedMs > PROOF_MS) target.onAnswered();
  }

  /** @param errnoValue positive errno that says the task cannot be reached; a burst of them counts once */
  onFailed(session: UdpSession, errnoValue: number): void {
    this.#fail(session.target, errnoValue);
  }

  refuse(_session: UdpSession, reason: Refusal, datagrams: number): void {
    this.#route.rules.refuse(reason, datagrams);
  }

  /** A session of the same client with a task not in `tried`; null when there is none: the old one then stays. */
  move(session: UdpSession, tried: Target[]): UdpSession | null {
    const target = this.#pick(session.clientHash, tried);
    if (target === null) return null;
    if (!this.#isPerPacket) this.close(session, "session-moved");
    return this.#open(session.key.slice(), session.clientHash, target, tried);
  }

  writeProxyHeader(session: UdpSession): Uint8Array {
    return writeProxyHeader(this, session);
  }

  sendAnswers(first: number, end: number): void {
    this.context.replies.sendToClients(this, first, end);
  }

  /** Ends those whose task has gone or has had its time. */
  onTargetsChanged(nowMs: number): void {
    for (const session of this.#table) {
      if (isGone(session.target, nowMs)) this.close(session, "session-moved");
    }
  }

  closeAll(): void {
    for (const session of this.#table) this.close(session, null);
  }

  /** @param reason null: in the normal course of things */
  close(session: UdpSession, reason: Refusal | null): void {
    if (session.isClosed) return;
    const { loop, worker, outbox } = this.context;
    session.isClosed = true;
    if (reason !== null) session.rules.refuse(reason);
    outbox.forget(session);
    session.waitingIn?.cancel(session);
    session.recent.remove(session);
    this.#table.remove(session);
    if (this.#last === session) this.#last = null;
    loop.close(session.fd);
    session.target.onClosed();
    session.rules.count(S_UDP_OPEN, -1);
    if (worker.descriptors.isWaitedFor) worker.descriptors.release();
  }

  #forClient(): UdpSession | null {
    const session = this.#find();
    if (session !== null && !this.#mustMove(session)) return session;
    if (session !== null) this.close(session, "session-moved");
    const { key, tried } = this.context;
    tried.length = 0;
    const clientHash = this.#hashClient();
    const target = this.#pick(clientHash, null);
    return target === null ? null : this.#open(key.toArray(), clientHash, target, tried);
  }

  #forPacket(): UdpSession | null {
    const { key, tried } = this.context;
    const clientHash = this.#hashClient();
    const target = this.#pick(clientHash, null);
    if (target === null) return null;
    key.append(this.context.idOf(target));
    const session = this.#find();
    if (session !== null) return session;
    tried.length = 0;
    return this.#open(key.toArray(), clientHash, target, tried);
  }

  #find(): UdpSession | null {
    const { key } = this.context;
    if (this.#last !== null && key.equals(this.#last.key)) return this.#last;
    const session = this.#table.find(key.words, key.length, this.#table.hash(key.words, key.length));
    if (session !== null) this.#last = session;
    return session;
  }

  #pick(clientHash: number, tried: readonly Target[] | null): Target | null {
    const target = this.#route.balancer.pick(clientHash, this.context.loop.nowMs, tried);
    if (target === null) this.refusal = "no-task";
    return target;
  }

  #mustMove(session: UdpSession): boolean {
    const { target } = session;
    const { nowMs } = this.context.loop;
    if (isGone(target, nowMs)) return true;
    if (target.failingUntilMs <= nowMs) return false;
    const other = this.#route.balancer.pick(session.clientHash, nowMs, null);
    return other !== null && other !== target && other.failingUntilMs <= nowMs;
  }

  #hashClient(): number {
    const { family, bytes, offset } = this.context.client;
    return hashClient(family, bytes, offset);
  }

  /**
   * With `first`, or with another when there is no way to that one. The key becomes the session's; in packet mode its
   * last word is filled in here, and the session may exist already.
   */
  #open(key: Int32Array, clientHash: number, first: Target, tried: Target[]): UdpSession | null {
    let target: Target | null = first;
    while (target !== null) {
      if (this.#isPerPacket) key[key.length - 1] = this.context.idOf(target);
      const hash = this.#table.hash(key, key.length);
      const known = this.#isPerPacket ? this.#table.find(key, key.length, hash) : null;
      if (known !== null) return known;
      const fd = this.#quota.connect(target);
      if (fd >= 0) return this.#enter(key, hash, clientHash, target, fd);
      if (isExhaustion(-fd)) {
        this.refusal = "out-of-descriptors";
        return null;
      }
      this.#fail(target, -fd);
      tried.push(target);
      target = this.#pick(clientHash, tried);
    }
    return null;
  }

  #enter(key: Int32Array, hash: number, clientHash: number, target: Target, fd: number): UdpSession | null {
    const { loop } = this.context;
    const { rules } = this.#route;
    const session = new UdpSession(this, key, hash, clientHash, target, fd, rules, this.#quota.recent);
    if (loop.watch(fd, EPOLLIN, session) < 0) {
      loop.close(fd);
      this.refusal = "out-of-descriptors";
      return null;
    }
    this.#table.add(session);
    this.#quota.enter(session);
    this.#last = session;
    rules.count(S_UDP_OPEN, 1);
    rules.count(S_UDP_SESSIONS, 1);
    target.onOpened();
    return session;
  }

  #fail(target: Target, errnoValue: number): void {
    const { nowMs } = this.context.loop;
    if (target.failingUntilMs <= nowMs) target.onFailed(errnoValue, nowMs);
  }
}

function isGone(target: Target, nowMs: number): boolean {
  return target.isRetired || target.cutAtMs <= nowMs;
}

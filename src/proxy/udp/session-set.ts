/**
 * The sessions of one listener: finds the one a datagram belongs to, opens it, moves it, ends it.
 *
 * A session stays with its task until it is idle. It moves when the task is removed, its drain time is over, or it has
 * failed while another works.
 */

import { EPOLLIN } from "../../sys/epoll.ts";
import { EINVAL, EMFILE, isExhaustion } from "../../sys/errno.ts";
import type { Endpoint } from "../../wire/index.ts";
import { hashClient } from "../balance/index.ts";
import { refusalOf } from "../table/client-limits.ts";
import { UNTRACKED } from "../table/client-table.ts";
import type { EndReason } from "../table/connection-record.ts";
import { type RefusalReason, S_UDP_OPEN, S_UDP_SESSIONS } from "../table/counters.ts";
import type { RelayPeer } from "../table/peer.ts";
import type { Route, Rules } from "../table/route.ts";
import {
  type HandedSessions,
  readSessionRows,
  type SessionRow,
  SessionRowWriter,
} from "../table/session-rows.ts";
import type { Target } from "../table/target.ts";
import type { ClientKey, KeyLayout } from "./client-key.ts";
import { recordSession } from "./record-session.ts";
import type { ReplyBatch, ReturnPath } from "./return-path.ts";
import { isOutOfPorts } from "./send-errors.ts";
import { writeProxyHeader, writeRelayHeader } from "./send-proxy.ts";
import { type TaskRelay, UdpSession } from "./session.ts";
import { SessionQuota } from "./session-quota.ts";
import { SessionTable } from "./session-table.ts";
import type { UdpContext } from "./udp-context.ts";

/** Relays to other nodes, as sessions use them. */
export interface TaskRelays {
  /** @param header the other node's description of the session */
  add(peer: RelayPeer, session: UdpSession, header: Uint8Array): TaskRelay;
  /** Sends what sessions have relayed. */
  flush(): void;
}

/** The socket that clients send to. */
export interface ListenerSocket {
  readonly fd: number;
  readonly layout: KeyLayout;
  /** Its own address. */
  readonly local: Endpoint;
  /** The same in UTF-8. */
  readonly text: Uint8Array;
}

export class SessionSet implements ReturnPath<UdpSession> {
  /** Why the last call gave no session. */
  refusal: RefusalReason = "no-task";
  #route!: Route;
  #isPerPacket = false;
  #quota!: SessionQuota;
  /** bounded by #quota; the least recently used of the service is evicted */
  readonly #table = new SessionTable<UdpSession>((Math.random() * 2 ** 32) | 0);
  /** The one found last: datagrams of a client come in runs. */
  #last: UdpSession | null = null;
  /** Of the session that is being opened. */
  #ticket = UNTRACKED;

  constructor(
    readonly context: UdpContext,
    readonly relays: TaskRelays,
    readonly listener: ListenerSocket,
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

  /**
   * The session that a datagram belongs to, opened if there is none; null: see `refusal`.
   * @param key of the client; in packet mode the task is appended to it
   * @param client its address, as the service sees it
   */
  forDatagram(key: ClientKey, client: Endpoint): UdpSession | null {
    return this.#isPerPacket ? this.#forPacket(key, client) : this.#forClient(key, client);
  }

  rulesOf(): Rules {
    return this.#route.rules;
  }

  touch(session: UdpSession): void {
    this.#quota.touch(session);
  }

  /** @param errnoValue positive errno that says the task cannot be reached; a burst of them counts once */
  onFailed(session: UdpSession, errnoValue: number): void {
    session.errno = errnoValue;
    this.#fail(session.target, errnoValue);
  }

  refuse(_session: UdpSession, reason: RefusalReason, datagrams: number): void {
    this.#route.rules.refuseUdp(reason, datagrams);
  }

  /** A session of the same client with a task not in `tried`; null when there is none: the old one then stays. */
  move(session: UdpSession, tried: Target[]): UdpSession | null {
    const target = this.#pick(session.clientHash, tried);
    if (target === null) return null;
    if (!this.#isPerPacket) this.close(session, "session-moved");
    this.#acquireAnyhow(session.key);
    return this.#open(session.key.slice(), session.clientHash, target, tried);
  }

  reopen(session: UdpSession): boolean {
    return this.#quota.reopen(session);
  }

  onDone(session: UdpSession): void {
    this.close(session, null);
  }

  writeProxyHeader(session: UdpSession): Uint8Array {
    return writeProxyHeader(this.listener, session.key);
  }

  sendReplies(replies: ReplyBatch<UdpSession>, first: number, end: number): void {
    const { fd, layout } = this.listener;
    this.context.toClients.send(fd, layout, this.#route.rules, replies, first, end);
  }

  /** Ends sessions whose task is removed or at the end of its drain time, and those whose source is now a published port. */
  onTargetsChanged(nowMs: number): void {
    for (const session of this.#table) {
      const isElsewhere = session.relay !== null && session.relay.peer !== session.target.peer;
      if (isElsewhere || session.target.isGone(nowMs)) this.close(session, "session-moved");
      else if (this.#isPublished(session.key)) this.close(session, "published-source");
    }
  }

  closeAll(): void {
    for (const session of this.#table) this.close(session, null);
  }

  /** Another process continues them. */
  leaveAll(): void {
    for (const session of this.#table) this.#end(session, "handed-over");
  }

  /** @param reason null: a normal end */
  close(session: UdpSession, reason: RefusalReason | null): void {
    if (session.isClosed) return;
    if (reason !== null) session.rules.refuseUdp(reason);
    this.#end(session, reason ?? (session.errno === 0 ? "done" : "unreachable"));
  }

  #end(session: UdpSession, reason: EndReason): void {
    const { worker } = this.context;
    if (worker.recorder.wants(reason))
      recordSession(this.context, this.listener, this.#route.published, session, reason);
    worker.counters.openOfWorker[worker.index]!--;
    session.end();
    this.#table.remove(session);
    if (this.#last === session) this.#last = null;
    session.rules.count(S_UDP_OPEN, -1);
    if (session.ticket >= 0) session.rules.udpClients!.release(session.ticket);
  }

  /** Nothing is received from tasks until `resume`. Returns what another process needs to continue the sessions. */
  pause(): HandedSessions {
    const targets = new Map<Target, number>();
    const rows = new SessionRowWriter();
    for (const session of this.#table) {
      session.pause();
      if (!targets.has(session.target)) targets.set(session.target, targets.size);
      rows.add(session.toRow(targets.get(session.target)!));
    }
    return { targets: [...targets.keys()].map(identityOf), rows: rows.words };
  }

  resume(): void {
    for (const session of this.#table) session.resume();
  }

  /** Sessions of another process: those whose task is still there go on with their socket. */
  continueAll({ targets, rows }: HandedSessions): void {
    const known = new Map(this.#route.targets.map((target) => [identityOf(target), target]));
    const oldestFirst = [...readSessionRows(rows)].sort((one, other) => other.idleMs - one.idleMs);
    for (const row of oldestFirst) {
      const target = known.get(targets[row.target] ?? "");
      const isContinued = target !== undefined && this.#continue(row, target);
      if (!isContinued && row.fd >= 0) this.context.loop.close(row.fd);
    }
  }

  /** false: its client gets a new one with its next datagram. */
  #continue(row: SessionRow, target: Target): boolean {
    const { key, fd, clientHash } = row;
    if (fd >= 0 !== (target.peer === null)) return false;
    if (this.#isPerPacket) key[key.length - 1] = this.context.idOf(target);
    const hash = this.#table.hash(key, key.length);
    if (this.#table.find(key, key.length, hash) !== null) return false;
    if (fd >= 0 && this.context.worker.descriptors.isScarce(fd)) return false;
    const session =
      target.peer === null
        ? this.#sessionWith(fd, key, hash, clientHash, target)
        : this.#openThere(key, hash, clientHash, target, target.peer);
    if (typeof session === "number") return false;
    this.#quota.makeRoom();
    this.#table.add(session);
    this.#quota.enterContinued(session, row.port, row.idleMs);
    session.continueFrom(row);
    this.#acquireAnyhow(key);
    this.#giveTicket(session);
    this.#countOpen(session);
    target.onContinued();
    return true;
  }

  #forClient(key: ClientKey, client: Endpoint): UdpSession | null {
    const session = this.#find(key);
    if (session !== null && !this.#mustMove(session)) return session;
    if (session !== null) this.close(session, "session-moved");
    if (this.#isPublished(key.words)) return this.#refuse("published-source");
    const clientHash = hashClient(client.family, client.bytes, client.offset);
    const target = this.#pick(clientHash, null);
    if (target === null) return null;
    // a client that moves is no new one
    if (session !== null) this.#acquireAnyhow(session.key);
    else if (!this.#acquire(client)) return null;
    return this.#open(key.toArray(), clientHash, target, this.#noneTried());
  }

  #forPacket(key: ClientKey, client: Endpoint): UdpSession | null {
    const clientHash = hashClient(client.family, client.bytes, client.offset);
    const target = this.#pick(clientHash, null);
    if (target === null) return null;
    key.append(this.context.idOf(target));
    const session = this.#find(key);
    if (session !== null) return session;
    if (this.#isPublished(key.words)) return this.#refuse("published-source");
    if (!this.#acquire(client)) return null;
    return this.#open(key.toArray(), clientHash, target, this.#noneTried());
  }

  /** For one more session of the client; false: its limits refuse it. */
  #acquire(client: Endpoint): boolean {
    const { udpClients } = this.#route.rules;
    if (udpClients === null) return true;
    const ticket = udpClients.acquire(client, this.context.loop.nowMs);
    const refusal = refusalOf(ticket);
    if (refusal !== null) this.refusal = refusal;
    else this.#ticket = ticket;
    return refusal === null;
  }

  /** The same for a session that the client has already, elsewhere. */
  #acquireAnyhow(key: Int32Array): void {
    const { udpClients } = this.#route.rules;
    if (udpClients === null) return;
    const { source, destination } = this.context;
    const { layout } = this.listener;
    if (!layout.readNamed(key, source, destination)) layout.readPeer(key, source);
    this.#ticket = udpClients.acquire(source, this.context.loop.nowMs, true);
  }

  #giveTicket(session: UdpSession): void {
    session.ticket = this.#ticket;
    this.#ticket = UNTRACKED;
  }

  #open(key: Int32Array, clientHash: number, first: Target, tried: Target[]): UdpSession | null {
    const session = this.#openAny(key, clientHash, first, tried);
    // it exists already, or none could be opened
    if (this.#ticket >= 0) this.#route.rules.udpClients!.release(this.#ticket);
    this.#ticket = UNTRACKED;
    return session;
  }

  #noneTried(): Target[] {
    const { tried } = this.context;
    tried.length = 0;
    return tried;
  }

  /** Whether the sender of this key's datagrams is a published port of a node, whatever client an inbound header names. */
  #isPublished(key: Int32Array): boolean {
    const { publishedSources, source } = this.context;
    this.listener.layout.readPeer(key, source);
    return publishedSources.includes(source);
  }

  #refuse(reason: RefusalReason): null {
    this.refusal = reason;
    return null;
  }

  #find(key: ClientKey): UdpSession | null {
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
    if (target.isGone(nowMs) || session.isStranded(nowMs)) return true;
    const isWorking = target.failingUntilMs <= nowMs && target.peer?.isReachable !== false;
    if (isWorking) return false;
    const other = this.#route.balancer.pick(session.clientHash, nowMs, null);
    return other !== null && other !== target && other.failingUntilMs <= nowMs;
  }

  /**
   * With `first`, or with another task when that one cannot be reached. The key becomes the session's; in packet mode
   * its last word is filled in here, and the session may exist already.
   */
  #openAny(key: Int32Array, clientHash: number, first: Target, tried: Target[]): UdpSession | null {
    let target: Target | null = first;
    let hasPorts = true;
    while (target !== null) {
      if (this.#isPerPacket) key[key.length - 1] = this.context.idOf(target);
      const hash = this.#table.hash(key, key.length);
      const known = this.#isPerPacket ? this.#table.find(key, key.length, hash) : null;
      if (known !== null) return known;
      const session =
        target.peer === null
          ? this.#openHere(key, hash, clientHash, target)
          : this.#openThere(key, hash, clientHash, target, target.peer);
      if (typeof session !== "number") return this.#enter(session);
      if (isExhaustion(session)) {
        this.refusal = "out-of-descriptors";
        return null;
      }
      if (isOutOfPorts(session)) hasPorts = false;
      else this.#fail(target, session);
      tried.push(target);
      target = this.#pick(clientHash, tried);
    }
    if (!hasPorts) this.refusal = "out-of-ports";
    return null;
  }

  /** With a task of this node: the session or a positive errno. */
  #openHere(key: Int32Array, hash: number, clientHash: number, target: Target): UdpSession | number {
    const fd = this.#quota.connect(target);
    if (fd < 0) return -fd;
    const session = this.#sessionWith(fd, key, hash, clientHash, target);
    if (typeof session === "number") this.context.loop.close(fd);
    return session;
  }

  /** Over a socket that is connected to its task. */
  #sessionWith(
    fd: number,
    key: Int32Array,
    hash: number,
    clientHash: number,
    target: Target,
  ): UdpSession | number {
    const { loop } = this.context;
    const { rules } = this.#route;
    const session = new UdpSession(this, key, hash, clientHash, target, fd, rules, this.#quota.ranks);
    const watched = loop.watch(fd, EPOLLIN, session);
    return watched < 0 ? EMFILE : session;
  }

  /** With a task of another node: the same without a socket. */
  #openThere(
    key: Int32Array,
    hash: number,
    clientHash: number,
    target: Target,
    peer: RelayPeer,
  ): UdpSession | number {
    const { rules } = this.#route;
    const header = writeRelayHeader(this.listener, key, rules.name, target);
    if (header === null) return EINVAL;
    this.#quota.makeRoom();
    const session = new UdpSession(this, key, hash, clientHash, target, -1, rules, this.#quota.ranks);
    session.relay = this.relays.add(peer, session, header);
    return session;
  }

  #enter(session: UdpSession): UdpSession {
    const { rules, target } = session;
    this.#giveTicket(session);
    this.#table.add(session);
    this.#quota.enter(session);
    this.#last = session;
    this.#countOpen(session);
    rules.count(S_UDP_SESSIONS, 1);
    target.onOpened();
    target.onTried(this.context.loop.nowMs);
    return session;
  }

  #countOpen({ rules }: UdpSession): void {
    const { counters, index } = this.context.worker;
    rules.count(S_UDP_OPEN, 1);
    counters.openOfWorker[index]!++;
  }

  #fail(target: Target, errnoValue: number): void {
    const { nowMs } = this.context.loop;
    if (target.failingUntilMs <= nowMs || target.isOnTrial) target.onFailed(errnoValue, nowMs);
  }
}

function identityOf({ taskName, address, port, peer }: Target): string {
  return `${taskName} ${address} ${port} ${peer?.name ?? ""}`;
}

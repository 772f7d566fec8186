/**
 * Sessions whose clients another node has accepted: one relay from that node, its sessions with tasks of this node, and
 * the path back. A session has the task that it was opened for; when that task is removed, the other node is notified
 * and picks another.
 */

import { Waiting } from "../../../sys/deadline-list.ts";
import { EPOLLIN } from "../../../sys/epoll.ts";
import { isExhaustion } from "../../../sys/errno.ts";
import type { SendBatch } from "../../../sys/mmsg.ts";
import { AF_INET6 } from "../../../sys/sockaddr.ts";
import {
  decodeRelaySession,
  ERROR_DRAINING,
  ERROR_LIMIT,
  ERROR_MALFORMED,
  ERROR_NO_SUCH_TASK,
  ERROR_REFUSED,
  encodeProxyV2,
  PROXY_V2_MAX_ENCODED_BYTES,
  RELAY_CLOSE,
  RELAY_DATA,
  type RelayDatagram,
  type RelaySession,
  SEALED_BYTES,
} from "../../../wire/index.ts";
import {
  type RefusalReason,
  S_RELAYED_BYTES_IN,
  S_RELAYED_BYTES_OUT,
  S_RELAYED_DATAGRAMS_IN,
  S_RELAYED_DATAGRAMS_OUT,
  S_RELAYED_OPEN,
  S_RELAYED_SESSIONS,
} from "../../table/counters.ts";
import type { Recent } from "../../table/recent-list.ts";
import type { Rules } from "../../table/route.ts";
import type { Target } from "../../table/target.ts";
import type { KeyLayout } from "../client-key.ts";
import type { ReplyBatch, ReturnPath } from "../return-path.ts";
import { isOutOfPorts } from "../send-errors.ts";
import { UdpSession } from "../session.ts";
import type { TableEntry } from "../session-table.ts";
import type { UdpContext } from "../udp-context.ts";
import type { ConfirmedRelay } from "./exit-handshake.ts";
import { ExitRelay, type ExitRelayPort } from "./exit-relay.ts";
import type { PathMtu } from "./path-mtu.ts";
import type { RelayChannel } from "./relay-channel.ts";
import type { RelayContext } from "./relay-context.ts";
import { LONGEST_DATAGRAM, type RelayDestination } from "./relay-send-batch.ts";

const NO_BYTES = new Uint8Array(0);
/** IP and UDP headers. */
const IPV4_OVERHEAD_BYTES = 28;
const IPV6_OVERHEAD_BYTES = 48;

/** The socket that entry nodes send to. */
export interface RelayReturnPathOwner {
  readonly relays: RelayContext;
  readonly fd: number;
  readonly layout: KeyLayout;
  /** The entry node has ended its relay, or is silent. */
  end(returnPath: RelayReturnPath): void;
}

export class RelayReturnPath
  extends Waiting
  implements
    ReturnPath<UdpSession>,
    ExitRelayPort<UdpSession>,
    RelayDestination,
    TableEntry<RelayReturnPath>,
    Recent<RelayReturnPath>
{
  nextInBucket: RelayReturnPath | null = null;
  older: RelayReturnPath | null = null;
  newer: RelayReturnPath | null = null;
  canSegment = true;
  refusal: RefusalReason = "no-task";
  readonly relays: RelayContext;
  readonly context: UdpContext;
  readonly relay: ExitRelay<UdpSession>;
  /** The slot of the datagram at hand. */
  slot = 0;
  #isEnded = false;

  /** @param key the sender's address and the relay id */
  constructor(
    readonly listener: RelayReturnPathOwner,
    readonly key: Int32Array,
    readonly hash: number,
    confirmed: ConfirmedRelay,
  ) {
    super();
    this.relays = listener.relays;
    this.context = this.relays.udp;
    const overheadBytes = listener.layout.family === AF_INET6 ? IPV6_OVERHEAD_BYTES : IPV4_OVERHEAD_BYTES;
    this.relay = new ExitRelay<UdpSession>(confirmed, this.context.loop.nowMs, this, overheadBytes);
  }

  get pathMtu(): PathMtu {
    return this.relay.pathMtu;
  }

  get fd(): number {
    return this.listener.fd;
  }

  /** Its entry node has been silent for too long. */
  onDeadline(): void {
    this.listener.end(this);
  }

  /** Notifies the entry node that the relay has ended. */
  sayGoodbye(): void {
    this.send(RELAY_CLOSE, 0, 0);
  }

  /** Ends all sessions; the entry node has been notified or is gone. */
  endSessions(): void {
    this.#isEnded = true;
    for (const session of this.relay.sessions.values()) this.#end(session, null);
  }

  /** Ends those whose task has gone or has had its time. */
  onTargetsChanged(nowMs: number): void {
    for (const session of this.relay.sessions.values()) {
      if (session.target.isGone(nowMs)) this.close(session, "session-moved");
    }
  }

  // what its relay asks

  open(id: number, bytes: Uint8Array, headerAt: number, headerLength: number): UdpSession | number {
    const asked = decodeRelaySession(bytes, headerAt, headerLength);
    if (asked === null) return ERROR_MALFORMED;
    const found = this.relays.host.findTask(asked.service, asked.task, asked.targetPort);
    if (found === null) return ERROR_NO_SUCH_TASK;
    if (found.target.isDraining || found.target.isOutOfRotation) return ERROR_DRAINING;
    return this.#open(id, asked, found.target, found.rules);
  }

  deliver(session: UdpSession, dataAt: number, dataLength: number): void {
    if (session.isStranded(this.context.loop.nowMs)) {
      this.close(session, "session-moved");
      return;
    }
    session.rules.count(S_RELAYED_DATAGRAMS_IN, 1);
    session.rules.count(S_RELAYED_BYTES_IN, dataLength);
    this.context.toTasks.add(session, this.slot, dataAt, dataLength);
  }

  onClosed(session: UdpSession): void {
    this.context.toTasks.sendBefore(session);
    if (!session.isClosed) this.#end(session, null);
  }

  send(type: number, id: number, code: number): void {
    if (this.#isEnded) return;
    const { relays } = this;
    relays.toEntries.addCode(this, this.relay.channel, type, id, code);
    relays.flushSoon();
  }

  sendProbe(length: number): void {
    if (this.#isEnded) return;
    const { toEntries, probeAt } = this.relays;
    toEntries.addProbe(this, this.relay.channel, length, probeAt);
  }

  assemble(channel: RelayChannel, datagram: RelayDatagram): boolean {
    return this.relays.parts.add(channel, datagram);
  }

  onEnded(): void {
    this.listener.end(this);
  }

  // what its sessions ask

  rulesOf(session: UdpSession): Rules {
    return session.rules;
  }

  touch(session: UdpSession): void {
    this.relays.quotaOf(session.rules).touch(session);
  }

  onFailed(session: UdpSession, errnoValue: number): void {
    const { target } = session;
    const { nowMs } = this.context.loop;
    if (target.failingUntilMs <= nowMs || target.isOnTrial) target.onFailed(errnoValue, nowMs);
    this.refusal = "no-task";
    if (!session.isClosed) this.#close(session, "session-moved", ERROR_REFUSED);
  }

  /** What no task of this node has taken may still be sent to another's: the entry node counts it. */
  refuse(session: UdpSession, reason: RefusalReason, datagrams: number): void {
    if (reason === "no-task") return;
    session.rules.refuseUdp(reason, datagrams);
  }

  /** The entry node does that. */
  move(): null {
    return null;
  }

  reopen(session: UdpSession): boolean {
    return this.relays.quotaOf(session.rules).reopen(session);
  }

  /** The entry node counts too, and ends it. */
  onDone(): void {}

  writeProxyHeader(session: UdpSession): Uint8Array {
    return session.header!;
  }

  sendReplies(replies: ReplyBatch<UdpSession>, first: number, end: number): void {
    const { relays } = this;
    for (let index = first; index < end; index++) {
      const session = replies.session(index);
      const length = replies.length(index);
      if (session.isClosed) continue;
      if (SEALED_BYTES + length > LONGEST_DATAGRAM) session.rules.refuseUdp("too-long");
      else {
        relays.toEntries.add(
          this,
          this.relay.channel,
          RELAY_DATA,
          session.key[0]! >>> 0,
          NO_BYTES,
          replies.payloadAt(index),
          length,
        );
        session.rules.count(S_RELAYED_DATAGRAMS_OUT, 1);
        session.rules.count(S_RELAYED_BYTES_OUT, length);
      }
    }
    relays.toEntries.flush();
  }

  close(session: UdpSession, reason: RefusalReason | null): void {
    if (session.isClosed) return;
    this.#close(session, reason, reason === "session-moved" ? ERROR_NO_SUCH_TASK : 0);
  }

  // where its datagrams go

  writeDestination(batch: SendBatch, message: number): void {
    this.listener.layout.writeDestination(this.key, batch, message);
  }

  onSendError(): void {}

  onNotSent(reason: "send-failed" | "too-long", datagrams: number): void {
    this.relays.host.onDropped(reason, datagrams);
  }

  #open(
    id: number,
    { source, destination }: RelaySession,
    target: Target,
    rules: Rules,
  ): UdpSession | number {
    const { relays } = this;
    const { loop } = this.context;
    const quota = relays.quotaOf(rules);
    const fd = quota.connect(target);
    if (fd < 0 && isOutOfPorts(-fd)) rules.refuseUdp("out-of-ports");
    if (fd < 0 && (isExhaustion(-fd) || isOutOfPorts(-fd))) return ERROR_LIMIT;
    if (fd < 0) {
      if (target.failingUntilMs <= loop.nowMs) target.onFailed(-fd, loop.nowMs);
      return ERROR_REFUSED;
    }
    const session = new UdpSession(this, Int32Array.of(id), 0, 0, target, fd, rules, quota.ranks);
    if (loop.watch(fd, EPOLLIN, session) < 0) {
      loop.close(fd);
      return ERROR_LIMIT;
    }
    const header = new Uint8Array(PROXY_V2_MAX_ENCODED_BYTES);
    session.header = header.subarray(0, encodeProxyV2(source, destination, "udp", header, 0));
    quota.enter(session);
    target.onOpened();
    target.onTried(loop.nowMs);
    rules.count(S_RELAYED_OPEN, 1);
    rules.count(S_RELAYED_SESSIONS, 1);
    return session;
  }

  #close(session: UdpSession, reason: RefusalReason | null, code: number): void {
    this.#end(session, reason);
    this.relay.remove(session.key[0]! >>> 0, code);
  }

  #end(session: UdpSession, reason: RefusalReason | null): void {
    if (reason !== null) session.rules.refuseUdp(reason);
    session.end();
    session.rules.count(S_RELAYED_OPEN, -1);
  }
}

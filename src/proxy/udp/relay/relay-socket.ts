/**
 * The socket of the relay to one other node, connected to it, and what `EntryRelay` asks of its owner: to seal and send
 * datagrams, to keep time, to notify sessions.
 *
 * Failures are handled in the next turn: a session that moves sends datagrams, and a batch may be half gathered.
 */

import { Waiting } from "../../../sys/deadline-list.ts";
import { EPOLLIN } from "../../../sys/epoll.ts";
import {
  EADDRINUSE,
  ECONNREFUSED,
  EHOSTUNREACH,
  ENOBUFS,
  ETIMEDOUT,
  isCongestion,
} from "../../../sys/errno.ts";
import type { Continuable, Pollable } from "../../../sys/event-loop.ts";
import type { SendBatch } from "../../../sys/mmsg.ts";
import { AF_INET6, setSockaddrPort, writeAnyAddress } from "../../../sys/sockaddr.ts";
import {
  bind,
  connect,
  connectedMtu,
  send,
  setBufferSizes,
  setMayFragment,
  udpSocket,
} from "../../../sys/socket.ts";
import {
  ERROR_LIMIT,
  ERROR_REFUSED,
  RELAY_SOURCE_PORT_MAX,
  RELAY_SOURCE_PORT_MIN,
  type RelayDatagram,
  SEALED_BYTES,
} from "../../../wire/index.ts";
import type { RelayPeer } from "../../table/peer.ts";
import type { RelaySource } from "../replies.ts";
import type { TaskRelay, UdpSession } from "../session.ts";
import type { UdpContext } from "../udp-context.ts";
import type { EntryHandshake, EntryHandshakeOptions } from "./entry-handshake.ts";
import { EntryRelay } from "./entry-relay.ts";
import type { DropReason, EntryRelayPort, RelayedSession, UnreachableReason } from "./entry-relay-port.ts";
import { PathMtu } from "./path-mtu.ts";
import type { RelayChannel } from "./relay-channel.ts";
import type { RelayContext } from "./relay-context.ts";
import { LONGEST_DATAGRAM, type RelayDestination } from "./relay-send-batch.ts";

/** It carries many sessions. */
const BUFFER_BYTES = 4 * 1024 * 1024;
/** Of thousands of ports it would have to be most that are taken. */
const BIND_TRIES = 16;
/** How often one datagram goes to yet another task before it is given up. */
const MAX_MOVES = 3;

interface Lost {
  readonly session: UdpSession;
  /** errno that stands for what happened */
  readonly error: number;
  readonly kept: readonly Uint8Array[];
}

export class RelaySocket
  extends Waiting
  implements Pollable, Continuable, RelaySource, RelayDestination, EntryRelayPort<UdpSession>
{
  readonly context: UdpContext;
  readonly relay = new EntryRelay<UdpSession>(this);
  /** -1: there is none */
  fd = -1;
  canSegment = true;
  /** The peer has gone or changed; for good. */
  isEnded = false;
  #error: UnreachableReason | null = null;
  #lost: Lost[] = [];
  #hasMore = false;
  #isQueued = false;
  #isPaused = false;

  constructor(
    readonly relays: RelayContext,
    readonly peer: RelayPeer,
  ) {
    super();
    this.context = relays.udp;
  }

  get isPeerHeard(): boolean {
    return this.peer.isReachable && this.peer.rttMs > 0;
  }

  get pathMtu(): PathMtu {
    return this.relay.pathMtu;
  }

  get datagram(): RelayDatagram {
    return this.relay.datagram;
  }

  /** A new session; nothing is sent yet. */
  add(session: UdpSession, header: Uint8Array): TaskRelay {
    return new SocketSession(this, this.relay.add(session, header));
  }

  /** Opens the socket if there is none: 0 or a positive errno. */
  open(): number {
    if (this.fd >= 0) return 0;
    if (this.isEnded) return EHOSTUNREACH;
    const { loop, memory } = this.context;
    const { sockaddrAt } = this.relays;
    const { family, udpSockaddr, sockaddrLength } = this.peer;
    const fd = udpSocket(family);
    if (fd < 0) return -fd;
    setBufferSizes(fd, BUFFER_BYTES);
    this.#bind(fd);
    setMayFragment(fd, family);
    memory.bytes.set(udpSockaddr, sockaddrAt);
    const connected = connect(fd, memory.address(sockaddrAt), sockaddrLength);
    const watched = connected === 0 ? loop.watch(fd, EPOLLIN, this) : connected;
    if (watched < 0) {
      loop.close(fd);
      return -watched;
    }
    this.fd = fd;
    this.relay.pathMtu = sizeOf(fd, family);
    return 0;
  }

  /** Sends a datagram in the worker's memory, now or after the handshake; the socket must be open. Flush after it. */
  send(relayed: RelayedSession<UdpSession>, dataAt: number, length: number): void {
    const { memory, loop } = this.context;
    const { owner } = relayed;
    const headerLength = relayed.isOpened ? 0 : relayed.header.length;
    if (SEALED_BYTES + headerLength + length > LONGEST_DATAGRAM)
      owner.returnPath.refuse(owner, "too-long", 1);
    else if (!this.relay.send(relayed, memory.bytes, dataAt, length, loop.nowMs)) {
      owner.returnPath.refuse(owner, "send-failed", 1);
    }
    this.#arm();
  }

  /** The session that a received datagram is an answer for. */
  receive(at: number, length: number): UdpSession | null {
    const { memory, loop } = this.context;
    return this.relay.receive(memory.bytes, at, length, loop.nowMs)?.owner ?? null;
  }

  /** The session has ended. */
  remove(relayed: RelayedSession<UdpSession>): void {
    const lost = this.relay.remove(relayed);
    if (lost > 0) relayed.owner.returnPath.refuse(relayed.owner, "send-failed", lost);
    this.relays.flushSoon();
  }

  /** The other node is no longer a peer at this address: sessions move. */
  end(): void {
    this.isEnded = true;
    this.relay.end();
    this.relays.toExits.flush();
    this.#error = "refused";
    this.#handleFailures();
  }

  pause(): void {
    this.#isPaused = true;
    this.waitingIn?.cancel(this);
    if (this.fd >= 0) this.context.loop.unwatch(this.fd);
  }

  resume(): void {
    this.#isPaused = false;
    if (this.fd >= 0) this.context.loop.watch(this.fd, EPOLLIN, this);
    this.#arm();
  }

  onEvents(): void {
    if (!this.#hasMore) this.#receive();
  }

  onContinue(): void {
    this.#isQueued = false;
    if (this.#hasMore && !this.#isPaused) this.#receive();
    this.#handleFailures();
  }

  onDeadline(nowMs: number): void {
    this.relay.onTimer(nowMs);
    this.relays.toExits.flush();
    // a failed one may have a source address that this machine no longer has: the next handshake gets another socket
    if (this.relay.state === "closed") this.#close();
    else this.#arm();
  }

  onReceiveError(error: number): void {
    if (!isCongestion(error)) this.onSendError(error);
  }

  onSendError(error: number): void {
    this.#error = error === ECONNREFUSED ? "refused" : "timeout";
    this.#queue();
  }

  onNotSent(reason: "send-failed" | "too-long", datagrams: number): void {
    this.relays.host.onDropped(reason, datagrams);
  }

  writeDestination(_batch: SendBatch, _message: number): void {}

  handshakeOptions(): EntryHandshakeOptions {
    const { node, keys } = this.relays.host.identity;
    const { loop, worker } = this.context;
    const { ownKeys } = worker;
    return {
      entryNode: node,
      exitNode: this.peer.name,
      relayKey: keys[0]!,
      ownKey: this.peer.isSealed ? ownKeys.current(loop.nowMs) : null,
      rttMs: this.peer.rttMs,
      random: (bytes) => this.relays.random(bytes),
    };
  }

  sendHandshake(handshake: EntryHandshake): void {
    const { handshakeAt } = this.relays;
    const { memory } = this.context;
    const length = handshake.write(memory.bytes, handshakeAt);
    const sent = send(this.fd, memory.address(handshakeAt), length);
    if (sent < 0 && !isCongestion(-sent)) this.onSendError(-sent);
  }

  sendSealed(
    channel: RelayChannel,
    type: number,
    session: number,
    header: Uint8Array,
    bytes: Uint8Array,
    dataAt: number,
    dataLength: number,
  ): void {
    const { context } = this;
    const { toExits, spareAt } = this.relays;
    const isHere = bytes === context.memory.bytes;
    if (!isHere) context.memory.bytes.set(bytes.subarray(dataAt, dataAt + dataLength), spareAt);
    toExits.add(this, channel, type, session, header, isHere ? dataAt : spareAt, dataLength);
    if (!isHere) toExits.flush();
  }

  sendProbe(channel: RelayChannel, length: number): void {
    const { toExits, probeAt } = this.relays;
    toExits.addProbe(this, channel, length, probeAt);
  }

  assemble(channel: RelayChannel, datagram: RelayDatagram): boolean {
    return this.relays.parts.add(channel, datagram);
  }

  onRejected(relayed: RelayedSession<UdpSession>, code: number, kept: readonly Uint8Array[]): void {
    this.#lost.push({ session: relayed.owner, error: errnoOf(code), kept });
    this.#queue();
  }

  onUnreachable(
    relayed: RelayedSession<UdpSession>,
    error: UnreachableReason,
    kept: readonly Uint8Array[],
  ): void {
    this.#lost.push({ session: relayed.owner, error: error === "refused" ? ECONNREFUSED : ETIMEDOUT, kept });
    this.#queue();
  }

  onUnused(): void {
    this.relays.toExits.flush();
    this.#close();
  }

  onDropped(reason: DropReason): void {
    this.relays.host.onDropped(reason, 1);
  }

  /** To any address when the one that the peer is to be reached from has gone. */
  #bind(fd: number): void {
    const { sourceSockaddr } = this.peer;
    if (sourceSockaddr === null || !this.#bindTo(fd, sourceSockaddr)) this.#bindTo(fd, null);
  }

  /** To a port that filters know, or to another where those are taken; false: the machine does not have the address. */
  #bindTo(fd: number, source: Uint8Array | null): boolean {
    const { memory } = this.context;
    const { sockaddrAt } = this.relays;
    for (let tries = 0; tries <= BIND_TRIES; tries++) {
      const port =
        RELAY_SOURCE_PORT_MIN +
        Math.floor(Math.random() * (RELAY_SOURCE_PORT_MAX - RELAY_SOURCE_PORT_MIN + 1));
      const length = writeAnyAddress(memory.bytes, sockaddrAt, this.peer.family, 0);
      if (source !== null) memory.bytes.set(source.subarray(0, length), sockaddrAt);
      if (tries < BIND_TRIES) setSockaddrPort(memory.bytes, sockaddrAt, port);
      const bound = bind(fd, memory.address(sockaddrAt), length);
      if (bound !== -EADDRINUSE) return bound === 0;
    }
    return true;
  }

  #receive(): void {
    this.#hasMore = this.context.replies.receiveFromRelay(this);
    this.relays.toExits.flush();
    this.#arm();
    if (this.#hasMore) this.#queue();
  }

  /** First tasks are marked as failing, then sessions look for others. */
  #handleFailures(): void {
    if (this.#error !== null && this.fd >= 0) {
      this.relay.fail(this.#error);
      this.#close();
    }
    this.#error = null;
    const lost = this.#lost;
    this.#lost = [];
    for (const { session, error } of lost) if (!session.isClosed) session.returnPath.onFailed(session, error);
    for (const one of lost) this.#sendElsewhere(one);
  }

  #sendElsewhere({ session, kept }: Lost): void {
    if (kept.length === 0) return;
    const { returnPath } = session;
    const canMove = !session.isClosed && session.moves < MAX_MOVES;
    const next = canMove ? returnPath.move(session, [session.target]) : null;
    if (next === null) return returnPath.refuse(session, "no-task", kept.length);
    next.moves = session.moves + 1;
    for (const data of kept) this.relays.sendAlone(next, data);
  }

  #close(): void {
    this.waitingIn?.cancel(this);
    if (this.fd >= 0) this.context.loop.close(this.fd);
    this.fd = -1;
    this.#hasMore = false;
  }

  #arm(): void {
    const { loop } = this.context;
    const { timerMs } = this.relay;
    const list = timerMs > 0 ? loop.deadlines.list(timerMs) : null;
    if (list === this.waitingIn) return;
    if (list === null) this.waitingIn!.cancel(this);
    else list.arm(this, loop.nowMs);
  }

  #queue(): void {
    if (this.#isQueued) return;
    this.#isQueued = true;
    this.context.loop.continueLater(this);
  }
}

/** One session of a relay, as `UdpSession` uses it. */
class SocketSession implements TaskRelay {
  constructor(
    readonly socket: RelaySocket,
    readonly relayed: RelayedSession<UdpSession>,
  ) {}

  get peer(): RelayPeer {
    return this.socket.peer;
  }

  get isAccepted(): boolean {
    return this.relayed.isOpened;
  }

  open(): number {
    return this.socket.open();
  }

  send(dataAt: number, length: number): void {
    this.socket.send(this.relayed, dataAt, length);
  }

  end(): void {
    this.socket.remove(this.relayed);
  }
}

/** IP and UDP headers are 28 or 48 bytes. */
function sizeOf(fd: number, family: number): PathMtu {
  return new PathMtu(family === AF_INET6 ? 48 : 28, connectedMtu(fd, family));
}

function errnoOf(code: number): number {
  switch (code) {
    case ERROR_REFUSED:
      return ECONNREFUSED;
    case ERROR_LIMIT:
      return ENOBUFS;
    default:
      return EHOSTUNREACH;
  }
}

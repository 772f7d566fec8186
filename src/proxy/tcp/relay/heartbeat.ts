/**
 * Heartbeats: one connection per peer, on which a byte is echoed at intervals. A peer that stays silent for longer than
 * its round-trip times allow is taken out of routing, within a second on a LAN and long before gossip declares it dead;
 * its next answer puts it back. Answers to clients count as well. One worker does this for all.
 */

import type { DeadlineList } from "../../../sys/deadline-list.ts";
import { EAGAIN } from "../../../sys/errno.ts";
import { RELAY_CONNECTED } from "../../../wire/index.ts";
import { patienceMs } from "../../table/connect-time.ts";
import type { RelayPeer, RelayPeers } from "../../table/peer.ts";
import type { TcpContext } from "../tcp-context.ts";
import { RelayConnection, type RelayConnectionOwner } from "./relay-connection.ts";
import { SilenceLimit } from "./silence-limit.ts";

const INTERVAL_MS = 250;
/**
 * A silent connection is replaced after so many silence limits, within bounds: TCP retransmits ever more rarely, while a
 * new connection gets an answer at once. The first beat follows after three round trips, its answer after one more. An
 * established connection gets longer: it retransmits at an even pace, and a new one would start with a SYN. A connection
 * that waits for its greeting gets as long as other connections to this peer.
 */
const PATIENCE_LIMITS = 4;
const OPEN_PATIENCE_LIMITS = 8;
const MIN_PATIENCE_MS = 2_000;
const MAX_PATIENCE_MS = 6_000;
/** A check this late means that this worker, or its machine, was delayed; it says nothing about the peer. */
const LATE_MS = INTERVAL_MS;
const BEAT = 0x2e;

export class Heartbeats {
  readonly #heartbeats = new Map<RelayPeer, Heartbeat>();

  constructor(readonly context: TcpContext) {}

  /** Opens and closes heartbeats so that each of these peers has one. */
  keepOnly(peers: RelayPeers): void {
    const wanted = new Set(peers.values());
    for (const [peer, heartbeat] of this.#heartbeats) {
      if (wanted.has(peer)) continue;
      heartbeat.close();
      this.#heartbeats.delete(peer);
    }
    for (const peer of wanted) {
      if (!this.#heartbeats.has(peer)) this.#heartbeats.set(peer, new Heartbeat(this.context, peer));
    }
  }

  close(): void {
    for (const heartbeat of this.#heartbeats.values()) heartbeat.close();
    this.#heartbeats.clear();
  }
}

class Heartbeat implements RelayConnectionOwner {
  readonly #interval: DeadlineList;
  #connection: RelayConnection;
  #isBeating = false;
  /** null: the last beat has been answered. */
  #sentMs: number | null = null;
  #heardMs: number;
  /** When answers on other connections were last noticed, and their number then. */
  #othersHeardMs = Number.NEGATIVE_INFINITY;
  #answers = 0;
  /** TCP's count of retransmitted segments when the last beat was sent. */
  #resent = 0;
  readonly #limit: SilenceLimit;

  constructor(
    readonly context: TcpContext,
    readonly peer: RelayPeer,
  ) {
    this.#interval = context.loop.deadlines.list(INTERVAL_MS);
    this.#heardMs = context.loop.nowMs;
    this.#limit = new SilenceLimit(peer.peer.isWan === true);
    this.#connection = this.#open();
  }

  onReady(connection: RelayConnection): void {
    const { nowMs } = this.context.loop;
    this.#heardMs = nowMs;
    this.#limit.onConnected(this.context.sockets.roundTripMs(connection.fd), nowMs);
    this.peer.onOpened(nowMs - connection.openedMs, nowMs);
    connection.ask(null, null);
  }

  onAnswer(connection: RelayConnection, answer: number): void {
    const { nowMs } = this.context.loop;
    if (!this.#isBeating && answer !== RELAY_CONNECTED) return;
    this.#isBeating = true;
    this.#heardMs = nowMs;
    if (this.#sentMs === null) this.peer.onHeartbeat(0);
    else this.#onBeat(connection, Math.max(0.001, performance.now() - this.#sentMs));
    this.#sentMs = null;
  }

  /** A lost segment delays a beat without making the node more distant. */
  #onBeat(connection: RelayConnection, tookMs: number): void {
    const { sockets } = this.context;
    const isResent = sockets.resentSegments(connection.fd) !== this.#resent;
    this.#limit.onBeat(tookMs, isResent, this.context.loop.nowMs);
    this.peer.onHeartbeat((isResent && sockets.roundTripMs(connection.fd)) || tookMs);
  }

  /** Refused or broken: the peer is not there. The next interval tries again. */
  onLost(connection: RelayConnection): void {
    this.#isBeating = false;
    this.peer.onLost();
    this.#interval.arm(connection, this.context.loop.nowMs);
  }

  onConnectionDeadline(connection: RelayConnection): void {
    const { nowMs } = this.context.loop;
    this.#hearOthers(nowMs);
    const isOverdue = !connection.isOpen || nowMs - this.#waitingSinceMs(nowMs) >= this.#limit.ms;
    if (isOverdue && nowMs - connection.dueMs < LATE_MS) this.#reportSilence(nowMs);
    const silentMs = nowMs - Math.max(connection.openedMs, this.#heardMs);
    if (connection.isOpen && !(isOverdue && silentMs >= this.#patienceMs)) {
      this.#beat(connection);
      this.#interval.arm(connection, nowMs);
      return;
    }
    if (connection.isOpen) this.#limit.onSilence();
    connection.close();
    this.#connection = this.#open();
  }

  #hearOthers(nowMs: number): void {
    const answers = this.peer.answers();
    if (answers !== this.#answers) this.#othersHeardMs = nowMs;
    this.#answers = answers;
  }

  /** Not if clients have had answers from the peer meanwhile. */
  #reportSilence(nowMs: number): void {
    if (nowMs - this.#othersHeardMs >= this.#limit.ms) this.peer.onSilent();
    else if (this.#connection.isOpen) this.peer.onHeard();
  }

  get #patienceMs(): number {
    const { isOpening, fd } = this.#connection;
    if (!this.context.sockets.isEstablished(fd))
      return Math.min(Math.max(PATIENCE_LIMITS * this.#limit.ms, MIN_PATIENCE_MS), MAX_PATIENCE_MS);
    return isOpening ? patienceMs(this.peer.openTimeoutMs) : OPEN_PATIENCE_LIMITS * this.#limit.ms;
  }

  /** Since the last beat, or since the peer was last heard while none can be sent: this worker may have been delayed. */
  #waitingSinceMs(nowMs: number): number {
    return this.#sentMs ?? (this.#isBeating ? nowMs : this.#heardMs);
  }

  close(): void {
    this.#connection.close();
    this.#connection.waitingIn?.cancel(this.#connection);
  }

  #open(): RelayConnection {
    const connection = new RelayConnection(this.context, this.peer, this);
    this.#isBeating = false;
    this.#sentMs = null;
    if (connection.open() < 0) this.peer.onLost();
    this.#interval.arm(connection, this.context.loop.nowMs);
    return connection;
  }

  /** One at a time: a second one would only queue behind the first. */
  #beat(connection: RelayConnection): void {
    if (!this.#isBeating || this.#sentMs !== null) return;
    const sent = connection.sendByte(BEAT);
    if (sent !== 0 && sent !== -EAGAIN) return;
    this.#sentMs = performance.now();
    this.#resent = this.context.sockets.resentSegments(connection.fd);
  }
}

/**
 * One connection to each peer on which a byte goes to and fro: a peer that is silent for longer than its round trips take
 * is out of routing, long before gossip says that it is dead, and back with its first answer. Within a second on a LAN.
 * What it says to clients of its tasks counts as well. One worker does it for all.
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
 * A silent connection is given up after so many silence limits, within bounds: TCP repeats itself ever more rarely, a new
 * one is heard at once. It takes three round trips until the first beat can be sent, and one more for the answer. One that
 * TCP has opened has more: it goes on at an even pace, and a new one would begin with a SYN. While it waits for its
 * greeting it has the time that others to this peer may take.
 */
const PATIENCE_LIMITS = 4;
const OPEN_PATIENCE_LIMITS = 8;
const MIN_PATIENCE_MS = 2_000;
const MAX_PATIENCE_MS = 6_000;
/** This worker itself was held up, as others of its machine may have been: such a look says nothing about the peer. */
const LATE_MS = INTERVAL_MS;
const BEAT = 0x2e;

export class Heartbeats {
  readonly #hearts = new Map<RelayPeer, Heartbeat>();

  constructor(readonly context: TcpContext) {}

  /** Those are the peers from now on. */
  keepOnly(peers: RelayPeers): void {
    const wanted = new Set(peers.values());
    for (const [peer, heart] of this.#hearts) {
      if (wanted.has(peer)) continue;
      heart.close();
      this.#hearts.delete(peer);
    }
    for (const peer of wanted) {
      if (!this.#hearts.has(peer)) this.#hearts.set(peer, new Heartbeat(this.context, peer));
    }
  }

  close(): void {
    for (const heart of this.#hearts.values()) heart.close();
    this.#hearts.clear();
  }
}

class Heartbeat implements RelayConnectionOwner {
  readonly #interval: DeadlineList;
  #connection: RelayConnection;
  #isBeating = false;
  /** null: the last beat has come back. */
  #sentMs: number | null = null;
  #heardMs: number;
  /** When answers to other connections were last seen to have come, and how many had by then. */
  #othersHeardMs = Number.NEGATIVE_INFINITY;
  #answers = 0;
  /** Segments that TCP had sent again when the last beat was sent. */
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

  /** What was lost on the way makes a beat late, and the node no farther away. */
  #onBeat(connection: RelayConnection, tookMs: number): void {
    const { sockets } = this.context;
    const isResent = sockets.resentSegments(connection.fd) !== this.#resent;
    this.#limit.onBeat(tookMs, isResent, this.context.loop.nowMs);
    this.peer.onHeartbeat((isResent && sockets.roundTripMs(connection.fd)) || tookMs);
  }

  /** Refused or broken: nobody is there. It is tried again at the next beat. */
  onLost(connection: RelayConnection): void {
    this.#isBeating = false;
    this.peer.onLost();
    this.#interval.arm(connection, this.context.loop.nowMs);
  }

  onConnectionDeadline(connection: RelayConnection): void {
    const { nowMs } = this.context.loop;
    this.#hearOthers(nowMs);
    const isOverdue = !connection.isOpen || nowMs - this.#waitingSinceMs(nowMs) >= this.#limit.ms;
    if (isOverdue && nowMs - connection.dueMs < LATE_MS) this.#tellSilence(nowMs);
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

  /** Unless clients have heard the peer meanwhile. */
  #tellSilence(nowMs: number): void {
    if (nowMs - this.#othersHeardMs >= this.#limit.ms) this.peer.onSilent();
    else if (this.#connection.isOpen) this.peer.onHeard();
  }

  get #patienceMs(): number {
    const { isOpening, fd } = this.#connection;
    if (!this.context.sockets.isEstablished(fd))
      return Math.min(Math.max(PATIENCE_LIMITS * this.#limit.ms, MIN_PATIENCE_MS), MAX_PATIENCE_MS);
    return isOpening ? patienceMs(this.peer.openTimeoutMs) : OPEN_PATIENCE_LIMITS * this.#limit.ms;
  }

  /** For its last beat, or while none can be sent, since it was last heard: this worker may have been held up itself. */
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

  /** One at a time: a second one would only wait behind the first. */
  #beat(connection: RelayConnection): void {
    if (!this.#isBeating || this.#sentMs !== null) return;
    const sent = connection.sendByte(BEAT);
    if (sent !== 0 && sent !== -EAGAIN) return;
    this.#sentMs = performance.now();
    this.#resent = this.context.sockets.resentSegments(connection.fd);
  }
}

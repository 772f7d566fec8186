/**
 * One connection to each peer on which a byte goes to and fro: a peer that is silent for longer than its round trips take
 * is out of routing, long before gossip says that it is dead, and back with its first answer. Within a second on a LAN.
 * One worker does it for all.
 */

import type { DeadlineList } from "../../../sys/deadline-list.ts";
import { EAGAIN } from "../../../sys/errno.ts";
import { RELAY_CONNECTED } from "../../../wire/index.ts";
import type { RelayPeer, RelayPeers } from "../../worker/relay-peer.ts";
import type { TcpContext } from "../tcp-context.ts";
import { type LineOwner, RelayLine } from "./relay-line.ts";
import { SilenceLimit } from "./silence-limit.ts";

const INTERVAL_MS = 250;
/**
 * A silent connection is given up after so many silence limits, within bounds: TCP repeats itself ever more rarely, a new
 * one is heard at once. It takes three round trips until the first beat can be sent, and one more for the answer.
 */
const PATIENCE_LIMITS = 4;
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

class Heartbeat implements LineOwner {
  readonly #interval: DeadlineList;
  #line: RelayLine;
  #isBeating = false;
  /** null: the last beat has come back. */
  #sentMs: number | null = null;
  #heardMs: number;
  #openedMs = 0;
  readonly #limit: SilenceLimit;

  constructor(
    readonly context: TcpContext,
    readonly peer: RelayPeer,
  ) {
    this.#interval = context.loop.deadlines.list(INTERVAL_MS);
    this.#heardMs = context.loop.nowMs;
    this.#limit = new SilenceLimit(peer.peer.isWan === true);
    this.#line = this.#open();
  }

  onReady(line: RelayLine): void {
    line.ask(null, null);
  }

  onAnswer(_line: RelayLine, answer: number): void {
    const { nowMs } = this.context.loop;
    if (!this.#isBeating && answer !== RELAY_CONNECTED) return;
    this.#isBeating = true;
    this.#heardMs = nowMs;
    const rttMs = this.#sentMs === null ? 0 : Math.max(0.001, performance.now() - this.#sentMs);
    if (this.#sentMs !== null) this.#limit.onBeat(rttMs, nowMs);
    this.peer.onHeartbeat(rttMs);
    this.#sentMs = null;
  }

  /** Refused or broken: nobody is there. It is tried again at the next beat. */
  onLost(line: RelayLine): void {
    this.#isBeating = false;
    this.peer.onLost();
    this.#interval.arm(line, this.context.loop.nowMs);
  }

  onLineDeadline(line: RelayLine): void {
    const { nowMs } = this.context.loop;
    const isSilent = !line.isOpen || nowMs - this.#waitingSinceMs(nowMs) >= this.#limit.ms;
    if (isSilent && nowMs - line.dueMs < LATE_MS) this.peer.onSilent();
    if (line.isOpen && !(isSilent && nowMs - this.#openedMs >= this.#patienceMs)) {
      this.#beat(line);
      this.#interval.arm(line, nowMs);
      return;
    }
    if (line.isOpen) this.#limit.onSilence();
    line.close();
    this.#line = this.#open();
  }

  get #patienceMs(): number {
    return Math.min(Math.max(PATIENCE_LIMITS * this.#limit.ms, MIN_PATIENCE_MS), MAX_PATIENCE_MS);
  }

  /** For its last beat, or while none can be sent, since it was last heard: this worker may have been held up itself. */
  #waitingSinceMs(nowMs: number): number {
    return this.#sentMs ?? (this.#isBeating ? nowMs : this.#heardMs);
  }

  close(): void {
    this.#line.close();
    this.#line.waitingIn?.cancel(this.#line);
  }

  #open(): RelayLine {
    const line = new RelayLine(this.context, this.peer, this);
    this.#isBeating = false;
    this.#sentMs = null;
    this.#openedMs = this.context.loop.nowMs;
    if (line.open() < 0) this.peer.onLost();
    this.#interval.arm(line, this.context.loop.nowMs);
    return line;
  }

  /** One at a time: a second one would only wait behind the first. */
  #beat(line: RelayLine): void {
    if (!this.#isBeating || this.#sentMs !== null) return;
    const sent = line.sendByte(BEAT);
    if (sent === 0 || sent === -EAGAIN) this.#sentMs = performance.now();
  }
}

/**
 * Ready connections to the relays of the peers, so that no client waits for a handshake between nodes. As many as are
 * needed: a client that finds none makes the pool of its peer larger, a lifetime in which none was taken smaller. While it
 * opens a connection of its own, the first of the pool that is ready is exchanged for that: over a way that loses packets
 * some take many times as long as others.
 *
 * Bounded by MAX_LINES for each peer, and by what is lent of the worker's descriptors; none is kept while they are scarce.
 */
import type { DeadlineList } from "../../../sys/deadline-list.ts";
import type { Continuable } from "../../../sys/event-loop.ts";
import type { DescriptorShare } from "../../worker/descriptor-shares.ts";
import type { RelayPeer, RelayPeers } from "../../worker/relay-peer.ts";
import type { TcpContext } from "../tcp-context.ts";
import { type LineOwner, RelayLine } from "./relay-line.ts";

const MAX_LINES = 64;
/** A pool that has never been used keeps one. */
const LEAST_LINES = 1;
/** Replaced before the exit node closes what is not used. */
export const LINE_LIFE_MS = 45_000;
const RETRY_MS = 1_000;

/** A client whose own connection to the peer is being opened. */
export interface LineWaiter {
  readonly peer: RelayPeer;
  readonly line: RelayLine;
  /** It has this one from now on, and asks; gives back its own. */
  exchange(ready: RelayLine): RelayLine;
  onOpened(): void;
}

export class LinePools {
  readonly #pools = new Map<RelayPeer, LinePool>();

  constructor(readonly context: TcpContext) {}

  /** Those are the peers from now on. */
  keepOnly(peers: RelayPeers): void {
    const wanted = new Set(peers.values());
    for (const [peer, pool] of this.#pools) {
      if (wanted.has(peer)) continue;
      pool.close();
      this.#pools.delete(peer);
    }
    for (const peer of wanted) {
      if (this.#pools.has(peer)) continue;
      const pool = new LinePool(this.context, peer);
      this.#pools.set(peer, pool);
      pool.refill();
    }
  }

  /** A ready connection, which is the caller's now; null: there is none. */
  take(peer: RelayPeer): RelayLine | null {
    return this.#pools.get(peer)?.take() ?? null;
  }

  /** From now on, until it has `left`. */
  wait(waiter: LineWaiter): void {
    this.#pools.get(waiter.peer)?.wait(waiter);
  }

  left(waiter: LineWaiter): void {
    this.#pools.get(waiter.peer)?.left(waiter);
  }

  close(): void {
    for (const pool of this.#pools.values()) pool.close();
    this.#pools.clear();
  }
}

class LinePool implements LineOwner, Continuable {
  readonly #ready: RelayLine[] = [];
  /** No Set: a line passes through it for every client. */
  readonly #opening: RelayLine[] = [];
  /** The one that has waited longest first; bounded by clients. */
  readonly #waiters = new Set<LineWaiter>();
  readonly #life: DeadlineList;
  #wanted = LEAST_LINES;
  #takenInLife = 0;
  #retryAtMs = 0;
  #isQueued = false;
  #isClosed = false;

  constructor(
    readonly context: TcpContext,
    readonly peer: RelayPeer,
  ) {
    this.#life = context.loop.deadlines.list(LINE_LIFE_MS);
  }

  get #count(): number {
    return this.#ready.length + this.#opening.length;
  }

  get #share(): DescriptorShare {
    return this.context.worker.shares.lines;
  }

  take(): RelayLine | null {
    this.#takenInLife++;
    const line = this.#ready.pop() ?? null;
    line?.waitingIn?.cancel(line);
    if (line !== null) this.#share.remove(1);
    if (line === null) this.#wanted = Math.min(MAX_LINES, this.#wanted * 2);
    this.#refillSoon();
    return line;
  }

  refill(): void {
    const { loop, worker } = this.context;
    if (this.#isClosed || loop.nowMs < this.#retryAtMs || !this.peer.isReachable) return;
    while (this.#count < this.#wanted) {
      if (this.#count >= LEAST_LINES && !this.#share.hasRoom(1)) return this.#pause();
      const line = new RelayLine(this.context, this.peer, this);
      if (worker.descriptors.isWaitedFor || line.open() < 0) return this.#pause();
      if (worker.descriptors.isScarce(line.fd)) {
        line.close();
        return this.#pause();
      }
      this.#opening.push(line);
      this.#share.add(1);
      this.context.connectDeadline(this.peer.openTimeoutMs).arm(line, loop.nowMs);
    }
  }

  onGoOn(): void {
    this.#isQueued = false;
    this.refill();
  }

  onReady(line: RelayLine): void {
    const { nowMs } = this.context.loop;
    this.peer.onOpened(nowMs - line.openedMs, nowMs);
    takeOut(this.#opening, line);
    for (const waiter of this.#waiters) return this.#exchange(line, waiter);
    this.#ready.push(line);
    this.#life.arm(line, nowMs);
  }

  /** Nobody has asked. */
  onAnswer(): void {}

  onLost(line: RelayLine): void {
    this.#forget(line);
    this.#pause();
  }

  /** It did not get ready, or its life is over. */
  onLineDeadline(line: RelayLine): void {
    const wasReady = line.isReady;
    this.#forget(line);
    line.close();
    if (!wasReady) return this.#pause();
    if (this.#takenInLife === 0) this.#wanted = Math.max(LEAST_LINES, this.#wanted >> 1);
    this.#takenInLife = 0;
    this.#refillSoon();
  }

  close(): void {
    this.#isClosed = true;
    this.#share.remove(this.#count);
    for (const line of [...this.#ready, ...this.#opening]) line.close();
    this.#ready.length = 0;
    this.#opening.length = 0;
  }

  wait(waiter: LineWaiter): void {
    this.#waiters.add(waiter);
  }

  left(waiter: LineWaiter): void {
    this.#waiters.delete(waiter);
  }

  #exchange(ready: RelayLine, waiter: LineWaiter): void {
    this.#waiters.delete(waiter);
    ready.waitingIn?.cancel(ready);
    const opening = waiter.exchange(ready);
    opening.owner = this;
    this.#opening.push(opening);
    this.context.connectDeadline(this.peer.openTimeoutMs).arm(opening, this.context.loop.nowMs);
    waiter.onOpened();
  }

  #forget(line: RelayLine): void {
    const before = this.#count;
    takeOut(this.#opening, line);
    takeOut(this.#ready, line);
    this.#share.remove(before - this.#count);
  }

  /** Off the path of the client that took one. */
  #refillSoon(): void {
    if (this.#isQueued || this.#isClosed) return;
    this.#isQueued = true;
    this.context.loop.goOn(this);
  }

  /** The next client tries again. */
  #pause(): void {
    this.#retryAtMs = this.context.loop.nowMs + RETRY_MS;
  }
}

/** At most MAX_LINES are looked through. */
function takeOut(lines: RelayLine[], line: RelayLine): void {
  const at = lines.indexOf(line);
  if (at >= 0) lines.splice(at, 1);
}

/**
 * Warm connections to the relays of the peers, so that no client waits for a handshake between nodes. A client that finds
 * none makes the pool of its peer larger; a connection's lifetime in which none was taken makes it smaller. A client that
 * opens a connection of its own takes the first of the pool that gets ready instead: on a lossy path some take many times
 * as long as others.
 *
 * Bounded by MAX_CONNECTIONS per peer and by the worker's share of descriptors; none is kept while descriptors are scarce.
 */
import type { DeadlineList } from "../../../sys/deadline-list.ts";
import type { Continuable } from "../../../sys/event-loop.ts";
import type { DescriptorShare } from "../../table/descriptor-shares.ts";
import type { RelayPeer, RelayPeers } from "../../table/peer.ts";
import type { TcpContext } from "../tcp-context.ts";
import { RelayConnection, type RelayConnectionOwner } from "./relay-connection.ts";

const MAX_CONNECTIONS = 64;
/** In a pool that has never been used. */
const LEAST_CONNECTIONS = 1;
/** Less than an exit node keeps an unused connection. */
const CONNECTION_LIFE_MS = 45_000;
const RETRY_MS = 1_000;

/** A client that opens a connection of its own. */
export interface RelayWaiter {
  readonly peer: RelayPeer;
  readonly relay: RelayConnection;
  /** Takes this connection and returns its own. */
  exchange(ready: RelayConnection): RelayConnection;
  onOpened(): void;
}

export class RelayPools {
  readonly #pools = new Map<RelayPeer, RelayPool>();

  constructor(readonly context: TcpContext) {}

  /** Opens and closes pools so that each of these peers has one. */
  keepOnly(peers: RelayPeers): void {
    const wanted = new Set(peers.values());
    for (const [peer, pool] of this.#pools) {
      if (wanted.has(peer)) continue;
      pool.close();
      this.#pools.delete(peer);
    }
    for (const peer of wanted) {
      if (this.#pools.has(peer)) continue;
      const pool = new RelayPool(this.context, peer);
      this.#pools.set(peer, pool);
      pool.refill();
    }
  }

  /** Hands a ready connection to the caller; null: none is ready. */
  take(peer: RelayPeer): RelayConnection | null {
    return this.#pools.get(peer)?.take() ?? null;
  }

  /** Until `left`. */
  wait(waiter: RelayWaiter): void {
    this.#pools.get(waiter.peer)?.wait(waiter);
  }

  left(waiter: RelayWaiter): void {
    this.#pools.get(waiter.peer)?.left(waiter);
  }

  close(): void {
    for (const pool of this.#pools.values()) pool.close();
    this.#pools.clear();
  }
}

class RelayPool implements RelayConnectionOwner, Continuable {
  readonly #ready: RelayConnection[] = [];
  /** Not a Set: a connection passes through it for every client. */
  readonly #opening: RelayConnection[] = [];
  /** Longest wait first; bounded by clients. */
  readonly #waiters = new Set<RelayWaiter>();
  readonly #life: DeadlineList;
  #wanted = LEAST_CONNECTIONS;
  #takenInLife = 0;
  #retryAtMs = 0;
  #isQueued = false;
  #isClosed = false;

  constructor(
    readonly context: TcpContext,
    readonly peer: RelayPeer,
  ) {
    this.#life = context.loop.deadlines.list(CONNECTION_LIFE_MS);
  }

  get #count(): number {
    return this.#ready.length + this.#opening.length;
  }

  get #share(): DescriptorShare {
    return this.context.worker.shares.relayConnections;
  }

  take(): RelayConnection | null {
    this.#takenInLife++;
    const connection = this.#ready.pop() ?? null;
    connection?.waitingIn?.cancel(connection);
    if (connection !== null) this.#share.remove(1);
    if (connection === null) this.#wanted = Math.min(MAX_CONNECTIONS, this.#wanted * 2);
    this.#refillSoon();
    return connection;
  }

  refill(): void {
    const { loop, worker } = this.context;
    if (this.#isClosed || loop.nowMs < this.#retryAtMs || !this.peer.isReachable) return;
    while (this.#count < this.#wanted) {
      if (this.#count >= LEAST_CONNECTIONS && !this.#share.hasRoom(1)) return this.#pause();
      const connection = new RelayConnection(this.context, this.peer, this);
      if (worker.descriptors.isWaitedFor || connection.open() < 0) return this.#pause();
      if (worker.descriptors.isScarce(connection.fd)) {
        connection.close();
        return this.#pause();
      }
      this.#opening.push(connection);
      this.#share.add(1);
      this.context.connectDeadline(this.peer.openTimeoutMs).arm(connection, loop.nowMs);
    }
  }

  onContinue(): void {
    this.#isQueued = false;
    this.refill();
  }

  onReady(connection: RelayConnection): void {
    const { nowMs } = this.context.loop;
    this.peer.onOpened(nowMs - connection.openedMs, nowMs);
    takeOut(this.#opening, connection);
    for (const waiter of this.#waiters) return this.#exchange(connection, waiter);
    this.#ready.push(connection);
    this.#life.arm(connection, nowMs);
  }

  /** No request is sent from here. */
  onAnswer(): void {}

  onLost(connection: RelayConnection): void {
    this.#forget(connection);
    this.#pause();
  }

  /** It did not get ready in time, or its lifetime is over. */
  onConnectionDeadline(connection: RelayConnection): void {
    const wasReady = connection.isReady;
    this.#forget(connection);
    connection.close();
    if (!wasReady) return this.#pause();
    if (this.#takenInLife === 0) this.#wanted = Math.max(LEAST_CONNECTIONS, this.#wanted >> 1);
    this.#takenInLife = 0;
    this.#refillSoon();
  }

  close(): void {
    this.#isClosed = true;
    this.#share.remove(this.#count);
    for (const connection of [...this.#ready, ...this.#opening]) connection.close();
    this.#ready.length = 0;
    this.#opening.length = 0;
  }

  wait(waiter: RelayWaiter): void {
    this.#waiters.add(waiter);
  }

  left(waiter: RelayWaiter): void {
    this.#waiters.delete(waiter);
  }

  #exchange(ready: RelayConnection, waiter: RelayWaiter): void {
    this.#waiters.delete(waiter);
    ready.waitingIn?.cancel(ready);
    const opening = waiter.exchange(ready);
    opening.owner = this;
    this.#opening.push(opening);
    this.context.connectDeadline(this.peer.openTimeoutMs).arm(opening, this.context.loop.nowMs);
    waiter.onOpened();
  }

  #forget(connection: RelayConnection): void {
    const before = this.#count;
    takeOut(this.#opening, connection);
    takeOut(this.#ready, connection);
    this.#share.remove(before - this.#count);
  }

  /** In the next turn: the client that took one need not wait for it. */
  #refillSoon(): void {
    if (this.#isQueued || this.#isClosed) return;
    this.#isQueued = true;
    this.context.loop.continueLater(this);
  }

  /** The next client tries again. */
  #pause(): void {
    this.#retryAtMs = this.context.loop.nowMs + RETRY_MS;
  }
}

/** At most MAX_CONNECTIONS are looked through. */
function takeOut(connections: RelayConnection[], connection: RelayConnection): void {
  const at = connections.indexOf(connection);
  if (at >= 0) connections.splice(at, 1);
}

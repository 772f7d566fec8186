/**
 * One worker's descriptors, divided between what strangers can open: the TCP connections of each service, its UDP
 * sessions, relay connections that have not asked yet; and what all of them use: pipes, connections to peers that wait.
 *
 * Half is guaranteed: every service has an equal part for each protocol. The other half is lent to those that ask, but
 * no share may have borrowed more than GREED times what is left, so that a flood of one port leaves some for a second port
 * and for pipes [Choudhury & Hahne, "Dynamic queue length thresholds for shared-memory packet switches", 1998].
 * A service that has the worker to itself may have all.
 *
 * These are accounts: what is opened is added, whether there was room or not, and a service that needs room first closes one
 * of its own.
 */
import type { DescriptorGate, DescriptorWaiter } from "./descriptor-gate.ts";

const GREED = 8;
const GUARANTEED_SHARE = 2;
/** Of strangers on the relay's port, and of pipes: a fast connection uses one for each direction for a moment. */
const RELAY_SHARE = 32;
const PIPE_SHARE = 64;

/** A service as far as its descriptors go. */
export interface Shareholder {
  readonly slot: number;
  readonly ports: readonly { readonly protocol: "tcp" | "udp" }[];
}

export class DescriptorShare {
  guaranteed = 0;
  used = 0;
  #waiters: DescriptorWaiter[] = [];

  constructor(readonly shares: DescriptorShares) {}

  hasRoom(count: number): boolean {
    const more = this.#borrowedAt(this.used + count) - this.#borrowedAt(this.used);
    return more === 0 || this.shares.mayLend(this.#borrowedAt(this.used + count), more);
  }

  /** That many have been opened. */
  add(count: number): void {
    this.#change(count);
  }

  /** That many have been closed. */
  remove(count: number): void {
    this.#change(-count);
    if (this.#waiters.length > 0 && this.hasRoom(count)) this.release();
  }

  /** Calls `waiter.onDescriptors` once, when there may be room. */
  wait(waiter: DescriptorWaiter): void {
    this.#waiters.push(waiter);
    this.shares.onWaiting(this);
  }

  /** Lets those that wait try again. */
  release(): void {
    const waiters = this.#waiters;
    this.#waiters = [];
    this.shares.onReleased(this);
    for (const waiter of waiters) waiter.onDescriptors();
  }

  /** The guarantee has changed to this. */
  guarantee(count: number): void {
    const before = this.#borrowedAt(this.used);
    this.guaranteed = count;
    this.shares.lend(this.#borrowedAt(this.used) - before);
  }

  #change(by: number): void {
    const before = this.#borrowedAt(this.used);
    this.used += by;
    this.shares.lend(this.#borrowedAt(this.used) - before);
  }

  #borrowedAt(used: number): number {
    return used > this.guaranteed ? used - this.guaranteed : 0;
  }
}

export class DescriptorShares {
  readonly relay = new DescriptorShare(this);
  readonly pipes = new DescriptorShare(this);
  /** Of connections to peers that wait for clients, but for the first of each peer. */
  readonly relayConnections = new DescriptorShare(this);
  /** Blocks of local ports. */
  readonly ports = new DescriptorShare(this);
  /** by slot and protocol; bounded by the number of services there have been at a time */
  readonly #services = new Map<number, DescriptorShare>();
  readonly #waitedFor = new Set<DescriptorShare>();
  /** Descriptors that may be lent, and those lent. The second may be more: after a reload, or when a share did not ask. */
  #pool = 0;
  #lent = 0;
  #hasOneHolder = false;

  constructor(readonly gate: DescriptorGate) {}

  tcp(slot: number): DescriptorShare {
    return this.#of(slot * 2);
  }

  udp(slot: number): DescriptorShare {
    return this.#of(slot * 2 + 1);
  }

  /** @param total descriptors of this worker */
  divide(total: number, services: readonly Shareholder[], hasRelay: boolean): void {
    const holders = services.flatMap(({ slot, ports }) => [
      ...(ports.some(({ protocol }) => protocol === "tcp") ? [this.tcp(slot)] : []),
      ...(ports.some(({ protocol }) => protocol === "udp") ? [this.udp(slot)] : []),
    ]);
    const relay = hasRelay ? Math.ceil(total / RELAY_SHARE) : 0;
    const pipes = Math.floor(total / PIPE_SHARE);
    const forServices = total - relay - pipes;
    const each = Math.floor(forServices / GUARANTEED_SHARE / Math.max(1, holders.length));
    const wanted = new Set(holders);
    for (const share of this.#services.values()) share.guarantee(wanted.has(share) ? each : 0);
    this.relay.guarantee(relay);
    this.pipes.guarantee(pipes);
    this.#pool = Math.max(0, forServices - each * holders.length);
    this.#hasOneHolder = holders.length === 1;
  }

  get isWaitedFor(): boolean {
    return this.#waitedFor.size > 0;
  }

  /** From time to time while a share waits: what could not be closed a moment ago may be old enough now. */
  releaseAll(): void {
    for (const share of [...this.#waitedFor]) share.release();
  }

  /** Whether one that would then have borrowed `borrowed` may borrow `more`. */
  mayLend(borrowed: number, more: number): boolean {
    const left = this.#pool - this.#lent - more;
    return left >= 0 && (this.#hasOneHolder || borrowed <= GREED * (left + 1));
  }

  lend(count: number): void {
    this.#lent += count;
  }

  onWaiting(share: DescriptorShare): void {
    this.#waitedFor.add(share);
    this.gate.onSharesWaiting(this.#waitedFor.size);
  }

  onReleased(share: DescriptorShare): void {
    this.#waitedFor.delete(share);
    this.gate.onSharesWaiting(this.#waitedFor.size);
  }

  #of(key: number): DescriptorShare {
    let share = this.#services.get(key);
    if (share === undefined) {
      share = new DescriptorShare(this);
      this.#services.set(key, share);
    }
    return share;
  }
}

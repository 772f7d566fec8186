/**
 * The local ports of this worker's sessions with one task: which are taken, and by whom. See `source-ports.ts`.
 */
import { type Recent, RecentList } from "../table/recent-list.ts";
import type { PortBlocks } from "../table/source-ports.ts";
import { mattersLess, RANK_CONVERSING, type Ranked } from "./session-ranks.ts";

/** Leases looked at for one that makes room. */
const MAX_LOOKS = 32;
const WORD_BITS = 32;
/** So many stay free, so that a port is seldom used again before late answers to its last session have come. */
const FREE_SHARE = 16;

/** A port as long as a session has it. */
export class PortLease<O extends Ranked> implements Recent<PortLease<O>> {
  older: PortLease<O> | null = null;
  newer: PortLease<O> | null = null;

  constructor(
    readonly ports: TaskPorts<O>,
    readonly index: number,
    readonly owner: O,
    /** The list it is in. */
    public among: RecentList<PortLease<O>>,
  ) {}

  end(): void {
    this.ports.end(this);
  }
}

export class TaskPorts<O extends Ranked> {
  /** A bit for each port the worker may have: taken, or not its own yet. */
  readonly #taken: Uint32Array;
  /** Of sessions that may be evicted, and of conversing ones, evicted last: sorted when a port is needed. */
  readonly #leases = new RecentList<PortLease<O>>();
  /** Of the worker's ports. */
  #known = 0;
  readonly #conversing = new RecentList<PortLease<O>>();

  constructor(
    readonly all: SourcePorts<O>,
    readonly task: string,
  ) {
    this.#taken = new Uint32Array(Math.ceil(all.blocks.maxPorts / WORD_BITS)).fill(0xffff_ffff);
  }

  portAt(index: number): number {
    return this.all.blocks.ports[index]!;
  }

  /** A session must end before another begins. */
  get isFull(): boolean {
    const count = this.all.blocks.ports.length;
    return this.#size >= count - Math.floor(count / FREE_SHARE);
  }

  /** The first free one from `index` on, all around; -1: there is none. */
  freeFrom(index: number): number {
    this.#freeNew();
    const words = this.#taken.length;
    if (words === 0) return -1;
    const first = Math.floor(index / WORD_BITS);
    const before = (1 << (index % WORD_BITS)) - 1;
    for (let step = 0; step <= words; step++) {
      const word = (first + step) % words;
      const taken = step === 0 ? this.#taken[word]! | before : this.#taken[word]!;
      const free = ~taken;
      if (free !== 0) return word * WORD_BITS + (WORD_BITS - 1 - Math.clz32(free & -free));
    }
    return -1;
  }

  /** @param index of a port that is free */
  lease(index: number, owner: O): PortLease<O> {
    this.#freeNew(); // before it is marked: it may be new itself
    const lease = new PortLease(this, index, owner, this.#leases);
    this.#taken[index >>> 5]! |= 1 << (index & 31);
    this.#leases.add(lease);
    return lease;
  }

  end(lease: PortLease<O>): void {
    this.#setFree(lease.index);
    lease.among.remove(lease);
    if (this.#size === 0) this.all.forget(this);
  }

  /** Of some, the one that matters least; null: no port is taken. */
  leastImportant(nowMs: number): PortLease<O> | null {
    this.#moveConversing();
    const among = this.#leases.size > 0 ? this.#leases : this.#conversing;
    let least: PortLease<O> | null = null;
    for (let looks = Math.min(MAX_LOOKS, among.size); looks > 0; looks--) {
      const lease = among.oldest!;
      among.touch(lease);
      if (least === null || mattersLess(lease.owner, least.owner, nowMs)) least = lease;
    }
    return least;
  }

  get #size(): number {
    return this.#leases.size + this.#conversing.size;
  }

  /** The worker may have got more ports. */
  #freeNew(): void {
    for (; this.#known < this.all.blocks.ports.length; this.#known++) this.#setFree(this.#known);
  }

  #setFree(index: number): void {
    this.#taken[index >>> 5]! &= ~(1 << (index & 31));
  }

  /** The next ones to be looked at; each is moved once. */
  #moveConversing(): void {
    let lease = this.#leases.oldest;
    for (let looks = 0; lease !== null && looks < MAX_LOOKS; ) {
      const next = lease.newer;
      if (lease.owner.rank === RANK_CONVERSING) {
        this.#leases.remove(lease);
        lease.among = this.#conversing;
        this.#conversing.add(lease);
      } else looks++;
      lease = next;
    }
  }
}

/** Of all tasks of a worker. */
export class SourcePorts<O extends Ranked> {
  /** by task; bounded by the tasks that have sessions */
  readonly #tasks = new Map<string, TaskPorts<O>>();

  constructor(readonly blocks: PortBlocks) {}

  /** @param task its address and port: the same for every service that has it */
  of(task: string): TaskPorts<O> {
    let known = this.#tasks.get(task);
    if (known === undefined) {
      known = new TaskPorts(this, task);
      this.#tasks.set(task, known);
    }
    return known;
  }

  /** Its last session has ended. */
  forget(ports: TaskPorts<O>): void {
    if (this.#tasks.get(ports.task) === ports) this.#tasks.delete(ports.task);
  }
}

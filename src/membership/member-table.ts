/**
 * The members by name, and the order in which they are probed: a shuffled round in which every member comes once, so a
 * dead one is found within two rounds. New ones join at a random place. [SWIM §4.3]
 *
 * Bounded by maxMembers, however many names a hostile packet invents.
 */
import type { MemberRecord } from "./member.ts";
import { SuspicionQueue } from "./suspicion-queue.ts";

/** Draws at random for each one wanted, as memberlist; then in order. */
const DRAWS_PER_MEMBER = 3;
const MAX_DRAWS = 64;

export class MemberTable {
  readonly #records = new Map<string, MemberRecord>();
  readonly suspicions = new SuspicionQueue();
  readonly #order: MemberRecord[] = [];
  /** Where each is in the order. */
  readonly #placeOf = new Map<MemberRecord, number>();
  #next = 0;

  constructor(
    readonly self: string,
    readonly maxMembers: number,
    readonly random: () => number,
  ) {}

  /** Counts the dead that are not forgotten yet, as all formulas want it. */
  get size(): number {
    return this.#records.size;
  }

  get isFull(): boolean {
    return this.#records.size >= this.maxMembers;
  }

  get(name: string): MemberRecord | undefined {
    return this.#records.get(name);
  }

  values(): IterableIterator<MemberRecord> {
    return this.#records.values();
  }

  /** At a random place; the one that makes room stays among those probed already, or among those still to be probed. */
  insert(record: MemberRecord): void {
    const order = this.#order;
    this.#records.set(record.name, record);
    const at = Math.floor(this.random() * (order.length + 1));
    order.push(record);
    this.#placeOf.set(record, order.length - 1);
    if (at >= this.#next) return this.#swap(at, order.length - 1);
    this.#swap(this.#next, order.length - 1);
    this.#swap(at, this.#next);
    this.#next++;
  }

  /** Others fill its place: one of those probed already, or one of those still to be probed. */
  remove(name: string): void {
    const record = this.#records.get(name);
    if (record === undefined) return;
    record.suspicion = null;
    this.#records.delete(name);
    let at = this.#placeOf.get(record)!;
    if (at < this.#next) {
      this.#next--;
      this.#swap(at, this.#next);
      at = this.#next;
    }
    this.#swap(at, this.#order.length - 1);
    this.#order.pop();
    this.#placeOf.delete(record);
  }

  /**
   * The next to probe, alive or suspect; null when there is none. `onRound` is called when all have been, before
   * the next round is shuffled: the time to forget.
   */
  nextToProbe(onRound: () => void): MemberRecord | null {
    for (let looked = 0; looked <= this.#order.length; looked++) {
      if (this.#next >= this.#order.length) {
        onRound();
        this.#shuffle();
      }
      const record = this.#order[this.#next++];
      if (record?.isLive && record.name !== this.self) return record;
    }
    return null;
  }

  /** Up to `count` different ones that `isWanted`. Drawn at random; few wanted among many are looked for in order. */
  pick(count: number, isWanted: (record: MemberRecord) => boolean): MemberRecord[] {
    const order = this.#order;
    const picked: MemberRecord[] = [];
    const draws = Math.min(MAX_DRAWS, DRAWS_PER_MEMBER * order.length);
    for (let draw = 0; draw < draws && picked.length < count; draw++) {
      const record = order[Math.floor(this.random() * order.length)]!;
      if (!picked.includes(record) && isWanted(record)) picked.push(record);
    }
    if (picked.length === count) return picked;
    const start = Math.floor(this.random() * order.length);
    for (let i = 0; i < order.length && picked.length < count; i++) {
      const record = order[(start + i) % order.length]!;
      if (!picked.includes(record) && isWanted(record)) picked.push(record);
    }
    return picked;
  }

  /** Fisher and Yates. */
  #shuffle(): void {
    this.#next = 0;
    for (let i = this.#order.length - 1; i > 0; i--) {
      this.#swap(i, Math.floor(this.random() * (i + 1)));
    }
  }

  #swap(i: number, j: number): void {
    const [a, b] = [this.#order[i]!, this.#order[j]!];
    this.#order[i] = b;
    this.#order[j] = a;
    this.#placeOf.set(b, i);
    this.#placeOf.set(a, j);
  }
}

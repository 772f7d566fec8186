/**
 * Which suspicion ends next: a binary heap, so that thousands of suspects cost no more than a few at every wake-up. A
 * suspicion that has ended or been shortened stays in it until it comes up, or until most of the heap is like that.
 */
import type { MemberRecord } from "./member.ts";
import type { Suspicion } from "./suspicion.ts";

interface Entry {
  readonly record: MemberRecord;
  readonly suspicion: Suspicion;
  readonly deadlineMs: number;
}

const COMPACT_ABOVE = 1_024;

export class SuspicionQueue {
  #heap: Entry[] = [];
  /** So many entries stood for something when it was last compacted. */
  #validAtCompaction = 0;

  /** With what has not come up yet and stands for nothing. */
  get size(): number {
    return this.#heap.length;
  }

  /** The record's suspicion is new, or its deadline has come nearer. */
  add(record: MemberRecord): void {
    const { suspicion } = record;
    if (suspicion === null) return;
    if (this.#heap.length > COMPACT_ABOVE + 2 * this.#validAtCompaction) this.#compact();
    this.#heap.push({ record, suspicion, deadlineMs: suspicion.deadlineMs });
    this.#up(this.#heap.length - 1);
  }

  /** Infinity: there is none. */
  get nextDeadlineMs(): number {
    while (this.#heap.length > 0 && !isValid(this.#heap[0]!)) this.#takeFirst();
    return this.#heap[0]?.deadlineMs ?? Number.POSITIVE_INFINITY;
  }

  /** Takes out the one that ends next, if it ends by then. */
  takeDue(nowMs: number): MemberRecord | null {
    const isDue = this.nextDeadlineMs <= nowMs && this.#heap.length > 0;
    return isDue ? this.#takeFirst().record : null;
  }

  #takeFirst(): Entry {
    const first = this.#heap[0]!;
    const last = this.#heap.pop()!;
    if (this.#heap.length > 0) {
      this.#heap[0] = last;
      this.#down(0);
    }
    return first;
  }

  #compact(): void {
    const valid = this.#heap.filter(isValid).sort((a, b) => a.deadlineMs - b.deadlineMs);
    this.#heap = valid; // what is sorted is a heap
    this.#validAtCompaction = valid.length;
  }

  #up(start: number): void {
    let at = start;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (this.#heap[parent]!.deadlineMs <= this.#heap[at]!.deadlineMs) return;
      this.#swap(parent, at);
      at = parent;
    }
  }

  #down(start: number): void {
    let at = start;
    for (;;) {
      let least = at;
      for (const child of [2 * at + 1, 2 * at + 2])
        if (child < this.#heap.length && this.#heap[child]!.deadlineMs < this.#heap[least]!.deadlineMs)
          least = child;
      if (least === at) return;
      this.#swap(least, at);
      at = least;
    }
  }

  #swap(a: number, b: number): void {
    const entry = this.#heap[a]!;
    this.#heap[a] = this.#heap[b]!;
    this.#heap[b] = entry;
  }
}

function isValid({ record, suspicion, deadlineMs }: Entry): boolean {
  return record.suspicion === suspicion && suspicion.deadlineMs === deadlineMs;
}

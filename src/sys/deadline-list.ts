/**
 * Things that are all due the same time after they were put in: an intrusive list, oldest first, so arming,
 * cancelling and expiring cost O(1) and no memory.
 */

/** What can wait in a list. It waits in one list at a time. */
export abstract class Waiting {
  waitingIn: DeadlineList | null = null;
  dueMs = 0;
  previous: Waiting | null = null;
  next: Waiting | null = null;

  abstract onDeadline(nowMs: number): void;
}

export class DeadlineList {
  #head: Waiting | null = null;
  #tail: Waiting | null = null;

  constructor(readonly durationMs: number) {}

  get head(): Waiting | null {
    return this.#head;
  }

  /** Arms it, or arms it anew: out of whatever list it waited in, to the end of this one. */
  arm(item: Waiting, nowMs: number): void {
    item.waitingIn?.cancel(item);
    item.waitingIn = this;
    item.dueMs = nowMs + this.durationMs;
    item.previous = this.#tail;
    if (this.#tail === null) this.#head = item;
    else this.#tail.next = item;
    this.#tail = item;
  }

  cancel(item: Waiting): void {
    if (item.waitingIn !== this) return;
    if (item.previous === null) this.#head = item.next;
    else item.previous.next = item.next;
    if (item.next === null) this.#tail = item.previous;
    else item.next.previous = item.previous;
    item.previous = null;
    item.next = null;
    item.waitingIn = null;
  }

  /** Removes everything that is due and calls its onDeadline. */
  expire(nowMs: number): void {
    let item = this.#head;
    while (item !== null && item.dueMs <= nowMs) {
      this.cancel(item);
      item.onDeadline(nowMs);
      item = this.#head;
    }
  }
}

/** The lists of one event loop, one for every duration in use. */
export class Deadlines {
  readonly #lists = new Map<number, DeadlineList>();

  /** bounded by the number of different durations in the configuration */
  list(durationMs: number): DeadlineList {
    let list = this.#lists.get(durationMs);
    if (list === undefined) {
      list = new DeadlineList(durationMs);
      this.#lists.set(durationMs, list);
    }
    return list;
  }

  /** Milliseconds until the first one is due, rounded up; -1 when nothing waits. */
  untilNext(nowMs: number): number {
    let earliestMs = Number.POSITIVE_INFINITY;
    for (const list of this.#lists.values()) {
      const head = list.head;
      if (head !== null && head.dueMs < earliestMs) earliestMs = head.dueMs;
    }
    if (earliestMs === Number.POSITIVE_INFINITY) return -1;
    return Math.max(0, Math.ceil(earliestMs - nowMs));
  }

  expire(nowMs: number): void {
    for (const list of this.#lists.values()) list.expire(nowMs);
  }
}

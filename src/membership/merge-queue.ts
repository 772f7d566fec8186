/**
 * States of other members on their way into this one. Small ones are taken in at once; large ones wait for each other and
 * go in slice by slice, with pauses in which the node does everything else. Bounded: what is too much is not taken in.
 */
const MAX_WAITING = 8;
/** At least as long as a slice takes: half of the time is for the rest of the node. */
const PAUSE_MS = 5;

export interface Merge {
  /** A slice of the work at each step. */
  readonly steps: Generator<void, boolean | null>;
  /** Whether anything was believed; null: it was damaged. */
  readonly onDone: (isMerged: boolean | null) => void;
}

export class MergeQueue {
  readonly #waiting: Merge[] = [];
  #nextMs = Number.POSITIVE_INFINITY;

  get nextDeadlineMs(): number {
    return this.#nextMs;
  }

  /** All of it, now. */
  runAtOnce({ steps, onDone }: Merge): void {
    let step = steps.next();
    while (step.done !== true) step = steps.next();
    onDone(step.value);
  }

  /** False when there are too many. */
  add(merge: Merge, nowMs: number): boolean {
    if (this.#waiting.length >= MAX_WAITING) return false;
    this.#waiting.push(merge);
    if (this.#waiting.length === 1) this.#nextMs = nowMs;
    return true;
  }

  tick(nowMs: number): void {
    if (nowMs < this.#nextMs) return;
    const merge = this.#waiting[0]!;
    const step = merge.steps.next();
    if (step.done === true) this.#waiting.shift();
    this.#nextMs = this.#waiting.length === 0 ? Number.POSITIVE_INFINITY : nowMs + PAUSE_MS;
    if (step.done === true) merge.onDone(step.value);
  }
}

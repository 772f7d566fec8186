/**
 * Memory that a load has left in a thread, returned to the system once the load is over.
 *
 * The engine sweeps its heap and returns free blocks from timers of the runtime's loop. A thread that waits in epoll
 * never runs them, so it would keep what it needed at its busiest. A sweep takes 5 to 15 ms: it needs enough work since
 * the last one, and waits for a quiet moment, but no longer than a minute.
 */
import { type DeadlineList, Waiting } from "./deadline-list.ts";
import type { EventLoop, TurnEnder } from "./event-loop.ts";

const PERIOD_MS = 2000;
/** In a period: so few wait behind a collection. */
const QUIET_EVENTS = 2000;
/** Since the last time: a connection has about ten. */
const WORTHWHILE_EVENTS = 4096;
/** After the last time: a load that comes and goes is not to pay for each of its pauses, one that stays for every minute. */
const QUIET_INTERVAL_MS = 10_000;
const BUSY_INTERVAL_MS = 60_000;

export class Scavenger extends Waiting implements TurnEnder {
  readonly #periods: DeadlineList;
  /** Events up to the last time, and up to the beginning of this period. */
  #doneEvents = 0;
  #periodEvents = 0;
  #doneMs: number;

  /** @param scavenge returns memory */
  constructor(
    readonly loop: Pick<EventLoop, "events" | "nowMs" | "deadlines">,
    readonly scavenge: () => void,
  ) {
    super();
    this.#periods = loop.deadlines.list(PERIOD_MS);
    this.#doneMs = loop.nowMs;
  }

  onTurnEnd(): void {
    if (this.waitingIn !== null || this.loop.events - this.#doneEvents < WORTHWHILE_EVENTS) return;
    this.#beginPeriod();
  }

  onDeadline(nowMs: number): void {
    const isQuiet = this.loop.events - this.#periodEvents <= QUIET_EVENTS;
    const intervalMs = isQuiet ? QUIET_INTERVAL_MS : BUSY_INTERVAL_MS;
    if (nowMs - this.#doneMs < intervalMs) return this.#beginPeriod();
    this.scavenge();
    this.#doneEvents = this.loop.events;
    this.#doneMs = nowMs;
  }

  #beginPeriod(): void {
    this.#periodEvents = this.loop.events;
    this.#periods.arm(this, this.loop.nowMs);
  }
}

/** Collects all garbage of this thread, sweeps, and returns the pages that are free then. */
export function returnHeap(): void {
  Bun.gc(true);
}

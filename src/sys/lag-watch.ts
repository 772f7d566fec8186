/** Looks once a second how late a loop's deadlines are: as late as what runs in it keeps others waiting. */
import { type DeadlineList, Waiting } from "./deadline-list.ts";
import type { EventLoop } from "./event-loop.ts";

const PERIOD_MS = 1000;

export class LagWatch extends Waiting {
  readonly #periods: DeadlineList;

  constructor(
    readonly loop: Pick<EventLoop, "nowMs" | "deadlines">,
    readonly onLag: (lateMs: number) => void,
  ) {
    super();
    this.#periods = loop.deadlines.list(PERIOD_MS);
    this.#periods.arm(this, loop.nowMs);
  }

  onDeadline(nowMs: number): void {
    this.onLag(nowMs - this.dueMs);
    this.#periods.arm(this, nowMs);
  }
}

/**
 * When what others do to the driver's device may be undone: at once the first times, ever later when the same is done
 * again and again, for instance by a daemon that manages all interfaces. What fails is tried again ever later, too. Pure.
 *
 * The wait doubles from 1 s to 60 s, and begins anew when all has been well for a while.
 */
import type { Fault } from "../../overlay/index.ts";

const FIRST_WAIT_MS = 1_000;
const MAX_WAIT_MS = 60_000;
/** So many in a row come without a wait. */
const FREE_REPAIRS = 5;

export class RepairPace {
  #notBeforeMs = Number.NEGATIVE_INFINITY;
  #kinds: ReadonlySet<string> = new Set();
  /** In a row. */
  #repairs = 0;
  #failures = 0;

  /** Of the next repair. */
  get notBeforeMs(): number {
    return this.#notBeforeMs;
  }

  mayRepair(nowMs: number): boolean {
    return nowMs >= this.#notBeforeMs;
  }

  /** Gives how often in a row the same was repaired. */
  onRepaired(faults: readonly Pick<Fault, "kind">[], nowMs: number): number {
    const isSame = faults.some(({ kind }) => this.#kinds.has(kind));
    const isForgotten = nowMs > this.#notBeforeMs + MAX_WAIT_MS;
    this.#repairs = isSame && !isForgotten ? this.#repairs + 1 : 1;
    this.#kinds = new Set<string>(faults.map(({ kind }) => kind));
    this.#wait(this.#repairs - FREE_REPAIRS, nowMs);
    return this.#repairs;
  }

  onFailed(nowMs: number): void {
    this.#failures++;
    this.#wait(this.#failures, nowMs);
  }

  /** Nothing fails. */
  onFine(): void {
    this.#failures = 0;
  }

  #wait(times: number, nowMs: number): void {
    const waitMs = times < 1 ? 0 : FIRST_WAIT_MS * 2 ** (times - 1);
    this.#notBeforeMs = nowMs + Math.min(waitMs, MAX_WAIT_MS);
  }
}

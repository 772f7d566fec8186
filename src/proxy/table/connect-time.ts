/**
 * How long connects to one place take, those included whose SYN was sent again, and how long one may take before it is
 * given up: as long as a segment and its next four repetitions may, each after twice the time. [RFC 6298 §5.5]
 * Where segments get lost, connects take long now and then, and all get more time.
 */
import { RttEstimator, type TimeoutBounds } from "../../sys/rtt-estimator.ts";

const TIMEOUT: TimeoutBounds = { firstMs: 1_000, floorMs: 0, ceilingMs: 10_000, marginMs: 100 };
/** To an address of 127/8 or ::1: no packet gets lost. */
const TIMEOUT_HERE: TimeoutBounds = { ...TIMEOUT, firstMs: 100 };
/** 1 + 2 + 4 + 8 + 16 */
const TIMEOUTS_PER_CONNECT = 31;
/** So long in any case. A client that waits longer than the last has given up itself. In steps: each is a list to look at. */
const PATIENCE_MS = [5_000, 7_500, 10_000, 15_000, 20_000, 32_000, 60_000];

export class ConnectTime {
  readonly #time: RttEstimator;

  constructor(isLoopback = false) {
    this.#time = new RttEstimator(isLoopback ? TIMEOUT_HERE : TIMEOUT);
  }

  /** Within which most connects are over. */
  get timeoutMs(): number {
    return this.#time.timeoutMs;
  }

  /** How long a connect may take; null: none has succeeded yet. */
  get measuredPatienceMs(): number | null {
    return this.#time.smoothedMs === null ? null : patienceMs(this.timeoutMs);
  }

  add(tookMs: number, nowMs: number): void {
    this.#time.add(tookMs, nowMs);
  }
}

/** How long something may take whose parts have these timeouts together; one of few values. */
export function patienceMs(timeoutMs: number): number {
  return stepFrom(PATIENCE_MS, timeoutMs * TIMEOUTS_PER_CONNECT);
}

/** The first of these that is as long, or the last. @param stepsMs ascending */
export function stepFrom(stepsMs: readonly number[], wantedMs: number): number {
  let step = 0;
  while (step < stepsMs.length - 1 && stepsMs[step]! < wantedMs) step++;
  return stepsMs[step]!;
}

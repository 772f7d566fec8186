/**
 * Turns what workers count while something runs out into reports: at once, then ever more rarely while it goes on, down
 * to one a minute. A stranger who causes it must not be able to fill the log.
 */
import type { Clock } from "../sys/clock.ts";
import {
  REFUSAL_INDEX,
  type RefusalReason,
  S_REFUSALS,
  SERVICE_FIELDS,
  type SharedCounters,
  sumRows,
} from "./table/counters.ts";

const FIRST_PAUSE_MS = 1_000;
const MAX_PAUSE_MS = 60_000;
/** Refusals that say that something has run out. */
const REASONS = ["out-of-descriptors", "out-of-ports"] as const satisfies readonly RefusalReason[];

/** What has run out since the last report. */
export interface Shortage {
  /** Connections and sessions that were refused or closed for it. */
  readonly services: readonly {
    readonly service: string;
    readonly reason: (typeof REASONS)[number];
    readonly count: number;
  }[];
  /** How often the kernel had no descriptor to give. */
  readonly exhausted: number;
  /** Workers on which clients wait for descriptors. */
  readonly waitingWorkers: number;
  /** Limit of open files. */
  readonly fileLimit: number;
}

export interface ShortageWatchOptions {
  readonly counters: SharedCounters;
  readonly clock: Clock;
  readonly fileLimit: number;
  /** Where services are counted, by name. */
  readonly slots: () => ReadonlyMap<string, number>;
  readonly onShortage: (shortage: Shortage) => void;
}

export class ShortageWatch {
  readonly #options: ShortageWatchOptions;
  /** by service and reason; what has been reported. Bounded by the services there are. */
  #reported: ReadonlyMap<string, number> = new Map();
  #exhausted = 0;
  #reportedMs = Number.NEGATIVE_INFINITY;
  #pauseMs = FIRST_PAUSE_MS;
  /** Calls off the next report; null: there is none to come. */
  #cancel: (() => void) | null = null;

  constructor(options: ShortageWatchOptions) {
    this.#options = options;
  }

  /** A worker says that something has run out. */
  onShortage(): void {
    if (this.#cancel !== null) return;
    const { clock } = this.#options;
    const quietMs = clock.nowMs() - this.#reportedMs;
    if (quietMs > 2 * MAX_PAUSE_MS) this.#pauseMs = FIRST_PAUSE_MS / 2;
    if (quietMs >= this.#pauseMs) return this.#report();
    this.#cancel = clock.after(this.#pauseMs - quietMs, () => this.#report());
  }

  stop(): void {
    this.#cancel?.();
    this.#cancel = null;
  }

  #report(): void {
    this.stop();
    const { clock, counters, fileLimit, onShortage } = this.#options;
    this.#reportedMs = clock.nowMs();
    this.#pauseMs = Math.min(2 * this.#pauseMs, MAX_PAUSE_MS);
    const before = this.#reported;
    const now = this.#read();
    this.#reported = new Map(now.map(({ key, total }) => [key, total]));
    const services = now
      .map(({ key, service, reason, total }) => ({ service, reason, count: total - (before.get(key) ?? 0) }))
      .filter(({ count }) => count > 0);
    const exhaustedBefore = this.#exhausted;
    this.#exhausted = sum(counters.exhausted);
    const exhausted = this.#exhausted - exhaustedBefore;
    const waitingWorkers = sum(counters.paused);
    if (services.length > 0 || exhausted > 0 || waitingWorkers > 0)
      onShortage({ services, exhausted, waitingWorkers, fileLimit });
  }

  #read() {
    const { counters, slots } = this.#options;
    return [...slots()].flatMap(([service, slot]) =>
      REASONS.map((reason) => {
        const at = slot * SERVICE_FIELDS + S_REFUSALS + REFUSAL_INDEX[reason];
        return { key: `${reason} ${service}`, service, reason, total: sumRows(counters.services, at) };
      }),
    );
  }
}

function sum(counts: Int32Array): number {
  return counts.reduce((total, count) => total + count, 0);
}

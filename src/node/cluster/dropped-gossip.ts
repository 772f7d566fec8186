/** Gossip that was thrown away: counted by reason, and reported once a minute and reason, so that a stranger cannot fill the log. */
import type { Clock } from "../../sys/clock.ts";
import { type KeyMismatch, KeyMismatches } from "./key-mismatch.ts";

const REPORT_AGAIN_MS = 60_000;

export interface DroppedGossipOptions {
  readonly clock: Clock;
  readonly onDropped: (reason: string, from: string) => void;
}

export class DroppedGossip {
  readonly #options: DroppedGossipOptions;
  readonly #total: Record<string, number> = {};
  readonly #reportedAtMs = new Map<string, number>();
  readonly #keyMismatches = new KeyMismatches();

  constructor(options: DroppedGossipOptions) {
    this.#options = options;
  }

  /** Packets and streams since the start, by reason. */
  get total(): Readonly<Record<string, number>> {
    return this.#total;
  }

  get keyMismatches(): KeyMismatch[] {
    return this.#keyMismatches.current(this.#options.clock.nowMs());
  }

  drop(reason: string, from: string): void {
    this.count(reason);
    const nowMs = this.#options.clock.nowMs();
    this.#keyMismatches.note(reason, from, nowMs);
    if (nowMs - (this.#reportedAtMs.get(reason) ?? Number.NEGATIVE_INFINITY) < REPORT_AGAIN_MS) return;
    this.#reportedAtMs.set(reason, nowMs); // bounded by the number of reasons
    this.#options.onDropped(reason, from);
  }

  /** Without a report. */
  count(reason: string): void {
    this.#total[reason] = (this.#total[reason] ?? 0) + 1;
  }
}

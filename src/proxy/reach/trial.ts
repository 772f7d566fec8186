/**
 * A task of this node that has failed a client: whether it is reachable again, and whether it counts as down. Decides
 * only; `Probe` asks.
 *
 * A short outage, such as the restart of a backend, never counts: a task is down when every probe of a while has failed.
 */
import type { ProbeResult } from "./probe.ts";

/** Refused for so long, a task is down: longer than a backend takes to restart. */
export const REFUSED_MS = 2_000;
/** Silent for so long, a task is down: one that is near, or has never been reached. */
export const SILENT_MS = 5_000;
const FIRST_PROBE_MS = 100;
/** With the time of one probe: how long a task that is back may stay unnoticed. */
const INTERVAL_MS = 400;
/** Where ICMP errors are limited to one a second. */
const LIMITED_INTERVAL_MS = 1_000;

export class Trial {
  isDown = false;
  nextProbeMs: number;
  readonly #failingSinceMs: number;
  #refusedSinceMs: number;

  constructor(
    nowMs: number,
    /** One that is far away, or to which packets get lost, may be silent for longer. */
    readonly silentMs = SILENT_MS,
  ) {
    this.#failingSinceMs = nowMs;
    this.#refusedSinceMs = nowMs;
    this.nextProbeMs = nowMs + FIRST_PROBE_MS;
  }

  /** "answered": the trial is over. "down": it is from now on. */
  onResult(result: ProbeResult, isRateLimited: boolean, nowMs: number): "answered" | "down" | "unchanged" {
    if (result === "answered") return "answered";
    this.nextProbeMs = nowMs + (isRateLimited ? LIMITED_INTERVAL_MS : INTERVAL_MS);
    if (result === "not-sent") return "unchanged";
    if (result === "silent") this.#refusedSinceMs = nowMs;
    const hasFailed =
      nowMs - this.#refusedSinceMs >= REFUSED_MS || nowMs - this.#failingSinceMs >= this.silentMs;
    if (this.isDown || !hasFailed) return "unchanged";
    this.isDown = true;
    return "down";
  }
}

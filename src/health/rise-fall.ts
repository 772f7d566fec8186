/**
 * The health of one task, from the results of its probes. Pure: the time is handed in.
 *
 *     starting --first success--> healthy <--rise successes-- unhealthy
 *        |                          |                            ^
 *        '---- fall failures -------'---- fall failures ---------'
 *
 * "drain" makes any of them draining; from there one success is enough, as the task itself says that it is ready.
 */
import type { ProbeResult } from "./probe-result.ts";

export type HealthState = "starting" | "healthy" | "unhealthy" | "draining";

export interface Health {
  readonly state: HealthState;
  readonly reason: string;
  /** When the state began, ms since 1970. */
  readonly since: number;
}

export interface RiseFallRules {
  readonly rise: number;
  readonly fall: number;
}

/** A reason that changes with each probe is reported so often at most: others hear of each report. */
const REASON_PAUSE_MS = 10_000;

export class RiseFall {
  rules: RiseFallRules;
  #health: Health;
  #successes = 0;
  #failures = 0;
  #reasonAtMs: number;

  constructor(rules: RiseFallRules, health: Health) {
    this.rules = rules;
    this.#health = health;
    this.#reasonAtMs = Number.NEGATIVE_INFINITY;
  }

  get health(): Health {
    return this.#health;
  }

  /** Whether there is something to report: another state, or another reason for one without clients. */
  onResult({ outcome, reason }: ProbeResult, nowMs: number): boolean {
    this.#count(outcome);
    const state = this.#next(outcome);
    if (state !== this.#health.state) return this.#report({ state, reason, since: nowMs }, nowMs);
    const isShown = outcome !== "up" && state !== "healthy" && reason !== this.#health.reason;
    if (!isShown || nowMs - this.#reasonAtMs < REASON_PAUSE_MS) return false;
    return this.#report({ ...this.#health, reason }, nowMs);
  }

  #count(outcome: ProbeResult["outcome"]): void {
    this.#successes = outcome === "up" ? this.#successes + 1 : 0;
    this.#failures = outcome === "down" ? this.#failures + 1 : 0;
  }

  #next(outcome: ProbeResult["outcome"]): HealthState {
    const { state } = this.#health;
    if (outcome === "drain") return "draining";
    if (outcome === "down") return this.#failures >= this.rules.fall ? "unhealthy" : state;
    return state === "unhealthy" && this.#successes < this.rules.rise ? state : "healthy";
  }

  #report(health: Health, nowMs: number): boolean {
    this.#health = health;
    this.#reasonAtMs = nowMs;
    return true;
  }
}

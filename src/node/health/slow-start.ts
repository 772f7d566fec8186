/**
 * The share of tasks that have become healthy lately: a tenth at first, the whole after slow_start. By the clock of this node:
 * those of others need not agree, so what lies in the future begins now.
 */
import type { TaskRecord } from "../../catalog/index.ts";
import { shareKey } from "../rotation.ts";

/** Each step is a new routing table. */
const STEPS = 10;
const LEAST_STEP_MS = 200;

type Task = Pick<TaskRecord, "service" | "name" | "health"> & { readonly owner: string };

interface Start {
  /** As the record says. */
  readonly since: number;
  readonly beganAtMs: number;
}

export class SlowStart {
  /** By shareKey; bounded by the tasks of services with slow_start. */
  #starts = new Map<string, Start>();

  /**
   * @param slowStartMs of a service; 0: it has none
   * @returns the tasks without their whole share, by shareKey; and when that changes next, null: not by itself
   */
  sharesOf(
    tasks: readonly Task[],
    slowStartMs: (service: string) => number,
    nowMs: number,
  ): { readonly shares: ReadonlyMap<string, number>; readonly nextInMs: number | null } {
    const starts = new Map<string, Start>();
    const shares = new Map<string, number>();
    let nextInMs: number | null = null;
    for (const { owner, service, name, health } of tasks) {
      const rampMs = slowStartMs(service);
      if (rampMs === 0 || health?.state !== "healthy") continue;
      const key = shareKey(owner, service, name);
      const start = this.#startOf(key, health.since, rampMs, nowMs);
      starts.set(key, start);
      const share = shareAfter(nowMs - start.beganAtMs, rampMs);
      if (share === 1) continue;
      shares.set(key, share);
      nextInMs = Math.min(nextInMs ?? Number.POSITIVE_INFINITY, Math.max(LEAST_STEP_MS, rampMs / STEPS));
    }
    this.#starts = starts;
    return { shares, nextInMs };
  }

  #startOf(key: string, since: number, rampMs: number, nowMs: number): Start {
    const known = this.#starts.get(key);
    if (known?.since === since) return known;
    const elapsedMs = Math.min(rampMs, Math.max(0, nowMs - since));
    return { since, beganAtMs: nowMs - elapsedMs };
  }
}

function shareAfter(elapsedMs: number, rampMs: number): number {
  const step = Math.floor((elapsedMs / rampMs) * STEPS);
  return Math.min(STEPS, step + 1) / STEPS;
}

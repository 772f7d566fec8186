/**
 * Garbage of the data path, collected in small portions: after a thousand events, but twice a second at most. The
 * engine would wait until there is as much as the heap holds, to which it counts all arenas, and never return what it
 * took for that. A collection takes 1 to 2 ms; one for every thousand objects would delay one exchange in a hundred, and
 * be its p99.
 */
import { edenGC } from "bun:jsc";
import type { EventLoop, TurnEnder } from "./event-loop.ts";

const PORTION_EVENTS = 1024;
const INTERVAL_MS = 500;

export class Collector implements TurnEnder {
  #collectedEvents = 0;
  #collectedMs = Number.NEGATIVE_INFINITY;

  constructor(
    readonly loop: Pick<EventLoop, "events" | "nowMs">,
    readonly collect: () => void = edenGC,
  ) {}

  onTurnEnd(): void {
    const { events, nowMs } = this.loop;
    if (events - this.#collectedEvents < PORTION_EVENTS) return;
    if (nowMs - this.#collectedMs < INTERVAL_MS) return;
    this.#collectedEvents = events;
    this.#collectedMs = nowMs;
    this.collect();
  }
}

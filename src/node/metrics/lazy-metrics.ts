/**
 * The metrics of a node that is perhaps never asked for any: what has to be watched from the start is, the rest is
 * loaded with the first scrape.
 */
import type { Clock } from "../../sys/clock.ts";
import { KeyAge } from "./key-age.ts";
import { LoopLag } from "./loop-lag.ts";
import type { MetricsState, NodeMetrics, Scrape } from "./node-metrics.ts";
import type { NodeSources } from "./node-sources.ts";
import { ReloadCounts } from "./reload-counts.ts";

export interface LazyMetricsOptions {
  /** For measuring. */
  readonly clock: Clock;
  /** ms since 1970 */
  readonly startedMs: number;
  /** Of the process before this one; null: there was none. */
  readonly state: MetricsState | null;
  readonly sources: (own: LazyMetrics) => NodeSources;
}

export class LazyMetrics {
  readonly reloads: ReloadCounts;
  readonly keyAge = new KeyAge();
  readonly #options: LazyMetricsOptions;
  readonly #lag: LoopLag;
  #metrics: Promise<NodeMetrics> | null = null;

  constructor(options: LazyMetricsOptions) {
    this.#options = options;
    this.reloads = new ReloadCounts(options.startedMs);
    this.#lag = new LoopLag(options.clock);
    this.#lag.continueFrom(options.state?.lag ?? []);
  }

  /** By the headers of the request; null: it has none. */
  async scrape(accept: string | null, acceptEncoding: string | null): Promise<Scrape> {
    return (await this.#load()).scrape(accept, acceptEncoding);
  }

  /** For the next process of this node. */
  async state(): Promise<MetricsState> {
    return (await this.#load()).state();
  }

  stop(): void {
    this.#lag.stop();
  }

  #load(): Promise<NodeMetrics> {
    this.#metrics ??= this.#make();
    return this.#metrics;
  }

  async #make(): Promise<NodeMetrics> {
    const { NodeMetrics } = await import("./node-metrics.ts");
    const { sources, state } = this.#options;
    return new NodeMetrics(sources(this), this.#lag, state);
  }
}

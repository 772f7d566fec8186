/** All metrics of a node: those of the whole of it, then the tables of services and tasks. */
import {
  acceptsGzip,
  type CarriedCounts,
  contentType,
  formatFor,
  labelsOf,
  MetricRegistry,
  TextWriter,
} from "../../metrics/index.ts";
import type { ProxyTotals } from "../../proxy/index.ts";
import type { ProcessFigures } from "../../sys/process-figures.ts";
import type { LoopLag } from "./loop-lag.ts";
import type { NodeSources, Reading } from "./node-sources.ts";
import { BUCKETS, TableMetrics } from "./table-metrics.ts";
import { addWholeMetrics } from "./whole-metrics.ts";

const MS_PER_SECOND = 1000;

export interface Scrape {
  readonly contentType: string;
  /** To be compressed with gzip. */
  readonly isZipped: boolean;
  /** Each is valid until the next. To be taken with pauses in which the node does its other work. */
  readonly chunks: AsyncIterable<Uint8Array>;
}

/** What the next process of this node goes on with. */
export interface MetricsState {
  readonly counts: CarriedCounts;
  readonly lag: readonly number[];
}

export class NodeMetrics {
  readonly #sources: NodeSources;
  readonly #registry: MetricRegistry;
  readonly #tables: TableMetrics;
  readonly #lag: LoopLag;
  #reading: Reading | null = null;
  /** This thread's time for the last scrape. */
  #writeMs = 0;

  constructor(sources: NodeSources, lag: LoopLag, state: MetricsState | null) {
    this.#sources = sources;
    this.#lag = lag;
    this.#registry = new MetricRegistry(state?.counts);
    this.#tables = new TableMetrics(sources.config().node.name);
    addWholeMetrics(
      this.#registry,
      sources,
      () => this.#reading!,
      () => this.#writeMs,
    );
  }

  /** By the headers of the request; null: it has none. */
  scrape(accept: string | null, acceptEncoding: string | null): Scrape {
    const format = formatFor(accept);
    return {
      contentType: contentType(format),
      isZipped: acceptsGzip(acceptEncoding),
      chunks: this.#write(new TextWriter(format)),
    };
  }

  async state(): Promise<MetricsState> {
    this.#read(await this.#sources.process());
    return { counts: this.#registry.counts(), lag: [...this.#lag.row] };
  }

  #read(process: ProcessFigures): ProxyTotals {
    const totals = this.#sources.totals();
    this.#reading = { totals, process };
    return totals;
  }

  async *#write(writer: TextWriter): AsyncGenerator<Uint8Array> {
    const { steadyMs } = this.#sources;
    const process = await this.#sources.process();
    const startedMs = steadyMs();
    const totals = this.#read(process);
    await this.#registry.write(writer);
    writeLoopLags(writer, this.#lag.row, totals.loopLags);
    let usedMs = steadyMs() - startedMs;
    const rows = this.#tables.write(writer, totals);
    for (let isOver = false; !isOver; ) {
      const resumedMs = steadyMs();
      isOver = rows.next().done === true;
      if (isOver) writer.end();
      const chunk = writer.take();
      usedMs += steadyMs() - resumedMs;
      yield chunk;
    }
    this.#writeMs = usedMs;
  }
}

function writeLoopLags(writer: TextWriter, main: Float64Array, workers: readonly Float64Array[]): void {
  writer.family({
    name: "portmesh_event_loop_lag_seconds",
    type: "histogram",
    help: "How late a timer of the thread was, looked at once a second.",
  });
  const rows = [["main", main], ...workers.map((row, index) => [`worker-${index}`, row] as const)] as const;
  for (const [thread, row] of rows)
    writer.histogram(labelsOf({ thread }), row, 0, BUCKETS, row[BUCKETS.length]! / MS_PER_SECOND);
}

/**
 * The metrics of a node as a whole, each read when it is asked for. The big tables are not in it: prom-client takes
 * fifteen times as long for a sample as text-writer.ts.
 */
import { Counter, Gauge, Registry } from "prom-client";
import { labelsOf, type TextWriter } from "./text-writer.ts";

export type Labels = Readonly<Record<string, string | number>>;
export type Reading = readonly (readonly [labels: Labels, value: number])[];

/** Without labels. */
export function single(value: number): Reading {
  return [[{}, value]];
}

interface Described {
  readonly name: string;
  readonly help: string;
  readonly labels?: readonly string[];
  /** [] when there is none now. */
  readonly read: () => Reading;
}

/** Counts of an earlier process, by name and labels. */
export type CarriedCounts = readonly (readonly [name: string, labels: Labels, value: number])[];

export class MetricRegistry {
  readonly #registry = new Registry();
  /** What begins at 0 in each process. */
  readonly #counters: (() => CarriedCounts)[] = [];

  /** @param carried what the process before this one had counted, and this one goes on with */
  constructor(readonly carried: CarriedCounts = []) {}

  gauge({ name, help, labels = [], read }: Described): void {
    new Gauge({
      name,
      help,
      labelNames: labels,
      registers: [this.#registry],
      collect() {
        collect(this, labels, read(), (values, value) => this.set(values, value));
      },
    });
  }

  /** Its values never get smaller, not in the next process either. */
  counter({ read, ...described }: Described): void {
    const { name } = described;
    const carried = this.carried.filter(([each]) => each === name);
    const readAll = (): Reading => [
      ...carried.map(([, labels, value]) => [labels, value] as const),
      ...read(),
    ];
    this.continuedCounter({ ...described, read: readAll });
    this.#counters.push(() => readAll().map(([labels, value]) => [name, labels, value] as const));
  }

  /** A counter whose source itself goes on where that of the process before has ended. */
  continuedCounter({ name, help, labels = [], read }: Described): void {
    new Counter({
      name,
      help,
      labelNames: labels,
      registers: [this.#registry],
      collect() {
        collect(this, labels, read(), (values, value) => this.inc(values, value));
      },
    });
  }

  /** For the process after this one. */
  counts(): CarriedCounts {
    const sums = new Map<string, [name: string, labels: Labels, value: number]>();
    for (const [name, labels, value] of this.#counters.flatMap((read) => read())) {
      const key = JSON.stringify([name, labels]);
      sums.set(key, [name, labels, value + (sums.get(key)?.[2] ?? 0)]);
    }
    return [...sums.values()];
  }

  async write(writer: TextWriter): Promise<void> {
    for (const { name, help, type, values } of await this.#registry.getMetricsAsJSON()) {
      writer.family({ name, help, type: String(type) === "counter" ? "counter" : "gauge" });
      for (const { labels, value } of values) {
        if (Object.keys(labels).length === 0) writer.bareSample(value);
        else writer.sample(labelsOf(labels as Labels), value);
      }
    }
  }
}

/** What it had is replaced. prom-client keeps a metric without labels at 0 where it has been told nothing. */
function collect(
  metric: { reset(): void; remove(labels: object): void },
  labels: readonly string[],
  reading: Reading,
  put: (values: Record<string, string | number>, value: number) => void,
): void {
  metric.reset();
  if (labels.length === 0 && reading.length === 0) metric.remove({});
  for (const [values, value] of reading) put({ ...values }, value);
}

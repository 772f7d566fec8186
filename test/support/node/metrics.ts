/** /metrics of a node, read as a scraper does: every line must be one that Prometheus understands. */
import { expect } from "bun:test";

export interface MetricFamily {
  readonly type: string;
  readonly help: string;
}

const LABEL = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"/g;
const SAMPLE = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$/;

export class Metrics {
  readonly families = new Map<string, MetricFamily>();
  /** By name and labels, as written. */
  readonly samples = new Map<string, number>();
  readonly #labels = new Map<string, Readonly<Record<string, string>>>();

  constructor(readonly text: string) {
    let family = "";
    for (const line of text.trimEnd().split("\n")) {
      const [, kind, name, rest] = /^# (HELP|TYPE) (\S+) (.*)$/.exec(line) ?? [];
      if (kind === "HELP") this.families.set((family = name!), { type: "", help: rest! });
      else if (kind === "TYPE") this.families.set(name!, { ...this.families.get(name!)!, type: rest! });
      else if (line !== "# EOF") this.#addSample(line, family);
    }
  }

  static async of(socket: string): Promise<Metrics> {
    const response = await fetch("http://portmesh/metrics", { unix: socket });
    expect(response.status).toBe(200);
    return new Metrics(await response.text());
  }

  /** The one sample with at least these labels. */
  value(name: string, labels: Readonly<Record<string, string>> = {}): number {
    const found = this.#matching(name, labels);
    if (found.length !== 1) throw new Error(`${found.length} samples of ${name} ${JSON.stringify(labels)}`);
    return this.samples.get(found[0]!)!;
  }

  /** Of all samples with at least these labels; 0 when there are none. */
  sum(name: string, labels: Readonly<Record<string, string>> = {}): number {
    return this.#matching(name, labels).reduce((sum, key) => sum + this.samples.get(key)!, 0);
  }

  has(name: string, labels: Readonly<Record<string, string>> = {}): boolean {
    return this.#matching(name, labels).length > 0;
  }

  /** Samples that must never get smaller. */
  get counters(): ReadonlyMap<string, number> {
    const isCounter = (key: string) => {
      const name = key.split("{", 1)[0]!;
      const type =
        this.families.get(name)?.type ?? this.families.get(name.replace(/_(?:bucket|sum|count)$/, ""))?.type;
      return type === "counter" || (type === "histogram" && !name.endsWith("_sum"));
    };
    return new Map([...this.samples].filter(([key]) => isCounter(key)));
  }

  #matching(name: string, labels: Readonly<Record<string, string>>): string[] {
    const wanted = Object.entries(labels);
    return [...this.#labels].flatMap(([key, { __name__, ...own }]) =>
      __name__ === name && wanted.every(([label, value]) => own[label] === value) ? [key] : [],
    );
  }

  #addSample(line: string, family: string): void {
    const [, name, labels = "", value] = SAMPLE.exec(line) ?? [];
    if (name === undefined || !name.startsWith(family)) throw new Error(`not a sample of ${family}: ${line}`);
    const pairs = [...labels.matchAll(LABEL)];
    expect(pairs.map(([pair]) => pair).join(",")).toBe(labels);
    const key = line.slice(0, line.lastIndexOf(" "));
    expect(this.samples.has(key)).toBe(false);
    this.samples.set(key, Number(value!.replace("+Inf", "Infinity")));
    const own = Object.fromEntries(pairs.map(([, label, text]) => [label!, text!]));
    this.#labels.set(key, { __name__: name, ...own });
  }
}

/** Clients at several nodes at once, one connection per request, and what became of the requests at each node. */
import { HttpLoad, type HttpLoadOptions, type RequestRecord } from "../load/http-load.ts";
import { waitFor } from "../time/wait-for.ts";

export interface LoadPlace {
  readonly name: string;
  readonly address: string;
}

export interface MeshLoadOptions extends HttpLoadOptions {
  /** At each node. */
  readonly clients?: number;
}

export interface LoadSummary {
  readonly node: string;
  readonly requests: number;
  readonly failed: number;
  /** How many failed for which reason. */
  readonly reasons: Readonly<Record<string, number>>;
  /** Of those that were answered. */
  readonly slowestMs: number;
}

const DEFAULT_CLIENTS = 2;
/** Clients, nodes and tasks share the cores with everything else: load, but no overload. */
const DEFAULT_PAUSE_MS = 15;
/** While a test waits for what the load has no part in. */
const LIGHT_PAUSE_MS = 100;

export class MeshLoad {
  readonly #loads: ReadonlyMap<string, HttpLoad>;
  readonly #pauseMs: number;

  constructor(
    nodes: readonly LoadPlace[],
    port: number,
    { clients = DEFAULT_CLIENTS, pauseMs = DEFAULT_PAUSE_MS, ...options }: MeshLoadOptions = {},
  ) {
    this.#pauseMs = pauseMs;
    this.#loads = new Map(
      nodes.map(({ name, address }) => [name, new HttpLoad(address, port, clients, { pauseMs, ...options })]),
    );
  }

  at(node: string): HttpLoad {
    return this.#loads.get(node)!;
  }

  /** Requests at these nodes that began at or after a time of performance.now(), by their beginning. */
  since(startedMs: number, nodes: readonly string[] = [...this.#loads.keys()]): RequestRecord[] {
    const records = nodes.flatMap((name) => this.at(name).since(startedMs));
    return records.sort((a, b) => a.startedMs - b.startedMs);
  }

  /** Per node, from then on. */
  summary(startedMs = 0): LoadSummary[] {
    return [...this.#loads].map(([node, load]) => summarize(node, load.since(startedMs)));
  }

  /** Waits until each of these nodes has had `count` requests more. */
  async more(count: number, nodes: readonly string[] = [...this.#loads.keys()]): Promise<void> {
    const fromMs = performance.now();
    await waitFor(() => nodes.every((name) => this.at(name).since(fromMs).length >= count), {
      what: `${count} more requests at ${nodes.join()}`,
      deadlineMs: 30_000,
    });
  }

  /** Fewer requests until the wait is over: they take the processor from everything else. */
  async lightly<T>(wait: () => Promise<T>): Promise<T> {
    this.#pause(LIGHT_PAUSE_MS);
    try {
      return await wait();
    } finally {
      this.#pause(this.#pauseMs);
    }
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#loads.values()].map((load) => load.stop()));
  }

  #pause(ms: number): void {
    for (const load of this.#loads.values()) load.pause(ms);
  }
}

function summarize(node: string, records: readonly RequestRecord[]): LoadSummary {
  const reasons: Record<string, number> = {};
  let slowestMs = 0;
  for (const { error, startedMs, endedMs } of records) {
    if (error === null) slowestMs = Math.max(slowestMs, endedMs - startedMs);
    else reasons[error] = (reasons[error] ?? 0) + 1;
  }
  const failed = Object.values(reasons).reduce((sum, count) => sum + count, 0);
  return { node, requests: records.length, failed, reasons, slowestMs };
}

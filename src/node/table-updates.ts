/**
 * The one way a new table gets into the proxy. Reloads, changes of the cluster, changed names and changed interfaces
 * all come through `change`, one after the other, so that no two tables are ever prepared against each other.
 *
 * A change is all or nothing: when it throws, the table, the names and the interfaces are as they were.
 */
import {
  EMPTY_TABLE,
  type PreparedTable,
  type RoutingTable,
  type SpliceProxy,
  type TableChanges,
} from "../proxy/index.ts";
import {
  buildRouting,
  dependsOnInterfaces,
  hostNames,
  type Routing,
  type RoutingWarning,
} from "./build-routing.ts";
import { describeLoop, type ForwardingLoop } from "./forwarding/forwarding-loops.ts";
import type { InterfaceWatch } from "./interface-watch.ts";
import type { PortGate } from "./port-gate.ts";
import type { Resolver } from "./resolver.ts";
import type { RoutingInput } from "./routing-input.ts";
import { SerialQueue } from "./serial-queue.ts";

export type TableGate = Pick<PortGate, "close" | "onApplied">;
export type TableProxy = Pick<SpliceProxy, "compare" | "excessOf" | "prepare" | "commit" | "retryPorts">;

export interface TableUpdatesParts {
  readonly proxy: TableProxy;
  readonly resolver: Resolver;
  readonly interfaces: InterfaceWatch;
  readonly gate: TableGate;
  /** What is to be served now. */
  readonly currentInput: () => RoutingInput;
  /** The warnings of the running table are others than before. */
  readonly onWarnings: (warnings: readonly RoutingWarning[]) => void;
  /** The loops of the running table are others than before. */
  readonly onLoops: (loops: readonly ForwardingLoop[]) => void;
  /** What other nodes have to know of this node's tasks is another than before. */
  readonly onTaskAddresses: (addresses: Routing["taskAddresses"]) => void;
}

/** What may be done while no other change is under way. */
export interface Turn {
  /** What applying would change; changes nothing. */
  preview(input: RoutingInput): TableChanges;
  /** Waits up to `namesMs` for names the running input does not have, then prepares and commits. */
  apply(input: RoutingInput, namesMs: number): Promise<Applied>;
}

/** A fault that a running node tolerates and that a change may not introduce. */
export interface Objection {
  /** The task that loops back to its own port and did not before; null: it is about the input as a whole. */
  readonly loop: ForwardingLoop | null;
  readonly message: string;
}

export interface Applied {
  readonly changes: TableChanges;
  readonly bindErrors: PreparedTable["bindErrors"];
}

const NO_ROUTING: Routing = {
  table: EMPTY_TABLE,
  warnings: [],
  loops: [],
  taskAddresses: [],
};
const NOTHING: Applied = { changes: { listenersOpened: [], listenersClosed: [] }, bindErrors: [] };

export class TableUpdates {
  readonly #parts: TableUpdatesParts;
  readonly #queue = new SerialQueue();
  #input: RoutingInput | null = null;
  #routing: Routing = NO_ROUTING;
  /** Of the table that is due or runs; null: the last one failed. */
  #sources: readonly unknown[] | null = null;
  #portRetries = 0;
  #isRefreshDue = false;
  #isClosed = false;

  constructor(parts: TableUpdatesParts) {
    this.#parts = parts;
  }

  /** That the proxy runs. */
  get table(): RoutingTable {
    return this.#routing.table;
  }

  get warnings(): readonly RoutingWarning[] {
    return this.#routing.warnings;
  }

  /** From now on changes are refused. Resolves when the one under way is done. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#queue.run(async () => undefined);
  }

  change<T>(work: (turn: Turn) => Promise<T>): Promise<T> {
    const turn: Turn = {
      preview: (input) => this.#parts.proxy.compare(this.#build(input).table),
      apply: (input, namesMs) => this.#apply(input, namesMs),
    };
    return this.#queue.run(async () => {
      if (this.#isClosed) throw new Error("the node is draining");
      return await work(turn);
    });
  }

  /**
   * Makes a new table once when `sources` are others than before: of what is to be served by then, after the changes that
   * are under way. Rejects when that fails: the running table stays, and the same sources may be given again.
   */
  async follow(sources: readonly unknown[]): Promise<void> {
    if (this.#sources?.every((source, index) => source === sources[index]) === true) return;
    this.#sources = sources;
    if (this.#isRefreshDue || this.#isClosed) return;
    this.#isRefreshDue = true;
    try {
      await this.#queue.run(() => this.#refresh());
    } catch (error) {
      this.#sources = null;
      throw error;
    }
  }

  /** @param retries how often the proxy was due to try ports again that it could not bind; it does when that is more than before */
  async retryPorts(retries: number): Promise<void> {
    if (retries === this.#portRetries) return;
    this.#portRetries = retries;
    await this.#queue.run(async () => {
      if (!this.#isClosed) await this.#parts.proxy.retryPorts();
    });
  }

  /** Why a change by file or command to this input is refused; [] when it is not. */
  objectionsTo(input: RoutingInput): readonly Objection[] {
    const { table, loops } = this.#build(input);
    const known = new Set(this.#routing.loops.map(loopKey));
    const excess = this.#parts.proxy.excessOf(table);
    const isWorse = excess !== null && this.#parts.proxy.excessOf(this.table) === null;
    return [
      ...loops
        .filter((loop) => !known.has(loopKey(loop)))
        .map((loop) => ({ loop, message: describeLoop(loop) })),
      ...(isWorse ? [{ loop: null, message: excess }] : []),
    ];
  }

  async #refresh(): Promise<void> {
    this.#isRefreshDue = false;
    if (this.#input !== null && !this.#isClosed) await this.#apply(this.#parts.currentInput(), 0);
  }

  async #apply(input: RoutingInput, namesMs: number): Promise<Applied> {
    try {
      await this.#resolve(input, namesMs);
      this.#parts.interfaces.setActive(dependsOnInterfaces(input));
      const applied = await this.#commit(this.#build(input));
      this.#input = input;
      this.#parts.gate.onApplied(input, this.#routing.table);
      return applied;
    } finally {
      this.#keepOnlyNeeded();
    }
  }

  /** The names of the running input stay until the new one is committed: it may fail. */
  async #resolve(input: RoutingInput, namesMs: number): Promise<void> {
    const running = this.#input === null ? [] : hostNames(this.#input);
    this.#parts.resolver.keep([...running, ...hostNames(input)]);
    await this.#parts.resolver.allAnswered(namesMs);
  }

  #keepOnlyNeeded(): void {
    if (this.#input === null) return;
    this.#parts.resolver.keep(hostNames(this.#input));
    this.#parts.interfaces.setActive(dependsOnInterfaces(this.#input));
  }

  #build(input: RoutingInput): Routing {
    const { resolver, interfaces, gate } = this.#parts;
    const addressesOf = (host: string) => resolver.addressesOf(host);
    const routing = buildRouting({ input, network: interfaces.network, addressesOf });
    return { ...routing, table: gate.close(routing.table) };
  }

  async #commit(routing: Routing): Promise<Applied> {
    const before = this.#routing;
    const applied = Bun.deepEquals(routing.table, before.table)
      ? NOTHING
      : await this.#switchTo(routing.table);
    this.#routing = routing;
    this.#tellChanges(before, routing);
    return applied;
  }

  #tellChanges(before: Routing, now: Routing): void {
    const { onWarnings, onLoops, onTaskAddresses } = this.#parts;
    if (!Bun.deepEquals(now.warnings, before.warnings)) onWarnings(now.warnings);
    if (!Bun.deepEquals(now.loops, before.loops)) onLoops(now.loops);
    if (!Bun.deepEquals(now.taskAddresses, before.taskAddresses)) onTaskAddresses(now.taskAddresses);
  }

  async #switchTo(table: RoutingTable): Promise<Applied> {
    const prepared = this.#parts.proxy.prepare(table);
    await this.#parts.proxy.commit(prepared);
    return { changes: prepared.changes, bindErrors: prepared.bindErrors };
  }
}

function loopKey({ service, node, task, address, protocol, published }: ForwardingLoop): string {
  return [service, node, task, address, protocol, published].join(" ");
}

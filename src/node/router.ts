/**
 * The one way a new table gets into the proxy. Reloads, changed names and changed interfaces all come through
 * `change`, one after the other, so that no two tables are ever prepared against each other.
 *
 * A change is all or nothing: when it throws, the table, the names and the interfaces are as they were.
 */
import type { Config } from "../config/index.ts";
import type { PreparedTable, RoutingTable, SpliceProxy, TableChanges } from "../proxy/index.ts";
import type { InterfaceWatch } from "./interface-watch.ts";
import type { Resolver } from "./resolver.ts";
import {
  dependsOnInterfaces,
  hostNames,
  type Routing,
  type RoutingWarning,
  routingFromConfig,
} from "./routing-from-config.ts";
import { SerialQueue } from "./serial-queue.ts";

export type TableProxy = Pick<SpliceProxy, "compare" | "prepare" | "commit">;

export interface RouterParts {
  readonly proxy: TableProxy;
  readonly resolver: Resolver;
  readonly interfaces: InterfaceWatch;
  /** The warnings of the running table are others than before. */
  readonly onWarnings: (warnings: readonly RoutingWarning[]) => void;
  /** A refresh failed; the running table stays. */
  readonly onRefreshError: (error: unknown) => void;
}

/** What may be done while no other change is under way. */
export interface Turn {
  /** What applying would change; changes nothing. */
  preview(config: Config): TableChanges;
  /** Waits up to `namesMs` for names the running configuration does not have, then prepares and commits. */
  apply(config: Config, namesMs: number): Promise<Applied>;
}

export interface Applied {
  readonly changes: TableChanges;
  readonly bindErrors: PreparedTable["bindErrors"];
}

const NOTHING: Applied = { changes: { listenersOpened: [], listenersClosed: [] }, bindErrors: [] };

export class Router {
  readonly #parts: RouterParts;
  readonly #queue = new SerialQueue();
  #config: Config | null = null;
  #routing: Routing = { table: { services: [], peers: [], relay: null }, warnings: [] };
  #isRefreshDue = false;
  #isClosed = false;

  constructor(parts: RouterParts) {
    this.#parts = parts;
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
      preview: (config) => this.#parts.proxy.compare(this.#build(config).table),
      apply: (config, namesMs) => this.#apply(config, namesMs),
    };
    return this.#queue.run(async () => {
      if (this.#isClosed) throw new Error("the node is draining");
      return await work(turn);
    });
  }

  /** Names or interfaces have changed: makes a new table of the same configuration, soon and once. */
  refresh(): void {
    if (this.#isRefreshDue || this.#isClosed) return;
    this.#isRefreshDue = true;
    this.#queue
      .run(async () => {
        this.#isRefreshDue = false;
        if (this.#config !== null) await this.#commit(this.#build(this.#config));
      })
      .catch(this.#parts.onRefreshError);
  }

  async #apply(config: Config, namesMs: number): Promise<Applied> {
    try {
      await this.#resolve(config, namesMs);
      this.#parts.interfaces.setActive(dependsOnInterfaces(config));
      const applied = await this.#commit(this.#build(config));
      this.#config = config;
      return applied;
    } finally {
      this.#keepOnlyNeeded();
    }
  }

  /** The running configuration's names stay until the new one is committed: it may fail. */
  async #resolve(config: Config, namesMs: number): Promise<void> {
    const running = this.#config === null ? [] : hostNames(this.#config);
    this.#parts.resolver.keep([...running, ...hostNames(config)]);
    await this.#parts.resolver.settled(namesMs);
  }

  #keepOnlyNeeded(): void {
    if (this.#config === null) return;
    this.#parts.resolver.keep(hostNames(this.#config));
    this.#parts.interfaces.setActive(dependsOnInterfaces(this.#config));
  }

  #build(config: Config): Routing {
    const { resolver, interfaces } = this.#parts;
    const addressesOf = (host: string) => resolver.addressesOf(host);
    return routingFromConfig({ config, network: interfaces.network, addressesOf });
  }

  async #commit(routing: Routing): Promise<Applied> {
    const before = this.#routing;
    const applied = Bun.deepEquals(routing.table, before.table)
      ? NOTHING
      : await this.#switchTo(routing.table);
    this.#routing = routing;
    if (!Bun.deepEquals(routing.warnings, before.warnings)) this.#parts.onWarnings(routing.warnings);
    return applied;
  }

  async #switchTo(table: RoutingTable): Promise<Applied> {
    const prepared = this.#parts.proxy.prepare(table);
    await this.#parts.proxy.commit(prepared);
    return { changes: prepared.changes, bindErrors: prepared.bindErrors };
  }
}

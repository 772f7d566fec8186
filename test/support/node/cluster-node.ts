/** A node without a proxy: its part in the cluster and the passes that keep it in line with the facts. */
import { Catalog } from "../../../src/catalog/index.ts";
import type { Config } from "../../../src/config/index.ts";
import { Cluster, type ClusterOptions } from "../../../src/node/cluster/cluster.ts";
import { ClusterLog } from "../../../src/node/cluster/cluster-log.ts";
import { Events } from "../../../src/node/events/events.ts";
import { routingInput, withConfig } from "../../../src/node/facts/derive.ts";
import { factsAtStart } from "../../../src/node/facts/facts.ts";
import { Reconciler } from "../../../src/node/facts/reconcile.ts";
import type { Log } from "../../../src/node/log.ts";
import type { RoutingInput } from "../../../src/node/routing-input.ts";
import { MemoryGossip } from "../gossip/memory-gossip.ts";
import { seededRandom } from "../random/seeded-random.ts";
import type { ManualClock } from "../time/manual-clock.ts";

export interface ClusterNodeOptions
  extends Partial<Pick<ClusterOptions, "fileChangedAtMs" | "onFatal" | "transport">> {
  readonly config: Config;
  readonly clock: ManualClock;
  readonly log: Log;
  /** Literal address; null: no cluster. */
  readonly address?: string | null;
}

export class ClusterNode {
  readonly catalog: Catalog;
  readonly reconciler: Reconciler;
  readonly events: Events;
  readonly #clock: ManualClock;
  #cluster: Cluster | null = null;

  /** It does not serve yet. */
  static async start(options: ClusterNodeOptions): Promise<ClusterNode> {
    const node = new ClusterNode(options);
    await node.#start(options);
    return node;
  }

  private constructor({ config, clock, address = null }: ClusterNodeOptions) {
    this.#clock = clock;
    this.events = new Events({ self: config.node.name, nowMs: () => clock.nowMs() });
    this.catalog = new Catalog(config.node.name);
    this.reconciler = new Reconciler({
      facts: factsAtStart({
        config,
        path: "/etc/portmesh.toml",
        version: "1.2.3",
        catalog: this.catalog,
        network: { addresses: [], hasIpv6: false },
        announced: address,
      }),
      clock,
      onError: (_part, error) => {
        throw error;
      },
    });
  }

  get cluster(): Cluster {
    return this.#cluster!;
  }

  get writes(): Cluster["writes"] {
    return this.cluster.writes;
  }

  /** What is served. */
  input(): RoutingInput {
    return this.reconciler.routing;
  }

  /** As it would be with another file. */
  inputWith(config: Config): RoutingInput {
    return routingInput(withConfig(this.reconciler.facts, config), this.#clock.nowMs());
  }

  serve(): void {
    this.reconciler.learn({ phase: "serving" });
    this.reconciler.now();
  }

  close(): void {
    this.#cluster?.close();
    this.reconciler.close();
  }

  async #start(options: ClusterNodeOptions): Promise<void> {
    const { clock, log } = options;
    this.#cluster = await Cluster.start({
      catalog: this.catalog,
      reconciler: this.reconciler,
      overlay: null,
      lookup: async (host) => ({ addresses: [host] }),
      transport: new MemoryGossip(clock).transport,
      random: seededRandom(1),
      fileChangedAtMs: () => null,
      onFatal: (error) => {
        throw error;
      },
      ...options,
      ...{ clock, log: new ClusterLog(log, clock), events: this.events },
    });
  }
}

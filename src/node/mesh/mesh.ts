/**
 * This node's part in the mesh: the catalog, the gossip that spreads it, the file that keeps it.
 *
 * A node without [cluster] has the same catalog without anybody to tell: services made by command work there too.
 */
import {
  Catalog,
  type Declarations,
  type Effect as CatalogEffect,
  type FileChanges,
  fileChanges,
  type CatalogWriter,
  type NodeRecord,
} from "../../catalog/index.ts";
import type { Config } from "../../config/index.ts";
import { CLUSTER_TAG, type Member, Membership, PROFILES, PROTOCOL_TAG, type Tell } from "../../membership/index.ts";
import type { Clock } from "../../sys/clock.ts";
import type { LookupHost } from "../../sys/lookup-host.ts";
import { Keyring, packetOverheadBytes } from "../../wire/gossip/index.ts";
import type { ClusterView, ViewRelay } from "../cluster-view.ts";
import { addressOf, hostOf } from "./address.ts";
import { buildView } from "./build-view.ts";
import { declarationsOf } from "./declarations.ts";
import { Gossip } from "./gossip.ts";
import { MeshError } from "./mesh-error.ts";
import type { MeshLog } from "./mesh-log.ts";
import { relayKeys } from "./relay-keys.ts";
import { addressKey, Seeds } from "./seeds.ts";
import { DEFAULT_DATA_DIR, StateStore } from "./state-store.ts";

/** Of a UDP packet that no network splits. */
const PACKET_BYTES = 1_400;
const TICK_MS = 250;
/** Told to others with every member: the version of what portmesh nodes say to each other. */
const PORTMESH_PROTOCOL = "1";
/** How long the start waits for a first answer of a seed: what others know should be known before the first word. */
const FIRST_ANSWER_MS = 1_500;
/** How long a node that stops waits until the others know, before it closes anything. */
const SPREAD_MS = 1_000;
const NAME_CHECK_MS = 1_000;
const MAX_BIND_ERRORS = 64;

export interface MeshOptions {
  readonly config: Config;
  /** Where other nodes reach this one; null: no cluster. */
  readonly address: string | null;
  readonly version: string;
  readonly clock: Clock;
  readonly lookup: LookupHost;
  readonly random: () => number;
  readonly log: MeshLog;
  /** The view may be another than before. */
  readonly onChange: () => void;
  /** The node cannot go on: its name is another's. */
  readonly onFatal: (error: MeshError) => void;
}

export type BindErrors = NodeRecord["bindErrors"];

export class Mesh {
  readonly catalog: Catalog;
  readonly #options: MeshOptions;
  readonly #store: StateStore;
  #config: Config;
  /** What the file said when it was last carried out. */
  #declared: Declarations;
  #gossip: Gossip | null = null;
  #machine: Membership | null = null;
  #seeds: Seeds | null = null;
  #revision = -1;
  #isStopping = false;
  #bindErrors: BindErrors = [];
  #onAnswer: () => void = () => undefined;
  #onMayClose: () => void = () => undefined;
  #cancelTick: () => void = () => undefined;

  /** Throws MeshError. */
  static async start(options: MeshOptions): Promise<Mesh> {
    const mesh = new Mesh(options);
    try {
      await mesh.#enter();
    } catch (error) {
      mesh.close();
      throw error;
    }
    return mesh;
  }

  private constructor(options: MeshOptions) {
    const { config, clock, log } = options;
    this.#options = options;
    this.#config = config;
    this.catalog = new Catalog(config.node.name);
    this.#store = new StateStore({
      directory: config.node.dataDir ?? DEFAULT_DATA_DIR,
      clock,
      snapshot: () => this.#snapshot(),
      onError: (error) => log.store(error),
    });
    this.#declared = this.#restore();
  }

  // --- what is served

  /** Now. */
  view(): ClusterView {
    return this.viewWith(this.#config);
  }

  /** As it would be with this file. */
  viewWith(config: Config): ClusterView {
    const { catalog } = this;
    const preview = catalog.preview((writer) => this.#write(writer, config));
    return buildView({
      self: { name: config.node.name, labels: config.node.labels },
      bind: config.proxy.bind,
      relay: this.#relay(config),
      services: preview.services,
      tasks: preview.tasks,
      nodes: preview.nodes,
      conflicts: preview.conflicts,
      fileOrder: config.services.map((service) => service.name),
    });
  }

  /** This file is carried out from now on: what it says goes to everybody. */
  adopt(config: Config): void {
    this.#config = config;
    this.catalog.transaction((writer) => this.#write(writer, config));
    this.#declared = declarationsOf(config);
    if (config.cluster !== null) {
      this.#gossip?.setKeyring(keyringOf(config.cluster.keys));
      this.#seeds?.change(config.cluster.join);
    }
    this.#store.changed();
    this.#settle();
  }

  /** Listeners that this node cannot open: everybody can see them. */
  setBindErrors(errors: BindErrors): void {
    this.#bindErrors = errors.slice(0, MAX_BIND_ERRORS);
    this.#writeNode();
    this.#settle();
  }

  // --- drain and end

  /** Everybody hears that this node takes no more work for its tasks; resolves when they should have. */
  async announceStop(): Promise<void> {
    this.#isStopping = true;
    this.#writeNode();
    this.#settle();
    if (this.#gossip === null) return;
    const { clock } = this.#options;
    const endMs = clock.nowMs() + SPREAD_MS;
    while (this.catalog.hasNews && this.#peers().length > 0 && clock.nowMs() < endMs) await this.#pause(TICK_MS / 5);
  }

  /** Goodbye to all, then the end of it. */
  async leave(): Promise<void> {
    const gossip = this.#gossip;
    if (gossip !== null) {
      const left = new Promise<void>((resolve) => {
        this.#onMayClose = resolve;
      });
      gossip.run((machine, nowMs) => machine.leave(nowMs));
      await left;
    }
    this.close();
  }

  close(): void {
    this.#cancelTick();
    this.#cancelTick = () => undefined;
    this.#seeds?.close();
    this.#gossip?.close();
    this.#gossip = null;
    this.#store.close();
  }

  // --- start

  async #enter(): Promise<void> {
    const { config } = this;
    if (config.cluster !== null) await this.#openGossip(config.cluster);
    this.#tick();
    if (config.cluster !== null && config.cluster.join.length > 0) await this.#firstAnswer();
    this.adopt(config);
  }

  async #openGossip(cluster: ClusterConfig): Promise<void> {
    const { name } = this.#config.node;
    const { host, port } = cluster.bind;
    const keyring = keyringOf(cluster.keys);
    const machine = new Membership(
      {
        profile: PROFILES[cluster.profile],
        name,
        address: addressOf(this.#options.address!, port)!,
        tags: { [PROTOCOL_TAG]: PORTMESH_PROTOCOL, [CLUSTER_TAG]: cluster.name },
        clusterName: cluster.name,
        packetBudgetBytes: PACKET_BYTES - packetOverheadBytes(keyring ?? RESERVED),
        random: this.#options.random,
        userBroadcasts: this.catalog,
        localState: () => this.catalog.digest(),
      },
      performance.now(),
    );
    this.#machine = machine;
    const { log } = this.#options;
    try {
      this.#gossip = await Gossip.open({
        host,
        port,
        keyring,
        machine,
        exchangeTimeoutMs: PROFILES[cluster.profile].exchangeTimeoutMs,
        onTell: (tell) => this.#onTell(tell),
        onDropped: (reason, from) => log.dropped(reason, from),
      });
    } catch (error) {
      throw cannotBind(cluster.bind, error);
    }
  }
}

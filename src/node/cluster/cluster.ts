/**
 * This node's part in the cluster: the catalog, the other members, the overlay, the state file. It starts and ends them in
 * order; in between each follows the facts (reconcile.ts).
 *
 * A node without [cluster] has the same catalog and no other members: services made by command work there too.
 */
import type { Catalog } from "../../catalog/index.ts";
import type { ClusterConfig, Config } from "../../config/index.ts";
import type { Member, MembershipStats } from "../../membership/index.ts";
import type { NodeClock } from "../../sys/clock.ts";
import type { LookupHost } from "../../sys/lookup-host.ts";
import { dataDirOf } from "../data-dir.ts";
import type { ClusterEvents } from "../events/cluster-events.ts";
import type { Events } from "../events/events.ts";
import { sourceOf } from "../facts/facts.ts";
import type { Reconciler } from "../facts/reconcile.ts";
import type { NodeError } from "../node-error.ts";
import type { HandedOverlay, Overlay } from "../overlay/overlay.ts";
import type { OverlayStatus } from "../overlay/overlay-status.ts";
import type { PeerPorts } from "../port-test/judge.ts";
import type { PortTester } from "../port-test/port-tester.ts";
import type { SocketList } from "../socket-list.ts";
import { StateStore } from "../state-store.ts";
import type { AddressChange } from "./address-watch.ts";
import { CatalogExchange } from "./catalog-exchange.ts";
import { CatalogWrites } from "./catalog-writes.ts";
import type { ClusterLog } from "./cluster-log.ts";
import { type GossipTraffic, NO_TRAFFIC } from "./gossip.ts";
import type { GossipTransport } from "./gossip-transport.ts";
import type { KeyMismatch } from "./key-mismatch.ts";
import { KnownAddresses } from "./known-addresses.ts";
import { type HandedMembers, Members } from "./members.ts";
import { OwnRecords } from "./own-records.ts";
import { newClusterEvents } from "./peer-events.ts";
import { newPortTester } from "./port-tests.ts";

const OVERLAY_TICK_MS = 500;
const NO_STATS: MembershipStats = { healthScore: 0, queueLengths: {}, droppedTotal: {} };

export interface ClusterOptions {
  readonly catalog: Catalog;
  readonly reconciler: Reconciler;
  /** null: no cluster. */
  readonly overlay: Overlay | null;
  readonly clock: NodeClock;
  readonly lookup: LookupHost;
  readonly transport: GossipTransport;
  readonly random: () => number;
  readonly log: ClusterLog;
  /** Of this node. */
  readonly events: Events;
  /** When the file was last written, ms since 1970; null: not known. */
  readonly fileChangedAtMs: () => number | null;
  /** The node cannot go on: its name is another's. */
  readonly onFatal: (error: NodeError) => void;
  /** Of another process of this node, which has stopped with it. */
  readonly inherited?: HandedCluster | undefined;
  readonly sockets?: SocketList | undefined;
}

/** What another process of this node continues with. */
export interface HandedCluster {
  /** The whole catalog; newer than the state file. */
  readonly catalog: string;
  /** null: there is no cluster. */
  readonly members: HandedMembers | null;
  readonly overlay: HandedOverlay | null;
}

/** What stays unknown to other nodes, and why. */
export interface Unpublished {
  /** null: this node's own record: labels, relay, overlay. */
  readonly service: string | null;
  readonly reason: string;
}

export class Cluster {
  readonly writes: CatalogWrites;
  readonly #options: ClusterOptions;
  readonly #config: Config;
  readonly #store: StateStore;
  readonly #known = new KnownAddresses();
  readonly #exchange: CatalogExchange;
  readonly #records: OwnRecords;
  readonly #portTester: PortTester;
  /** Those of all nodes. */
  readonly events: ClusterEvents;
  #members: Members | null = null;
  /** The state file is another process's. */
  #isPaused = false;
  #cancelTick: () => void = () => undefined;

  /** Rejects with NodeError or OverlayError. */
  static async start(options: ClusterOptions): Promise<Cluster> {
    const cluster = new Cluster(options);
    try {
      await cluster.#start();
    } catch (error) {
      cluster.close();
      throw error;
    }
    return cluster;
  }

  private constructor(options: ClusterOptions) {
    const { catalog, reconciler, overlay, clock, log } = options;
    const { self, file } = reconciler.facts;
    this.#options = options;
    this.#config = file.config;
    this.#store = new StateStore({
      directory: dataDirOf(file.config),
      clock,
      snapshot: () => catalog.snapshot(reconciler.kept),
      onError: (error) => log.store(error),
    });
    this.#store.lock();
    this.writes = new CatalogWrites({ ...options, store: this.#store });
    this.#exchange = new CatalogExchange(options);
    this.#records = new OwnRecords(options);
    this.#portTester = newPortTester({
      self,
      clock: clock.steady,
      random: options.random,
      config: () => reconciler.facts.file.config,
      members: () => this.#members,
      nodes: () => catalog.nodes(),
      overlay,
      source: () => sourceOf(reconciler.facts),
    });
    this.events = newClusterEvents({
      self,
      clock,
      config: () => reconciler.facts.file.config,
      members: () => this.#members,
      events: options.events,
    });
  }

  // --- what is known of it

  /** Every member, this node included; [] without a cluster. */
  members(): readonly Member[] {
    return this.#members?.members() ?? [];
  }

  isLiveNode(name: string): boolean {
    const { self, members } = this.#options.reconciler.facts;
    return name === self || members.live.includes(name);
  }

  isKnownNode(name: string): boolean {
    return name === this.#options.reconciler.facts.self || this.#members?.isKnown(name) === true;
  }

  /** What other nodes do not learn of this node and its file. */
  get unpublished(): readonly Unpublished[] {
    return [...this.#unpublishedRecord, ...this.writes.unpublished];
  }

  /** The same with another file; nothing is written. */
  unpublishedWith(config: Config): readonly Unpublished[] {
    return [...this.#unpublishedRecord, ...this.writes.unpublishedWith(config)];
  }

  /** Seeds, as "host:port", that leave this node alone: none answers. */
  get silentSeeds(): readonly string[] {
    return this.#members?.silentSeeds ?? [];
  }

  /** Hosts that use other keys than this node. */
  get keyMismatches(): readonly KeyMismatch[] {
    return this.#members?.keyMismatches ?? [];
  }

  /** Of gossip since the start. */
  get traffic(): GossipTraffic {
    return this.#members?.traffic ?? NO_TRAFFIC;
  }

  get stats(): MembershipStats {
    return this.#members?.stats ?? NO_STATS;
  }

  /** Of the state, locked by this process; null: there is none. */
  get stateDirectory(): string | null {
    return this.#store.lockedDirectory;
  }

  /** Why what must survive a restart cannot be written; null: it can. */
  get storeError(): string | null {
    return this.#store.error;
  }

  get overlayStatus(): OverlayStatus | null {
    return this.#options.overlay?.status ?? null;
  }

  /** Resolves when the overlay's thread has answered. */
  async ping(): Promise<void> {
    await this.#options.overlay?.ping();
  }

  /** Every port between this node and each other, in both directions. Takes some seconds. */
  testPorts(): Promise<readonly PeerPorts[]> {
    return this.#portTester.test();
  }

  // --- what happens to it

  /** The file has not changed: what the catalog has refused of it may be accepted now. */
  offerAgain(): void {
    if (this.unpublished.length > 0) this.writes.applyFile(this.#options.reconciler.facts.file.config);
  }

  /** A dead node that will not come back: it is neither asked nor remembered. */
  forget(name: string): void {
    this.#members?.forget(name);
    this.#learnMembers();
  }

  /** The address that this node announces, or that it should have, has changed. */
  changeAddress(change: AddressChange): void {
    const { log, reconciler } = this.#options;
    log.address(change);
    const before = reconciler.facts.address;
    if (before === null) return;
    const problem = change.kind === "lost" ? change.problem : null;
    const announced = change.kind === "moved" ? change.address : before.announced;
    reconciler.learn({ address: { announced, isLocal: change.kind !== "lost", problem } });
  }

  // --- the end

  /** The others hear that this node takes no more work for its tasks; resolves when they should have. */
  async announceLeaving(): Promise<void> {
    const { reconciler } = this.#options;
    reconciler.learn({ phase: "leaving" });
    reconciler.now();
    await this.#exchange.announced();
  }

  /** Goodbye to all, then the end of it. */
  async leave(): Promise<void> {
    await this.#members?.leave();
    this.close();
  }

  /** Ends announceLeaving and leave, or the next ones, at once. */
  hurry(): void {
    this.#exchange.hurry();
    this.#members?.hurry();
  }

  /** Says and writes nothing until `resume`; the state file is another process's. */
  async pause(): Promise<HandedCluster> {
    const { catalog, reconciler, overlay } = this.#options;
    this.#isPaused = true;
    this.#cancelTick();
    this.#exchange.close();
    const members = this.#members?.pause() ?? null;
    this.#store.close();
    const paused = (await overlay?.pause()) ?? null;
    return { catalog: catalog.wholeSnapshot(reconciler.kept), members, overlay: paused };
  }

  /** The other process did not go on. Rejects with NodeError or the error of the system. */
  async resume(): Promise<void> {
    const { overlay } = this.#options;
    this.#store.lock();
    this.#isPaused = false;
    await this.#members?.resume();
    this.#exchange.start(this.#members);
    if (overlay === null) return;
    await overlay.resume();
    this.#tickLater(overlay);
  }

  close(): void {
    this.events.close();
    this.#cancelTick();
    this.#exchange.close();
    this.#members?.close();
    this.#store.close();
  }

  // --- the start

  /**
   * This node's own records are published before any of another node is accepted: what others remember of an earlier run is
   * compared with them. How old the declarations of its file are is decided after that, when they can be compared.
   */
  async #start(): Promise<void> {
    const { catalog, reconciler, overlay } = this.#options;
    const { self } = reconciler.facts;
    this.#restore();
    catalog.setLive([self]);
    const earlierAddress = catalog.nodes().get(self)?.overlay?.address ?? null;
    if (overlay !== null) reconciler.learn({ overlay: overlay.facts });
    this.writes.declareFirst();
    reconciler.attach("records", (derived) => this.#records.apply(derived));
    reconciler.now();
    if (this.#config.cluster !== null) this.#members = await this.#join(this.#config.cluster);
    this.#learnMembers();
    this.#attach();
    this.#exchange.start(this.#members);
    if (this.#options.inherited === undefined) await this.#exchange.synced();
    overlay?.start(catalog.nodes(), earlierAddress);
    if (overlay !== null) this.#followWith(overlay);
    this.#compareFile();
  }

  #restore(): void {
    const { catalog, reconciler, clock, log } = this.#options;
    const text = this.#options.inherited?.catalog ?? this.#store.read();
    if (text === null) return;
    const { isFileKnown, members, problem } = catalog.restore(text, clock.nowMs());
    if (problem !== null) log.damaged(this.#store.setAside(), problem);
    this.#known.restore(members);
    const file = { ...reconciler.facts.file, isKnown: isFileKnown };
    reconciler.learn({ file, catalogRevision: catalog.revision });
  }

  #join(config: ClusterConfig): Promise<Members> {
    const { catalog, reconciler, clock, lookup, transport, random, log } = this.#options;
    const { self, address } = reconciler.facts;
    return Members.join({
      config,
      name: self,
      address: address!.announced,
      source: sourceOf(reconciler.facts),
      clock: clock.steady,
      lookup,
      transport,
      random,
      log,
      known: this.#known,
      broadcasts: catalog,
      localState: () => catalog.digest(),
      onUserMessage: (payload) => this.#exchange.onMessage(payload),
      onRemoteState: (digest) => this.#exchange.onDigest(digest),
      onPortTest: (payload, from) => this.#portTester.onMessage(payload, from),
      onEventsAsked: (payload, fromHost) => this.events.onMessage(payload, fromHost),
      onMembers: () => this.#learnMembers(),
      onFatal: (error) => this.#giveUp(error),
      inherited: this.#options.inherited?.members ?? undefined,
      sockets: this.#options.sockets,
    });
  }

  #attach(): void {
    const { reconciler } = this.#options;
    const members = this.#members;
    if (members !== null)
      reconciler.attach("members", (derived) => {
        if (derived.members !== null) members.follow(derived.members);
      });
    reconciler.attach("push", ({ writes }) => this.#exchange.push(writes));
    reconciler.attach("store", ({ kept }) => {
      if (!this.#isPaused) this.#store.follow(kept, reconciler.facts.catalogRevision);
    });
  }

  #followWith(overlay: Overlay): void {
    const { reconciler } = this.#options;
    reconciler.learn({ overlay: overlay.facts });
    reconciler.attach("overlay", (derived) => {
      if (derived.overlay !== null) overlay.follow(derived.overlay);
      reconciler.learn({ overlay: overlay.facts });
    });
    this.#tickLater(overlay);
  }

  #tickLater(overlay: Overlay): void {
    this.#cancelTick = this.#options.clock.after(OVERLAY_TICK_MS, () => {
      overlay.tick();
      this.#tickLater(overlay);
    });
  }

  #compareFile(): void {
    const { reconciler, fileChangedAtMs } = this.#options;
    const { file } = reconciler.facts;
    const age = file.isKnown ? "known" : { changedAtMs: fileChangedAtMs() };
    reconciler.learn({ file: { ...file, age } });
    this.writes.applyFile(file.config);
  }

  /** Records of nodes that are gone are hidden, of those that are back shown. */
  #learnMembers(): void {
    const { catalog, reconciler } = this.#options;
    const live = (this.#members?.liveMembers() ?? []).map(({ name }) => name);
    catalog.setLive([reconciler.facts.self, ...live]);
    const known = this.#known.toJson();
    reconciler.learn({ members: { live, known }, catalogRevision: catalog.revision });
  }

  /** What this node would say from now on, goodbye too, would be said in another's name. */
  #giveUp(error: NodeError): void {
    this.hurry();
    this.#members?.close();
    this.#options.onFatal(error);
  }

  get #unpublishedRecord(): Unpublished[] {
    const { refusal } = this.#records;
    return refusal === null ? [] : [{ service: null, reason: refusal }];
  }
}

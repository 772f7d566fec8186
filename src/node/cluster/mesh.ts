/**
 * This node's part in the mesh: the catalog, the cluster that spreads it, the file that keeps it.
 *
 * A node without [cluster] has the same catalog without anybody to tell: services made by command work there too.
 */
import {
  applyFileChanges,
  Catalog,
  type CatalogState,
  type CatalogWriter,
  compareFile,
  type DownTask,
  type FileAge,
  type FileChanges,
  type FileDeclarations,
  findConflicts,
  MAX_BIND_ERROR_LENGTH,
  MAX_BIND_ERRORS,
  MAX_DOWN_PORTS,
  MAX_DOWN_TASKS_BYTES,
  MAX_TASK_ADDRESSES,
  type NodeRecord,
  type Effect as SendEffect,
  type VisibleService,
} from "../../catalog/index.ts";
import type { ClusterConfig, Config } from "../../config/index.ts";
import type { Member, MembershipStats } from "../../membership/index.ts";
import { areSpecsEqual } from "../../model/index.ts";
import type { Clock } from "../../sys/clock.ts";
import type { LocalNetwork } from "../../sys/local-addresses.ts";
import type { LookupHost } from "../../sys/lookup-host.ts";
import { buildRoutingInput } from "../build-routing-input.ts";
import { closedPortErrors } from "../listings.ts";
import type { NodeError } from "../node-error.ts";
import type { Overlay } from "../overlay/overlay.ts";
import type { OverlayStatus } from "../overlay/overlay-status.ts";
import type { PeerPorts } from "../port-test/judge.ts";
import type { PortTester } from "../port-test/port-tester.ts";
import type { Reach } from "../reach-report.ts";
import type { InputRelay, RoutingInput } from "../routing-input.ts";
import { DEFAULT_DATA_DIR, StateStore } from "../state-store.ts";
import type { AddressChange } from "./address-watch.ts";
import { announcedNetwork } from "./announced-network.ts";
import { Cluster } from "./cluster.ts";
import type { ClusterLog } from "./cluster-log.ts";
import { byService, declarationsOf, servicesWith, tasksWith } from "./declarations.ts";
import type { KeyMismatch } from "./key-mismatch.ts";
import { KnownAddresses } from "./known-addresses.ts";
import { newPortTester } from "./port-tests.ts";
import { relayKeys } from "./relay-keys.ts";
import { sourceAddress } from "./source-address.ts";

/** Half of the shortest interval at which catalogs are compared. */
const TICK_MS = 500;
/** How long a node that stops waits until the others know, before it closes anything. */
const SPREAD_MS = 1_000;
/** How long the start waits for the catalog of the others. */
const SYNC_MS = 3_000;
const POLL_MS = 20;
/** One packet, to every node of a cluster that is not large. */
const SPREAD_BYTES = 1_200;
const MAX_SPREAD_PEERS = 32;
const ALL_IPV4 = "0.0.0.0";
const NO_STATS: MembershipStats = { healthScore: 0, queueLengths: {}, droppedTotal: {} };

export interface MeshOptions {
  readonly config: Config;
  /** Path of its file. */
  readonly file: string;
  /** Where other nodes reach this one at the start; null: no cluster. */
  readonly address: string | null;
  /** null: no cluster. */
  readonly overlay: Overlay | null;
  /** The machine's addresses now. */
  readonly network: LocalNetwork;
  readonly version: string;
  readonly clock: Clock;
  readonly lookup: LookupHost;
  readonly random: () => number;
  readonly log: ClusterLog;
  /** When the file was written last, ms since 1970; null: not known. */
  readonly fileChangedAtMs: () => number | null;
  /** The view may be another than before. */
  readonly onChange: () => void;
  /** The node cannot go on: its name is another's. */
  readonly onFatal: (error: NodeError) => void;
}

/** Nothing has changed. `not-kept`: the state cannot be written. */
export interface WriteRefusal {
  readonly code: "invalid" | "not-kept";
  readonly error: string;
}

/** What stays unknown to other nodes, and why. */
export interface Unpublished {
  /** null: this node's own record: labels, relay, overlay. */
  readonly service: string | null;
  readonly reason: string;
}

export type BindErrors = NodeRecord["bindErrors"];
export type TaskAddresses = NonNullable<NodeRecord["taskAddresses"]>;

export class Mesh {
  readonly catalog: Catalog;
  readonly #options: MeshOptions;
  readonly #store: StateStore;
  readonly #known = new KnownAddresses();
  readonly #self: string;
  /** Where other nodes reach this one; null: no cluster. */
  #address: string | null;
  #addressProblem: string | null = null;
  /** This machine has it: not so behind NAT. */
  #hasAddress: boolean;
  #config: Config;
  /** This node's declarations are those of its file as it was loaded last, now or in an earlier life. */
  #isFileKnown: boolean;
  /** Services declared before the others were heard. */
  #unsettled: ReadonlySet<string> = new Set();
  /** Tasks of the file as it was carried out last. */
  #declaredTasks: FileDeclarations["tasks"] = [];
  /** Services of the file of which another definition is in force. */
  #overruled: ReadonlySet<string> = new Set();
  #cluster: Cluster | null = null;
  readonly #portTester: PortTester;
  /** Of the catalog, when everything that follows from it was last done. */
  #revision = -1;
  /** Its listeners are open, and it is not about to stop: others send their clients to its tasks. */
  #isServing = false;
  /** Nobody waits any more for what others hear of this node. */
  #isHurried = false;
  #bindErrors: BindErrors = [];
  #network: LocalNetwork;
  #taskAddresses: TaskAddresses = [];
  /** Services of the file that the catalog refuses, with the reason. */
  #refusedServices: ReadonlyMap<string, string> = new Map();
  /** Why the others do not learn what this node says about itself; null: they do. */
  #nodeRefusal: string | null = null;
  #closedPorts: BindErrors = [];
  #downTasks: readonly DownTask[] = [];
  #cancelTick: () => void = () => undefined;

  /** Rejects with NodeError. */
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
    this.#self = config.node.name;
    this.#address = options.address;
    this.#network = options.network;
    this.#hasAddress = this.#isInNetwork();
    this.catalog = new Catalog(this.#self);
    this.#portTester = newPortTester({
      self: this.#self,
      config: () => this.#config,
      cluster: () => this.#cluster,
      nodes: () => this.catalog.nodes(),
      overlay: options.overlay,
      source: () => this.#source,
    });
    this.#store = new StateStore({
      directory: config.node.dataDir ?? DEFAULT_DATA_DIR,
      clock,
      snapshot: () => this.catalog.snapshot(this.#state()),
      onError: (error) => log.store(error),
    });
    this.#store.lock();
    this.#isFileKnown = this.#restore();
  }

  // --- what is served

  /** Now. */
  input(): RoutingInput {
    return this.inputWith(this.#config);
  }

  /** As it would be with this file. */
  inputWith(config: Config): RoutingInput {
    const { catalog } = this;
    const changes = this.#changesBy(config, this.#fileAge());
    const services = this.#servicesWith(changes);
    const source = this.#source;
    return buildRoutingInput({
      self: { name: this.#self, labels: config.node.labels },
      isSelfDraining: catalog.wishOf(this.#self) === "drain",
      bind: config.proxy.bind,
      relay: this.#relayWith(config),
      reach: (name, node) => this.#options.overlay?.reach(name, node, source) ?? null,
      services,
      tasks: tasksWith(catalog.tasks(), changes, this.#self),
      nodes: catalog.nodes(),
      conflicts: services === catalog.services() ? catalog.conflicts() : findConflicts(services.values()),
      fileOrder: config.services.map((service) => service.name),
    });
  }

  /** As the cluster would have them with this file. */
  servicesWith(config: Config): ReadonlyMap<string, VisibleService> {
    return this.#servicesWith(this.#changesBy(config, this.#fileAge()));
  }

  /**
   * This file is carried out from now on: what it says goes to everybody. A service that the catalog refuses is served
   * here all the same, holds up no other, and is offered again with the next file or reload.
   */
  adopt(config: Config): void {
    const changes = this.#changesBy(config, this.#fileAge());
    this.#config = config;
    this.#refusedServices = this.catalog.transactions(this.#groupsOf(changes));
    for (const [service, reason] of this.#refusedServices) this.#options.log.refused(service, reason);
    this.#declaredTasks = this.#declarationsOf(config).tasks;
    this.#writeNode();
    this.#unsettled = new Set();
    this.#isFileKnown = true;
    this.#store.changed();
    this.#spread();
    this.#settle();
  }

  /** The file has not changed: what the catalog has refused of it may be accepted now. */
  offerAgain(): void {
    if (this.unpublished.length > 0) this.adopt(this.#config);
  }

  /** What other nodes do not learn of this file. */
  get unpublished(): readonly Unpublished[] {
    return this.#unpublished(this.#refusedServices);
  }

  /** The same with another file; nothing is written. */
  unpublishedWith(config: Config): readonly Unpublished[] {
    const groups = this.#groupsOf(this.#changesBy(config, this.#fileAge()));
    return this.#unpublished(this.catalog.transactions(groups, true));
  }

  /** The file has other keys or seeds. */
  changeCluster(config: ClusterConfig): void {
    this.#cluster?.change(config);
    this.#options.overlay?.changeKeys(config.keys, this.catalog.nodes());
  }

  /**
   * A change by command that must outlive this process: all of it, kept, or nothing. What the state will be is written
   * before it is in force. Returns why it was refused, or null.
   */
  writeKept(change: (writer: CatalogWriter) => void): WriteRefusal | null {
    const after = this.catalog.snapshotAfter(change, this.#state(), this.#options.clock.nowMs());
    if ("refusal" in after) return { code: "invalid", error: after.refusal };
    const unkept = this.#store.writeText(after.snapshot);
    if (unkept !== null) {
      const error = `nothing was changed, because it would not survive a restart: ${unkept} (node.data_dir)`;
      return { code: "not-kept", error };
    }
    const refusal = this.write(change);
    return refusal === null ? null : { code: "invalid", error: refusal };
  }

  /** A change by command, whether it can be kept or not: all of it or nothing. Returns why it was refused, or null. */
  write(change: (writer: CatalogWriter) => void): string | null {
    const refusal = this.catalog.transaction(change);
    this.#settle();
    if (refusal === null) {
      this.#store.write();
      this.#spread();
    }
    return refusal;
  }

  /** Listeners that this node cannot open: every node shows them. */
  setBindErrors(errors: BindErrors): void {
    this.#bindErrors = errors.map(([service, listener, error]) => [
      service,
      listener,
      error.slice(0, MAX_BIND_ERROR_LENGTH),
    ]);
    this.#writeNode();
    this.#settle();
  }

  /** The machine's addresses: others have to know which of them lead to published ports. */
  setNetwork(network: LocalNetwork): void {
    this.#network = network;
    const before = this.#source;
    this.#hasAddress = this.#isInNetwork();
    this.#writeNode();
    this.#settle();
    if (this.#source !== before) this.#options.onChange();
  }

  /** The address that this node announces, or that it should have, has changed. */
  changeAddress(change: AddressChange): void {
    this.#options.log.address(change);
    this.#addressProblem = change.kind === "lost" ? change.problem : null;
    this.#hasAddress = change.kind !== "lost";
    if (change.kind !== "moved") return this.#options.onChange();
    this.#address = change.address;
    this.#cluster?.moveTo(change.address); // before its records: they go to whoever knows the way
    this.#options.overlay?.moveTo(change.address);
    this.#writeNode();
    this.#spread();
    this.#settle();
    this.#options.onChange();
  }

  /** Where other nodes reach this one; null: no cluster. */
  get address(): string | null {
    return this.#address;
  }

  /** Why other nodes cannot reach this one: its address is gone; null: it is there. */
  get addressProblem(): string | null {
    return this.#addressProblem;
  }

  /** Where tasks given by name lead, as far as others have to know it. */
  setTaskAddresses(addresses: TaskAddresses): void {
    this.#taskAddresses = addresses.slice(0, MAX_TASK_ADDRESSES);
    this.#writeNode();
    this.#settle();
  }

  /** Ports without a reachable task, which every node shows, and tasks of this node that are down. */
  setReach({ closed, down }: Reach): void {
    this.#closedPorts = closedPortErrors(closed);
    this.#downTasks = withinBytes(
      down.map((task) => ({ ...task, ports: task.ports.slice(0, MAX_DOWN_PORTS) })),
      MAX_DOWN_TASKS_BYTES,
    );
    const before = this.catalog.revision;
    this.#writeNode();
    if (this.catalog.revision !== before) this.#spread();
    this.#settle();
  }

  /** Whether this node, another one, has said that it cannot reach a task of its own through this port. */
  isReportedDown(node: string, service: string, task: string, port: string): boolean {
    const down = this.catalog.nodes().get(node)?.downTasks ?? [];
    const found = down.find((each) => each.service === service && each.task === task);
    return found !== undefined && (found.ports.length === 0 || found.ports.includes(port));
  }

  // --- nodes

  /** Every member, this node included; [] without a cluster. */
  members(): readonly Member[] {
    return this.#cluster?.members() ?? [];
  }

  isLiveNode(name: string): boolean {
    return name === this.#self || (this.#cluster?.liveMembers() ?? []).some((member) => member.name === name);
  }

  isKnownNode(name: string): boolean {
    return name === this.#self || this.#cluster?.isKnown(name) === true;
  }

  /** One that is dead: nobody asks for it any more. */
  forget(name: string): void {
    this.#cluster?.forget(name);
    this.#store.changed();
  }

  /** Every port between this node and each other, in both directions. Takes some seconds. */
  testPorts(): Promise<readonly PeerPorts[]> {
    return this.#portTester.test();
  }

  /** Hosts that use other keys than this node. */
  get keyTrouble(): readonly KeyMismatch[] {
    return this.#cluster?.keyTrouble ?? [];
  }

  get stats(): MembershipStats {
    return this.#cluster?.stats ?? NO_STATS;
  }

  /** Nodes are reached in another way than before, or this one. */
  onOverlayChanged(): void {
    this.#writeNode();
    this.#options.overlay?.follow(this.catalog.nodes());
    this.#settle();
    this.#options.onChange();
  }

  get overlayStatus(): OverlayStatus | null {
    return this.#options.overlay?.status ?? null;
  }

  /** Why what must survive a restart cannot be written; null: it can. */
  get storeError(): string | null {
    return this.#store.error;
  }

  // --- start to serve, drain and end

  /** Everybody hears that this node takes work for its tasks; before, others would have found nobody listening. */
  announceStart(): void {
    this.#isServing = true;
    this.#writeNode();
    this.#spread();
    this.#settle();
  }

  /** Everybody hears that this node takes no more work for its tasks; resolves when they should have. */
  async announceStop(): Promise<void> {
    this.#isServing = false;
    this.#writeNode();
    this.#spread();
    this.#settle();
    const endMs = performance.now() + SPREAD_MS;
    while (!this.#isHurried && this.#hasListeners() && this.catalog.hasNews && performance.now() < endMs)
      await this.#pause(POLL_MS);
  }

  /** Goodbye to all, then the end of it. */
  async leave(): Promise<void> {
    await this.#cluster?.leave();
    this.close();
  }

  /** Ends announceStop and leave, or the next ones, at once. */
  hurry(): void {
    this.#isHurried = true;
    this.#cluster?.hurry();
  }

  close(): void {
    this.#cancelTick();
    this.#cancelTick = () => undefined;
    this.#cluster?.close();
    this.#store.close();
  }

  // --- start

  /**
   * Its own records are written before anybody is heard: what others remember of an earlier life is settled against
   * them. How old its declarations are is settled after, when they can be compared with what the others have.
   */
  async #enter(): Promise<void> {
    const { cluster } = this.#config;
    this.catalog.setLive([this.#self]);
    const earlier = this.catalog.nodes().get(this.#self)?.overlay?.address ?? null;
    this.#writeOwn();
    if (cluster !== null) this.#cluster = await this.#join(cluster);
    this.#followMembers();
    this.#tick();
    await this.#awaitSync();
    this.#options.overlay?.start(this.catalog.nodes(), earlier);
    this.#writeNode();
    this.adopt(this.#config);
  }

  #writeOwn(): void {
    const changes = this.#changesBy(this.#config, "unheard");
    this.#unsettled = new Set(changes.declare.map(({ name }) => name));
    this.catalog.transactions(this.#groupsOf(changes)); // adopt, which comes soon, tells what was refused
    this.#writeNode();
  }

  /** By service. What is removed comes first: it makes room. */
  #groupsOf(changes: FileChanges): Map<string, (writer: CatalogWriter) => void> {
    const nowMs = this.#options.clock.nowMs();
    const apply = (part: FileChanges) => (writer: CatalogWriter) => applyFileChanges(writer, part, nowMs);
    const removed = apply({ ...changes, declare: [], writeTasks: [] });
    return new Map([
      ["", removed],
      ...byService(changes).map(([name, part]) => [name, apply(part)] as const),
    ]);
  }

  #unpublished(services: ReadonlyMap<string, string>): Unpublished[] {
    const node = this.#nodeRefusal === null ? [] : [{ service: null, reason: this.#nodeRefusal }];
    return [...node, ...[...services].map(([service, reason]) => ({ service, reason }))];
  }

  /** Ports are opened when it is known where their tasks are, and a file is compared with what the others have. */
  async #awaitSync(): Promise<void> {
    const endMs = performance.now() + SYNC_MS;
    while (this.#hasListeners() && !this.catalog.hasSynced && performance.now() < endMs)
      await this.#pause(POLL_MS);
  }

  #join(config: ClusterConfig): Promise<Cluster> {
    const { clock, lookup, random, log } = this.#options;
    return Cluster.enter({
      config,
      name: this.#self,
      address: this.#address!,
      source: () => this.#source,
      clock,
      lookup,
      random,
      log,
      known: this.#known,
      broadcasts: this.catalog,
      localState: () => this.catalog.digest(),
      onUserMessage: (payload) => this.#run((nowMs) => this.catalog.onMessage(null, payload, nowMs)),
      onRemoteState: (digest) => this.#run((nowMs) => this.catalog.onDigest(null, digest, nowMs)),
      onPortTest: (payload, from) => this.#portTester.onMessage(payload, from),
      onMembers: () => this.#followMembers(),
      onFatal: (error) => this.#giveUp(error),
    });
  }

  /** What this node would say from now on, goodbye too, would be said in another's name. */
  #giveUp(error: NodeError): void {
    this.hurry();
    this.#cluster?.close();
    this.#options.onFatal(error);
  }

  // --- the catalog's machine

  #tick(): void {
    const { clock, random } = this.#options;
    this.#run((nowMs) => this.catalog.tick(nowMs, this.#cluster?.peers() ?? [], random));
    this.#options.overlay?.tick();
    this.#cancelTick = clock.after(TICK_MS, () => this.#tick());
  }

  #run(step: (nowMs: number) => readonly SendEffect[]): void {
    const effects = step(this.#options.clock.nowMs());
    this.#cluster?.send(effects);
    this.#settle();
  }

  /** Ahead of gossip, so that the next command, on whichever node, builds on this one. */
  #spread(): void {
    const peers = this.#cluster?.peers() ?? [];
    if (peers.length === 0) return;
    const first = Math.floor(this.#options.random() * peers.length);
    const some = [...peers.slice(first), ...peers.slice(0, first)].slice(0, MAX_SPREAD_PEERS);
    const payloads = this.catalog.draw(SPREAD_BYTES, Number.POSITIVE_INFINITY);
    this.#cluster?.send(
      some.flatMap((to) =>
        payloads.map((payload) => ({ kind: "send" as const, to, payload, reliable: false })),
      ),
    );
  }

  /** Records of those who are gone are hidden, of those who are back shown. */
  #followMembers(): void {
    const live = this.#cluster?.liveMembers() ?? [];
    this.catalog.setLive([this.#self, ...live.map(({ name }) => name)]);
    this.#store.changed();
    this.#settle();
  }

  /** What is served, kept and said about this node follows the catalog. */
  #settle(): void {
    if (this.catalog.revision === this.#revision) return;
    this.#revision = this.catalog.revision;
    this.#removeOrphans();
    this.#tellOverruled();
    for (const change of this.catalog.takeOverwritten()) this.#options.log.overwritten(change);
    this.#options.overlay?.follow(this.catalog.nodes(), this.#nodesWithTasks());
    this.#writeNode();
    this.#revision = this.catalog.revision;
    this.#store.changed();
    this.#options.onChange();
  }

  #nodesWithTasks(): Set<string> {
    return new Set(this.catalog.tasks().map(({ owner }) => owner));
  }

  /** Tasks made by command go with their service, whoever removed it; those of a file wait for it. */
  #removeOrphans(): void {
    const { catalog } = this;
    const services = catalog.services();
    const orphans = catalog
      .tasks()
      .filter(
        ({ owner, origin, service }) => owner === this.#self && origin === "api" && !services.has(service),
      );
    if (orphans.length === 0) return;
    catalog.transaction((writer) => {
      for (const { service, name } of orphans) writer.removeTask(service, name);
    });
  }

  #isInNetwork(): boolean {
    return this.#network.addresses.some(({ address }) => address === this.#address);
  }

  /** Where gossip leaves from, and relays that do not go over the overlay. */
  get #source(): string | null {
    const { cluster } = this.#config;
    if (cluster === null || this.#address === null) return null;
    return sourceAddress(this.#address, cluster.bind.host, this.#hasAddress);
  }

  #writeNode(): void {
    const refusal = this.catalog.writeNode(this.#nodeRecord());
    if (refusal !== null && refusal !== this.#nodeRefusal) this.#options.log.refused(null, refusal);
    this.#nodeRefusal = refusal;
  }

  #nodeRecord(): NodeRecord {
    const { node, overlay: config } = this.#config;
    const { overlay, version } = this.#options;
    const address = this.#address;
    return {
      labels: node.labels,
      relay: address === null ? null : { address, port: config.port, udpPort: overlay!.udpPort },
      overlay: overlay?.announcement ?? null,
      isDraining: !this.#isServing || this.catalog.wishOf(this.#self) === "drain",
      version,
      bindErrors: [...this.#bindErrors, ...this.#closedPorts].slice(0, MAX_BIND_ERRORS),
      downTasks: this.#downTasks,
      ...(address !== null && {
        network: announcedNetwork(this.#network, this.#config.proxy.bind),
        taskAddresses: this.#taskAddresses,
      }),
    };
  }

  #relayWith({ cluster, overlay: { port } }: Config): InputRelay | null {
    const { overlay } = this.#options;
    if (cluster === null || overlay === null) return null;
    const keys = relayKeys(cluster.keys, cluster.name);
    const isWan = cluster.profile === "wan";
    const { host } = cluster.bind;
    const { sharedUdpAddresses, formerUdpPort } = overlay;
    // overlay addresses are IPv4: a socket for all of IPv6 does not take what comes to them
    const listenAddresses = host === ALL_IPV4 ? [host] : [host, ...overlay.addresses];
    return {
      listenAddresses,
      port,
      udpPort: overlay.udpPort,
      ...(sharedUdpAddresses !== null && { sharedUdpAddresses }),
      ...(formerUdpPort !== null && { formerUdpPort }),
      acceptsClear: overlay.acceptsClear,
      keys,
      isWan,
    };
  }

  #changesBy(config: Config, age: FileAge): FileChanges {
    const { catalog } = this;
    return compareFile({
      next: this.#declarationsOf(config),
      declared: catalog.ownDeclarations(),
      unsettled: this.#unsettled,
      services: catalog.services(),
      ownTasks: catalog.tasks().filter((task) => task.owner === this.#self),
      previousTasks: this.#declaredTasks,
      age,
    });
  }

  #declarationsOf(config: Config): FileDeclarations {
    return declarationsOf(config, this.#options.file);
  }

  #servicesWith(changes: FileChanges): ReadonlyMap<string, VisibleService> {
    return servicesWith(this.catalog, changes, this.#options.clock.nowMs());
  }

  #fileAge(): FileAge {
    return this.#isFileKnown ? "known" : { changedAtMs: this.#options.fileChangedAtMs() };
  }

  /** Once for each service of the file that another node, or a command, defines otherwise and later. */
  #tellOverruled(): void {
    const { log } = this.#options;
    const overruled = new Set<string>();
    for (const [name, { spec }] of this.catalog.ownDeclarations()) {
      const inForce = this.catalog.services().get(name)!;
      if (areSpecsEqual(inForce.spec, spec)) continue;
      overruled.add(name);
      if (!this.#overruled.has(name)) log.overruled(name, inForce.definitions[0]!);
    }
    this.#overruled = overruled;
  }

  // --- what survives

  #state(): CatalogState {
    return { isFileKnown: this.#isFileKnown, members: this.#known.toJson() };
  }

  /** Whether it is known what the file said last. */
  #restore(): boolean {
    const { clock, log } = this.#options;
    const text = this.#store.read();
    if (text === null) return false;
    const { isFileKnown, members, problem } = this.catalog.restore(text, clock.nowMs());
    if (problem !== null) log.damaged(this.#store.setAside(), problem);
    this.#known.restore(members);
    return isFileKnown;
  }

  #hasListeners(): boolean {
    return (this.#cluster?.peers() ?? []).length > 0;
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.#options.clock.after(ms, resolve);
    });
  }
}

/** The first ones that fit as JSON. */
function withinBytes<T>(values: readonly T[], maxBytes: number): T[] {
  let bytes = 0;
  const end = values.findIndex((value) => {
    bytes += JSON.stringify(value).length;
    return bytes > maxBytes;
  });
  return values.slice(0, end < 0 ? values.length : end);
}

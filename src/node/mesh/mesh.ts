/**
 * This node's part in the mesh: the catalog, the gossip that spreads it, the file that keeps it.
 *
 * A node without [cluster] has the same catalog without anybody to tell: services made by command work there too.
 */
import {
  applyFileChanges,
  Catalog,
  type Effect as CatalogEffect,
  type CatalogWriter,
  compareFile,
  type FileChanges,
  type FileDeclarations,
  findConflicts,
  MAX_BIND_ERROR_LENGTH,
  MAX_BIND_ERRORS,
  type NodeRecord,
} from "../../catalog/index.ts";
import type { ClusterConfig, Config, GossipAddress } from "../../config/index.ts";
import {
  type Address,
  CLUSTER_TAG,
  type Member,
  type MemberEvent,
  Membership,
  type MembershipStats,
  PROFILES,
  PROTOCOL_TAG,
  type Tell,
} from "../../membership/index.ts";
import type { Clock } from "../../sys/clock.ts";
import type { LookupHost } from "../../sys/lookup-host.ts";
import { Keyring, packetOverheadBytes } from "../../wire/gossip/index.ts";
import type { ClusterView, ViewRelay } from "../cluster-view.ts";
import { addressOf, hostOf } from "./address.ts";
import { buildView } from "./build-view.ts";
import { declarationsOf, withChanges } from "./declarations.ts";
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
const POLL_MS = 20;
/** Addresses of members that are remembered, to find back to them. */
const MAX_KNOWN = 1_000;
/** Keys may come by a reload: room for what they add is kept. */
const NO_STATS: MembershipStats = { healthScore: 0, queueLengths: {}, droppedTotal: {} };
const ANY_KEYRING = Keyring.of([new Uint8Array(32)]);

export interface MeshOptions {
  readonly config: Config;
  /** Where other nodes reach this one; null: no cluster. */
  readonly address: string | null;
  readonly version: string;
  readonly clock: Clock;
  readonly lookup: LookupHost;
  readonly random: () => number;
  readonly log: MeshLog;
  /** When the file was written last, ms since 1970; null: not known. */
  readonly fileChangedAtMs: () => number | null;
  /** The view may be another than before. */
  readonly onChange: () => void;
  /** The node cannot go on: its name is another's. */
  readonly onFatal: (error: MeshError) => void;
}

export type MeshStats = MembershipStats;
export type BindErrors = NodeRecord["bindErrors"];

export class Mesh {
  readonly catalog: Catalog;
  readonly #options: MeshOptions;
  readonly #store: StateStore;
  #config: Config;
  /** What the file said when it was last carried out; null: not known. */
  #declared: FileDeclarations | null;
  #gossip: Gossip | null = null;
  #machine: Membership | null = null;
  #seeds: Seeds | null = null;
  #revision = -1;
  #isStopping = false;
  #bindErrors: BindErrors = [];
  /** While the start waits for a first answer; an error ends it. */
  #onAnswer: ((error: MeshError | null) => void) | null = null;
  #isCheckingName = false;
  /** Where members are or were, by name. */
  readonly #known = new Map<string, GossipAddress>();
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
    const { name, labels } = config.node;
    const changes = this.#changesBy(config);
    const { services, tasks } = withChanges(catalog.services(), catalog.tasks(), changes, name);
    const isSame = changes.writeServices.length + changes.removeServices.length === 0;
    return buildView({
      self: { name, labels },
      bind: config.proxy.bind,
      relay: this.#relay(config),
      services,
      tasks,
      nodes: catalog.nodes(),
      conflicts: isSame ? catalog.conflicts() : this.#conflictsWith(changes),
      fileOrder: config.services.map((service) => service.name),
    });
  }

  /** This file is carried out from now on: what it says goes to everybody. */
  adopt(config: Config): void {
    const { clock } = this.#options;
    const changes = this.#changesBy(config);
    this.#config = config;
    this.#declared = declarationsOf(config);
    const refusal = this.catalog.transaction((writer) => {
      applyFileChanges(writer, changes, clock.nowMs());
      writer.writeNode(this.#nodeRecord());
    });
    if (refusal !== null) this.#options.log.refused(refusal);
    this.#options.log.kept(changes.kept);
    if (config.cluster !== null) {
      this.#gossip?.setKeyring(keyringOf(config.cluster.keys));
      this.#seeds?.change(config.cluster.join);
    }
    this.#store.changed();
    this.#settle();
  }

  /** A change by command: all of it or nothing. Returns why it was refused, or null. */
  write(change: (writer: CatalogWriter) => void): string | null {
    const refusal = this.catalog.transaction(change);
    if (refusal === null) this.#store.write();
    this.#settle();
    return refusal;
  }

  /** Listeners that this node cannot open: everybody can see them. */
  setBindErrors(errors: BindErrors): void {
    this.#bindErrors = errors
      .slice(0, MAX_BIND_ERRORS)
      .map(([service, listener, error]) => [service, listener, error.slice(0, MAX_BIND_ERROR_LENGTH)]);
    this.#writeNode();
    this.#settle();
  }

  // --- nodes

  /** Every member, this node included; [] without a cluster. */
  members(): readonly Member[] {
    return this.#machine?.members() ?? [];
  }

  isLiveNode(name: string): boolean {
    return name === this.#config.node.name || this.#liveMembers().some((member) => member.name === name);
  }

  isKnownNode(name: string): boolean {
    return this.isLiveNode(name) || this.#machine?.member(name) != null || this.#known.has(name);
  }

  /** One that is dead: nobody asks for it any more. */
  forget(name: string): void {
    this.#known.delete(name);
    this.#gossip?.run((machine) => machine.forget(name).effects);
    this.#store.changed();
  }

  get stats(): MeshStats {
    const { healthScore, queueLengths, droppedTotal } = this.#machine?.stats ?? NO_STATS;
    return { healthScore, queueLengths, droppedTotal: { ...droppedTotal, ...this.#gossip?.droppedTotal } };
  }

  /** Why what must survive a restart cannot be written; null: it can. */
  get storeError(): string | null {
    return this.#store.error;
  }

  // --- drain and end

  /** Everybody hears that this node takes no more work for its tasks; resolves when they should have. */
  async announceStop(): Promise<void> {
    this.#isStopping = true;
    this.#writeNode();
    this.#settle();
    if (this.#gossip === null) return;
    const endMs = performance.now() + SPREAD_MS;
    while (this.catalog.hasNews && this.#peers().length > 0 && performance.now() < endMs)
      await this.#pause(POLL_MS);
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
    const { cluster } = this.#config;
    this.catalog.setLive([this.#config.node.name]);
    if (cluster !== null) await this.#openGossip(cluster);
    this.#tick();
    if (cluster !== null) await this.#askSeeds(cluster);
    this.adopt(this.#config);
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
        packetBudgetBytes: PACKET_BYTES - packetOverheadBytes(ANY_KEYRING),
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

  /** Waits for a first answer, so that this node knows what the others know before it says its first word. */
  async #askSeeds(cluster: ClusterConfig): Promise<void> {
    const { clock, lookup, random, log } = this.#options;
    this.#seeds = new Seeds(cluster.join, {
      clock,
      lookup,
      random,
      liveAddresses: () => new Set(this.#liveMembers().map((member) => memberAddress(member))),
      lostAddresses: () => this.#lostMembers(),
      join: ({ host, port }) => {
        const to = addressOf(host, port);
        if (to !== null) this.#gossip?.run((machine) => machine.join(to));
      },
      onUnresolved: (host, error) => log.unresolved(host, error),
    });
    if (cluster.join.length === 0) return void this.#seeds.ask();
    const answered = new Promise<void>((resolve, reject) => {
      this.#onAnswer = (error) => (error === null ? resolve() : reject(error));
    });
    void this.#seeds.ask();
    try {
      await Promise.race([answered, this.#pause(FIRST_ANSWER_MS)]);
    } finally {
      this.#onAnswer = null;
    }
  }

  // --- gossip

  #onTell(tell: Tell): void {
    const nowMs = this.#options.clock.nowMs();
    switch (tell.kind) {
      case "event":
        this.#onEvent(tell.event);
        break;
      case "user":
        this.#send(this.catalog.onMessage(null, tell.payload, nowMs));
        break;
      case "remote-state":
        this.#send(this.catalog.onDigest(null, tell.digest, nowMs));
    }
    this.#settle();
  }

  #onEvent(event: MemberEvent): void {
    const { log } = this.#options;
    const member = "name" in event ? this.#machine!.member(event.name) : null;
    log.member(event, member === null ? "" : memberAddress(member));
    switch (event.type) {
      case "joined":
      case "failed":
      case "left":
      case "forgotten":
        if (event.type === "joined" && member !== null) this.#remember(member);
        if (event.type === "left") this.#known.delete(event.name);
        this.catalog.setLive([this.#config.node.name, ...this.#liveMembers().map(({ name }) => name)]);
        this.#options.onChange();
        this.#store.changed();
        break;
      case "conflict":
        if (event.name === this.#config.node.name) void this.#checkName(event.other);
        break;
      case "exchanged":
        if (event.isMerged && !this.#isCheckingName) this.#onAnswer?.(null);
        break;
      case "may-close":
        this.#onMayClose();
    }
  }

  /** Somebody is said to have this node's name at another address: an echo of an earlier life, or a living rival. */
  async #checkName(other: Address): Promise<void> {
    if (this.#isCheckingName || this.#gossip === null) return;
    this.#isCheckingName = true;
    const { name } = this.#config.node;
    const isAlive = await this.#gossip.isAnswering(other, name, NAME_CHECK_MS);
    this.#isCheckingName = false;
    if (!isAlive) return this.#onAnswer?.(null);
    const at = `${hostOf(other)}:${other.port}`;
    const error = new MeshError(
      "name-taken",
      `the name "${name}" is taken: a node of this name is alive at ${at}; set node.name to another`,
    );
    if (this.#onAnswer !== null) this.#onAnswer(error);
    else this.#options.onFatal(error);
  }

  /** Members with a catalog, alive, without this one. */
  #peers(): Member[] {
    return this.#liveMembers().filter((member) => member.isPortmesh);
  }

  #liveMembers(): Member[] {
    const self = this.#config.node.name;
    const members = this.#machine?.members() ?? [];
    return members.filter(({ name, state }) => name !== self && (state === "alive" || state === "suspect"));
  }

  /** Known once, alive no more, not gone for good. */
  #lostMembers(): GossipAddress[] {
    const live = new Set(this.#liveMembers().map((member) => memberAddress(member)));
    return [...this.#known.values()].filter((address) => !live.has(addressKey(address)));
  }

  #remember({ name, address }: Member): void {
    this.#known.delete(name);
    this.#known.set(name, { host: hostOf(address), port: address.port });
    if (this.#known.size > MAX_KNOWN) this.#known.delete(this.#known.keys().next().value!);
  }

  // --- catalog

  #tick(): void {
    const { clock, random } = this.#options;
    const peers = this.#peers().map(({ name }) => name);
    this.#send(this.catalog.tick(clock.nowMs(), peers, random));
    this.#settle();
    this.#cancelTick = clock.after(TICK_MS, () => this.#tick());
  }

  #send(effects: readonly CatalogEffect[]): void {
    for (const { to, payload, reliable } of effects) {
      const member = this.#machine?.member(to);
      if (member === undefined || member === null) continue;
      if (reliable) void this.#gossip?.sendReliably(member.address, payload);
      else this.#gossip?.run((machine) => machine.sendUser(to, payload));
    }
  }

  /** The catalog may have changed: what is served, kept and said about this node follows. */
  #settle(): void {
    if (this.catalog.revision === this.#revision) return;
    this.#revision = this.catalog.revision;
    if (this.#declared !== null) this.#writeNode();
    this.#revision = this.catalog.revision;
    this.#store.changed();
    this.#options.onChange();
  }

  #writeNode(): void {
    this.catalog.writeNode(this.#nodeRecord());
  }

  #nodeRecord(): NodeRecord {
    const { config, catalog } = { config: this.#config, catalog: this.catalog };
    const { address, version } = this.#options;
    return {
      labels: config.node.labels,
      relay: address === null ? null : { address, port: config.overlay.port },
      isDraining: this.#isStopping || catalog.wishOf(config.node.name) === "drain",
      version,
      bindErrors: this.#bindErrors,
    };
  }

  #changesBy(config: Config): FileChanges {
    const { catalog } = this;
    const own = catalog.tasks().filter((task) => task.owner === config.node.name);
    return compareFile({
      previous: this.#declared,
      next: declarationsOf(config),
      services: catalog.services(),
      ownTasks: own,
      fileChangedAtMs: this.#options.fileChangedAtMs(),
    });
  }

  /** As they would be: new services are the youngest. */
  #conflictsWith(changes: FileChanges): ReturnType<typeof findConflicts> {
    const services = new Map(this.catalog.services());
    for (const name of changes.removeServices) services.delete(name);
    for (const { name, spec } of changes.writeServices) {
      const created = services.get(name)?.created ?? {
        counter: Number.MAX_SAFE_INTEGER,
        node: this.#config.node.name,
      };
      const record = {
        name,
        spec,
        origin: "file",
        created,
        createdAtMs: 0,
        updatedAtMs: 0,
        stamp: created,
      } as const;
      services.set(name, record);
    }
    return findConflicts(services.values());
  }

  #relay(config: Config): ViewRelay | null {
    const { cluster } = config;
    if (cluster === null) return null;
    return {
      listenAddresses: [cluster.bind.host],
      port: config.overlay.port,
      keys: relayKeys(cluster.keys, cluster.name),
    };
  }

  // --- what survives

  #restore(): FileDeclarations | null {
    const { clock, log } = this.#options;
    const text = this.#store.read();
    if (text === null) return null;
    const { declared, members, problem } = this.catalog.restore(text, clock.nowMs());
    if (problem !== null) log.damaged(this.#store.setAside(), problem);
    for (const [name, address] of knownMembers(members)) this.#known.set(name, address);
    return declared;
  }

  #snapshot(): string {
    return this.catalog.snapshot({ declared: this.#declared, members: Object.fromEntries(this.#known) });
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.#options.clock.after(ms, resolve);
    });
  }
}

function keyringOf(keys: readonly string[]): Keyring | null {
  return Keyring.of(keys.map((key) => new Uint8Array(Buffer.from(key, "base64"))));
}

/** What an earlier run has kept; anything may stand there. */
function knownMembers(kept: unknown): [string, GossipAddress][] {
  if (typeof kept !== "object" || kept === null) return [];
  return Object.entries(kept).flatMap(([name, address]): [string, GossipAddress][] => {
    const { host, port } = (address ?? {}) as Partial<GossipAddress>;
    return typeof host === "string" && typeof port === "number" ? [[name, { host, port }]] : [];
  });
}

function memberAddress({ address }: Member): string {
  return addressKey({ host: hostOf(address), port: address.port });
}

function cannotBind({ host, port }: GossipAddress, error: unknown): MeshError {
  const { code, message } = error as NodeJS.ErrnoException;
  const where = addressKey({ host, port });
  const reason =
    code === "EADDRINUSE"
      ? `another program uses it, perhaps serf, Docker Swarm or another portmesh (find it with: ss -lnp 'sport = :${port}')`
      : code === "EADDRNOTAVAIL"
        ? "this machine has no such address"
        : message;
  return new MeshError("cannot-bind", `cannot gossip on ${where}: ${reason}: set cluster.bind`, {
    cause: error,
  });
}

/**
 * This node as a member: joins, rejoins, follows joining and leaving members, defends its name. It passes user messages
 * and digests on without reading them.
 */

import type { Effect as CatalogEffect } from "../../catalog/index.ts";
import type { ClusterConfig } from "../../config/index.ts";
import {
  type Address,
  type BroadcastSource,
  CLUSTER_TAG,
  type Member,
  type MemberEvent,
  Membership,
  type MembershipState,
  type MembershipStats,
  type Notification,
  PROFILES,
  PROTOCOL_TAG,
} from "../../membership/index.ts";
import { gossipConnectionsWithin } from "../../proxy/index.ts";
import { type Clock, pause } from "../../sys/clock.ts";
import { raiseFileLimit } from "../../sys/file-limit.ts";
import type { LookupHost } from "../../sys/lookup-host.ts";
import { Keyring, packetOverheadBytes } from "../../wire/gossip/index.ts";
import { formatHostPort } from "../../wire/index.ts";
import type { MembersInput } from "../facts/derive.ts";
import type { NodeError } from "../node-error.ts";
import type { SocketList } from "../socket-list.ts";
import { addressOf, addressText, hostOf } from "./address.ts";
import type { ClusterLog } from "./cluster-log.ts";
import { Gossip, type GossipOptions, type GossipTraffic, NO_TRAFFIC } from "./gossip.ts";
import type { GossipTransport } from "./gossip-transport.ts";
import { cannotBind, nameTaken } from "./join-errors.ts";
import type { KeyMismatch } from "./key-mismatch.ts";
import type { KnownAddresses } from "./known-addresses.ts";
import { NameCheck } from "./name-check.ts";
import { Seeds } from "./seeds.ts";

/** Of a UDP packet that no network splits. */
const PACKET_BYTES = 1_400;
/** Told to others with every member: the version of what portmesh nodes say to each other. */
const PORTMESH_PROTOCOL = "1";
/**
 * How long the start waits for a first answer of a seed: what others know should be known before the first word. Both
 * take two round trips, for which a profile of nodes that are far apart has more time.
 */
const FIRST_ANSWER_MS = 1_500;
const NAME_CHECK_MS = 1_000;
/** Of an exchange. Members write a frame in one go: a second of lost packets is forgiven. */
const EXCHANGE_SILENCE_MS = 3_000;
/** Goodbye takes at most 5 s twice and a second of grace: the machine sees to that, this is for when it does not. */
const LEAVE_MS = 12_000;
/** Thousands that join at once are reported together: one report for each would make every reader of all quadratic. */
const MEMBERS_PER_MS = 100;
/** Keys may come by a reload: room for what they add is kept. */
const ANY_KEYRING = Keyring.of([new Uint8Array(32)]);

export interface MembersOptions {
  readonly config: ClusterConfig;
  readonly name: string;
  /** Literal address that others reach this node by, at the start. */
  readonly address: string;
  /** Literal address of this machine that everything leaves from, at the start; null: any. */
  readonly source: string | null;
  /** Not set by anybody: a jump would look like a failed network. */
  readonly clock: Clock;
  readonly transport: GossipTransport;
  readonly lookup: LookupHost;
  readonly random: () => number;
  readonly log: ClusterLog;
  readonly known: KnownAddresses;
  /** Messages for every portmesh node, sent with gossip. */
  readonly broadcasts: BroadcastSource;
  /** Goes along with push/pull. */
  readonly localState: () => Uint8Array;
  /** Each gives what is to be sent because of it. */
  readonly onUserMessage: (payload: Uint8Array) => readonly CatalogEffect[];
  readonly onRemoteState: (digest: Uint8Array) => readonly CatalogEffect[];
  readonly onPortTest: GossipOptions["onPortTest"];
  readonly onEventsAsked: GossipOptions["onEventsAsked"];
  /** A member has joined, left or failed. */
  readonly onMembers: () => void;
  /** This node's name is another's; only with keys, which prove that it is. */
  readonly onFatal: (error: NodeError) => void;
  /** Of another process of this node, which is silent from now on. */
  readonly inherited?: HandedMembers | undefined;
  readonly sockets?: SocketList | undefined;
}

/** This node as a member, on its way to another process. */
export interface HandedMembers {
  readonly membership: MembershipState;
}

export class Members {
  readonly #options: MembersOptions;
  readonly #machine: Membership;
  readonly #seeds: Seeds;
  #address: string;
  #source: string | null;
  #gossip: Gossip | null = null;
  /** While the start waits for a first answer; an error ends it. */
  #onAnswer: ((error: NodeError | null) => void) | null = null;
  /** Without keys anybody may claim anything, and answer to this node's name: that ends nothing. */
  #hasKeys: boolean;
  /** Of the file, as applied last. */
  #wanted: Pick<ClusterConfig, "keys" | "join">;
  readonly #nameCheck: NameCheck;
  #membersToldAtMs = Number.NEGATIVE_INFINITY;
  #cancelTelling: (() => void) | null = null;
  readonly #mayClose = Promise.withResolvers<void>();

  /** Resolves when a first seed has answered, or after a while. Rejects with NodeError. */
  static async join(options: MembersOptions): Promise<Members> {
    const members = new Members(options);
    try {
      await members.#open();
      if (options.inherited === undefined) await members.#askSeeds();
      else void members.#seeds.ask();
    } catch (error) {
      members.close();
      throw error;
    }
    return members;
  }

  private constructor(options: MembersOptions) {
    const { config, name, address, clock, lookup, random, log, known } = options;
    this.#options = options;
    this.#address = address;
    this.#source = options.source;
    this.#wanted = { keys: config.keys, join: config.join };
    this.#hasKeys = config.keys.length > 0;
    this.#machine = new Membership(
      {
        profile: PROFILES[config.profile],
        name,
        address: addressOf(address, config.bind.port)!,
        tags: { [PROTOCOL_TAG]: PORTMESH_PROTOCOL, [CLUSTER_TAG]: config.name },
        clusterName: config.name,
        packetBudgetBytes: PACKET_BYTES - packetOverheadBytes(ANY_KEYRING),
        random,
        userBroadcasts: options.broadcasts,
        localState: options.localState,
        inherited: options.inherited?.membership,
      },
      clock.nowMs(),
    );
    this.#nameCheck = new NameCheck({
      clock,
      isTaken: (other) => this.#isTaken(other),
      yieldsTo: (other) => this.#yieldsTo(other),
    });
    this.#seeds = new Seeds(config.join, {
      clock,
      lookup,
      random,
      ownAddress: () => ({ host: this.#address, port: config.bind.port }),
      liveAddresses: () => new Set(this.liveMembers().map(memberAddress)),
      lostAddresses: () => known.without(new Set(this.liveMembers().map(memberAddress))),
      join: ({ host, port }) => this.#join(host, port),
      onUnresolved: (host, error) => log.unresolved(host, error),
      onSilent: (silent) => log.silentSeeds(silent),
    });
  }

  // --- members

  /** This node among them. */
  members(): readonly Member[] {
    return this.#machine.members();
  }

  /** Alive or under suspicion, without this node. */
  liveMembers(): Member[] {
    const { name: self } = this.#options;
    return this.#machine
      .members()
      .filter(({ name, state }) => name !== self && (state === "alive" || state === "suspect"));
  }

  /** null: there is none of that name. */
  member(name: string): Member | null {
    return this.#machine.member(name);
  }

  /** null: it is closed. */
  get gossip(): Gossip | null {
    return this.#gossip;
  }

  /** Names of those who understand our user messages. */
  peers(): string[] {
    return this.liveMembers().flatMap(({ name, isPortmesh }) => (isPortmesh ? [name] : []));
  }

  isKnown(name: string): boolean {
    return this.#machine.member(name) !== null || this.#options.known.has(name);
  }

  /** A dead member: it is no longer looked for. */
  forget(name: string): void {
    this.#options.known.delete(name);
    this.#gossip?.run((machine) => machine.forget(name).effects);
  }

  /** Seeds, as "host:port", that leave this node alone. */
  get silentSeeds(): readonly string[] {
    return this.#seeds.silent;
  }

  get keyMismatches(): readonly KeyMismatch[] {
    return this.#gossip?.keyMismatches ?? [];
  }

  get traffic(): GossipTraffic {
    return this.#gossip?.traffic ?? NO_TRAFFIC;
  }

  get stats(): MembershipStats {
    const { healthScore, queueLengths, droppedTotal } = this.#machine.stats;
    return { healthScore, queueLengths, droppedTotal: { ...droppedTotal, ...this.#gossip?.droppedTotal } };
  }

  // --- what is said

  /** To single members; those that are gone are passed over. */
  send(effects: readonly CatalogEffect[]): void {
    for (const { to, payload, reliable } of effects) {
      const member = this.#machine.member(to);
      if (member === null) continue;
      if (reliable) void this.#gossip?.sendReliably(member.address, payload);
      else this.#gossip?.run((machine) => machine.sendUser(to, payload));
    }
  }

  /** Applies what differs from before: address, keys, seeds. */
  follow({ address, source, keys, join }: MembersInput): void {
    this.#source = source;
    this.#moveTo(address);
    if (!Bun.deepEquals({ keys, join }, this.#wanted)) this.#change({ keys, join });
  }

  /** Says nothing until `resume`; null: it has left. What another process continues with. */
  pause(): HandedMembers | null {
    if (this.#gossip === null) return null;
    this.#gossip.pause();
    return { membership: this.#machine.export(this.#options.clock.nowMs()) };
  }

  /** The other process did not go on. */
  async resume(): Promise<void> {
    await this.#gossip?.resume();
  }

  /** Resolves when everybody has heard it, or should have, or when it is hurried. */
  async leave(): Promise<void> {
    this.#seeds.close();
    if (this.#gossip === null) return;
    this.#gossip.run((machine, nowMs) => machine.leave(nowMs));
    const cancel = this.#options.clock.after(LEAVE_MS, this.#mayClose.resolve);
    await this.#mayClose.promise;
    cancel();
  }

  /** Ends the wait until the others have heard the goodbye. */
  hurry(): void {
    this.#mayClose.resolve();
  }

  close(): void {
    this.#cancelTelling?.();
    this.#seeds.close();
    this.#gossip?.close();
    this.#gossip = null;
  }

  #change(wanted: Pick<ClusterConfig, "keys" | "join">): void {
    const { keys, join } = wanted;
    this.#wanted = wanted;
    this.#gossip?.setKeyring(keyringOf(keys));
    this.#hasKeys = keys.length > 0;
    this.#seeds.change(join);
  }

  /** Others reach this node by this address from now on; those that have given it up already are asked. */
  #moveTo(address: string): void {
    if (address === this.#address) return;
    this.#address = address;
    const to = addressOf(address, this.#options.config.bind.port)!;
    this.#gossip?.run((machine, nowMs) => machine.moveTo(to, nowMs));
    void this.#seeds.ask();
  }

  // --- start

  async #open(): Promise<void> {
    const { config, log } = this.#options;
    const { host, port } = config.bind;
    try {
      this.#gossip = await Gossip.open({
        host,
        port,
        source: () => this.#source,
        clock: this.#options.clock,
        transport: this.#options.transport,
        keyring: keyringOf(config.keys),
        sockets: this.#options.sockets,
        machine: this.#machine,
        maxExchanges: gossipConnectionsWithin(raiseFileLimit()),
        silenceMs: EXCHANGE_SILENCE_MS + this.#farMs,
        exchangeTimeoutMs: PROFILES[config.profile].exchangeTimeoutMs,
        onNotification: (notification) => this.#onNotification(notification),
        onPortTest: this.#options.onPortTest,
        onEventsAsked: this.#options.onEventsAsked,
        onDropped: (reason, from) => log.dropped(reason, from),
      });
    } catch (error) {
      throw cannotBind(config.bind, error);
    }
  }

  async #askSeeds(): Promise<void> {
    const answered = new Promise<void>((resolve, reject) => {
      this.#onAnswer = (error) => (error === null ? resolve() : reject(error));
    });
    const asked = this.#seeds.ask().then((isAsked) => (isAsked ? answered : undefined));
    try {
      await Promise.race([asked, answered, pause(this.#options.clock, FIRST_ANSWER_MS + this.#farMs)]);
    } finally {
      this.#onAnswer = null;
    }
  }

  #join(host: string, port: number): void {
    const to = addressOf(host, port);
    if (to !== null) this.#gossip?.run((machine, nowMs) => machine.join(to, nowMs));
  }

  // --- received

  #onNotification(notification: Notification): void {
    const { onUserMessage, onRemoteState } = this.#options;
    if (notification.kind === "user") this.send(onUserMessage(notification.payload));
    else if (notification.kind === "remote-state") this.send(onRemoteState(notification.digest));
    else this.#onEvent(notification.event);
  }

  #onEvent(event: MemberEvent): void {
    const { log, name, known } = this.#options;
    const member = "name" in event ? this.#machine.member(event.name) : null;
    log.member(event, member === null ? "" : memberAddress(member));
    switch (event.type) {
      case "joined":
      case "moved":
        if (member !== null)
          known.add(member.name, { host: hostOf(member.address), port: member.address.port });
        return this.#membersChanged();
      case "left":
        known.delete(event.name);
        return this.#membersChanged();
      case "failed":
      case "forgotten":
        return this.#membersChanged();
      case "conflict":
        if (event.name === name && this.#hasKeys) void this.#checkName(event.other);
        return;
      case "exchanged":
        if (this.#onAnswer === null || !event.isMerged || this.#nameCheck.isRunning) return;
        if (this.liveMembers().length > 0) this.#onAnswer(null);
        return;
      case "may-close":
        this.#mayClose.resolve();
    }
  }

  /** At once in a cluster of usual size, a few times a second in a huge one. */
  #membersChanged(): void {
    if (this.#cancelTelling !== null) return;
    const pauseMs = Math.floor(this.#machine.size / MEMBERS_PER_MS);
    const waitMs = this.#membersToldAtMs + pauseMs - this.#options.clock.nowMs();
    if (waitMs <= 0) return this.#tellMembers();
    this.#cancelTelling = this.#options.clock.after(waitMs, () => this.#tellMembers());
  }

  #tellMembers(): void {
    this.#cancelTelling = null;
    this.#membersToldAtMs = this.#options.clock.nowMs();
    const { known, onMembers } = this.#options;
    for (const { name, rttMs } of this.#machine.members()) if (rttMs !== null) known.prove(name);
    onMembers();
  }

  /** Another node claims this node's name. */
  async #checkName(other: Address): Promise<void> {
    if (this.#nameCheck.isRunning) return;
    const isLost = await this.#nameCheck.isLost(other, this.#onAnswer !== null);
    const error = isLost ? nameTaken(this.#options.name, addressText(other)) : null;
    if (this.#onAnswer !== null) this.#onAnswer(error);
    else if (error !== null) this.#options.onFatal(error);
  }

  async #isTaken(other: Address): Promise<boolean> {
    const timeoutMs = NAME_CHECK_MS + this.#farMs;
    const isAnswering = await this.#gossip?.isAnswering(other, this.#options.name, timeoutMs);
    return isAnswering === true && this.#gossip !== null;
  }

  /** What two round trips may take longer than with profile lan. */
  get #farMs(): number {
    const { profile } = this.#options.config;
    return Math.max(0, PROFILES[profile].probeTimeoutMs - PROFILES.lan.probeTimeoutMs);
  }

  #yieldsTo(other: Address): boolean {
    const { config } = this.#options;
    return formatHostPort(this.#address, config.bind.port) > addressText(other);
  }
}

function keyringOf(keys: readonly string[]): Keyring | null {
  return Keyring.of(keys.map((key) => new Uint8Array(Buffer.from(key, "base64"))));
}

function memberAddress({ address }: Member): string {
  return addressText(address);
}

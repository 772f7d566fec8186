/**
 * A member of a cluster: SWIM with Lifeguard as memberlist speaks it, and what serf's agents need to see. Synchronous:
 * packets, answers and the time come in, effects go out; it has no sockets, no timers, no clock and no chance of its own.
 *
 * Whoever drives it calls `tick` at `nextDeadlineMs`. Times are of any clock that never goes back.
 */
import {
  decodeMessage,
  decodePushPull,
  decodeStreamUser,
  encodeMessage,
  encodeTags,
  FIRST_FREE_PAYLOAD_TYPE,
  type GossipMessage,
  type IndirectPingMessage,
  type PingMessage,
} from "../wire/gossip/index.ts";
import type { Address } from "./address.ts";
import { Awareness } from "./awareness.ts";
import { BroadcastQueue } from "./broadcast-queue.ts";
import type { Effect, MemberEvent } from "./effect.ts";
import { Exchanges } from "./exchanges.ts";
import { pushPullFactor, retransmitLimit } from "./formulas.ts";
import { Leaving } from "./leaving.ts";
import { type Member, MemberRecord } from "./member.ts";
import { MemberTable } from "./member-table.ts";
import { Probe } from "./probe.ts";
import type { Profile } from "./profile.ts";
import { RelayedPings } from "./relayed-pings.ts";
import { Rumors } from "./rumors.ts";
import { SerfDelegate } from "./serf-delegate.ts";
import { StateExchange } from "./state-exchange.ts";
import { answersStreamPing, OUR_VERSIONS, readsCrc, sendsNacks } from "./versions.ts";

const PART_OVERHEAD_BYTES = 2; // of a message in a compound
const MAX_PARTS = 127; // old members misread more
const MAX_MEMBERS = 20_000;
const MAX_QUEUE = 4_096;
const MAX_META_BYTES = 512;
const NO_BYTES = new Uint8Array();

/** Our own user messages on their way to everybody who understands them. */
export interface BroadcastSource {
  /** Payloads for one recipient, together with 3 bytes each within the budget. */
  draw(budgetBytes: number, retransmitLimit: number): Uint8Array[];
}

export interface MembershipOptions {
  readonly profile: Profile;
  readonly name: string;
  readonly address: Address;
  readonly tags: Readonly<Record<string, string>>;
  readonly clusterName: string;
  /** Bytes of messages a packet has room for: 1400 less what framing and encryption add. */
  readonly packetBudgetBytes: number;
  /** [0, 1) */
  readonly random: () => number;
  readonly userBroadcasts?: BroadcastSource;
  /** Goes along with push/pull; small. */
  readonly localState?: () => Uint8Array;
  /** Only simulations have others: members that share a table, a decoder that remembers. */
  readonly table?: MemberTable;
  readonly decode?: (bytes: Uint8Array) => GossipMessage | null;
}

export interface MembershipStats {
  readonly healthScore: number;
  readonly queueLengths: Readonly<Record<string, number>>;
  readonly droppedTotal: Readonly<Record<string, number>>;
}

export class Membership {
  readonly #options: MembershipOptions;
  readonly #profile: Profile;
  readonly #table: MemberTable;
  readonly #awareness: Awareness;
  readonly #rumors: Rumors;
  readonly #serf: SerfDelegate;
  readonly #state: StateExchange;
  readonly #broadcasts: BroadcastQueue;
  readonly #serfBroadcasts: BroadcastQueue;
  readonly #relayed = new RelayedPings();
  readonly #exchanges = new Exchanges();
  readonly #leaving: Leaving;
  readonly #dropped: Record<string, number> = {};
  #effects: Effect[] = [];
  #probe: Probe | null = null;
  #seq = 0;
  #nextProbeMs: number;
  #nextGossipMs: number;
  #nextPushPullMs: number;
  /** Suspects are not given up before: this node itself was away. */
  #noVerdictsBeforeMs = Number.NEGATIVE_INFINITY;

  constructor(options: MembershipOptions, nowMs: number) {
    const { profile, name, random } = options;
    this.#options = options;
    this.#profile = profile;
    this.#table = options.table ?? new MemberTable(name, MAX_MEMBERS, random);
    this.#broadcasts = new BroadcastQueue(MAX_QUEUE, options.packetBudgetBytes - PART_OVERHEAD_BYTES);
    this.#serfBroadcasts = new BroadcastQueue(MAX_QUEUE, options.packetBudgetBytes - PART_OVERHEAD_BYTES);
    this.#awareness = new Awareness(profile.hasAwareness ? profile.awarenessMaxMultiplier : 1);
    this.#rumors = new Rumors({
      profile,
      table: this.#table,
      awareness: this.#awareness,
      self: name,
      cluster: options.clusterName,
      isLeaving: () => this.#leaving.hasBegun,
      broadcast: (about, message) => this.#broadcast(this.#broadcasts, about, message),
      tell: (event) => this.#tell(event),
      drop: (reason) => this.#drop(reason),
    });
    this.#serf = new SerfDelegate(name, {
      broadcast: (payload, key, onGone) =>
        this.#broadcast(this.#serfBroadcasts, key, encodeMessage({ type: "user", payload }), onGone),
      isKnown: (node) => this.#table.get(node) !== undefined,
      onLeaveIntent: (node, prune) => this.#onLeaveIntent(node, prune),
    });
    this.#state = new StateExchange({
      cluster: options.clusterName,
      table: this.#table,
      rumors: this.#rumors,
      serf: this.#serf,
      localState: () => options.localState?.() ?? NO_BYTES,
      onDigest: (digest) => this.#effects.push({ kind: "remote-state", digest }),
      tell: (event) => this.#tell(event),
      drop: (reason) => this.#drop(reason),
    });
    this.#leaving = new Leaving({
      hasOthers: () => this.#hasOthers(),
      announceIntent: (onSent) => this.#serf.leave(name, false, onSent),
      announceDeath: (atMs, onSent) => this.#announceDeath(atMs, onSent),
      onDone: () => this.#tell({ type: "may-close" }),
    });
    this.#nextProbeMs = nowMs + random() * profile.probeIntervalMs;
    this.#nextGossipMs = nowMs + random() * profile.gossipIntervalMs;
    this.#nextPushPullMs = nowMs + random() * profile.pushPullIntervalMs;
    this.#addSelf(nowMs);
  }

  // --- for readers

  members(): Member[] {
    return [...this.#table.values()];
  }

  member(name: string): Member | null {
    return this.#table.get(name) ?? null;
  }

  get stats(): MembershipStats {
    return {
      healthScore: this.#awareness.score,
      queueLengths: { membership: this.#broadcasts.length, serf: this.#serfBroadcasts.length },
      droppedTotal: { ...this.#dropped },
    };
  }

  // --- what comes

  /** The messages of one packet, as the shell has opened it. */
  onPacket(messages: readonly Uint8Array[], from: Address, nowMs: number): Effect[] {
    const { decode = decodeMessage } = this.#options;
    for (const bytes of messages) {
      const message = decode(bytes);
      if (message === null) this.#drop("malformed");
      else this.#onMessage(message, from, nowMs);
    }
    return this.#take();
  }

  /** The first frame of a stream that somebody has opened. */
  answerStream(
    message: Uint8Array,
    nowMs: number,
  ): { readonly answer: Uint8Array | null; readonly effects: Effect[] } {
    const answer = this.#answerStream(message, nowMs);
    return { answer, effects: this.#take() };
  }

  onPushPullAnswer(exchange: number, message: Uint8Array, nowMs: number): Effect[] {
    const asked = this.#exchanges.end(exchange);
    if (asked?.kind !== "push-pull") return this.#take();
    const answer = decodePushPull(message);
    if (answer === null) this.#noteError(message);
    const isMerged = answer !== null && this.#state.merge(answer, nowMs);
    if (isMerged && asked.isJoin) this.#serf.announce();
    this.#tell({ type: "exchanged", with: asked.to, isMerged });
    return this.#take();
  }

  onStreamPingAnswer(exchange: number, message: Uint8Array): Effect[] {
    const asked = this.#exchanges.end(exchange);
    const answer = decodeMessage(message);
    const isOurs = asked?.kind === "stream-ping" && answer?.type === "ack" && answer.seq === asked.seq;
    if (isOurs && this.#probe?.seq === asked.seq) this.#probe.onStreamAnswer();
    return this.#take();
  }

  onExchangeFailed(exchange: number): Effect[] {
    const asked = this.#exchanges.end(exchange);
    if (asked?.kind === "push-pull") this.#tell({ type: "exchanged", with: asked.to, isMerged: false });
    return this.#take();
  }

  // --- what is wanted

  /** Exchanges everything with whoever is there. */
  join(to: Address): Effect[] {
    this.#startPushPull(to, true);
    return this.#take();
  }

  /** Other tags: everybody hears of them. Throws RangeError when they are too large. */
  updateTags(tags: Readonly<Record<string, string>>): Effect[] {
    const self = this.#self();
    self.describe(this.#metaOf(tags), self.versions);
    this.#rumors.renewSelf();
    return this.#take();
  }

  /** To one member, by UDP. */
  sendUser(name: string, payload: Uint8Array): Effect[] {
    const member = this.#table.get(name);
    if (member?.isLive)
      this.#send(member.address, [encodeMessage({ type: "user", payload })], readsCrc(member.versions));
    return this.#take();
  }

  /** Tells everybody, in the order serf needs; "may-close" says when it is done. */
  leave(nowMs: number): Effect[] {
    this.#leaving.begin(nowMs);
    return this.#take();
  }

  /** A member that is dead or has left: everybody forgets it. False when it is alive or unknown. */
  forget(name: string): { readonly isForgotten: boolean; readonly effects: Effect[] } {
    const member = this.#table.get(name);
    if (member === undefined || member.isLive) return { isForgotten: false, effects: [] };
    this.#serf.leave(name, true);
    this.#remove(member);
    return { isForgotten: true, effects: this.#take() };
  }

  // --- time

  nextDeadlineMs(): number {
    let next = Math.min(this.#nextGossipMs, this.#nextPushPullMs, this.#relayed.nextDeadlineMs);
    next = Math.min(next, this.#probe?.nextDeadlineMs ?? this.#nextProbeMs, this.#leaving.nextDeadlineMs);
    if (this.#table.suspects.size === 0) return next;
    for (const member of this.#suspects()) next = Math.min(next, this.#verdictMs(member));
    return next;
  }

  tick(nowMs: number): Effect[] {
    this.#noticeAbsence(nowMs);
    this.#endSuspicions(nowMs);
    this.#nackLate(nowMs);
    this.#continueProbe(nowMs);
    if (nowMs >= this.#nextProbeMs && this.#probe === null) this.#startProbe(nowMs);
    if (nowMs >= this.#nextGossipMs) this.#gossip(nowMs);
    if (nowMs >= this.#nextPushPullMs) this.#pushPull(nowMs);
    this.#leaving.tick(nowMs);
    return this.#take();
  }

  // --- messages

  #onMessage(message: GossipMessage, from: Address, nowMs: number): void {
    switch (message.type) {
      case "ping":
        this.#onPing(message, from);
        break;
      case "indirect-ping":
        this.#onIndirectPing(message, from, nowMs);
        break;
      case "ack":
        this.#onAck(message.seq, nowMs);
        break;
      case "nack":
        if (this.#probe?.seq === message.seq) this.#probe.onNack();
        break;
      case "alive":
        this.#rumors.onAlive(message, nowMs);
        break;
      case "suspect":
        this.#rumors.onSuspect(message.node, message.incarnation, message.from, nowMs);
        break;
      case "dead":
        this.#rumors.onDead(message.node, message.incarnation, message.from, nowMs);
        break;
      case "user":
        this.#onUser(message.payload);
        break;
      case "error":
        this.#drop("error");
    }
  }

  #onPing({ node, seq, source }: PingMessage, from: Address): void {
    if (node !== "" && node !== this.#options.name) return this.#drop("ping-for-another");
    const to = source === null ? from : { ip: source.address, port: source.port };
    this.#sendWithGossip(to, { type: "ack", seq, payload: null });
  }

  #onIndirectPing(asked: IndirectPingMessage, from: Address, nowMs: number): void {
    const asker = asked.source === null ? from : { ip: asked.source.address, port: asked.source.port };
    const seq = this.#nextSeq();
    const { probeTimeoutMs } = this.#profile;
    if (!this.#relayed.add(seq, asker, asked.seq, asked.wantsNack, nowMs, probeTimeoutMs)) {
      return this.#drop("too-many-pings");
    }
    this.#sendWithGossip({ ip: asked.target, port: asked.port }, this.#ping(asked.node, seq));
  }

  #onAck(seq: number, nowMs: number): void {
    const probe = this.#probe;
    if (probe?.seq === seq) {
      if (probe.isDirect) this.#table.get(probe.target)?.measured(nowMs - probe.startedMs);
      probe.onAck();
      return this.#continueProbe(nowMs);
    }
    const relayed = this.#relayed.onAck(seq);
    if (relayed !== null)
      this.#sendWithGossip(relayed.asker, { type: "ack", seq: relayed.askerSeq, payload: null });
  }

  #onUser(payload: Uint8Array): void {
    if (payload.length === 0) return this.#drop("empty-user-message");
    if (payload[0]! >= FIRST_FREE_PAYLOAD_TYPE) this.#effects.push({ kind: "user", payload });
    else this.#serf.onMessage(payload);
  }

  #onLeaveIntent(node: string, prune: boolean): void {
    const member = this.#table.get(node);
    if (member === undefined || member.isLive) return;
    if (member.state !== "left") this.#tell({ type: "left", name: node });
    member.state = "left";
    if (prune) this.#remove(member);
  }

  // --- probing

  #startProbe(nowMs: number): void {
    const { probeIntervalMs, hasBuddy } = this.#profile;
    this.#nextProbeMs = nowMs + probeIntervalMs;
    const target = this.#table.nextToProbe(() => this.#forgetOld(nowMs));
    if (target === null) return;
    const seq = this.#nextSeq();
    this.#probe = new Probe(this.#profile, target.name, seq, nowMs, this.#awareness.score);
    const ping = this.#ping(target.name, seq);
    if (target.state === "alive" || !hasBuddy) return this.#sendWithGossip(target.address, ping, target);
    // [LIFEGUARD §IV-C] a suspect hears of it with the probe, and can refute at once
    const { incarnation, name } = target;
    const suspect = encodeMessage({ type: "suspect", incarnation, node: name, from: this.#options.name });
    this.#send(target.address, [encodeMessage(ping), suspect], readsCrc(target.versions));
  }

  #continueProbe(nowMs: number): void {
    const probe = this.#probe;
    if (probe === null) return;
    const target = this.#table.get(probe.target);
    if (target === undefined || !target.isLive) return this.#endProbe(probe, nowMs);
    if (probe.needsHelp(nowMs)) this.#askForHelp(probe, target);
    const verdict = probe.verdict(nowMs);
    if (verdict === null) return;
    this.#endProbe(probe, nowMs);
    if (verdict === "failed") {
      this.#awareness.add(probe.healthCost);
      this.#rumors.onSuspect(target.name, target.incarnation, this.#options.name, nowMs);
      return;
    }
    this.#awareness.add(-1);
    if (verdict === "udp-broken") this.#tell({ type: "udp-broken", name: target.name });
  }

  /** One at a time: ticks that fell into a long probe are lost. */
  #endProbe(probe: Probe, nowMs: number): void {
    this.#probe = null;
    if (this.#nextProbeMs <= nowMs) this.#nextProbeMs = Math.max(nowMs, probe.endsMs);
  }

  #askForHelp(probe: Probe, target: MemberRecord): void {
    const { indirectChecks } = this.#profile;
    const helpers = this.#table.pick(
      indirectChecks,
      (member) => member.state === "alive" && member !== target && member !== this.#self(),
    );
    for (const helper of helpers) {
      this.#sendWithGossip(
        helper.address,
        {
          type: "indirect-ping",
          seq: probe.seq,
          target: target.address.ip,
          port: target.address.port,
          node: target.name,
          wantsNack: sendsNacks(helper.versions),
          source: this.#source(),
        },
        helper,
      );
    }
    probe.askedForHelp(helpers.filter((helper) => sendsNacks(helper.versions)).length);
    if (!answersStreamPing(target.versions)) return;
    const request = encodeMessage(this.#ping(target.name, probe.seq));
    const exchange = this.#exchanges.begin({ kind: "stream-ping", seq: probe.seq });
    const timeoutMs = Math.max(1, probe.endsMs - probe.nextDeadlineMs + this.#profile.probeTimeoutMs);
    this.#effects.push({ kind: "stream-ping", exchange, to: target.address, request, timeoutMs });
  }

  #nackLate(nowMs: number): void {
    for (const { asker, askerSeq } of this.#relayed.due(nowMs)) {
      this.#sendWithGossip(asker, { type: "nack", seq: askerSeq });
    }
  }

  // --- suspicion and forgetting

  /**
   * A timer that comes much too late means that this node was stopped or starved, and that what it waited for may lie in
   * its socket: what it would conclude now is worth nothing. [GOSSIP §10, 15]
   */
  #noticeAbsence(nowMs: number): void {
    const { probeTimeoutMs, probeIntervalMs } = this.#profile;
    if (nowMs - this.#nextGossipMs < probeTimeoutMs) return; // the timer that is always set, and soon
    this.#noVerdictsBeforeMs = nowMs + probeIntervalMs;
    if (this.#probe === null) return;
    this.#awareness.add(1);
    this.#probe = null;
    this.#nextProbeMs = nowMs;
  }

  #endSuspicions(nowMs: number): void {
    for (const member of [...this.#suspects()]) {
      if (this.#verdictMs(member) <= nowMs) this.#rumors.expire(member, nowMs);
    }
  }

  #verdictMs(member: MemberRecord): number {
    return Math.max(member.suspicion!.deadlineMs, this.#noVerdictsBeforeMs);
  }

  *#suspects(): Generator<MemberRecord> {
    for (const member of this.#table.suspects) {
      if (member.suspicion === null) this.#table.suspects.delete(member);
      else yield member;
    }
  }

  #forgetOld(nowMs: number): void {
    const beforeMs = nowMs - this.#profile.gossipToTheDeadMs;
    for (const member of [...this.#table.values()]) {
      if (!member.isLive && member.stateChangedMs < beforeMs) this.#remove(member);
    }
  }

  #remove(member: MemberRecord): void {
    if (member === this.#self()) return;
    this.#table.remove(member.name);
    this.#serf.forget(member.name);
    this.#tell({ type: "forgotten", name: member.name });
  }

  // --- gossip

  #gossip(nowMs: number): void {
    const { gossipIntervalMs, gossipNodes, gossipToTheDeadMs } = this.#profile;
    this.#nextGossipMs = nowMs + gossipIntervalMs;
    const hasOwn = this.#broadcasts.length + this.#serfBroadcasts.length > 0;
    if (!hasOwn && this.#options.userBroadcasts === undefined) return;
    const recipients = this.#table.pick(gossipNodes, (member) => {
      if (member === this.#self() || member.state === "left") return false;
      return member.isLive || nowMs - member.stateChangedMs < gossipToTheDeadMs;
    });
    for (const member of recipients) {
      const messages = this.#drawMessages(this.#options.packetBudgetBytes, member, MAX_PARTS);
      if (messages.length > 0) this.#send(member.address, messages, readsCrc(member.versions));
    }
  }

  /** Membership first, then serf's, then our own to those who understand it. */
  #drawMessages(budgetBytes: number, member: MemberRecord | null, maxParts: number): Uint8Array[] {
    const limit = retransmitLimit(this.#profile, this.#table.size);
    const messages: Uint8Array[] = [];
    let left = budgetBytes;
    const take = (drawn: readonly Uint8Array[]) => {
      for (const message of drawn) {
        left -= message.length + PART_OVERHEAD_BYTES;
        messages.push(message);
      }
    };
    take(this.#broadcasts.draw(left, PART_OVERHEAD_BYTES, limit, maxParts));
    take(this.#serfBroadcasts.draw(left, PART_OVERHEAD_BYTES, limit, maxParts - messages.length));
    const source = this.#options.userBroadcasts;
    if (source !== undefined && member?.isPortmesh === true && member.isLive) {
      const payloads = source.draw(left, limit).slice(0, maxParts - messages.length);
      take(payloads.map((payload) => encodeMessage({ type: "user", payload })));
    }
    return messages;
  }

  #broadcast(queue: BroadcastQueue, key: string | null, message: Uint8Array, onGone?: () => void): void {
    if (!queue.add(key, message, onGone)) this.#drop("too-large-to-gossip");
  }

  /** With as much of what everybody should hear as fits. */
  #sendWithGossip(to: Address, message: GossipMessage, member: MemberRecord | null = null): void {
    const first = encodeMessage(message);
    const left = this.#options.packetBudgetBytes - first.length - PART_OVERHEAD_BYTES;
    this.#send(to, [first, ...this.#drawMessages(left, member, MAX_PARTS - 1)], false);
  }

  #send(to: Address, messages: readonly Uint8Array[], withCrc: boolean): void {
    this.#effects.push({ kind: "packet", to, messages, withCrc });
  }

  // --- push/pull

  #pushPull(nowMs: number): void {
    const { pushPullIntervalMs } = this.#profile;
    this.#nextPushPullMs = nowMs + pushPullIntervalMs * pushPullFactor(this.#table.size);
    const [partner] = this.#table.pick(1, (member) => member.state === "alive" && member !== this.#self());
    if (partner !== undefined) this.#startPushPull(partner.address, false);
  }

  #startPushPull(to: Address, isJoin: boolean): void {
    const exchange = this.#exchanges.begin({ kind: "push-pull", to, isJoin });
    const timeoutMs = this.#profile.exchangeTimeoutMs;
    this.#effects.push({ kind: "push-pull", exchange, to, request: this.#state.encode(isJoin), timeoutMs });
  }

  #answerStream(bytes: Uint8Array, nowMs: number): Uint8Array | null {
    const asked = decodePushPull(bytes);
    if (asked !== null) {
      const answer = this.#state.encode(asked.isJoin);
      this.#state.merge(asked, nowMs);
      return answer;
    }
    const payload = decodeStreamUser(bytes);
    if (payload !== null) {
      this.#onUser(payload);
      return null;
    }
    const message = decodeMessage(bytes);
    if (message?.type === "ping" && (message.node === "" || message.node === this.#options.name)) {
      return encodeMessage({ type: "ack", seq: message.seq, payload: null });
    }
    this.#noteError(bytes);
    return null;
  }

  // --- self

  #addSelf(nowMs: number): void {
    const { name, address, tags } = this.#options;
    const self = new MemberRecord(name, address, this.#metaOf(tags), OUR_VERSIONS, nowMs);
    self.incarnation = 1;
    self.enter("alive", nowMs);
    this.#table.insert(self);
    this.#rumors.announceSelf();
  }

  #self(): MemberRecord {
    return this.#table.get(this.#options.name)!;
  }

  #announceDeath(nowMs: number, onSent: () => void): void {
    const self = this.#self();
    self.enter("left", nowMs);
    const { name, incarnation } = self;
    this.#broadcasts.add(name, encodeMessage({ type: "dead", incarnation, node: name, from: name }), onSent);
  }

  #hasOthers(): boolean {
    return this.#table.pick(1, (member) => member.isLive && member !== this.#self()).length > 0;
  }

  #metaOf(tags: Readonly<Record<string, string>>): Uint8Array {
    const meta = encodeTags(tags);
    if (meta.length > MAX_META_BYTES)
      throw new RangeError(`tags of ${meta.length} bytes: at most ${MAX_META_BYTES}`);
    return meta;
  }

  #ping(node: string, seq: number): PingMessage {
    return { type: "ping", seq, node, source: this.#source() };
  }

  #source(): NonNullable<PingMessage["source"]> {
    const { ip, port } = this.#options.address;
    return { address: ip, port, node: this.#options.name };
  }

  #nextSeq(): number {
    this.#seq = (this.#seq + 1) >>> 0;
    return this.#seq;
  }

  // --- effects

  #tell(event: MemberEvent): void {
    this.#effects.push({ kind: "event", event });
  }

  #drop(reason: string): void {
    this.#dropped[reason] = (this.#dropped[reason] ?? 0) + 1;
  }

  #noteError(bytes: Uint8Array): void {
    const message = decodeMessage(bytes);
    if (message?.type === "error") this.#tell({ type: "peer-error", text: message.text });
    else this.#drop("unexpected-answer");
  }

  #take(): Effect[] {
    const effects = this.#effects;
    this.#effects = [];
    return effects;
  }
}

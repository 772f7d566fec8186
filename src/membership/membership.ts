/**
 * A member of a cluster: SWIM with Lifeguard as memberlist speaks it, and what serf's agents need to see. Synchronous:
 * packets, answers and the time come in, effects go out; it has no sockets, no timers, no clock and no randomness of its own.
 *
 * The driver calls `tick` at `nextDeadlineMs`. Times are of any clock that never goes back.
 */
import {
  type AliveMessage,
  type DeadMessage,
  decodeMessage,
  decodeStreamUser,
  encodeMessage,
  encodeTags,
  FIRST_FREE_PAYLOAD_TYPE,
  type GossipMessage,
  PushPullReader,
} from "../wire/gossip/index.ts";
import { type Address, isSameAddress } from "./address.ts";
import { Awareness } from "./awareness.ts";
import { Conflicts } from "./conflicts.ts";
import { type Effect, Effects } from "./effect.ts";
import { Exchanges } from "./exchanges.ts";
import { nextIncarnation } from "./incarnation.ts";
import { Leaving } from "./leaving.ts";
import { type Member, MemberRecord } from "./member.ts";
import { continueMembers, exportMembers, type MembershipState } from "./member-state.ts";
import { MemberTable } from "./member-table.ts";
import { MAX_META_BYTES, MemberUpdates } from "./member-updates.ts";
import { Moving } from "./moving.ts";
import { type BroadcastSource, Packets } from "./packets.ts";
import { Prober } from "./prober.ts";
import type { Profile } from "./profile.ts";
import { PushPulls } from "./push-pulls.ts";
import { SerfDelegate } from "./serf-delegate.ts";
import { StateExchange } from "./state-exchange.ts";
import { OUR_VERSIONS, readsCrc } from "./versions.ts";

/** Everything that goes through all members stays within milliseconds; more names are made up, or need another design. */
export const MAX_MEMBERS = 12_000;
/** Suspicions that end at once are given up a few at a time. */
const MAX_VERDICTS_PER_TICK = 256;
const NO_BYTES = new Uint8Array();

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
  /** Of another process of this node, which says nothing any more. */
  readonly inherited?: MembershipState | undefined;
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
  readonly #updates: MemberUpdates;
  readonly #serf: SerfDelegate;
  readonly #pushPulls: PushPulls;
  readonly #packets: Packets;
  readonly #prober: Prober;
  readonly #exchanges = new Exchanges();
  readonly #leaving: Leaving;
  readonly #moving: Moving;
  readonly #effects = new Effects();
  readonly #conflicts: Conflicts;
  #nextGossipMs: number;
  /** Suspects are not given up before, and conflicts not reported: this node itself was away. */
  #noVerdictsBeforeMs = Number.NEGATIVE_INFINITY;

  constructor(options: MembershipOptions, nowMs: number) {
    const { profile, name, random } = options;
    this.#options = options;
    this.#profile = profile;
    this.#table = options.table ?? new MemberTable(name, MAX_MEMBERS, random);
    this.#packets = new Packets({
      profile,
      table: this.#table,
      budgetBytes: options.packetBudgetBytes,
      userBroadcasts: options.userBroadcasts ?? null,
      effects: this.#effects,
    });
    this.#awareness = new Awareness(profile.hasAwareness ? profile.awarenessMaxMultiplier : 1);
    this.#conflicts = new Conflicts(this.#table, this.#effects);
    this.#updates = new MemberUpdates({
      profile,
      table: this.#table,
      awareness: this.#awareness,
      self: name,
      cluster: options.clusterName,
      isLeaving: () => this.#leaving.hasBegun,
      packets: this.#packets,
      effects: this.#effects,
      conflicts: this.#conflicts,
    });
    this.#serf = new SerfDelegate(name, {
      broadcast: (payload, key, onGone) => this.#packets.broadcastSerf(payload, key, onGone),
      isKnown: (node) => this.#table.get(node) !== undefined,
      isLive: (node) => this.#table.get(node)?.isLive === true,
      onLeaveIntent: (node, prune) => this.#onLeaveIntent(node, prune),
    });
    const state = new StateExchange({
      cluster: options.clusterName,
      table: this.#table,
      updates: this.#updates,
      serf: this.#serf,
      localState: () => options.localState?.() ?? NO_BYTES,
      effects: this.#effects,
    });
    this.#leaving = new Leaving({
      hasOthers: () => this.#hasOthers(),
      announceIntent: (onSent) => this.#serf.leave(name, false, onSent),
      announceDeath: (atMs, onSent) => this.#announceDeath(atMs, onSent),
      onDone: () => this.#effects.notify({ type: "may-close" }),
    });
    this.#moving = new Moving((messages) => this.#sendToAll(messages));
    this.#prober = new Prober(
      {
        profile,
        self: name,
        address: () => this.#self().address,
        table: this.#table,
        awareness: this.#awareness,
        packets: this.#packets,
        exchanges: this.#exchanges,
        effects: this.#effects,
        onSilent: ({ name: node, incarnation }, atMs) =>
          this.#updates.onSuspect({ node, incarnation, from: name }, atMs),
        onRound: (atMs) => this.#forgetOld(atMs),
      },
      nowMs + random() * profile.probeIntervalMs,
    );
    this.#nextGossipMs = nowMs + random() * profile.gossipIntervalMs;
    this.#pushPulls = new PushPulls(
      {
        profile,
        self: name,
        table: this.#table,
        exchanges: this.#exchanges,
        state,
        effects: this.#effects,
      },
      nowMs,
      nowMs + random() * profile.pushPullIntervalMs,
    );
    const { inherited } = options;
    if (inherited !== undefined) {
      continueMembers(inherited.members, this.#table, nowMs);
      this.#serf.continueFrom(inherited.serf);
    }
    this.#addSelf(nowMs, inherited === undefined ? 1 : nextIncarnation(inherited.incarnation));
  }

  // --- for readers

  members(): Member[] {
    return [...this.#table.values()];
  }

  /** How many there are. */
  get size(): number {
    return this.#table.size;
  }

  member(name: string): Member | null {
    return this.#table.get(name) ?? null;
  }

  get stats(): MembershipStats {
    return {
      healthScore: this.#awareness.score,
      queueLengths: this.#packets.queueLengths,
      droppedTotal: { ...this.#effects.droppedTotal },
    };
  }

  /** What another process of this node continues with, under the next incarnation. This one says nothing until `resume`. */
  export(nowMs: number): MembershipState {
    const { incarnation } = this.#self();
    return { incarnation, members: exportMembers(this.#table, nowMs), serf: this.#serf.export() };
  }

  /** The other process did not go on: this node is newer than whatever that one has said. */
  resume(): Effect[] {
    const self = this.#self();
    self.incarnation = nextIncarnation(self.incarnation);
    this.#updates.renewSelf();
    return this.#effects.take();
  }

  // --- input

  /** The messages of one packet, as the shell has opened it. */
  onPacket(messages: readonly Uint8Array[], from: Address, nowMs: number): Effect[] {
    const { decode = decodeMessage } = this.#options;
    let left: DeadMessage | null = null; // a goodbye that may turn out to be a move
    for (const bytes of messages) {
      const message = decode(bytes);
      const before: DeadMessage | null = left;
      left = message !== null && isGoodbye(message) ? message : null;
      if (before !== null && message !== null && isMove(before, message)) {
        this.#updates.onMove(before, message, nowMs, from);
        continue;
      }
      if (before !== null) this.#onMessage(before, from, nowMs);
      if (message === null) this.#effects.drop("malformed");
      else if (left === null) this.#onMessage(message, from, nowMs);
    }
    if (left !== null) this.#onMessage(left, from, nowMs);
    return this.#effects.take();
  }

  /** The first frame of an incoming stream. */
  answerStream(
    message: Uint8Array,
    nowMs: number,
  ): { readonly answer: Uint8Array | null; readonly effects: Effect[] } {
    const answer = this.#answerStream(message, nowMs);
    return { answer, effects: this.#effects.take() };
  }

  onPushPullAnswer(exchange: number, message: Uint8Array, nowMs: number): Effect[] {
    const asked = this.#exchanges.end(exchange);
    if (asked?.kind !== "push-pull") return this.#effects.take();
    const onDone = (isMerged: boolean | null) => {
      if (isMerged === null) this.#noteError(message);
      if (isMerged === true && asked.isJoin) this.#serf.announce();
      this.#effects.notify({ type: "exchanged", with: asked.to, isMerged: isMerged === true });
    };
    const answer = PushPullReader.of(message);
    if (answer === null) onDone(null);
    else this.#pushPulls.merge(answer, nowMs, asked.to, onDone);
    return this.#effects.take();
  }

  onStreamPingAnswer(exchange: number, message: Uint8Array): Effect[] {
    const asked = this.#exchanges.end(exchange);
    const answer = decodeMessage(message);
    const isOurs = asked?.kind === "stream-ping" && answer?.type === "ack" && answer.seq === asked.seq;
    if (isOurs) this.#prober.onStreamAnswer(asked.seq);
    return this.#effects.take();
  }

  onExchangeFailed(exchange: number): Effect[] {
    const asked = this.#exchanges.end(exchange);
    if (asked?.kind === "push-pull")
      this.#effects.notify({ type: "exchanged", with: asked.to, isMerged: false });
    return this.#effects.take();
  }

  // --- what is wanted

  /** Starts a push/pull with the member at this address. */
  join(to: Address, nowMs: number): Effect[] {
    this.#pushPulls.start(to, true, nowMs);
    return this.#effects.take();
  }

  /** Sets other tags and broadcasts them. Throws RangeError when they are too large. */
  updateTags(tags: Readonly<Record<string, string>>): Effect[] {
    const self = this.#self();
    self.describe(this.#metaOf(tags), self.versions);
    this.#updates.renewSelf();
    return this.#effects.take();
  }

  /** This node has another address from now on: every member that has not left hears of it, more than once. */
  moveTo(address: Address, nowMs: number): Effect[] {
    if (this.#leaving.hasBegun || isSameAddress(this.#self().address, address)) return this.#effects.take();
    this.#moving.begin(this.#updates.moveSelf(address), nowMs);
    this.#moving.tick(nowMs);
    return this.#effects.take();
  }

  /** To one member, by UDP. */
  sendUser(name: string, payload: Uint8Array): Effect[] {
    const member = this.#table.get(name);
    if (member?.isLive)
      this.#packets.send(
        member.address,
        [encodeMessage({ type: "user", payload })],
        readsCrc(member.versions),
      );
    return this.#effects.take();
  }

  /** Announces the leave in the order that serf needs; "may-close" says when it is done. */
  leave(nowMs: number): Effect[] {
    this.#leaving.begin(nowMs);
    return this.#effects.take();
  }

  /** A member that is dead or has left: all members forget it. False when it is alive or unknown. */
  forget(name: string): { readonly isForgotten: boolean; readonly effects: Effect[] } {
    const member = this.#table.get(name);
    if (member === undefined || member.isLive) return { isForgotten: false, effects: [] };
    this.#serf.leave(name, true);
    this.#remove(member);
    return { isForgotten: true, effects: this.#effects.take() };
  }

  // --- time

  nextDeadlineMs(): number {
    return Math.min(
      this.#nextGossipMs,
      this.#pushPulls.nextDeadlineMs,
      this.#prober.nextDeadlineMs,
      this.#leaving.nextDeadlineMs,
      this.#moving.nextDeadlineMs,
      Math.max(this.#conflicts.nextDeadlineMs, this.#noVerdictsBeforeMs),
      Math.max(this.#table.suspicions.nextDeadlineMs, this.#noVerdictsBeforeMs),
    );
  }

  tick(nowMs: number): Effect[] {
    this.#noticeAbsence(nowMs);
    this.#endSuspicions(nowMs);
    this.#prober.tick(nowMs);
    if (nowMs >= this.#nextGossipMs) this.#gossip(nowMs);
    this.#pushPulls.tick(nowMs);
    this.#leaving.tick(nowMs);
    this.#moving.tick(nowMs);
    if (nowMs >= this.#noVerdictsBeforeMs) this.#conflicts.tick(nowMs);
    return this.#effects.take();
  }

  // --- messages

  #onMessage(message: GossipMessage, from: Address, nowMs: number): void {
    switch (message.type) {
      case "ping":
        this.#prober.onPing(message, from);
        break;
      case "indirect-ping":
        this.#prober.onIndirectPing(message, from, nowMs);
        break;
      case "ack":
        this.#prober.onAck(message.seq, from, nowMs);
        break;
      case "nack":
        this.#prober.onNack(message.seq);
        break;
      case "alive":
        this.#updates.onAlive(message, nowMs, from);
        break;
      case "suspect":
        this.#updates.onSuspect(message, nowMs, from);
        break;
      case "dead":
        this.#updates.onDead(message, nowMs, from);
        break;
      case "user":
        this.#onUser(message.payload);
        break;
      case "error":
        this.#effects.drop("error");
    }
  }

  #onUser(payload: Uint8Array): void {
    if (payload.length === 0) return this.#effects.drop("empty-user-message");
    if (payload[0]! >= FIRST_FREE_PAYLOAD_TYPE) this.#effects.add({ kind: "user", payload });
    else this.#serf.onMessage(payload);
  }

  #onLeaveIntent(node: string, prune: boolean): void {
    const member = this.#table.get(node);
    if (member === undefined || member.isLive) return;
    if (member.state !== "left") this.#effects.notify({ type: "left", name: node });
    member.state = "left";
    if (prune) this.#remove(member);
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
    this.#prober.giveUp(nowMs);
  }

  #endSuspicions(nowMs: number): void {
    if (nowMs < this.#noVerdictsBeforeMs) return;
    for (let verdicts = 0; verdicts < MAX_VERDICTS_PER_TICK; verdicts++) {
      const member = this.#table.suspicions.takeDue(nowMs);
      if (member === null) return;
      this.#updates.expire(member, nowMs);
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
    this.#effects.notify({ type: "forgotten", name: member.name });
  }

  // --- gossip and streams

  #gossip(nowMs: number): void {
    this.#nextGossipMs = nowMs + this.#profile.gossipIntervalMs;
    this.#packets.gossip(nowMs);
  }

  #answerStream(bytes: Uint8Array, nowMs: number): Uint8Array | null {
    const asked = PushPullReader.of(bytes);
    if (asked !== null) return this.#pushPulls.answer(asked, nowMs);
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

  #addSelf(nowMs: number, incarnation: number): void {
    const { name, address, tags } = this.#options;
    const self = new MemberRecord(name, address, this.#metaOf(tags), OUR_VERSIONS, nowMs);
    self.incarnation = incarnation;
    self.enter("alive", nowMs);
    this.#table.insert(self);
    this.#updates.announceSelf();
  }

  #self(): MemberRecord {
    return this.#table.get(this.#options.name)!;
  }

  #announceDeath(nowMs: number, onSent: () => void): void {
    const self = this.#self();
    self.enter("left", nowMs);
    const { name, incarnation } = self;
    this.#packets.broadcast(
      name,
      encodeMessage({ type: "dead", incarnation, node: name, from: name }),
      onSent,
    );
  }

  /** Failed ones too: this node may have given them up because its own address was gone, and not they this node. */
  #sendToAll(messages: readonly Uint8Array[]): void {
    const self = this.#self();
    for (const member of this.#table.values())
      if (member.state !== "left" && member !== self)
        this.#packets.send(member.address, messages, readsCrc(member.versions));
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

  #noteError(bytes: Uint8Array): void {
    const message = decodeMessage(bytes);
    if (message?.type === "error") this.#effects.notify({ type: "peer-error", text: message.text });
    else this.#effects.drop("unexpected-answer");
  }
}

function isGoodbye(message: GossipMessage): message is DeadMessage {
  return message.type === "dead" && message.from === message.node;
}

function isMove({ node }: DeadMessage, next: GossipMessage): next is AliveMessage {
  return next.type === "alive" && next.node === node;
}

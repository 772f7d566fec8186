/**
 * Failure detection: pings one member after the other, then asks helpers and TCP, then suspects it
 * [SWIM §3.1, LIFEGUARD §IV]. Also relays pings for members that ask for help.
 */
import { RttEstimator } from "../sys/rtt-estimator.ts";
import { encodeMessage, type IndirectPingMessage, type PingMessage } from "../wire/gossip/index.ts";
import { type Address, isSameAddress } from "./address.ts";
import type { Awareness } from "./awareness.ts";
import type { Effects } from "./effect.ts";
import type { Exchanges } from "./exchanges.ts";
import { type MemberRecord, PROBE_TIME } from "./member.ts";
import type { MemberTable } from "./member-table.ts";
import type { Packets } from "./packets.ts";
import { Probe } from "./probe.ts";
import type { Profile } from "./profile.ts";
import { RelayedPings } from "./relayed-pings.ts";
import { answersStreamPing, readsCrc, sendsNacks } from "./versions.ts";

const MAX_RECENT = 8;

export interface ProberHost {
  readonly profile: Profile;
  readonly self: string;
  /** Of this node, now. */
  readonly address: () => Address;
  readonly table: MemberTable;
  readonly awareness: Awareness;
  readonly packets: Packets;
  readonly exchanges: Exchanges;
  readonly effects: Effects;
  /** It has not answered in any way. */
  readonly onSilent: (member: MemberRecord, nowMs: number) => void;
  /** A round is complete: the time to forget dead members. */
  readonly onRound: (nowMs: number) => void;
}

export class Prober {
  readonly #host: ProberHost;
  readonly #relayed = new RelayedPings();
  #probe: Probe | null = null;
  /** By number, oldest first: acks may come late. Bounded by MAX_RECENT. */
  readonly #recent = new Map<number, Probe>();
  /** Round trips to all members. */
  readonly #others = new RttEstimator(PROBE_TIME);
  /** Where the member of the probe was when it began. */
  #probedAt: Address | null = null;
  #seq = 0;
  #nextMs: number;

  /** @param firstMs when the first probe begins */
  constructor(host: ProberHost, firstMs: number) {
    this.#host = host;
    this.#nextMs = firstMs;
  }

  get nextDeadlineMs(): number {
    return Math.min(this.#relayed.nextDeadlineMs, this.#probe?.nextDeadlineMs ?? this.#nextMs);
  }

  tick(nowMs: number): void {
    this.#nackLate(nowMs);
    this.#continue(nowMs);
    if (nowMs >= this.#nextMs && this.#probe === null) this.#start(nowMs);
  }

  onPing({ node, seq, source }: PingMessage, from: Address): void {
    const { self, packets, effects } = this.#host;
    if (node !== "" && node !== self) return effects.drop("ping-for-another");
    const to = source === null ? from : { ip: source.address, port: source.port };
    packets.sendWithNews(to, { type: "ack", seq, payload: null });
  }

  onIndirectPing(asked: IndirectPingMessage, from: Address, nowMs: number): void {
    const { profile, packets, effects } = this.#host;
    const asker = asked.source === null ? from : { ip: asked.source.address, port: asked.source.port };
    const seq = this.#nextSeq();
    if (!this.#relayed.add(seq, asker, asked.seq, asked.wantsNack, nowMs, profile.probeTimeoutMs)) {
      return effects.drop("too-many-pings");
    }
    packets.sendWithNews({ ip: asked.target, port: asked.port }, this.#ping(asked.node, seq));
  }

  onAck(seq: number, from: Address, nowMs: number): void {
    const { packets } = this.#host;
    this.#measure(seq, from, nowMs);
    const probe = this.#probe;
    if (probe?.seq === seq) {
      probe.onAck();
      return this.#continue(nowMs);
    }
    const relayed = this.#relayed.onAck(seq);
    if (relayed !== null) {
      packets.sendWithNews(relayed.asker, { type: "ack", seq: relayed.askerSeq, payload: null });
    }
  }

  onNack(seq: number): void {
    if (this.#probe?.seq === seq) this.#probe.onNack();
  }

  onStreamAnswer(seq: number): void {
    if (this.#probe?.seq === seq) this.#probe.onStreamAnswer();
  }

  /** An ack that comes too late says how far away the member is all the same, unless a helper has passed it on. */
  #measure(seq: number, from: Address, nowMs: number): void {
    const probe = this.#recent.get(seq);
    const target = probe === undefined ? undefined : this.#host.table.get(probe.target);
    if (probe === undefined || target === undefined) return;
    if (!probe.isDirect && !isSameAddress(from, target.address)) return;
    this.#recent.delete(seq);
    target.measured(nowMs - probe.startedMs, nowMs);
    this.#others.add(nowMs - probe.startedMs, nowMs);
  }

  /** This node was away: what the probe would conclude is worth nothing. */
  giveUp(nowMs: number): void {
    this.#recent.clear(); // their acks may have lain here
    if (this.#probe === null) return;
    this.#host.awareness.add(1);
    this.#probe = null;
    this.#nextMs = nowMs;
  }

  #start(nowMs: number): void {
    const { profile, self, table, awareness, packets, onRound } = this.#host;
    this.#nextMs = nowMs + profile.probeIntervalMs;
    const target = table.nextToProbe(() => onRound(nowMs));
    if (target === null) return;
    const seq = this.#nextSeq();
    const timeout = target.probeTimeout(profile.probeTimeoutMs, this.#others);
    this.#probe = new Probe(profile, target.name, seq, nowMs, awareness.score, timeout);
    this.#remember(seq, this.#probe);
    this.#probedAt = target.address;
    const ping = this.#ping(target.name, seq);
    if (target.state === "alive" || !profile.hasBuddy)
      return packets.sendWithNews(target.address, ping, target);
    // [LIFEGUARD §IV-C] a suspect hears of it with the probe, and can refute at once
    const { incarnation, name } = target;
    const suspect = encodeMessage({ type: "suspect", incarnation, node: name, from: self });
    packets.send(target.address, [encodeMessage(ping), suspect], readsCrc(target.versions));
  }

  #remember(seq: number, probe: Probe): void {
    this.#recent.set(seq, probe);
    for (const oldest of this.#recent.keys()) {
      if (this.#recent.size <= MAX_RECENT) return;
      this.#recent.delete(oldest);
    }
  }

  #continue(nowMs: number): void {
    const { table, awareness, onSilent, effects } = this.#host;
    const probe = this.#probe;
    if (probe === null) return;
    const target = table.get(probe.target);
    if (target === undefined || !target.isLive) return this.#end(probe, nowMs);
    // silence of an address that it has left says nothing about the member
    if (target.address !== this.#probedAt) return this.#end(probe, nowMs);
    if (probe.needsHelp(nowMs)) this.#askForHelp(probe, target);
    const verdict = probe.verdict(nowMs);
    if (verdict === null) return;
    this.#end(probe, nowMs);
    if (verdict === "failed") {
      awareness.add(probe.healthCost);
      return onSilent(target, nowMs);
    }
    awareness.add(-1);
    if (verdict === "udp-broken") effects.notify({ type: "udp-broken", name: target.name });
  }

  /** One at a time: ticks that fell into a long probe are lost. */
  #end(probe: Probe, nowMs: number): void {
    this.#probe = null;
    if (this.#nextMs <= nowMs) this.#nextMs = Math.max(nowMs, probe.endsMs);
  }

  #askForHelp(probe: Probe, target: MemberRecord): void {
    const { profile, self, table, packets } = this.#host;
    const canHelp = (member: MemberRecord) =>
      member.state === "alive" && member !== target && member.name !== self;
    const helpers = table.pick(profile.indirectChecks, canHelp);
    for (const helper of helpers) {
      const { ip, port } = target.address;
      const wantsNack = sendsNacks(helper.versions);
      const asked = { type: "indirect-ping", seq: probe.seq, target: ip, port, node: target.name } as const;
      packets.sendWithNews(helper.address, { ...asked, wantsNack, source: this.#source() }, helper);
    }
    probe.askedForHelp(helpers.filter((helper) => sendsNacks(helper.versions)).length);
    if (answersStreamPing(target.versions)) this.#askByStream(probe, target);
  }

  #askByStream(probe: Probe, target: MemberRecord): void {
    const { profile, exchanges, effects } = this.#host;
    const request = encodeMessage(this.#ping(target.name, probe.seq));
    const exchange = exchanges.begin({ kind: "stream-ping", seq: probe.seq });
    const timeoutMs = Math.max(1, probe.endsMs - probe.nextDeadlineMs + profile.probeTimeoutMs);
    effects.add({ kind: "stream-ping", exchange, to: target.address, request, timeoutMs });
  }

  #nackLate(nowMs: number): void {
    for (const { asker, askerSeq } of this.#relayed.due(nowMs)) {
      this.#host.packets.sendWithNews(asker, { type: "nack", seq: askerSeq });
    }
  }

  #ping(node: string, seq: number): PingMessage {
    return { type: "ping", seq, node, source: this.#source() };
  }

  #source(): NonNullable<PingMessage["source"]> {
    const { self, address } = this.#host;
    const { ip, port } = address();
    return { address: ip, port, node: self };
  }

  #nextSeq(): number {
    this.#seq = (this.#seq + 1) >>> 0;
    return this.#seq;
  }
}

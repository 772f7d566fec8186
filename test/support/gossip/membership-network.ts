/**
 * Members in a network that exists in memory: virtual time, and seeded loss, delay (so also reordering), duplication,
 * one-way partitions, pauses, crashes and ticks that come late. Exchanges over TCP are not lossy, but they need both
 * directions and an answering process.
 *
 * What node/cluster/seeds.ts does in the product, finding back to members that were given up, the network plays too.
 */
import {
  type Effect,
  type MemberEvent,
  Membership,
  PROFILES,
  type Profile,
} from "../../../src/membership/index.ts";
import { MemberRecord } from "../../../src/membership/member.ts";
import { OUR_VERSIONS } from "../../../src/membership/versions.ts";
import {
  decodeMessage,
  encodeMessage,
  encodePushPull,
  encodeTags,
  type GossipMessage,
  type PushPull,
} from "../../../src/wire/gossip/index.ts";
import type { Seeded } from "../random/seed.ts";
import { EventHeap } from "../time/event-heap.ts";
import { SharedMembers, SharedMemberTable } from "./shared-member-table.ts";

const TAGS = { pm: "1", cluster: "sim" };
const PORT = 7946;
const MAX_PACKET_BYTES = 1400;
/** A compound's head and a checksum. */
const PACKET_OVERHEAD_BYTES = 2 + 5;
const PART_BYTES = 2;
/** What a paused process finds in its socket. */
const MAX_INBOX = 1_000;
const RECONNECT_MS = 5_000;
/** Nobody's. */
const ATTACKER = { ip: Uint8Array.of(10, 255, 255, 255), port: 7_946 };

export interface NetworkOptions {
  readonly profile?: Profile;
  /** Of datagrams, 0…1. */
  readonly loss?: number;
  /** Of datagrams that arrive twice, 0…1. */
  readonly duplication?: number;
  readonly minDelayMs?: number;
  readonly maxDelayMs?: number;
  /** Whether members look for those they have given up. */
  readonly hasReconnect?: boolean;
  /** So many know each other from the start, without ever having joined. */
  readonly size?: number;
}

export interface SimMember {
  readonly index: number;
  readonly name: string;
  machine: Membership;
  isRunning: boolean;
  pausedUntilMs: number;
  /** Its timers run, but nothing it sends leaves and nothing reaches it before. */
  blockedUntilMs: number;
  /** Timers of the process do not fire before; packets are still handled. */
  noTicksBeforeMs: number;
  wakeAtMs: number;
  readonly inbox: (() => void)[];
  /** Counts starts: what was under way for an earlier life is lost. */
  life: number;
}

type Exchange = Extract<Effect, { kind: "push-pull" | "stream-ping" }>;

export class MembershipNetwork {
  nowMs = 0;
  readonly members: SimMember[] = [];
  readonly sent = { packets: 0, bytes: 0, largestBytes: 0, streams: 0 };
  onEvent: (observer: SimMember, event: MemberEvent) => void = () => undefined;
  readonly #events = new EventHeap();
  readonly #seeded: Seeded;
  readonly #options: Required<NetworkOptions>;
  /** The same bytes go to many. */
  readonly #decoded = new WeakMap<Uint8Array, GossipMessage | null>();
  readonly #shared: SharedMembers | null;
  #canReach: (from: SimMember, to: SimMember) => boolean = () => true;

  constructor(seeded: Seeded, options: NetworkOptions = {}) {
    this.#seeded = seeded;
    this.#options = {
      profile: PROFILES.lan,
      loss: 0,
      duplication: 0,
      minDelayMs: 1,
      maxDelayMs: 1,
      hasReconnect: true,
      size: 0,
      ...options,
    };
    const { size } = this.#options;
    this.#shared = size === 0 ? null : new SharedMembers(Array.from({ length: size }, (_, i) => recordOf(i)));
    for (let index = 0; index < size; index++) this.start();
  }

  get running(): SimMember[] {
    return this.members.filter(({ isRunning }) => isRunning);
  }

  // --- what is done to members

  start(): SimMember {
    const index = this.members.length;
    const name = nameOf(index);
    const member: SimMember = {
      index,
      name,
      machine: this.#machineOf(index, name),
      isRunning: true,
      pausedUntilMs: 0,
      blockedUntilMs: 0,
      noTicksBeforeMs: 0,
      wakeAtMs: Number.POSITIVE_INFINITY,
      inbox: [],
      life: 0,
    };
    this.members.push(member);
    this.#wake(member);
    if (this.#options.hasReconnect) this.#reconnectLater(member);
    return member;
  }

  join(member: SimMember, to: SimMember): void {
    this.#run(member, member.machine.join(addressOf(to.index), this.nowMs));
  }

  /** It answers nobody any more. */
  crash(member: SimMember): void {
    member.isRunning = false;
    member.life++;
    member.inbox.length = 0;
  }

  /** As a new process under the same name and address, which knows nothing but one member. */
  restart(member: SimMember, to: SimMember): void {
    this.crash(member);
    member.machine = this.#machineOf(member.index, member.name);
    member.isRunning = true;
    member.wakeAtMs = Number.POSITIVE_INFINITY;
    member.pausedUntilMs = 0;
    this.#wake(member);
    this.join(member, to);
  }

  /** The process stands still; what comes meanwhile waits for it. */
  pause(member: SimMember, forMs: number): void {
    const untilMs = this.nowMs + forMs;
    if (untilMs <= member.pausedUntilMs) return;
    member.pausedUntilMs = untilMs;
    this.#events.add(untilMs, () => {
      if (member.pausedUntilMs !== untilMs || !member.isRunning) return;
      this.#tick(member, member.wakeAtMs); // timers come before sockets
      for (const arrive of member.inbox.splice(0)) arrive();
    });
  }

  /** Only its messages stand still, in both directions [LIFEGUARD §V]. */
  block(member: SimMember, forMs: number): void {
    const untilMs = this.nowMs + forMs;
    member.blockedUntilMs = untilMs;
    this.#events.add(untilMs, () => {
      if (member.blockedUntilMs !== untilMs || !member.isRunning) return;
      for (const go of member.inbox.splice(0)) go();
    });
  }

  delayTicks(member: SimMember, forMs: number): void {
    member.noTicksBeforeMs = this.nowMs + forMs;
  }

  /** What somebody with a key sends it, in one packet. */
  hear(member: SimMember, messages: readonly GossipMessage[], from = ATTACKER): void {
    this.#run(member, member.machine.onPacket(messages.map(encodeMessage), from, this.nowMs));
  }

  /** The same over TCP. */
  receive(member: SimMember, exchange: PushPull): void {
    this.#run(member, member.machine.answerStream(encodePushPull(exchange), this.nowMs).effects);
  }

  leave(member: SimMember): void {
    this.#run(member, member.machine.leave(this.nowMs));
  }

  /** Packets from one to another that do not pass; also one way. */
  cut(canReach: (from: SimMember, to: SimMember) => boolean): void {
    this.#canReach = canReach;
  }

  heal(): void {
    this.#canReach = () => true;
  }

  /** At that time, in the order of everything else. */
  at(atMs: number, run: () => void): void {
    this.#events.add(atMs, run);
  }

  // --- time

  run(ms: number): void {
    const endMs = this.nowMs + ms;
    while (this.#events.nextMs <= endMs) {
      this.nowMs = this.#events.nextMs;
      this.#events.take()();
    }
    this.nowMs = endMs;
  }

  /** In steps; the virtual milliseconds it took until it held. */
  runUntil(holds: () => boolean, limitMs: number, stepMs = 100): number {
    const startMs = this.nowMs;
    while (!holds()) {
      if (this.nowMs - startMs > limitMs) throw new Error(`does not hold after ${limitMs} ms`);
      this.run(stepMs);
    }
    return this.nowMs - startMs;
  }

  /** Everybody who runs sees everybody who runs, and nobody else. */
  hasConverged(): boolean {
    const running = this.running;
    return running.every((member) => {
      let live = 0;
      for (const { name } of running) {
        const state = member.machine.member(name)?.state;
        if (state !== "alive") return false;
        live++;
      }
      return live === liveNames(member.machine).length;
    });
  }

  // --- carrying out

  #decode(bytes: Uint8Array): GossipMessage | null {
    const known = this.#decoded.get(bytes);
    if (known !== undefined) return known;
    const message = decodeMessage(bytes);
    this.#decoded.set(bytes, message);
    return message;
  }

  #machineOf(index: number, name: string): Membership {
    return new Membership(
      {
        profile: this.#options.profile,
        name,
        address: addressOf(index),
        tags: TAGS,
        clusterName: TAGS.cluster,
        packetBudgetBytes: MAX_PACKET_BYTES - PACKET_OVERHEAD_BYTES,
        random: this.#seeded.random,
        decode: (bytes) => this.#decode(bytes),
        ...(this.#shared !== null && {
          table: new SharedMemberTable(name, this.#shared, this.#seeded.random),
        }),
      },
      this.nowMs,
    );
  }

  #run(member: SimMember, effects: readonly Effect[]): void {
    for (const effect of effects) {
      if (effect.kind === "packet") this.#sendPacket(member, effect.to.ip, effect.messages);
      else if (effect.kind === "event") this.#tell(member, effect.event);
      else if (effect.kind === "push-pull" || effect.kind === "stream-ping") this.#exchange(member, effect);
    }
    this.#wake(member);
  }

  #tell(member: SimMember, event: MemberEvent): void {
    if (event.type === "may-close") this.crash(member);
    this.onEvent(member, event);
  }

  #wake(member: SimMember): void {
    const atMs = member.machine.nextDeadlineMs();
    if (!member.isRunning || atMs >= member.wakeAtMs) return;
    member.wakeAtMs = atMs;
    this.#events.add(Math.max(atMs, this.nowMs), () => this.#tick(member, atMs));
  }

  #tick(member: SimMember, wakeAtMs: number): void {
    if (!member.isRunning || member.wakeAtMs !== wakeAtMs || member.pausedUntilMs > this.nowMs) return;
    if (member.noTicksBeforeMs > this.nowMs) {
      this.#events.add(member.noTicksBeforeMs, () => this.#tick(member, wakeAtMs));
      return;
    }
    member.wakeAtMs = Number.POSITIVE_INFINITY;
    this.#run(member, member.machine.tick(this.nowMs));
  }

  #sendPacket(from: SimMember, ip: Uint8Array, messages: readonly Uint8Array[]): void {
    let bytes = PACKET_OVERHEAD_BYTES;
    for (const message of messages) bytes += message.length + PART_BYTES;
    this.sent.packets++;
    this.sent.bytes += bytes;
    if (bytes > this.sent.largestBytes) this.sent.largestBytes = bytes;
    if (bytes > MAX_PACKET_BYTES) throw new Error(`a packet of ${bytes} bytes`);
    if (from.blockedUntilMs > this.nowMs) {
      if (from.inbox.length < MAX_INBOX) from.inbox.push(() => this.#carry(from, ip, messages));
    } else this.#carry(from, ip, messages);
  }

  #carry(from: SimMember, ip: Uint8Array, messages: readonly Uint8Array[]): void {
    const to = this.members[indexOf(ip)];
    if (to === undefined || !this.#canReach(from, to)) return;
    const { loss, duplication } = this.#options;
    const copies = duplication > 0 && this.#seeded.random() < duplication ? 2 : 1;
    for (let copy = 0; copy < copies; copy++) {
      if (loss > 0 && this.#seeded.random() < loss) continue;
      this.#arrive(to, () => {
        this.#run(to, to.machine.onPacket(messages, addressOf(from.index), this.nowMs));
      });
    }
  }

  /** After the delay of the network; a process that stands still finds it when it goes on. */
  #arrive(to: SimMember, run: () => void): void {
    const { life } = to;
    const arrive = () => {
      if (!to.isRunning || to.life !== life) return;
      if (Math.max(to.pausedUntilMs, to.blockedUntilMs) <= this.nowMs) run();
      else if (to.inbox.length < MAX_INBOX) to.inbox.push(arrive);
    };
    this.#events.add(this.nowMs + this.#delayMs(), arrive);
  }

  #delayMs(): number {
    const { minDelayMs, maxDelayMs } = this.#options;
    return minDelayMs + (maxDelayMs - minDelayMs) * this.#seeded.random();
  }

  #exchange(from: SimMember, effect: Exchange): void {
    this.sent.streams++;
    const { life } = from;
    const { exchange, request, timeoutMs } = effect;
    let isOver = false;
    const end = (finish: () => Effect[]) => {
      if (isOver || !from.isRunning || from.life !== life) return;
      isOver = true;
      this.#run(from, finish());
    };
    this.#events.add(this.nowMs + timeoutMs, () => end(() => from.machine.onExchangeFailed(exchange)));
    const to = this.members[indexOf(effect.to.ip)];
    if (to === undefined || !this.#canReach(from, to) || !this.#canReach(to, from)) return;
    if (from.blockedUntilMs > this.nowMs) return;
    this.#arrive(to, () => {
      const { answer, effects } = to.machine.answerStream(request, this.nowMs);
      this.#run(to, effects);
      if (answer === null) return;
      this.#arrive(from, () =>
        end(() =>
          effect.kind === "push-pull"
            ? from.machine.onPushPullAnswer(exchange, answer, this.nowMs)
            : from.machine.onStreamPingAnswer(exchange, answer),
        ),
      );
    });
  }

  #reconnectLater(member: SimMember): void {
    this.#events.add(this.nowMs + RECONNECT_MS * (0.5 + this.#seeded.random()), () => {
      if (member.isRunning && member.pausedUntilMs <= this.nowMs) {
        const lost = this.running.filter(({ name }) => !isLive(member.machine, name));
        if (lost.length > 0) this.join(member, this.#seeded.pick(lost));
      }
      this.#reconnectLater(member);
    });
  }
}

export function liveNames(machine: Membership): string[] {
  return machine
    .members()
    .filter(({ state }) => state === "alive" || state === "suspect")
    .map(({ name }) => name)
    .sort();
}

export function isLive(machine: Membership, name: string): boolean {
  const state = machine.member(name)?.state;
  return state === "alive" || state === "suspect";
}

export function addressOf(index: number): { readonly ip: Uint8Array; readonly port: number } {
  return { ip: Uint8Array.of(10, index >> 16, (index >> 8) & 255, index & 255), port: PORT };
}

function indexOf(ip: Uint8Array): number {
  return (ip[1]! << 16) | (ip[2]! << 8) | ip[3]!;
}

function recordOf(index: number): MemberRecord {
  const record = new MemberRecord(nameOf(index), addressOf(index), encodeTags(TAGS), OUR_VERSIONS, 0);
  record.incarnation = 1;
  record.enter("alive", 0);
  return record;
}

function nameOf(index: number): string {
  return `m${index}`;
}

/**
 * The sockets of the membership machine: frames what it sends, hands it what arrives, runs its timers.
 *
 * One port, UDP and TCP, one exchange per connection. What cannot be opened (another key, another protocol) or holds too
 * much (exchange-limiter.ts) is counted and logged, at most once a minute and reason: other hosts must not be
 * able to fill the log.
 */
import type { Address, Effect, Membership, Notification, Send } from "../../membership/index.ts";
import type { Clock } from "../../sys/clock.ts";
import type { Datagram } from "../../sys/datagram-socket.ts";
import {
  type Answer,
  CLOSED_EARLY,
  type ExchangeServer,
  type Reader,
  type Responder,
} from "../../sys/exchange.ts";
import { ExchangeLimiter } from "../../sys/exchange-limiter.ts";
import { randomBytes } from "../../sys/random.ts";
import { close } from "../../sys/socket.ts";
import {
  decodeMessage,
  decodeStreamUser,
  encodeMessage,
  encodeStreamUser,
  framePacket,
  frameStream,
  type GossipMessage,
  type Keyring,
  MAX_SHORT_BYTES,
  NONCE_BYTES,
  openPacket,
  StreamReader,
  USER_MESSAGE,
} from "../../wire/gossip/index.ts";
import { decodeRelayDatagram, formatHostPort, isWildcard, parseIp, RelayDatagram } from "../../wire/index.ts";
import { EVENTS } from "../events/message.ts";
import { PORT_TEST } from "../port-test/message.ts";
import type { StreamAnswer } from "../port-test/port-tester.ts";
import type { SocketList } from "../socket-list.ts";
import { addressOf, hostOf, ipOf } from "./address.ts";
import { DroppedGossip } from "./dropped-gossip.ts";
import type { GossipDatagrams, GossipTransport } from "./gossip-transport.ts";
import type { KeyMismatch } from "./key-mismatch.ts";

/** Two of the largest frames at once. What is received grows in steps, so memory may be twice as much. */
const MAX_HELD_BYTES = 16 * 2 ** 20;
const MIN_BYTES_PER_SEC = 16 * 1024;
const SWEEP_MS = 500;
/** More would keep the main thread from its own work; 10,000 members are 1 to 6 MiB. */
const MAX_BYTES_PER_SEC = 32 * 2 ** 20;
const FREE_BYTES = 16 * 1024;
/** Of an answer to `ask`. */
const MAX_ANSWER_BYTES = 64 * 1024;
/** Alone on its connection: any number does. */
const NAME_CHECK_SEQ = 1;

export interface GossipOptions {
  readonly transport: GossipTransport;
  readonly clock: Clock;
  readonly host: string;
  readonly port: number;
  /** Literal address of this machine that everything leaves from; null: any. */
  readonly source: () => string | null;
  readonly keyring: Keyring | null;
  /** Where those of another process of this node are, to go on with; absent: there are none. */
  readonly sockets?: SocketList | undefined;
  readonly machine: Membership;
  /** Connections from others at once, and as many to others, of which user messages get half. A bound on descriptors too. */
  readonly maxExchanges: number;
  /** Of an exchange over TCP, that is forgiven. */
  readonly silenceMs: number;
  /** How long it may take. */
  readonly exchangeTimeoutMs: number;
  /** What the machine reports besides packets; in order. */
  readonly onNotification: (effect: Notification) => void;
  /** A question of another node about ports, or a datagram of such a test (port-test/); what to answer on a stream. */
  readonly onPortTest: (payload: Uint8Array, from: PortTestSender) => Uint8Array | null;
  /** A question of another node about this node's events (events/), on a stream; the answer. */
  readonly onEventsAsked: (payload: Uint8Array, fromHost: string) => Uint8Array | null;
  /** Something came that could not be opened; once a minute for each reason. */
  readonly onDropped: (reason: string, from: string) => void;
}

/** Bound descriptors of the gossip port; negative: there is none. */
interface GossipSockets {
  readonly tcp: number;
  readonly udp: number;
}

const NO_SOCKETS: GossipSockets = { tcp: -1, udp: -1 };

export interface PortTestSender {
  readonly host: string;
  readonly isStream: boolean;
}

/** Of packets, and of streams to others. */
export interface GossipTraffic {
  readonly packetsIn: number;
  readonly bytesIn: number;
  readonly packetsOut: number;
  readonly bytesOut: number;
  readonly dials: number;
}

export const NO_TRAFFIC: GossipTraffic = { packetsIn: 0, bytesIn: 0, packetsOut: 0, bytesOut: 0, dials: 0 };

export class Gossip {
  readonly #traffic: { -readonly [K in keyof GossipTraffic]: number } = { ...NO_TRAFFIC };
  readonly #options: GossipOptions;
  readonly #drops: DroppedGossip;
  /** Reused. Relays share the port: what is for them gets here while they do not listen, at a start and an end. */
  readonly #relayed = new RelayDatagram();
  #keyring: Keyring | null;
  readonly #limiter: ExchangeLimiter;
  #dialed = 0;
  #cancelSweep: () => void = () => undefined;
  #datagrams: GossipDatagrams | null = null;
  #exchanges: Pick<ExchangeServer, "fd" | "close" | "duplicate"> | null = null;
  /** Of a pause. */
  #kept: GossipSockets | null = null;
  #cancelWake: (() => void) | null = null;
  /** What the machine wants and is not carried out yet, in order. */
  readonly #effects: Effect[] = [];
  #isCarryingOut = false;
  #wakeAtMs = Number.POSITIVE_INFINITY;
  #isClosed = false;

  private constructor(options: GossipOptions) {
    this.#options = options;
    this.#drops = new DroppedGossip(options);
    this.#keyring = options.keyring;
    this.#limiter = new ExchangeLimiter({
      maxAccepted: options.maxExchanges,
      maxBytes: MAX_HELD_BYTES,
      graceMs: options.silenceMs,
      minBytesPerSec: MIN_BYTES_PER_SEC,
      maxBytesPerSec: MAX_BYTES_PER_SEC,
      freeBytes: FREE_BYTES,
    });
  }

  /** Rejects with the error of the system when the port cannot be had. */
  static async open(options: GossipOptions): Promise<Gossip> {
    const gossip = new Gossip(options);
    try {
      await gossip.#open(gossip.#inherited());
    } catch (error) {
      gossip.close();
      throw error;
    }
    gossip.#sweep();
    gossip.#wake();
    return gossip;
  }

  #inherited(): GossipSockets {
    const { inherited } = this.#options.sockets ?? {};
    return { tcp: inherited?.take(this.#key("tcp")) ?? -1, udp: inherited?.take(this.#key("udp")) ?? -1 };
  }

  #key(protocol: "tcp" | "udp"): string {
    const { host, port } = this.#options;
    return `gossip-${protocol}:${formatHostPort(host, port)}`;
  }

  async #open({ tcp, udp }: GossipSockets): Promise<void> {
    const { host, port, transport, exchangeTimeoutMs } = this.#options;
    this.#exchanges = await transport.listen({
      host,
      port,
      fd: usable(tcp),
      timeoutMs: exchangeTimeoutMs,
      limiter: this.#limiter,
      onOpen: (fromHost) => this.#respond(fromHost),
      onLimit: (reason, fromHost) => this.#drops.drop(reason, fromHost),
    });
    this.#datagrams = await transport.openDatagrams({
      host,
      port,
      fd: usable(udp),
      sharing: "first", // relays come after it
      onDatagram: (datagram) => this.#onDatagram(datagram),
    });
    this.#options.sockets?.set("gossip", [
      [this.#key("tcp"), this.#exchanges.fd],
      [this.#key("udp"), this.#datagrams.fd],
    ]);
  }

  /** Nothing is read or said until `resume`. The sockets, which another process has too, stay open: what arrives waits. */
  pause(): void {
    const tcp = this.#exchanges?.duplicate() ?? -1;
    const udp = this.#datagrams?.duplicate() ?? -1;
    this.#closeSockets();
    this.#kept = { tcp, udp };
  }

  /** The other process did not go on. Rejects with the error of the system. */
  async resume(): Promise<void> {
    const kept = this.#kept;
    this.#kept = null;
    await this.#open(kept ?? NO_SOCKETS);
    this.run((machine) => machine.resume());
  }

  /** Packets and streams thrown away since the start, by reason. */
  get droppedTotal(): Readonly<Record<string, number>> {
    return this.#drops.total;
  }

  /** Since the start. */
  get traffic(): GossipTraffic {
    return this.#traffic;
  }

  get keyMismatches(): KeyMismatch[] {
    return this.#drops.keyMismatches;
  }

  /** The next packet is sealed with its first key. */
  setKeyring(keyring: Keyring | null): void {
    this.#keyring = keyring;
  }

  /** Carries out what `step` makes the machine want, behind all that it has wanted before. */
  run(step: (machine: Membership, nowMs: number) => readonly Effect[]): void {
    if (this.#kept !== null) return;
    this.#effects.push(...step(this.#options.machine, this.#nowMs));
    if (!this.#isCarryingOut) this.#carryOutAll();
    this.#wake();
  }

  /** Over TCP; resolves with why it failed, or null. */
  async sendReliably(to: Address, payload: Uint8Array): Promise<string | null> {
    if (this.#dialed >= this.#options.maxExchanges / 2) return this.#refuseToDial(to);
    const request = this.#frame(encodeStreamUser(payload));
    return (await this.#dial(to, request, this.#options.exchangeTimeoutMs, null)).error;
  }

  /** Whether a node of this name answers there. */
  async isAnswering(to: Address, node: string, timeoutMs: number): Promise<boolean> {
    const { reader, message } = this.#reader(to, MAX_SHORT_BYTES);
    const request = this.#frame(encodeMessage({ type: "ping", seq: NAME_CHECK_SEQ, node, source: null }));
    const { error } = await this.#dial(to, request, timeoutMs, reader);
    const answer = message();
    const ack = error === null && answer !== null ? decodeMessage(answer) : null;
    return ack?.type === "ack" && ack.seq === NAME_CHECK_SEQ;
  }

  /** A user message over TCP that is answered by another. */
  async ask(to: Address, payload: Uint8Array, timeoutMs: number): Promise<StreamAnswer> {
    const { reader, message } = this.#reader(to, MAX_ANSWER_BYTES);
    const { error } = await this.#dial(to, this.#frame(encodeStreamUser(payload)), timeoutMs, reader);
    if (error !== null) return { payload: null, failure: error === CLOSED_EARLY ? "no-answer" : "unreached" };
    const answer = message();
    const said = answer === null ? null : decodeStreamUser(answer);
    return { payload: said, failure: said === null ? "unreadable" : null };
  }

  /** A user message in a datagram from the gossip port. */
  sendDatagram(to: Address, payload: Uint8Array): void {
    this.#sendPacket(this.datagramOf([{ type: "user", payload }]), to);
  }

  /** The packet as it is sent, for callers with a socket of their own. */
  datagramOf(messages: readonly GossipMessage[]): Uint8Array {
    return this.#packet(messages.map(encodeMessage), false);
  }

  /** Whether a datagram is the ack to such a ping. */
  isAck(datagram: Uint8Array, seq: number): boolean {
    return openPacket(datagram, { keyring: this.#keyring }).messages.some((bytes) => {
      const message = decodeMessage(bytes);
      return message?.type === "ack" && message.seq === seq;
    });
  }

  close(): void {
    this.#cancelSweep();
    this.#isClosed = true;
    this.#closeSockets();
    this.#options.sockets?.set("gossip", []);
    if (this.#kept !== null) for (const fd of [this.#kept.tcp, this.#kept.udp]) close(fd);
    this.#kept = null;
  }

  #closeSockets(): void {
    this.#cancelWake?.();
    this.#cancelWake = null;
    this.#datagrams?.close();
    this.#exchanges?.close();
    this.#datagrams = this.#exchanges = null;
  }

  // --- in

  #onDatagram({ bytes, host, port }: Datagram): void {
    this.#traffic.packetsIn++;
    this.#traffic.bytesIn += bytes.length;
    if (decodeRelayDatagram(bytes, 0, bytes.length, this.#relayed)) return this.#drops.count("no-relay");
    const { messages, problem } = openPacket(bytes, { keyring: this.#keyring });
    if (problem !== null) this.#drops.drop(problem, host);
    const from = addressOf(host, port);
    if (messages.length === 0 || from === null) return;
    const others = messages.filter((message) => !this.#isPortTest(message, host));
    if (others.length > 0) this.run((machine, nowMs) => machine.onPacket(others, from, nowMs));
  }

  /** [GOSSIP: a user message in a packet] type byte, then the payload. */
  #isPortTest(message: Uint8Array, host: string): boolean {
    if (message[0] !== USER_MESSAGE || message[1] !== PORT_TEST) return false;
    this.#options.onPortTest(message.subarray(1), { host, isStream: false });
    return true;
  }

  #respond(host: string): Responder {
    const stream = new StreamReader({ keyring: this.#keyring });
    return {
      push: (chunk): Answer | null => {
        const read = stream.push(chunk);
        if (read.status === "incomplete") return null;
        if (read.status === "failed")
          return { bytes: this.#refuse(read.reason, host), isAuthenticated: false };
        return { bytes: this.#answer(read.message, host), isAuthenticated: this.#keyring !== null };
      },
    };
  }

  #answer(message: Uint8Array, host: string): Uint8Array {
    const asked = decodeStreamUser(message);
    if (asked?.[0] === PORT_TEST)
      return this.#answerUser(this.#options.onPortTest(asked, { host, isStream: true }));
    if (asked?.[0] === EVENTS) return this.#answerUser(this.#options.onEventsAsked(asked, host));
    let answer: Uint8Array | null = null;
    this.run((machine, nowMs) => {
      const answered = machine.answerStream(message, nowMs);
      answer = answered.answer;
      return answered.effects;
    });
    return answer === null ? new Uint8Array() : this.#frame(answer);
  }

  #answerUser(answer: Uint8Array | null): Uint8Array {
    return answer === null ? new Uint8Array() : this.#frame(encodeStreamUser(answer));
  }

  /** Sends the reason to the dialer, so that its log has it too. */
  #refuse(reason: string, host: string): Uint8Array {
    this.#drops.drop(reason, host);
    return this.#frame(encodeMessage({ type: "error", text: `portmesh: ${reason}` }));
  }

  // --- out

  /** Carrying one out may make the machine want more: that comes after what it wanted before. */
  #carryOutAll(): void {
    this.#isCarryingOut = true;
    try {
      for (let effect = this.#effects.shift(); effect !== undefined; effect = this.#effects.shift())
        this.#carryOut(effect);
    } finally {
      this.#isCarryingOut = false;
    }
  }

  #carryOut(effect: Effect): void {
    switch (effect.kind) {
      case "packet":
      case "push-pull":
      case "stream-ping":
        return this.#send(effect);
      default:
        this.#options.onNotification(effect);
    }
  }

  #send(effect: Send): void {
    switch (effect.kind) {
      case "packet":
        this.#sendPacket(this.#packet(effect.messages, effect.withCrc), effect.to);
        break;
      case "push-pull":
        void this.#exchange(effect, (machine, message, nowMs) =>
          machine.onPushPullAnswer(effect.exchange, message, nowMs),
        );
        break;
      case "stream-ping":
        void this.#exchange(effect, (machine, message) =>
          machine.onStreamPingAnswer(effect.exchange, message),
        );
        break;
    }
  }

  #packet(messages: readonly Uint8Array[], withCrc: boolean): Uint8Array {
    const nonce = () => randomBytes(NONCE_BYTES);
    return framePacket(messages, { keyring: this.#keyring, nonce, withCrc });
  }

  #sendPacket(packet: Uint8Array, to: Address): void {
    this.#traffic.packetsOut++;
    this.#traffic.bytesOut += packet.length;
    const source = isWildcard(this.#options.host) ? this.#sourceTo(to) : null;
    const sourceBytes = source === null ? null : parseIp(source)!.bytes;
    if (sourceBytes !== null && this.#datagrams?.sendFrom(sourceBytes, packet, ipOf(to), to.port)) return;
    this.#datagrams?.send(packet, hostOf(to), to.port);
  }

  /** null: any, and to the other family. */
  #sourceTo(to: Address): string | null {
    const source = this.#options.source();
    return source !== null && parseIp(source)?.bytes.length === ipOf(to).length ? source : null;
  }

  async #exchange(
    effect: Extract<Send, { kind: "push-pull" | "stream-ping" }>,
    onAnswer: (machine: Membership, message: Uint8Array, nowMs: number) => readonly Effect[],
  ): Promise<void> {
    const { reader, message } = this.#reader(
      effect.to,
      effect.kind === "stream-ping" ? MAX_SHORT_BYTES : undefined,
    );
    const { error } = await this.#dial(effect.to, this.#frame(effect.request), effect.timeoutMs, reader);
    if (this.#isClosed) return;
    const answer = message();
    if (answer !== null && error === null) this.run((machine, nowMs) => onAnswer(machine, answer, nowMs));
    else this.run((machine) => machine.onExchangeFailed(effect.exchange));
  }

  /** @param maxFrameBytes of what is sealed, too: which kind of answer it must be is known */
  #reader(
    from: Address,
    maxFrameBytes?: number,
  ): { readonly reader: Reader; readonly message: () => Uint8Array | null } {
    const stream = new StreamReader({
      keyring: this.#keyring,
      ...(maxFrameBytes !== undefined && { maxFrameBytes }),
    });
    let message: Uint8Array | null = null;
    const reader: Reader = {
      push: (chunk) => {
        const read = stream.push(chunk);
        if (read.status === "complete") message = read.message;
        else if (read.status === "failed") this.#drops.drop(read.reason, hostOf(from));
        return read.status !== "incomplete";
      },
    };
    return { reader, message: () => message };
  }

  async #dial(
    to: Address,
    request: Uint8Array,
    timeoutMs: number,
    reader: Reader | null,
  ): Promise<{ readonly error: string | null }> {
    if (this.#kept !== null) return { error: "paused" };
    if (this.#dialed >= this.#options.maxExchanges) return { error: this.#refuseToDial(to) };
    const target = { host: hostOf(to), port: to.port, localHost: this.#sourceTo(to) };
    this.#dialed++;
    this.#traffic.dials++;
    const result = await this.#options.transport.dial({
      ...target,
      request,
      timeoutMs,
      reader,
      limiter: this.#limiter,
    });
    this.#dialed--;
    return result;
  }

  #refuseToDial(to: Address): string {
    this.#drops.drop("too-many-dials", hostOf(to));
    return "too many exchanges in progress";
  }

  #frame(message: Uint8Array): Uint8Array {
    const nonce = () => randomBytes(NONCE_BYTES);
    return frameStream(message, { keyring: this.#keyring, nonce });
  }

  // --- time and counts

  get #nowMs(): number {
    return this.#options.clock.nowMs();
  }

  #sweep(): void {
    this.#limiter.sweep(this.#nowMs);
    this.#cancelSweep = this.#options.clock.after(SWEEP_MS, () => this.#sweep());
  }

  #wake(): void {
    const atMs = this.#options.machine.nextDeadlineMs();
    if (this.#isClosed || this.#kept !== null || (this.#cancelWake !== null && atMs >= this.#wakeAtMs))
      return;
    this.#cancelWake?.();
    this.#wakeAtMs = atMs;
    this.#cancelWake = this.#options.clock.after(Math.max(0, Math.ceil(atMs - this.#nowMs)), () => {
      this.#cancelWake = null;
      this.run((machine, nowMs) => machine.tick(nowMs));
    });
  }
}

/** Where it could not be passed on, a socket is opened. */
function usable(fd: number): number | undefined {
  return fd < 0 ? undefined : fd;
}

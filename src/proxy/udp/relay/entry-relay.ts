/**
 * The relay from here to one exit node, with its sessions: established when it is needed, again when the exit node no
 * longer knows it, and reported when that fails. No sockets and no clock: its owner passes datagrams and the time, and
 * implements `EntryRelayPort`.
 *
 *     closed ──first datagram──▶ handshaking ──READY──▶ ready ──no sessions for long──▶ closed
 *       ▲  ◀──no answer, refused──┘     ▲                 │ │
 *       │                               └─────RESET───────┘ │
 *       └──────────────pings unanswered, refused────────────┘
 */
import {
  decodeRelayDatagram,
  errorCodeOf,
  RELAY_CLOSE,
  RELAY_DATA,
  RELAY_ERROR,
  RELAY_OPEN,
  RELAY_OPENED,
  RELAY_PART,
  RELAY_PING,
  RELAY_PROBE,
  RELAY_PROBED,
  RELAY_RESET,
  RelayDatagram,
  relayIdMatches,
} from "../../../wire/index.ts";
import { EntryHandshake } from "./entry-handshake.ts";
import { type EntryRelayPort, RelayedSession, type UnreachableReason } from "./entry-relay-port.ts";
import { KeptDatagrams } from "./kept-datagrams.ts";
import { PathMtu } from "./path-mtu.ts";
import type { RelayChannel } from "./relay-channel.ts";

/** How often a ready relay checks whether it is still needed and still works. */
const RELAY_TICK_MS = 500;
/**
 * A relay with sessions that has been silent for so long is pinged with each tick, and given up after so many pings:
 * with 30 % of pings and of answers lost, six unanswered ones are one case in 50, twelve one in 3,000.
 */
const PING_AFTER_MS = 2000;
const MAX_PINGS = 6;
const MAX_PINGS_WITH_HEARTBEAT = 12;
/** A relay without sessions is closed after so long. */
export const UNUSED_RELAY_MS = 60_000;

const NO_BYTES = new Uint8Array(0);
/** IP and UDP headers; those of IPv4 are shorter. */
const IPV6_OVERHEAD_BYTES = 48;

export class EntryRelay<O> {
  /** Of what `receive` was given last. */
  readonly datagram = new RelayDatagram();
  /** Of datagrams to the exit node; the owner makes it anew with its socket. */
  pathMtu = new PathMtu(IPV6_OVERHEAD_BYTES);
  readonly #port: EntryRelayPort<O>;
  /** bounded by the services' max_sessions */
  readonly #relayed = new Map<number, RelayedSession<O>>();
  readonly #kept = new KeptDatagrams<RelayedSession<O>>();
  #handshake: EntryHandshake | null = null;
  #channel: RelayChannel | null = null;
  #lastId = 0;
  #usedMs = 0;
  #heardMs = 0;
  #pings = 0;

  constructor(port: EntryRelayPort<O>) {
    this.#port = port;
  }

  get state(): "closed" | "handshaking" | "ready" {
    if (this.#channel !== null) return "ready";
    return this.#handshake !== null ? "handshaking" : "closed";
  }

  /** When `onTimer` is to be called, counted from now; 0: it need not be. */
  get timerMs(): number {
    if (this.#channel !== null) return RELAY_TICK_MS;
    return this.#handshake?.retryMs ?? 0;
  }

  get sessions(): number {
    return this.#relayed.size;
  }

  /** A new session; nothing is sent yet. */
  add(owner: O, header: Uint8Array): RelayedSession<O> {
    const relayed = new RelayedSession(this.#freeId(), owner, header);
    this.#relayed.set(relayed.id, relayed);
    return relayed;
  }

  /** The session has ended here. What was kept of it is lost; returns how many datagrams. */
  remove(relayed: RelayedSession<O>): number {
    this.#relayed.delete(relayed.id);
    if (relayed.isAsked) this.#sendEmpty(RELAY_CLOSE, relayed.id);
    relayed.isAsked = relayed.isOpened = false;
    return this.#kept.take(relayed).length;
  }

  /** Sends bytes[at … at + length) to the session's task; false: it is lost, as too many wait for the handshake already. */
  send(relayed: RelayedSession<O>, bytes: Uint8Array, at: number, length: number, nowMs: number): boolean {
    this.#usedMs = nowMs;
    if (this.#channel !== null && relayed.isOpened) {
      this.#port.sendSealed(this.#channel, RELAY_DATA, relayed.id, NO_BYTES, bytes, at, length);
      return true;
    }
    const isKept = this.#kept.add(relayed, bytes, at, length);
    if (this.#channel === null) {
      if (this.#handshake === null) this.#begin(nowMs);
      return isKept;
    }
    this.#open(this.#channel, relayed, bytes, at, length);
    return true;
  }

  /** The session that a received datagram is an answer for, which is in `datagram`; null: there is nothing to pass on. */
  receive(bytes: Uint8Array, at: number, length: number, nowMs: number): RelayedSession<O> | null {
    const { datagram } = this;
    if (!decodeRelayDatagram(bytes, at, length, datagram)) this.#port.onDropped("malformed");
    else if (datagram.isSealed) return this.#onSealed(bytes, length, nowMs);
    else if (datagram.type === RELAY_RESET) this.#onReset(bytes, nowMs);
    else this.#onHandshake(bytes, nowMs);
    return null;
  }

  onTimer(nowMs: number): void {
    if (this.#channel !== null) this.#checkUse(nowMs);
    else if (this.#handshake?.onTimer() === "send") this.#port.sendHandshake(this.#handshake);
    else if (this.#handshake !== null) this.fail("timeout");
  }

  /** The exit node cannot be reached; the next datagram tries again. */
  fail(error: UnreachableReason): void {
    this.#close();
    for (const relayed of [...this.#relayed.values()])
      this.#port.onUnreachable(relayed, error, this.#kept.take(relayed));
  }

  /** Ends the relay; its sessions, if any, stay until they are removed. */
  end(): void {
    this.#sendEmpty(RELAY_CLOSE, 0);
    this.#close();
  }

  #begin(nowMs: number): void {
    this.#close();
    this.#handshake = new EntryHandshake(this.#port.handshakeOptions(), nowMs);
    this.#port.sendHandshake(this.#handshake);
  }

  #close(): void {
    this.#channel = null;
    this.#handshake = null;
    for (const relayed of this.#relayed.values()) relayed.isAsked = relayed.isOpened = false;
  }

  #onHandshake(bytes: Uint8Array, nowMs: number): void {
    const handshake = this.#handshake;
    const step = handshake?.onDatagram(bytes, this.datagram, nowMs) ?? "ignored";
    if (step === "unauthentic") this.#port.onDropped(step);
    else if (step === "send") this.#port.sendHandshake(handshake!);
    else if (step === "ready") this.#onReady(handshake!.channel!, nowMs);
  }

  #onReady(channel: RelayChannel, nowMs: number): void {
    this.#channel = channel;
    this.#handshake = null;
    this.#heardMs = this.#usedMs = nowMs;
    this.#pings = 0;
    for (const { relayed, data } of this.#kept) this.#open(channel, relayed, data, 0, data.length);
  }

  #open(
    channel: RelayChannel,
    relayed: RelayedSession<O>,
    bytes: Uint8Array,
    at: number,
    length: number,
  ): void {
    relayed.isAsked = true;
    this.#port.sendSealed(channel, RELAY_OPEN, relayed.id, relayed.header, bytes, at, length);
  }

  #onReset(bytes: Uint8Array, nowMs: number): void {
    if (this.#channel === null || !relayIdMatches(bytes, this.datagram, this.#channel.relayId)) return;
    if (this.#relayed.size > 0) this.#begin(nowMs);
    else this.#close();
  }

  #onSealed(bytes: Uint8Array, length: number, nowMs: number): RelayedSession<O> | null {
    const channel = this.#channel;
    if (channel === null || !relayIdMatches(bytes, this.datagram, channel.relayId)) return null;
    const verdict = channel.open(bytes, this.datagram, length);
    if (verdict !== "new") {
      this.#port.onDropped(verdict);
      return null;
    }
    this.#heardMs = nowMs;
    this.#pings = 0;
    return this.#onAuthentic(channel, bytes);
  }

  #onAuthentic(channel: RelayChannel, bytes: Uint8Array): RelayedSession<O> | null {
    if (this.datagram.type === RELAY_PART && !this.#port.assemble(channel, this.datagram)) return null;
    const { type, session } = this.datagram;
    if (type === RELAY_PROBE || type === RELAY_PROBED) {
      this.#onProbe(type, session);
      return null;
    }
    if (type === RELAY_CLOSE && session === 0) {
      // the exit node stops
      this.fail("refused");
      return null;
    }
    const relayed = this.#relayed.get(session) ?? null;
    if (relayed === null) {
      // its CLOSE was lost or overtaken
      if (type === RELAY_DATA || type === RELAY_OPENED) this.#sendEmpty(RELAY_CLOSE, session);
      return null;
    }
    relayed.isOpened = type === RELAY_DATA || type === RELAY_OPENED;
    if (relayed.isOpened || type === RELAY_ERROR)
      this.#onDecided(relayed, type === RELAY_ERROR ? errorCodeOf(bytes, this.datagram) : 0);
    return type === RELAY_DATA ? relayed : null;
  }

  #onProbe(type: number, size: number): void {
    if (type === RELAY_PROBED) return this.pathMtu.onAnswered(size);
    this.pathMtu.onAsked(size);
    this.#sendEmpty(RELAY_PROBED, size);
  }

  /** The exit node has accepted the session or, with a code, rejected it. */
  #onDecided(relayed: RelayedSession<O>, code: number): void {
    const kept = this.#kept.take(relayed);
    if (code !== 0) this.#port.onRejected(relayed, code, kept);
  }

  #checkUse(nowMs: number): void {
    if (this.#relayed.size > 0) return this.#checkPeer(nowMs);
    if (nowMs - this.#usedMs < UNUSED_RELAY_MS) return;
    this.end();
    this.#port.onUnused();
  }

  #checkPeer(nowMs: number): void {
    this.#usedMs = nowMs;
    for (const size of this.pathMtu.poll(nowMs)) this.#port.sendProbe(this.#channel!, size);
    if (nowMs - this.#heardMs < PING_AFTER_MS) return;
    const maxPings = this.#port.isPeerHeard ? MAX_PINGS_WITH_HEARTBEAT : MAX_PINGS;
    if (this.#pings++ >= maxPings) this.fail("timeout");
    else this.#sendEmpty(RELAY_PING, 0);
  }

  #sendEmpty(type: number, session: number): void {
    if (this.#channel !== null) this.#port.sendSealed(this.#channel, type, session, NO_BYTES, NO_BYTES, 0, 0);
  }

  /** Ids come round after 2^32 sessions; one still in use is passed over. */
  #freeId(): number {
    do this.#lastId = (this.#lastId % 0xffffffff) + 1;
    while (this.#relayed.has(this.#lastId));
    return this.#lastId;
  }
}

/**
 * Both ends of a relay without sockets, and the channel between them: datagrams wait in two queues until the test takes
 * them out, in any order, or throws them away. Every session's task answers what it gets.
 */
import { OwnKey, OwnKeys } from "../../../../../src/proxy/relay/own-key.ts";
import type {
  EntryHandshake,
  EntryHandshakeOptions,
} from "../../../../../src/proxy/udp/relay/entry-handshake.ts";
import { EntryRelay } from "../../../../../src/proxy/udp/relay/entry-relay.ts";
import type {
  DropReason,
  EntryRelayPort,
  RelayedSession,
  UnreachableReason,
} from "../../../../../src/proxy/udp/relay/entry-relay-port.ts";
import { ExitHandshake, writeReady } from "../../../../../src/proxy/udp/relay/exit-handshake.ts";
import { ExitRelay } from "../../../../../src/proxy/udp/relay/exit-relay.ts";
import type { RelayChannel } from "../../../../../src/proxy/udp/relay/relay-channel.ts";
import {
  decodeRelayDatagram,
  RELAY_CONFIRM,
  RELAY_DATA,
  RELAY_ERROR,
  RELAY_HELLO,
  RELAY_PROBE,
  RELAY_RESET,
  RelayDatagram,
  relayIdOf,
  SEALED_BYTES,
  writeHandshake,
} from "../../../../../src/wire/index.ts";
import { GCM } from "../../../../support/overlay/gcm.ts";

export const KEY = new Uint8Array(32).fill(42);
const NONE = new Uint8Array(0);
const ENTRY_ADDRESS = Uint8Array.of(127, 0, 0, 2, 4, 4);

/** A session at the entry node. */
export class Client {
  relayed!: RelayedSession<Client>;
  readonly answers: string[] = [];
  readonly rejections: number[] = [];
  /** Given back by its relay, for another path. */
  readonly givenBack: string[] = [];
}

/** A session at the exit node. */
interface Served {
  readonly id: number;
  readonly header: string;
}

export interface Delivery {
  readonly id: number;
  readonly header: string;
  readonly data: string;
}

/** Seals a datagram into bytes of its own. */
function seal(
  channel: RelayChannel,
  type: number,
  session: number,
  header: Uint8Array,
  data: Uint8Array,
): Uint8Array {
  const bytes = new Uint8Array(SEALED_BYTES + header.length + data.length);
  bytes.set(header, SEALED_BYTES);
  bytes.set(data, SEALED_BYTES + header.length);
  channel.seal(type, session, bytes, 0, header.length, SEALED_BYTES + header.length, data.length);
  return bytes;
}

function probe(channel: RelayChannel, length: number): Uint8Array {
  return seal(channel, RELAY_PROBE, length, NONE, new Uint8Array(length - SEALED_BYTES));
}

/** What an exit node's worker does, with a Map for its relays. */
export class ExitNode {
  readonly deliveries: Delivery[] = [];
  readonly relays = new Map<string, ExitRelay<Served>>();
  readonly dropped: string[] = [];
  /** ERROR_… for every OPEN; 0: it is served. */
  refusal = 0;
  /** Tasks answer. */
  hasAnswers = true;
  readonly #handshake: ExitHandshake;
  readonly #datagram = new RelayDatagram();
  /** The datagram at hand. */
  #current: Uint8Array = NONE;

  constructor(
    readonly pair: RelayPair,
    keys: readonly Uint8Array[],
    name = "exit",
  ) {
    const ownKeys = new OwnKeys();
    this.#handshake = new ExitHandshake({ node: name, relayKeys: keys, random: pair.random, ownKeys });
  }

  receive(bytes: Uint8Array, sender = ENTRY_ADDRESS): void {
    const datagram = this.#datagram;
    if (!decodeRelayDatagram(bytes, 0, bytes.length, datagram)) this.dropped.push("malformed");
    else if (datagram.isSealed) this.#onSealed(bytes);
    else if (datagram.type === RELAY_HELLO) this.#onHello(bytes, sender);
    else if (datagram.type === RELAY_CONFIRM) this.#onConfirm(bytes, sender);
  }

  get sessions(): number {
    return [...this.relays.values()].reduce((sum, relay) => sum + relay.sessions.size, 0);
  }

  #onHello(bytes: Uint8Array, sender: Uint8Array): void {
    const out = new Uint8Array(100);
    const { pair } = this;
    const length = this.#handshake.challenge(bytes, this.#datagram, bytes.length, sender, pair.nowMs, out, 0);
    if (length === 0) this.dropped.push("unauthentic");
    else pair.toEntry.push(out.slice(0, length));
  }

  #onConfirm(bytes: Uint8Array, sender: Uint8Array): void {
    const { pair } = this;
    const confirmed = this.#handshake.confirm(bytes, this.#datagram, bytes.length, sender, pair.nowMs);
    if (typeof confirmed === "string") {
      this.dropped.push(confirmed);
      return;
    }
    const key = confirmed.relayId.toHex();
    const relay = this.relays.get(key) ?? this.#create(key, confirmed);
    const out = new Uint8Array(100);
    pair.toEntry.push(out.slice(0, writeReady(relay.confirmed, out, 0)));
  }

  #create(key: string, confirmed: ConstructorParameters<typeof ExitRelay>[0]): ExitRelay<Served> {
    const send = (type: number, id: number, code: number) => {
      const data = type === RELAY_ERROR ? Uint8Array.of(code) : NONE;
      this.pair.toEntry.push(seal(relay.channel, type, id, NONE, data));
    };
    const relay: ExitRelay<Served> = new ExitRelay<Served>(confirmed, this.pair.nowMs, {
      open: (id, bytes, headerAt, headerLength) => {
        if (this.refusal !== 0) return this.refusal;
        return { id, header: Buffer.from(bytes.subarray(headerAt, headerAt + headerLength)).toString() };
      },
      deliver: ({ id, header }, dataAt, dataLength) => {
        const data = this.#current.subarray(dataAt, dataAt + dataLength);
        this.deliveries.push({ id, header, data: Buffer.from(data).toString() });
        if (this.hasAnswers) this.pair.toEntry.push(seal(relay.channel, RELAY_DATA, id, NONE, data));
      },
      onClosed: () => {},
      send,
      sendProbe: (length) => this.pair.toEntry.push(probe(relay.channel, length)),
      assemble: () => false,
      onEnded: () => this.relays.delete(key),
    });
    this.relays.set(key, relay);
    return relay;
  }

  #onSealed(bytes: Uint8Array): void {
    this.#current = bytes;
    const relay = this.relays.get(relayIdOf(bytes, 0).toHex());
    if (relay === undefined) {
      const reset = new Uint8Array(12);
      writeHandshake(RELAY_RESET, relayIdOf(bytes, 0), NONE, reset, 0);
      this.pair.toEntry.push(reset);
      return;
    }
    const verdict = relay.receive(bytes, this.#datagram, bytes.length, this.pair.nowMs);
    if (verdict !== "new") this.dropped.push(verdict);
    relay.acknowledge();
  }
}

export class RelayPair implements EntryRelayPort<Client> {
  nowMs = 5_000_000;
  isPeerHeard = false;
  /** As the heartbeat says; 0: there has been none. */
  rttMs = 0;
  readonly toExit: Uint8Array[] = [];
  readonly toEntry: Uint8Array[] = [];
  readonly dropped: DropReason[] = [];
  readonly errors: UnreachableReason[] = [];
  unused = 0;
  readonly relay: EntryRelay<Client> = new EntryRelay<Client>(this);
  exit: ExitNode;
  /** null: a clear relay. */
  readonly ownKey: OwnKey | null;
  #timerAtMs = 0;

  constructor(
    readonly random: (bytes: number) => Uint8Array,
    isSealed: boolean,
    readonly entryKey = KEY,
    exitKeys: readonly Uint8Array[] = [KEY],
  ) {
    this.ownKey = isSealed ? new OwnKey(GCM) : null;
    this.exit = new ExitNode(this, exitKeys);
  }

  client(header = "header"): Client {
    const client = new Client();
    client.relayed = this.relay.add(client, Buffer.from(header));
    return client;
  }

  send(client: Client, text: string): boolean {
    const bytes = Buffer.from(`..${text}`);
    const isTaken = this.relay.send(client.relayed, bytes, 2, bytes.length - 2, this.nowMs);
    this.#arm();
    return isTaken;
  }

  /** One datagram arrives. */
  deliverToExit(bytes: Uint8Array): void {
    this.exit.receive(bytes.slice());
  }

  deliverToEntry(bytes: Uint8Array): void {
    // opened where they are, and the same bytes may come again
    const received = bytes.slice();
    const relayed = this.relay.receive(received, 0, received.length, this.nowMs);
    const { dataAt, dataLength } = this.relay.datagram;
    relayed?.owner.answers.push(Buffer.from(received.subarray(dataAt, dataAt + dataLength)).toString());
    this.#arm();
  }

  /** Everything under way arrives, in order, and what that leads to. */
  settle(): void {
    for (let bound = 0; this.toExit.length + this.toEntry.length > 0; bound++) {
      if (bound === 100_000) throw new Error("the two ends never fall silent");
      const toExit = this.toExit.shift();
      if (toExit !== undefined) this.deliverToExit(toExit);
      const toEntry = this.toEntry.shift();
      if (toEntry !== undefined) this.deliverToEntry(toEntry);
    }
  }

  /** Everything that is not lost takes half of `rttMs`, for so long; returns how many datagrams the handshake took. */
  settleLater(rttMs: number, withinMs: number, isLost: () => boolean = () => false): number {
    const endMs = this.nowMs + withinMs;
    const toExit: [number, Uint8Array][] = [];
    const toEntry: [number, Uint8Array][] = [];
    let sent = 0;
    for (; this.nowMs <= endMs && this.relay.state !== "closed"; this.advance(1)) {
      for (const bytes of this.toExit.splice(0)) {
        if (this.relay.state === "handshaking") sent++;
        if (!isLost()) toExit.push([this.nowMs + rttMs / 2, bytes]);
      }
      while (toExit.length > 0 && toExit[0]![0] <= this.nowMs) this.deliverToExit(toExit.shift()![1]);
      for (const bytes of this.toEntry.splice(0))
        if (!isLost()) toEntry.push([this.nowMs + rttMs / 2, bytes]);
      while (toEntry.length > 0 && toEntry[0]![0] <= this.nowMs) this.deliverToEntry(toEntry.shift()![1]);
    }
    return sent;
  }

  /** Time passes; timers run, and `eachTime` after each. */
  advance(ms: number, eachTime: () => void = () => {}): void {
    const endMs = this.nowMs + ms;
    while (this.relay.timerMs > 0 && this.#timerAtMs <= endMs) {
      this.nowMs = Math.max(this.nowMs, this.#timerAtMs);
      this.relay.onTimer(this.nowMs);
      this.#timerAtMs = this.nowMs + this.relay.timerMs;
      eachTime();
    }
    this.nowMs = endMs;
  }

  handshakeOptions(): EntryHandshakeOptions {
    const { ownKey, entryKey: relayKey, random, rttMs } = this;
    return { entryNode: "entry", exitNode: "exit", relayKey, random, ownKey, rttMs };
  }

  sendHandshake(handshake: EntryHandshake): void {
    const out = new Uint8Array(400);
    this.toExit.push(out.slice(0, handshake.write(out, 0)));
  }

  sendSealed(
    channel: RelayChannel,
    type: number,
    session: number,
    header: Uint8Array,
    bytes: Uint8Array,
    dataAt: number,
    dataLength: number,
  ): void {
    this.toExit.push(seal(channel, type, session, header, bytes.subarray(dataAt, dataAt + dataLength)));
  }

  sendProbe(channel: RelayChannel, length: number): void {
    this.toExit.push(probe(channel, length));
  }

  assemble(): boolean {
    return false;
  }

  onRejected(relayed: RelayedSession<Client>, code: number, kept: readonly Uint8Array[]): void {
    relayed.owner.rejections.push(code);
    relayed.owner.givenBack.push(...kept.map((data) => Buffer.from(data).toString()));
  }

  onUnreachable(
    relayed: RelayedSession<Client>,
    error: UnreachableReason,
    kept: readonly Uint8Array[],
  ): void {
    this.errors.push(error);
    relayed.owner.givenBack.push(...kept.map((data) => Buffer.from(data).toString()));
  }

  onUnused(): void {
    this.unused++;
  }

  onDropped(reason: DropReason): void {
    this.dropped.push(reason);
  }

  #arm(): void {
    if (this.#timerAtMs <= this.nowMs) this.#timerAtMs = this.nowMs + this.relay.timerMs;
  }
}

/**
 * One worker's UDP socket for datagrams of other nodes. Handshakes are answered without keeping
 * state; datagrams of an established relay go to its sessions.
 */

import type { DeadlineList } from "../../../sys/deadline-list.ts";
import { AF_INET, AF_INET6 } from "../../../sys/sockaddr.ts";
import {
  createEndpoint,
  decodeRelayDatagram,
  type Endpoint,
  parseIp,
  RELAY_CLEAR,
  RELAY_CONFIRM,
  RELAY_ENCRYPTED,
  RELAY_HELLO,
  RELAY_RESET,
  RelayDatagram,
  relayIdOf,
  writeHandshake,
} from "../../../wire/index.ts";
import type { RelayIdentity } from "../../relay/identity.ts";
import { RecentList } from "../../table/recent-list.ts";
import { ClientKey, KeyLayout } from "../client-key.ts";
import { type DatagramOwner, DatagramReceiver } from "../datagram-receiver.ts";
import { SessionTable } from "../session-table.ts";
import type { UdpContext } from "../udp-context.ts";
import { ExitHandshake, writeReady } from "./exit-handshake.ts";
import { HandshakeSender } from "./handshake-sender.ts";
import type { RelayContext } from "./relay-context.ts";
import { RelayReturnPath, type RelayReturnPathOwner } from "./relay-return-path.ts";

/** Relays of one worker; the one silent for longest is ended to make room. */
const MAX_RELAYS = 4096;
/** An entry node with sessions sends a ping every few seconds; one without closes its relay after UNUSED_RELAY_MS. */
const SILENCE_MS = 90_000;
/** Until the first datagram under its key. */
const UNPROVEN_MS = 10_000;
/** RESETs in any second: enough for all relays after a restart, too few to be of use in a reflection attack. */
const MAX_RESETS_PER_SEC = 256;
const NO_NAME = new Uint8Array(0);

export class RelayListener implements DatagramOwner, RelayReturnPathOwner {
  readonly context: UdpContext;
  readonly layout: KeyLayout;
  readonly #receiver: DatagramReceiver;
  #identity: RelayIdentity;
  /** That the socket is bound to. */
  readonly #address: Endpoint;
  /** Reused: the address of this node that a datagram came to. */
  readonly #local = createEndpoint();
  readonly #silent: DeadlineList;
  readonly #unproven: DeadlineList;
  #handshake: ExitHandshake;
  readonly #key = new ClientKey();
  readonly #datagram = new RelayDatagram();
  /** bounded by MAX_RELAYS */
  readonly #table = new SessionTable<RelayReturnPath>((Math.random() * 2 ** 32) | 0);
  readonly #recent = new RecentList<RelayReturnPath>();
  /** Relays that the batch at hand has datagrams for. */
  readonly #touched: RelayReturnPath[] = [];
  #resets = 0;
  #resetsSinceMs = 0;

  /** @param address that `fd` is bound to */
  constructor(
    readonly relays: RelayContext,
    readonly fd: number,
    address: string,
    identity: RelayIdentity,
  ) {
    const { family, bytes } = parseIp(address)!;
    this.#address = { family, bytes, offset: 0, port: 0 };
    this.#identity = identity;
    this.layout = new KeyLayout(
      family === 4 ? AF_INET : AF_INET6,
      bytes.every((byte) => byte === 0),
    );
    this.context = relays.udp;
    const { deadlines } = this.context.loop;
    this.#silent = deadlines.list(SILENCE_MS);
    this.#unproven = deadlines.list(UNPROVEN_MS);
    this.#handshake = this.#handshakeAs(identity);
    this.#receiver = new DatagramReceiver(this.context, fd, this);
  }

  /** Relays under a removed key, and clear ones where clear is no longer accepted, end at once; later datagrams get RESET. */
  set identity(identity: RelayIdentity) {
    this.#identity = identity;
    this.#handshake = this.#handshakeAs(identity);
    for (const returnPath of this.#table) {
      const { relayKey, publicKey } = returnPath.relay.confirmed;
      const isKnown = identity.keys.some((key) => Buffer.compare(key, relayKey) === 0);
      if (!isKnown || (publicKey === null && !this.#mayBeClear(returnPath.key))) this.end(returnPath);
    }
  }

  onTargetsChanged(nowMs: number): void {
    for (const returnPath of this.#table) returnPath.onTargetsChanged(nowMs);
  }

  /** Ends a relay. Its entry node knows, or finds out by a RESET. */
  end(returnPath: RelayReturnPath): void {
    returnPath.endSessions();
    returnPath.waitingIn?.cancel(returnPath);
    this.#table.remove(returnPath);
    this.#recent.remove(returnPath);
  }

  /** Notifies all entry nodes and closes the socket. */
  close(): void {
    const { replies } = this.context;
    replies.flush();
    for (const returnPath of this.#table) {
      returnPath.sayGoodbye();
      this.end(returnPath);
    }
    this.relays.flush();
    this.#receiver.close();
  }

  /**
   * Nothing is read until `resume`. Entry nodes begin a new handshake at once, as after a restart: whoever reads this
   * socket next answers it, under keys of its own.
   */
  pause(): void {
    this.#receiver.pause();
    this.context.replies.flush();
    for (const returnPath of this.#table) {
      const { relayId, publicKey } = returnPath.relay.confirmed;
      const version = publicKey === null ? RELAY_CLEAR : RELAY_ENCRYPTED;
      this.#sendReset(new HandshakeSender(this.fd, this.layout, returnPath.key), relayId, version);
      this.end(returnPath);
    }
    this.relays.toEntries.flush();
  }

  resume(): void {
    this.#receiver.resume();
  }

  /** Another process has the socket now. */
  forget(): void {
    this.#receiver.close();
  }

  onDatagram(slot: number): void {
    const { relays } = this;
    const { incoming, memory } = this.context;
    const length = incoming.length(slot);
    const isOurs =
      !incoming.isTruncated(slot) &&
      decodeRelayDatagram(memory.bytes, incoming.payloadAt(slot), length, this.#datagram);
    if (!isOurs) return relays.host.onDropped("malformed", 1);
    this.layout.read(incoming, slot, this.#key);
    if (this.#datagram.isSealed) this.#onSealed(slot, length);
    else if (this.#datagram.type === RELAY_HELLO) this.#onHello(length);
    else if (this.#datagram.type === RELAY_CONFIRM) this.#onConfirm(length);
    else relays.host.onDropped("malformed", 1);
  }

  onBatchEnd(): void {
    const { toTasks, loop } = this.context;
    toTasks.sendAll();
    for (const returnPath of this.#touched) {
      returnPath.relay.acknowledge();
      if (returnPath.waitingIn !== null) this.#silent.arm(returnPath, loop.nowMs);
    }
    this.#touched.length = 0;
    this.relays.toEntries.flush();
  }

  #onSealed(slot: number, length: number): void {
    const { relays } = this;
    const { memory, loop } = this.context;
    const returnPath = this.#find();
    if (returnPath === null) return this.#reset();
    returnPath.slot = slot;
    const verdict = returnPath.relay.receive(memory.bytes, this.#datagram, length, loop.nowMs);
    if (verdict !== "new") return relays.host.onDropped(verdict, 1);
    if (this.#touched.at(-1) === returnPath) return;
    this.#recent.touch(returnPath);
    this.#touched.push(returnPath);
  }

  /** The relay of the sender and the datagram's relay id; both are then in the key. */
  #find(): RelayReturnPath | null {
    const { relayIdHigh, relayIdLow } = this.#datagram;
    this.#key.append(relayIdHigh | 0);
    this.#key.append(relayIdLow | 0);
    const { words, length } = this.#key;
    return this.#table.find(words, length, this.#table.hash(words, length));
  }

  #reset(): void {
    const { relays } = this;
    const { loop, memory } = this.context;
    relays.host.onDropped("unknown-link", 1);
    if (loop.nowMs - this.#resetsSinceMs >= 1000) {
      this.#resetsSinceMs = loop.nowMs;
      this.#resets = 0;
    }
    if (this.#resets++ >= MAX_RESETS_PER_SEC) return;
    const sender = new HandshakeSender(this.fd, this.layout, this.#key.toArray());
    this.#sendReset(sender, relayIdOf(memory.bytes, this.#datagram.at), this.#datagram.version);
  }

  #sendReset(sender: HandshakeSender, relayId: Uint8Array, version: number): void {
    const { toEntries } = this.relays;
    const { bytes } = this.context.memory;
    const at = toEntries.prepare(sender);
    toEntries.addPlain(sender, writeHandshake(RELAY_RESET, relayId, NO_NAME, bytes, at, version));
  }

  #onHello(length: number): void {
    const { relays } = this;
    const { memory, loop } = this.context;
    const sender = new HandshakeSender(this.fd, this.layout, this.#key.toArray());
    const at = relays.toEntries.prepare(sender);
    const { bytes } = memory;
    const address = bytesOf(sender.key);
    const written = this.#handshake.challenge(bytes, this.#datagram, length, address, loop.nowMs, bytes, at);
    if (written === 0) relays.host.onDropped("unauthentic", 1);
    else if (!this.#isTaken(sender)) relays.host.onDropped("clear", 1);
    else relays.toEntries.addPlain(sender, written);
  }

  #onConfirm(length: number): void {
    const { relays } = this;
    const { memory, loop } = this.context;
    const sender = new HandshakeSender(this.fd, this.layout, this.#key.toArray());
    const address = bytesOf(sender.key);
    const confirmed = this.#handshake.confirm(memory.bytes, this.#datagram, length, address, loop.nowMs);
    if (typeof confirmed === "string") return relays.host.onDropped(confirmed, 1);
    if (!this.#isTaken(sender)) return relays.host.onDropped("clear", 1);
    const returnPath = this.#find() ?? this.#create(confirmed);
    const at = relays.toEntries.prepare(sender);
    relays.toEntries.addPlain(sender, writeReady(returnPath.relay.confirmed, memory.bytes, at));
  }

  /** A handshake that is proved. */
  #isTaken(sender: HandshakeSender): boolean {
    return this.#datagram.version === RELAY_ENCRYPTED || this.#mayBeClear(sender.key);
  }

  /** @param key begins with the sender's address and that of this node */
  #mayBeClear(key: Int32Array): boolean {
    const { clearRule } = this.#identity;
    if (clearRule.isEverywhere || !this.layout.isWildcard) return clearRule.accepts(this.#address);
    this.layout.readLocal(key, this.#local);
    return clearRule.accepts(this.#local);
  }

  #create(confirmed: ConstructorParameters<typeof RelayReturnPath>[3]): RelayReturnPath {
    if (this.#recent.size >= MAX_RELAYS) this.end(this.#recent.oldest!);
    const { words, length } = this.#key;
    const returnPath = new RelayReturnPath(
      this,
      this.#key.toArray(),
      this.#table.hash(words, length),
      confirmed,
    );
    this.#table.add(returnPath);
    this.#recent.add(returnPath);
    this.#unproven.arm(returnPath, this.context.loop.nowMs);
    return returnPath;
  }

  #handshakeAs({ node, keys }: RelayIdentity): ExitHandshake {
    const { relays } = this;
    const { worker } = this.context;
    const random = (bytes: number) => relays.random(bytes);
    return new ExitHandshake({ node, relayKeys: keys, random, ownKeys: worker.ownKeys });
  }
}

function bytesOf(words: Int32Array): Uint8Array {
  return new Uint8Array(words.buffer, words.byteOffset, words.byteLength);
}

/**
 * One worker's UDP socket of the relay: other nodes' datagrams come in here. Handshakes are answered without keeping
 * anything; what comes over an established link goes to that link's sessions.
 */

import type { DeadlineList } from "../../../sys/deadline-list.ts";
import { EPOLLIN } from "../../../sys/epoll.ts";
import { EAGAIN } from "../../../sys/errno.ts";
import type { Continuable, Pollable } from "../../../sys/event-loop.ts";
import { AF_INET, AF_INET6 } from "../../../sys/sockaddr.ts";
import {
  createEndpoint,
  decodeRelayDatagram,
  type Endpoint,
  linkIdOf,
  parseIp,
  RELAY_CONFIRM,
  RELAY_ENCRYPTED,
  RELAY_HELLO,
  RELAY_RESET,
  RelayDatagram,
  writeHandshake,
} from "../../../wire/index.ts";
import type { RelayIdentity } from "../../relay/identity.ts";
import { RecentList } from "../../table/recent-list.ts";
import { ClientKey, KeyLayout } from "../client-key.ts";
import { SessionTable } from "../session-table.ts";
import { BATCH_SIZE, type UdpContext } from "../udp-context.ts";
import { ExitHandshake, writeReady } from "./exit-handshake.ts";
import { RelayReturnPath } from "./relay-return-path.ts";
import { Sender } from "./sender-path.ts";

/** Links of one worker; the one silent for longest is ended to make room. */
const MAX_RELAYS = 4096;
/** An entry node with sessions asks every few seconds, one without closes its link after UNUSED_RELAY_MS. */
const SILENCE_MS = 90_000;
/** Until the first datagram under its key. */
const UNPROVEN_MS = 10_000;
/** RESETs in any second: enough for all links after a restart, and no help to who sends garbage. */
const MAX_RESETS_PER_SEC = 256;
/** Errors in a row after which a broken socket waits for its next event. */
const MAX_ERRORS = 16;
const NO_NAME = new Uint8Array(0);

export class RelayListener implements Pollable, Continuable {
  readonly layout: KeyLayout;
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
  /** Links that the batch at hand has something for. */
  readonly #touched: RelayReturnPath[] = [];
  #resets = 0;
  #resetsSinceMs = 0;
  #errors = 0;
  #isQueued = false;
  #isClosed = false;

  /** @param address that `fd` is bound to */
  constructor(
    readonly context: UdpContext,
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
    this.#silent = context.loop.deadlines.list(SILENCE_MS);
    this.#unproven = context.loop.deadlines.list(UNPROVEN_MS);
    this.#handshake = this.#handshakeAs(identity);
    context.loop.watch(fd, EPOLLIN, this);
  }

  /** Links under a key that is gone, and clear ones where they are no more, end at once: their entry nodes find out. */
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

  onEvents(): void {
    if (!this.#isQueued) this.#receiveBatch();
  }

  onContinue(): void {
    this.#isQueued = false;
    if (!this.#isClosed) this.#receiveBatch();
  }

  /** Ends a link, which its entry node knows or will find out. */
  end(returnPath: RelayReturnPath): void {
    returnPath.endSessions();
    returnPath.waitingIn?.cancel(returnPath);
    this.#table.remove(returnPath);
    this.#recent.remove(returnPath);
  }

  /** Tells all entry nodes and closes the socket. */
  close(): void {
    const { replies, relays, loop } = this.context;
    replies.flush();
    for (const returnPath of this.#table) {
      returnPath.sayGoodbye();
      this.end(returnPath);
    }
    relays.flush();
    this.#isClosed = true;
    loop.close(this.fd);
  }

  /** One batch a turn, so that answers are not held up. */
  #receiveBatch(): void {
    const { incoming, toTasks, relays } = this.context;
    const count = incoming.receive(this.fd, 0, BATCH_SIZE);
    if (count < 0) return this.#onError(-count);
    this.#errors = 0;
    for (let slot = 0; slot < count; slot++) this.#onDatagram(slot);
    toTasks.sendAll();
    for (const returnPath of this.#touched) {
      returnPath.relay.acknowledge();
      if (returnPath.waitingIn !== null) this.#silent.arm(returnPath, this.context.loop.nowMs);
    }
    this.#touched.length = 0;
    relays.toEntries.flush();
    if (count === BATCH_SIZE) this.#queue();
  }

  #onError(error: number): void {
    if (error !== EAGAIN && ++this.#errors < MAX_ERRORS) this.#queue();
  }

  #queue(): void {
    if (this.#isQueued) return;
    this.#isQueued = true;
    this.context.loop.continueLater(this);
  }

  #onDatagram(slot: number): void {
    const { incoming, memory, relays } = this.context;
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

  #onSealed(slot: number, length: number): void {
    const { memory, relays, loop } = this.context;
    const returnPath = this.#find();
    if (returnPath === null) return this.#reset();
    returnPath.slot = slot;
    const verdict = returnPath.relay.receive(memory.bytes, this.#datagram, length, loop.nowMs);
    if (verdict !== "new") return relays.host.onDropped(verdict, 1);
    if (this.#touched.at(-1) === returnPath) return;
    this.#recent.touch(returnPath);
    this.#touched.push(returnPath);
  }

  /** The link of the sender and the datagram's id; both are then in the key. */
  #find(): RelayReturnPath | null {
    const { linkHigh, linkLow } = this.#datagram;
    this.#key.append(linkHigh | 0);
    this.#key.append(linkLow | 0);
    const { words, length } = this.#key;
    return this.#table.find(words, length, this.#table.hash(words, length));
  }

  #reset(): void {
    const { relays, loop, memory } = this.context;
    relays.host.onDropped("unknown-link", 1);
    if (loop.nowMs - this.#resetsSinceMs >= 1000) {
      this.#resetsSinceMs = loop.nowMs;
      this.#resets = 0;
    }
    if (this.#resets++ >= MAX_RESETS_PER_SEC) return;
    const sender = new Sender(this, this.#key.toArray());
    const at = relays.toEntries.prepare(sender);
    const linkId = linkIdOf(memory.bytes, this.#datagram.at);
    relays.toEntries.addPlain(
      sender,
      writeHandshake(RELAY_RESET, linkId, NO_NAME, memory.bytes, at, this.#datagram.version),
    );
  }

  #onHello(length: number): void {
    const { relays, memory, loop } = this.context;
    const sender = new Sender(this, this.#key.toArray());
    const at = relays.toEntries.prepare(sender);
    const { bytes } = memory;
    const address = bytesOf(sender.key);
    const written = this.#handshake.challenge(bytes, this.#datagram, length, address, loop.nowMs, bytes, at);
    if (written === 0) relays.host.onDropped("unauthentic", 1);
    else if (!this.#isTaken(sender)) relays.host.onDropped("clear", 1);
    else relays.toEntries.addPlain(sender, written);
  }

  #onConfirm(length: number): void {
    const { relays, memory, loop } = this.context;
    const sender = new Sender(this, this.#key.toArray());
    const address = bytesOf(sender.key);
    const confirmed = this.#handshake.confirm(memory.bytes, this.#datagram, length, address, loop.nowMs);
    if (typeof confirmed === "string") return relays.host.onDropped(confirmed, 1);
    if (!this.#isTaken(sender)) return relays.host.onDropped("clear", 1);
    const returnPath = this.#find() ?? this.#create(confirmed);
    const at = relays.toEntries.prepare(sender);
    relays.toEntries.addPlain(sender, writeReady(returnPath.relay.confirmed, memory.bytes, at));
  }

  /** A handshake that is proved. */
  #isTaken(sender: Sender): boolean {
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
    const { relays, worker } = this.context;
    const random = (bytes: number) => relays.random(bytes);
    return new ExitHandshake({ node, relayKeys: keys, random, ownKeys: worker.ownKeys });
  }
}

function bytesOf(words: Int32Array): Uint8Array {
  return new Uint8Array(words.buffer, words.byteOffset, words.byteLength);
}

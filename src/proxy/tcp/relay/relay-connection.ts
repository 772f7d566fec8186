/**
 * One connection to the relay of another node, from connect to the answer:
 *
 *   connecting, greeting ──▶ ready ──▶ asked ──▶ answered: handed over
 *              └───────────────┴─────────┴──▶ lost
 *
 * Its owner is a pool while it waits, then a client's attempt; or a heartbeat. For the messages see
 * wire/relay/header.ts and wire/relay/sealed-hello.ts.
 */

import { Waiting } from "../../../sys/deadline-list.ts";
import { EPOLLRDHUP } from "../../../sys/epoll.ts";
import { EAGAIN, ECONNRESET, EINPROGRESS, EPROTO } from "../../../sys/errno.ts";
import type { Pollable } from "../../../sys/event-loop.ts";
import { MSG_PEEK } from "../../../sys/socket.ts";
import { READ_EVENTS } from "../../../sys/tcp-sockets.ts";
import {
  GREETING_BYTES,
  greetingChallenge,
  greetingPublicKey,
  HELLO_BYTES,
  RECORD_STREAM,
  RELAY_NONCE_BYTES,
  RELAY_VERSION,
  type RecordKeys,
  type RelayClients,
  writeRelayQuestion,
} from "../../../wire/index.ts";
import type { RelayPeer } from "../../table/peer.ts";
import type { TcpContext } from "../tcp-context.ts";
import { receiveByte, sendByte } from "./single-byte.ts";

export interface RelayConnectionOwner {
  /** A request can be sent. */
  onReady(connection: RelayConnection): void;
  /** One byte has arrived: RELAY_CONNECTED or the reason of a refusal; on a heartbeat the echo. */
  onAnswer(connection: RelayConnection, answer: number): void;
  /** It is closed. @param errnoValue positive */
  onLost(connection: RelayConnection, errnoValue: number): void;
  /** Its deadline is over; it is still open. */
  onConnectionDeadline(connection: RelayConnection): void;
}

const GREETING = 1;
const READY = 2;
const ASKED = 3;
const CLOSED = 4;

export class RelayConnection extends Waiting implements Pollable {
  owner: RelayConnectionOwner;
  fd = -1;
  openedMs = 0;
  /** Set with the request; null: not sealed. */
  keys: RecordKeys | null = null;
  /** The exit node's, once ready. */
  readonly #greeting = new Uint8Array(GREETING_BYTES);
  #state = GREETING;
  #greetedBytes = 0;

  constructor(
    readonly context: TcpContext,
    readonly peer: RelayPeer,
    owner: RelayConnectionOwner,
  ) {
    super();
    this.owner = owner;
  }

  get isOpen(): boolean {
    return this.#state !== CLOSED;
  }

  get isOpening(): boolean {
    return this.#state === GREETING;
  }

  get isReady(): boolean {
    return this.#state === READY;
  }

  /** 0, or -errno with nothing left open: no descriptor, or the connect failed at once. */
  open(): number {
    const { loop, sockets } = this.context;
    const fd = sockets.tcpSocket(this.peer.family);
    if (fd < 0) return fd;
    this.fd = fd;
    this.openedMs = loop.nowMs;
    sockets.setOutOfBandInline(fd);
    sockets.setThinStream(fd, true);
    this.#bindSource();
    const outcome = this.#connect();
    if (outcome !== 0 && outcome !== -EINPROGRESS) return this.#abort(outcome);
    // the greeting reports success, an error event reports failure: EPOLLOUT is not needed
    const watched = loop.watch(fd, READ_EVENTS, this);
    return watched < 0 ? this.#abort(watched) : 0;
  }

  /**
   * Requests a task for a client, or a heartbeat if both are null. The send buffer is empty, so the request fits; false: it
   * could not be sent.
   */
  ask(clients: RelayClients | null, task: Uint8Array | null): boolean {
    const { memory, headerAt, relay, sockets } = this.context;
    this.#state = ASKED;
    const challenge = greetingChallenge(this.#greeting);
    const length = this.peer.isSealed
      ? this.#writeSealed(clients, task)
      : relay.signerFor(this.peer).write(clients, task, challenge, memory.bytes, headerAt);
    return length > 0 && sockets.send(this.fd, memory.address(headerAt), length) === length;
  }

  /** Sends a byte after the answer; 0 or -errno. */
  sendByte(byte: number): number {
    return sendByte(this.context, this.fd, this.keys, byte);
  }

  onEvents(_fd: number, events: number): void {
    if (this.#state === GREETING) this.#readGreeting();
    else if (this.#state === READY) this.#noticeEnd();
    else if (this.#state === ASKED) this.#readAnswer((events & EPOLLRDHUP) !== 0);
  }

  onDeadline(): void {
    this.owner.onConnectionDeadline(this);
  }

  /** Hands the socket over to the caller. */
  release(): void {
    this.context.sockets.setThinStream(this.fd, false);
    this.#end();
  }

  /** Withdraws the request with RST: the exit node would take FIN for a client that has sent everything. */
  close(): void {
    if (this.#state === CLOSED) return;
    if (this.#state === ASKED) this.context.sockets.setResetOnClose(this.fd);
    this.#end();
    this.context.loop.close(this.fd);
  }

  /** If the address is gone, the system picks one. */
  #bindSource(): void {
    const { sourceSockaddr, sockaddrLength } = this.peer;
    if (sourceSockaddr === null) return;
    const { memory, sockaddrAt, sockets } = this.context;
    memory.bytes.set(sourceSockaddr, sockaddrAt);
    sockets.bindSource(this.fd, memory.address(sockaddrAt), sockaddrLength);
  }

  #connect(): number {
    const { memory, sockaddrAt, sockets } = this.context;
    memory.bytes.set(this.peer.sockaddr, sockaddrAt);
    return sockets.connect(this.fd, memory.address(sockaddrAt), this.peer.sockaddrLength);
  }

  /** Nothing follows it before the request. It almost always arrives in one piece. */
  #readGreeting(): void {
    const { memory, headerAt, sockets } = this.context;
    const missing = GREETING_BYTES - this.#greetedBytes;
    const count = sockets.recv(this.fd, memory.address(headerAt), missing, 0);
    if (count === -EAGAIN) return;
    if (count <= 0) return this.#lose(count === 0 ? ECONNRESET : -count);
    if (this.#greetedBytes === 0 && memory.bytes[headerAt] !== RELAY_VERSION) return this.#lose(EPROTO);
    this.#greeting.set(memory.bytes.subarray(headerAt, headerAt + count), this.#greetedBytes);
    this.#greetedBytes += count;
    if (this.#greetedBytes < GREETING_BYTES) return;
    this.#state = READY;
    this.owner.onReady(this);
  }

  /** Without a request, anything that arrives ends it. */
  #noticeEnd(): void {
    const { memory, headerAt, sockets } = this.context;
    const peeked = sockets.recv(this.fd, memory.address(headerAt), 1, MSG_PEEK);
    if (peeked !== -EAGAIN) this.#lose(peeked < 0 ? -peeked : ECONNRESET);
  }

  #readAnswer(hasEnded: boolean): void {
    const answer = receiveByte(this.context, this.fd, this.keys, hasEnded);
    if (answer === -EAGAIN) return;
    if (answer < 0) return this.#lose(-answer);
    this.owner.onAnswer(this, answer);
  }

  /** The hello and a record with the request; returns their length, 0 if the key in the greeting is invalid. */
  #writeSealed(clients: RelayClients | null, task: Uint8Array | null): number {
    const { memory, headerAt, plainAt, relay, challenges, ownKeys, loop } = this.context;
    const { bytes } = memory;
    const prover = relay.proverFor(this.peer);
    const own = ownKeys.current(loop.nowMs);
    const secret = own.secretWith(greetingPublicKey(this.#greeting), prover.relayKey);
    if (secret === null) return 0;
    const nonce = challenges.take(RELAY_NONCE_BYTES);
    prover.write(this.#greeting, nonce, own.publicKey, bytes, headerAt);
    const hello = bytes.subarray(headerAt, headerAt + HELLO_BYTES);
    this.keys = secret.keysFor("entry", prover.exitNode, this.#greeting, hello);
    const length = writeRelayQuestion(clients, task, bytes, plainAt);
    const { sealer } = this.keys;
    return HELLO_BYTES + sealer.seal(RECORD_STREAM, bytes, plainAt, length, bytes, headerAt + HELLO_BYTES);
  }

  #end(): void {
    this.waitingIn?.cancel(this);
    this.#state = CLOSED;
  }

  #abort(outcome: number): number {
    this.context.loop.close(this.fd);
    this.#state = CLOSED;
    return outcome;
  }

  #lose(errnoValue: number): void {
    this.close();
    this.owner.onLost(this, errnoValue);
  }
}

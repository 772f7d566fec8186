/**
 * One connection to the relay of another node, from connect to the answer:
 *
 *   connecting, greeting -> ready -> asked -> (answered: handed over) | lost
 *
 * It belongs to whoever uses it: a pool while it is ready and waits, a client's attempt, a heartbeat. See
 * wire/relay-header.ts for what is said.
 */
import { EAGAIN, ECONNRESET, EINPROGRESS, EPROTO } from "../../../sys/errno.ts";
import {
  connect,
  MSG_PEEK,
  recv,
  send,
  setOutOfBandInline,
  setResetOnClose,
  tcpSocket,
} from "../../../sys/socket.ts";
import { GREETING_BYTES, RELAY_CHALLENGE_BYTES, RELAY_VERSION } from "../../../wire/index.ts";
import { Waiting } from "../../worker/deadline-list.ts";
import type { Pollable } from "../../worker/event-loop.ts";
import type { RelayPeer } from "../../worker/relay-peer.ts";
import { READ_EVENTS } from "../connection.ts";
import type { TcpContext } from "../tcp-context.ts";

export interface LineOwner {
  /** It may be asked now. */
  onReady(line: RelayLine): void;
  /** One byte has come: RELAY_CONNECTED, or why not; or of a heartbeat the byte that was sent. */
  onAnswer(line: RelayLine, answer: number): void;
  /** It is closed. @param errnoValue positive */
  onLost(line: RelayLine, errnoValue: number): void;
  /** What it waited for has taken too long; it is still open. */
  onLineDeadline(line: RelayLine): void;
}

const GREETING = 1;
const READY = 2;
const ASKED = 3;
const CLOSED = 4;

export class RelayLine extends Waiting implements Pollable {
  owner: LineOwner;
  fd = -1;
  /** Of the exit node, once it is ready. */
  readonly challenge = new Uint8Array(RELAY_CHALLENGE_BYTES);
  #state = GREETING;
  #greetedBytes = 0;

  constructor(
    readonly context: TcpContext,
    readonly peer: RelayPeer,
    owner: LineOwner,
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

  /** 0, or -errno when there is no descriptor or the connect fails at once; nothing is open then. */
  open(): number {
    const { loop } = this.context;
    const fd = tcpSocket(this.peer.family);
    if (fd < 0) return fd;
    this.fd = fd;
    setOutOfBandInline(fd);
    const outcome = this.#connect();
    if (outcome !== 0 && outcome !== -EINPROGRESS) return this.#abort(outcome);
    // the greeting says that it is connected, an error that it is not: there is no need to hear of room to write
    const watched = loop.watch(fd, READ_EVENTS, this);
    return watched < 0 ? this.#abort(watched) : 0;
  }

  /** Sends what lies in the context's header memory, into the empty buffer of a fresh socket. False: it did not go. */
  ask(length: number): boolean {
    const { memory, headerAt } = this.context;
    this.#state = ASKED;
    return send(this.fd, memory.address(headerAt), length) === length;
  }

  onEvents(): void {
    if (this.#state === GREETING) this.#readGreeting();
    else if (this.#state === READY) this.#noticeEnd();
    else if (this.#state === ASKED) this.#readAnswer();
  }

  onDeadline(): void {
    this.owner.onLineDeadline(this);
  }

  /** The socket has another owner from now on. */
  release(): void {
    this.waitingIn?.cancel(this);
    this.#state = CLOSED;
  }

  /** What has been asked is taken back, with RST: to the exit node FIN would be a client that has said all. */
  close(): void {
    if (this.#state === CLOSED) return;
    if (this.#state === ASKED) setResetOnClose(this.fd);
    this.release();
    this.context.loop.close(this.fd);
  }

  #connect(): number {
    const { memory, sockaddrAt } = this.context;
    memory.bytes.set(this.peer.sockaddr, sockaddrAt);
    return connect(this.fd, memory.address(sockaddrAt), this.peer.sockaddrLength);
  }

  /** Nothing follows it before the question. It almost always comes whole. */
  #readGreeting(): void {
    const { memory, headerAt } = this.context;
    const missing = GREETING_BYTES - this.#greetedBytes;
    const count = recv(this.fd, memory.address(headerAt), missing, 0);
    if (count === -EAGAIN) return;
    if (count <= 0) return this.#lose(count === 0 ? ECONNRESET : -count);
    if (this.#greetedBytes === 0 && memory.bytes[headerAt] !== RELAY_VERSION) return this.#lose(EPROTO);
    const skipped = this.#greetedBytes === 0 ? 1 : 0;
    const challenge = memory.bytes.subarray(headerAt + skipped, headerAt + count);
    this.challenge.set(challenge, this.#greetedBytes + skipped - 1);
    this.#greetedBytes += count;
    if (this.#greetedBytes < GREETING_BYTES) return;
    this.#state = READY;
    this.owner.onReady(this);
  }

  /** Nobody has asked, so whatever comes is its end. */
  #noticeEnd(): void {
    const { memory, headerAt } = this.context;
    const peeked = recv(this.fd, memory.address(headerAt), 1, MSG_PEEK);
    if (peeked !== -EAGAIN) this.#lose(peeked < 0 ? -peeked : ECONNRESET);
  }

  /** Exactly one byte: what is behind it is the task's. */
  #readAnswer(): void {
    const { memory, headerAt } = this.context;
    const count = recv(this.fd, memory.address(headerAt), 1, 0);
    if (count === -EAGAIN) return;
    if (count <= 0) return this.#lose(count === 0 ? ECONNRESET : -count);
    this.owner.onAnswer(this, memory.bytes[headerAt]!);
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

/**
 * A relay connection from another node until it is known what it is for: greeted, then a client's connection for a task
 * of this node, or a heartbeat. What is malformed, forged or written for another connection is reset and counted.
 */
import { EPOLLERR, EPOLLHUP } from "../../../sys/epoll.ts";
import { EAGAIN } from "../../../sys/errno.ts";
import { recv, send, setResetOnClose } from "../../../sys/socket.ts";
import {
  decodeProxyHeader,
  GREETING_BYTES,
  ProxyHeader,
  RELAY_CHALLENGE_BYTES,
  RELAY_CONNECTED,
  RELAY_DRAINING,
  RELAY_HEADER_MAX_BYTES,
  RELAY_NO_SUCH_TASK,
  RELAY_VERSION,
  type RelayTask,
  readRelayValues,
} from "../../../wire/index.ts";
import type { RelayRefusal } from "../../counters.ts";
import { Waiting } from "../../worker/deadline-list.ts";
import type { Pollable } from "../../worker/event-loop.ts";
import { READ_EVENTS, TcpConnection } from "../connection.ts";
import { copyEndpoint } from "../header-reader.ts";
import type { TcpContext } from "../tcp-context.ts";

const MAX_BEATS = 64;

const AWAITING = 0;
const READING = 1;
const BEATING = 2;
const CLOSED = 3;

/** Reused: it is read out before the next header is decoded. */
const header = new ProxyHeader();

export interface InboundOwner {
  /** Its heart beats. */
  onBeating(relay: InboundRelay): void;
  /** It has been closed or is a client's connection now. */
  onGone(relay: InboundRelay): void;
}

export class InboundRelay extends Waiting implements Pollable {
  readonly #challenge = new Uint8Array(RELAY_CHALLENGE_BYTES);
  #state = AWAITING;
  /** A header that comes in pieces; bounded by its longest. */
  #earlier: Uint8Array | null = null;

  constructor(
    readonly context: TcpContext,
    readonly fd: number,
    readonly owner: InboundOwner,
  ) {
    super();
  }

  /** The first step after accept. */
  start(): void {
    const { memory, headerAt, loop, relayIdle } = this.context;
    this.context.challenges.fill(this.#challenge);
    memory.bytes[headerAt] = RELAY_VERSION;
    memory.bytes.set(this.#challenge, headerAt + 1);
    const sent = send(this.fd, memory.address(headerAt), GREETING_BYTES);
    if (sent !== GREETING_BYTES || loop.watch(this.fd, READ_EVENTS, this) < 0) return this.close();
    relayIdle.arm(this, loop.nowMs);
  }

  onEvents(_fd: number, events: number): void {
    // what it asked for it has taken back, or its node is gone
    if ((events & (EPOLLERR | EPOLLHUP)) !== 0) this.close();
    else if (this.#state === BEATING) this.#echo();
    else this.#readHeader();
  }

  /** It was not used, its header did not end, its heart has stopped. */
  onDeadline(): void {
    if (this.#state === READING) this.#refuse("stale");
    else this.close();
  }

  close(): void {
    if (this.#state === CLOSED) return;
    this.#leave();
    this.context.loop.close(this.fd);
  }

  /** It almost always comes whole. Nothing follows it before the answer. */
  #readHeader(): void {
    const { memory, headerAt, loop, headerDeadline } = this.context;
    const count = recv(this.fd, memory.address(headerAt), RELAY_HEADER_MAX_BYTES, 0);
    if (count === -EAGAIN) return;
    if (count <= 0) return this.close();
    const length = this.#withEarlier(count);
    decodeProxyHeader(memory.bytes, headerAt, length, header);
    if (header.status === "incomplete" && length < RELAY_HEADER_MAX_BYTES) {
      if (this.#state === AWAITING) headerDeadline.arm(this, loop.nowMs);
      this.#state = READING;
      this.#earlier = memory.bytes.slice(headerAt, headerAt + length);
      return;
    }
    if (header.status !== "complete" || header.headerLength !== length) return this.#refuse("malformed");
    const values = readRelayValues(memory.bytes, headerAt, header);
    if (values === null) return this.#refuse("malformed");
    if (!this.context.relay.isSigned(memory.bytes, headerAt, header.headerLength))
      return this.#refuse("unauthentic");
    if (!values.challenge.every((byte, index) => byte === this.#challenge[index]))
      return this.#refuse("replayed");
    if (values.task === null) this.#beginBeating();
    else this.#connect(values.task);
  }

  /** Puts what has come before in front; returns the length of all. */
  #withEarlier(count: number): number {
    const earlier = this.#earlier;
    if (earlier === null) return count;
    const { memory, headerAt } = this.context;
    const fits = Math.min(count, RELAY_HEADER_MAX_BYTES - earlier.length);
    memory.bytes.copyWithin(headerAt + earlier.length, headerAt, headerAt + fits);
    memory.bytes.set(earlier, headerAt);
    return earlier.length + fits;
  }

  #connect(task: RelayTask): void {
    const route = this.context.findRoute(task);
    if (route === null) return this.#answerNo(RELAY_NO_SUCH_TASK, "no-such-task");
    if (route.targets.every((target) => target.isDraining)) return this.#answerNo(RELAY_DRAINING, "draining");
    const client = copyEndpoint(header.source);
    const published = copyEndpoint(header.destination);
    this.#leave();
    new TcpConnection(this.context, this.fd, { route }, client).startRelayed(published);
  }

  #beginBeating(): void {
    if (!this.#answer(RELAY_CONNECTED)) return this.close();
    this.#state = BEATING;
    this.owner.onBeating(this);
    this.context.relayIdle.arm(this, this.context.loop.nowMs);
    this.#echo();
  }

  #echo(): void {
    const { memory, headerAt, loop, relayIdle } = this.context;
    const count = recv(this.fd, memory.address(headerAt), MAX_BEATS, 0);
    if (count === -EAGAIN) return;
    if (count <= 0 || send(this.fd, memory.address(headerAt), count) !== count) return this.close();
    relayIdle.arm(this, loop.nowMs);
  }

  #answer(answer: number): boolean {
    const { memory, headerAt } = this.context;
    memory.bytes[headerAt] = answer;
    return send(this.fd, memory.address(headerAt), 1) === 1;
  }

  #answerNo(answer: number, reason: RelayRefusal): void {
    this.context.refuseRelay(reason);
    this.#answer(answer);
    this.close();
  }

  #refuse(reason: RelayRefusal): void {
    this.context.refuseRelay(reason);
    setResetOnClose(this.fd);
    this.close();
  }

  #leave(): void {
    this.waitingIn?.cancel(this);
    this.#state = CLOSED;
    this.owner.onGone(this);
  }
}

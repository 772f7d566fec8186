/**
 * A relay connection from another node, until its request says what it is for:
 *
 *   greeted ──request──▶ handed over as a client's connection
 *      │    ──request──▶ heartbeat
 *      └──malformed, forged, replayed, late──▶ reset and counted
 */

import { Waiting } from "../../../sys/deadline-list.ts";
import { EPOLLERR, EPOLLHUP, EPOLLRDHUP } from "../../../sys/epoll.ts";
import { EAGAIN, EPROTO } from "../../../sys/errno.ts";
import type { Pollable } from "../../../sys/event-loop.ts";
import { READ_EVENTS } from "../../../sys/tcp-sockets.ts";
import {
  decodeProxyHeader,
  type Endpoint,
  GREETING_BYTES,
  greetingChallenge,
  HELLO_BYTES,
  helloPublicKey,
  RECORD_OVERHEAD_BYTES,
  RECORD_STREAM,
  RELAY_CHALLENGE_BYTES,
  RELAY_CONNECTED,
  RELAY_DRAINING,
  RELAY_HEADER_MAX_BYTES,
  RELAY_NO_SUCH_TASK,
  RELAY_OUT_OF_DESCRIPTORS,
  RELAY_QUESTION_MAX_BYTES,
  RELAY_SEALED,
  type RecordKeys,
  type RelayTask,
  readRelayQuestion,
  readRelayValues,
  recordLength,
  writeGreeting,
} from "../../../wire/index.ts";
import type { OwnKey } from "../../relay/own-key.ts";
import type { RelayError } from "../../table/counters.ts";
import type { Recent } from "../../table/recent-list.ts";
import type { Route } from "../../table/route.ts";
import { readEndpoint } from "../../table/socket-address.ts";
import { copyEndpoint } from "../header-reader.ts";
import type { TcpContext } from "../tcp-context.ts";
import { receiveByte, sendByte } from "./single-byte.ts";

const MAX_BEATS = 64;
const SEALED_QUESTION_MAX_BYTES = HELLO_BYTES + RELAY_QUESTION_MAX_BYTES + RECORD_OVERHEAD_BYTES;
const QUESTION_MAX_BYTES = Math.max(RELAY_HEADER_MAX_BYTES, SEALED_QUESTION_MAX_BYTES);

const AWAITING = 0;
const READING = 1;
const BEATING = 2;
const CLOSED = 3;

export interface InboundOwner {
  /** It carries a heartbeat. */
  onBeating(relay: InboundRelay): void;
  /** Makes room for one more client; false: the service has used up its share of the descriptors. */
  makeRoomFor(route: Route): boolean;
  /** The socket is a client's connection from here on. @param published where the client connected to */
  onClient(fd: number, client: Endpoint, route: Route, published: Endpoint, keys: RecordKeys | null): void;
  /** Called once: it is closed, or a client's connection. */
  onGone(relay: InboundRelay): void;
}

export class InboundRelay extends Waiting implements Pollable, Recent<InboundRelay> {
  older: InboundRelay | null = null;
  newer: InboundRelay | null = null;
  readonly #greeting = new Uint8Array(GREETING_BYTES);
  /** The key in the greeting. */
  readonly #ownKey: OwnKey;
  /** null: not sealed, or not known yet. */
  #keys: RecordKeys | null = null;
  #state = AWAITING;
  /** The beginning of a request that arrives in pieces; bounded by QUESTION_MAX_BYTES. */
  #earlier: Uint8Array | null = null;

  constructor(
    readonly context: TcpContext,
    readonly fd: number,
    readonly owner: InboundOwner,
  ) {
    super();
    this.#ownKey = context.ownKeys.current(context.loop.nowMs);
  }

  /** The first step after accept. */
  start(): void {
    const { memory, headerAt, loop, relayIdle, challenges, sockets } = this.context;
    writeGreeting(challenges.take(RELAY_CHALLENGE_BYTES), this.#ownKey.publicKey, this.#greeting, 0);
    memory.bytes.set(this.#greeting, headerAt);
    sockets.setThinStream(this.fd, true);
    const sent = sockets.send(this.fd, memory.address(headerAt), GREETING_BYTES);
    if (sent !== GREETING_BYTES || loop.watch(this.fd, READ_EVENTS, this) < 0) return this.close();
    relayIdle.arm(this, loop.nowMs);
  }

  onEvents(_fd: number, events: number): void {
    // its node has withdrawn the request, or is gone
    if ((events & (EPOLLERR | EPOLLHUP)) !== 0) this.close();
    else if (this.#state === BEATING) this.#echo((events & EPOLLRDHUP) !== 0);
    else this.#readQuestion();
  }

  /** It was not used, its request is incomplete, or its heartbeat has stopped. */
  onDeadline(): void {
    if (this.#state === READING) this.#refuse("stale");
    else this.close();
  }

  close(): void {
    if (this.#state === CLOSED) return;
    this.#leave();
    this.context.loop.close(this.fd);
  }

  /** It almost always arrives in one piece. Nothing follows it before the answer. */
  #readQuestion(): void {
    const { memory, headerAt, sockets } = this.context;
    const count = sockets.recv(this.fd, memory.address(headerAt), QUESTION_MAX_BYTES, 0);
    if (count === -EAGAIN) return;
    if (count <= 0) return this.close();
    const length = this.#withEarlier(count);
    if (memory.bytes[headerAt] === RELAY_SEALED) this.#readSealed(length);
    else this.#readClear(length);
  }

  #readClear(length: number): void {
    const { memory, headerAt, relay, proxyHeader: header } = this.context;
    decodeProxyHeader(memory.bytes, headerAt, length, header);
    if (header.status === "incomplete" && length < RELAY_HEADER_MAX_BYTES) return this.#awaitRest(length);
    if (header.status !== "complete" || header.headerLength !== length) return this.#refuse("malformed");
    const values = readRelayValues(memory.bytes, headerAt, header);
    if (values === null) return this.#refuse("malformed");
    if (!relay.isSigned(memory.bytes, headerAt, header.headerLength)) return this.#refuse("unauthentic");
    const challenge = greetingChallenge(this.#greeting);
    if (!values.challenge.every((byte, index) => byte === challenge[index])) return this.#refuse("replayed");
    if (!this.#mayBeClear()) return this.#refuse("clear");
    this.#begin(values.task);
  }

  /** A stranger costs one HMAC: key agreement is only done with a peer that has proved to know the key. */
  #readSealed(length: number): void {
    const { memory, headerAt, plainAt, relay } = this.context;
    const { bytes } = memory;
    const recordAt = headerAt + HELLO_BYTES;
    const recordBytes = recordLength(bytes, recordAt, length - HELLO_BYTES);
    const wholeBytes = HELLO_BYTES + recordBytes;
    if (recordBytes < 0 || wholeBytes > SEALED_QUESTION_MAX_BYTES || (recordBytes > 0 && length > wholeBytes))
      return this.#refuse("malformed");
    if (recordBytes === 0 || length < wholeBytes) return this.#awaitRest(length);
    const prover = relay.findProver(this.#greeting, bytes, headerAt);
    if (prover === null) return this.#refuse("unauthentic");
    const secret = this.#ownKey.secretWith(helloPublicKey(bytes, headerAt), prover.relayKey);
    if (secret === null) return this.#refuse("malformed");
    const hello = bytes.subarray(headerAt, recordAt);
    this.#keys = secret.keysFor("exit", prover.exitNode, this.#greeting, hello);
    if (
      bytes[recordAt] !== RECORD_STREAM ||
      !this.#keys.opener.open(bytes, recordAt, recordBytes, bytes, plainAt)
    )
      return this.#refuse("unauthentic");
    this.#readOpened(recordBytes - RECORD_OVERHEAD_BYTES);
  }

  #readOpened(length: number): void {
    const { memory, plainAt, proxyHeader: header } = this.context;
    decodeProxyHeader(memory.bytes, plainAt, length, header);
    if (header.status !== "complete" || header.headerLength !== length) return this.#refuse("malformed");
    const values = readRelayQuestion(memory.bytes, plainAt, header);
    if (values === null) return this.#refuse("malformed");
    this.#begin(values.task);
  }

  #awaitRest(length: number): void {
    const { memory, headerAt, loop, headerDeadline } = this.context;
    if (this.#state === AWAITING) headerDeadline.arm(this, loop.nowMs);
    this.#state = READING;
    this.#earlier = memory.bytes.slice(headerAt, headerAt + length);
  }

  #mayBeClear(): boolean {
    const { memory, sockaddrAt, relay, sockets } = this.context;
    if (relay.clearRule.isEverywhere) return true;
    sockets.localAddress(this.fd, memory.address(sockaddrAt));
    return relay.clearRule.accepts(readEndpoint(memory.bytes, sockaddrAt));
  }

  #begin(task: RelayTask | null): void {
    if (task === null) this.#beginBeating();
    else this.#connect(task);
  }

  /** Puts the earlier bytes in front; returns the total length. */
  #withEarlier(count: number): number {
    const earlier = this.#earlier;
    if (earlier === null) return count;
    const { memory, headerAt } = this.context;
    const fits = Math.min(count, QUESTION_MAX_BYTES - earlier.length);
    memory.bytes.copyWithin(headerAt + earlier.length, headerAt, headerAt + fits);
    memory.bytes.set(earlier, headerAt);
    return earlier.length + fits;
  }

  #connect(task: RelayTask): void {
    const route = this.context.findRoute(task);
    if (route === null) return this.#answerNo(RELAY_NO_SUCH_TASK, "no-such-task");
    if (route.targets.every((target) => target.isDraining || target.isOutOfRotation))
      return this.#answerNo(RELAY_DRAINING, "draining");
    if (!this.owner.makeRoomFor(route)) return this.#answerNo(RELAY_OUT_OF_DESCRIPTORS, "out-of-descriptors");
    const { source, destination } = this.context.proxyHeader;
    const [client, published] = [copyEndpoint(source), copyEndpoint(destination)];
    this.#leave();
    this.owner.onClient(this.fd, client, route, published, this.#keys);
  }

  #beginBeating(): void {
    if (!this.#answer(RELAY_CONNECTED)) return this.close();
    this.#state = BEATING;
    this.owner.onBeating(this);
    this.context.relayIdle.arm(this, this.context.loop.nowMs);
    this.#echo(false);
  }

  /** Byte by byte: there are few. */
  #echo(hasEnded: boolean): void {
    for (let beats = 0; beats < MAX_BEATS; beats++) {
      const beat = receiveByte(this.context, this.fd, this.#keys, hasEnded);
      if (beat === -EAGAIN) return;
      if (beat === -EPROTO) return this.#refuse("forged-record");
      if (beat < 0 || sendByte(this.context, this.fd, this.#keys, beat) !== 0) return this.close();
      this.context.relayIdle.arm(this, this.context.loop.nowMs);
    }
    this.#refuse("malformed");
  }

  #answer(answer: number): boolean {
    return sendByte(this.context, this.fd, this.#keys, answer) === 0;
  }

  #answerNo(answer: number, reason: RelayError): void {
    this.context.refuseRelay(reason);
    this.#answer(answer);
    this.close();
  }

  #refuse(reason: RelayError): void {
    this.context.refuseRelay(reason);
    this.context.sockets.setResetOnClose(this.fd);
    this.close();
  }

  #leave(): void {
    this.waitingIn?.cancel(this);
    this.#state = CLOSED;
    this.owner.onGone(this);
  }
}

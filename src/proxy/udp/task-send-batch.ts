/**
 * Datagrams on their way to tasks: those of one batch are grouped by session and each group is sent by one call, in
 * order. What a task refuses goes to another task while its bytes are still here.
 */
import type { Arena } from "../../sys/arena.ts";
import { EINVAL, EMSGSIZE, isCongestion } from "../../sys/errno.ts";
import { DATAGRAM_MAX, SendBatch, sendBatchBytes } from "../../sys/mmsg.ts";
import { takeError } from "../../sys/socket.ts";
import { PROXY_V2_MAX_ENCODED_BYTES } from "../../wire/index.ts";
import type { RefusalReason } from "../table/counters.ts";
import type { Target } from "../table/target.ts";
import { isLocal, isUnsegmentable } from "./send-errors.ts";
import { BURST_BYTES, type TaskRelay, type UdpSession } from "./session.ts";

/** Bytes of a worker's memory. */
export function taskSendBatchBytes(size: number): number {
  return sendBatchBytes(size) + DATAGRAM_MAX + PROXY_V2_MAX_ENCODED_BYTES + 256;
}

export class TaskSendBatch {
  readonly #batch: SendBatch;
  /** by slot of the batch received */
  readonly #payloadAt: Int32Array;
  readonly #length: Int32Array;
  readonly #nextSlot: Int32Array;
  /** Those with datagrams here, in the order of their first; bounded by the size of a batch. */
  readonly #waiting: UdpSession[] = [];
  /** Tasks that have refused the group at hand; bounded by the number of tasks. */
  readonly #tried: Target[] = [];
  /** Slots of the group at hand. */
  readonly #group: Int32Array;
  readonly #aloneAt: number;
  /** The PROXY header of the group at hand. */
  readonly #headerAt: number;
  #count = 0;
  /** Of the whole group. */
  #bytes = 0;
  #headerLength = 0;
  /** How many of the group are out, and from which on the task may have refused them. */
  #at = 0;
  #unprovenFrom = 0;
  /** An error may be an older datagram's, so what changes nothing is met by sending once more. */
  #isRetry = false;
  #isSending = false;

  constructor(
    readonly memory: Arena,
    size: number,
  ) {
    this.#batch = new SendBatch(memory, size, false);
    this.#payloadAt = new Int32Array(size);
    this.#length = new Int32Array(size);
    this.#nextSlot = new Int32Array(size);
    this.#group = new Int32Array(size);
    this.#aloneAt = memory.take(DATAGRAM_MAX);
    this.#headerAt = memory.take(PROXY_V2_MAX_ENCODED_BYTES);
  }

  /** The bytes must stay in place until `sendAll`, and after it until what it relays has been flushed. */
  add(session: UdpSession, slot: number, payloadAt: number, length: number): void {
    this.#payloadAt[slot] = payloadAt;
    this.#length[slot] = length;
    this.#nextSlot[slot] = -1;
    if (session.firstSlot < 0) {
      session.firstSlot = slot;
      this.#waiting.push(session);
    } else {
      this.#nextSlot[session.lastSlot] = slot;
    }
    session.lastSlot = slot;
  }

  sendAll(): void {
    for (let i = 0; i < this.#waiting.length; i++) this.#sendGroup(this.#waiting[i]!);
    this.#waiting.length = 0;
  }

  /** Sends one datagram from anywhere; not while a batch is being gathered. */
  sendAlone(session: UdpSession, data: Uint8Array): void {
    this.memory.bytes.set(data, this.#aloneAt);
    this.add(session, 0, this.#aloneAt, data.length);
    this.sendAll();
  }

  /** The session is about to be closed to make room; what it has here goes out first, if that can be done now. */
  sendBefore(session: UdpSession): void {
    if (!this.#isSending) this.#sendGroup(session);
  }

  /** The session is closed: what is left of it here is lost. */
  forget(session: UdpSession): void {
    for (let slot = session.firstSlot; slot >= 0; slot = this.#nextSlot[slot]!) {
      session.rules.refuseUdp("send-failed");
    }
    session.firstSlot = -1;
  }

  #sendGroup(session: UdpSession): void {
    if (session.firstSlot < 0) return;
    this.#isSending = true;
    this.#tried.length = 0;
    session.onClientSent();
    this.#headerLength = this.#prepareHeader(session);
    this.#deliver(session, this.#takeGroup(session));
    this.#isSending = false;
  }

  /** Returns the number of datagrams in #group. */
  #takeGroup(session: UdpSession): number {
    let count = 0;
    let bytes = 0;
    for (let slot = session.firstSlot; slot >= 0; slot = this.#nextSlot[slot]!) {
      this.#group[count++] = slot;
      bytes += this.#length[slot]!;
    }
    session.firstSlot = -1;
    this.#bytes = bytes;
    if (bytes > BURST_BYTES) session.growBuffers();
    return count;
  }

  /** Length of the PROXY header that goes before each datagram of the session, 0 for none. */
  #prepareHeader(session: UdpSession): number {
    if (session.relay !== null) return 0;
    if (session.returnPath.rulesOf(session).sendProxy !== "v2") return 0;
    session.header ??= session.returnPath.writeProxyHeader(session);
    this.memory.bytes.set(session.header, this.#headerAt);
    return session.header.length;
  }

  /** Sends the group, moving the session as often as tasks fail. */
  #deliver(first: UdpSession, count: number): void {
    this.#at = 0;
    this.#count = count;
    this.#unprovenFrom = 0;
    this.#isRetry = false;
    let session: UdpSession | null = first;
    while (session !== null && this.#at < count) {
      const error = this.#sendRest(session);
      if (error !== 0) session = this.#onError(session, error);
    }
  }

  /** Sends what it can: 0, or the errno that keeps the datagram at #at from going. */
  #sendRest(session: UdpSession): number {
    if (session.relay !== null) return this.#relayRest(session, session.relay);
    this.#fill(session);
    const sent = this.#batch.send(session.fd, 0, this.#batch.messages);
    if (sent < 0) return -sent;
    const delivered = this.#batch.datagramsIn(0, sent);
    session.onDelivered(delivered);
    session.target.countBytesIn(this.#bytesOf(delivered));
    this.#at += delivered;
    this.#isRetry = false;
    if (this.#at < this.#count) {
      // the kernel neither reports nor keeps the error of the next one
      session.isUnproven = true;
      this.#unprovenFrom = this.#at - 1;
      return 0;
    }
    const error = this.#findError(session);
    if (error === 0) {
      session.returnPath.touch(session);
      session.onSent();
      return 0;
    }
    this.#at = this.#unprovenFrom;
    this.#isRetry = true;
    return error;
  }

  /** To another node, which may refuse them later: then they come back to be sent elsewhere. */
  #relayRest(session: UdpSession, relay: TaskRelay): number {
    const error = relay.open();
    if (error !== 0) return error;
    session.onDelivered(this.#count - this.#at);
    session.target.countBytesIn(this.#bytesOf(this.#count - this.#at));
    for (; this.#at < this.#count; this.#at++) {
      const slot = this.#group[this.#at]!;
      relay.send(this.#payloadAt[slot]!, this.#length[slot]!);
    }
    session.returnPath.touch(session);
    if (relay.isAccepted) session.onSent();
    return 0;
  }

  /** Of the next `count` datagrams of the group. */
  #bytesOf(count: number): number {
    if (count === this.#count) return this.#bytes;
    let bytes = 0;
    for (let i = this.#at; i < this.#at + count; i++) bytes += this.#length[this.#group[i]!]!;
    return bytes;
  }

  #fill(session: UdpSession): void {
    this.#batch.clear();
    for (let i = this.#at; i < this.#count; i++) {
      const slot = this.#group[i]!;
      const mayJoin = session.canSegment && i > this.#at;
      this.#batch.add(
        this.#payloadAt[slot]!,
        this.#length[slot]!,
        this.#headerAt,
        this.#headerLength,
        mayJoin,
      );
    }
  }

  /** On the same machine an ICMP error is there before the call returns: worth asking while nothing is proven. */
  #findError(session: UdpSession): number {
    if (!session.isUnproven) return 0;
    session.isUnproven = false;
    const error = takeError(session.fd);
    return isCongestion(error) || error === EMSGSIZE ? 0 : error;
  }

  /** The session to go on with; null: nothing more can be done. */
  #onError(session: UdpSession, error: number): UdpSession | null {
    if (isUnsegmentable(error) && this.#batch.datagramsIn(0, 1) > 1) {
      session.canSegment = false;
      return session;
    }
    if (isCongestion(error)) return this.#giveUp(session, "send-failed");
    if (isLocal(error) && this.#hasReopened(session)) return session;
    if (error === EINVAL) return this.#giveUp(session, "send-failed");
    if (error === EMSGSIZE) return this.#onTooLong(session);
    return this.#onRefused(session, error);
  }

  /** Its source address has gone: once more from the new one, and its task is not to blame. */
  #hasReopened(session: UdpSession): boolean {
    if (session.relay !== null || session.isClosed || !session.returnPath.reopen(session)) return false;
    this.#unprovenFrom = this.#at;
    this.#isRetry = false;
    return true;
  }

  #onTooLong(session: UdpSession): UdpSession {
    if (this.#isRetry) {
      session.returnPath.refuse(session, "too-long", 1);
      this.#at++;
    }
    this.#isRetry = !this.#isRetry;
    return session;
  }

  /** To another task; once more to the same when there is no other. */
  #onRefused(session: UdpSession, error: number): UdpSession | null {
    session.returnPath.onFailed(session, error);
    this.#tried.push(session.target);
    const next = session.returnPath.move(session, this.#tried);
    if (next !== null) {
      this.#unprovenFrom = this.#at;
      this.#isRetry = false;
      return next;
    }
    if (this.#isRetry || session.isClosed) return this.#giveUp(session, session.returnPath.refusal);
    this.#isRetry = true;
    return session;
  }

  #giveUp(session: UdpSession, reason: RefusalReason): null {
    session.returnPath.refuse(session, reason, this.#count - this.#at);
    return null;
  }
}

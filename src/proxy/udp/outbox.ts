/**
 * Datagrams on their way to tasks: those of one batch are grouped by session and each group is sent by one call, in
 * the order they came. What a task refuses goes to another one while its bytes are still here.
 */
import { EAGAIN, EINVAL, EIO, EMSGSIZE, ENOBUFS, ENOMEM } from "../../sys/errno.ts";
import { SendBatch } from "../../sys/messages.ts";
import { takeError } from "../../sys/socket.ts";
import type { Target } from "../worker/target.ts";
import { writeProxyHeader } from "./send-proxy.ts";
import { BURST_BYTES, type UdpSession } from "./session.ts";
import type { UdpContext } from "./udp-context.ts";

export class Outbox {
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
  #headerLength = 0;
  #error = 0;
  #isSending = false;

  constructor(
    readonly context: UdpContext,
    size: number,
  ) {
    this.#batch = new SendBatch(context.memory, size, false);
    this.#payloadAt = new Int32Array(size);
    this.#length = new Int32Array(size);
    this.#nextSlot = new Int32Array(size);
    this.#group = new Int32Array(size);
  }

  /** The bytes must stay in place until `sendAll`. */
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

  /** The session is about to be closed to make room; what it has here goes out first, if that can be done now. */
  sendBefore(session: UdpSession): void {
    if (!this.#isSending) this.#sendGroup(session);
  }

  /** The session is closed: what is left of it here is lost. */
  forget(session: UdpSession): void {
    for (let slot = session.firstSlot; slot >= 0; slot = this.#nextSlot[slot]!) {
      session.rules.refuse("send-failed");
    }
    session.firstSlot = -1;
  }

  #sendGroup(session: UdpSession): void {
    if (session.firstSlot < 0) return;
    this.#isSending = true;
    this.#tried.length = 0;
    session.set.touch(session);
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
    if (bytes > BURST_BYTES) session.growBuffers();
    return count;
  }

  /** Length of the PROXY header that goes before each datagram of the session, 0 for none. */
  #prepareHeader(session: UdpSession): number {
    if (session.set.route.rules.sendProxy !== "v2") return 0;
    session.header ??= writeProxyHeader(session);
    this.context.memory.bytes.set(session.header, this.context.headerAt);
    return session.header.length;
  }

  /** Puts those of the group from `at` on into the batch. */
  #fill(session: UdpSession, at: number, count: number): void {
    const { headerAt } = this.context;
    this.#batch.clear();
    for (let i = at; i < count; i++) {
      const slot = this.#group[i]!;
      const mayJoin = session.canSegment && i > at;
      this.#batch.add(this.#payloadAt[slot]!, this.#length[slot]!, headerAt, this.#headerLength, mayJoin);
    }
  }

  /** Sends the group, moving the session as often as tasks fail. */
  #deliver(first: UdpSession, count: number): void {
    let session = first;
    let at = 0;
    let unprovenFrom = 0;
    // an error may be an older datagram's, so one that names no other task is met by sending once more
    let isRetry = false;
    while (at < count) {
      this.#fill(session, at, count);
      const sent = this.#sendFilled(session);
      at += sent;
      if (at < count && sent > 0) {
        // the next one's error is not told, and the kernel forgets it
        session.isUnproven = true;
        unprovenFrom = at - 1;
        isRetry = false;
        continue;
      }
      let error = this.#error;
      if (at === count) {
        error = this.#findError(session);
        if (error === 0) return session.set.onSent(session);
        at = unprovenFrom;
        isRetry = true;
      }
      if (session.canSegment && this.#batch.datagramsIn(0, 1) > 1 && isUnsegmentable(error)) {
        session.canSegment = false;
        continue;
      }
      if (isCongestion(error)) return session.set.refuse("send-failed", count - at);
      if (error === EMSGSIZE) {
        if (isRetry) {
          session.set.refuse("too-long", 1);
          at++;
        }
        isRetry = !isRetry;
        continue;
      }
      const next = this.#move(session, error);
      if (next !== null) {
        session = next;
        unprovenFrom = at;
        isRetry = false;
      } else if (isRetry || session.isClosed) {
        return session.set.refuse(session.set.refusal, count - at);
      } else {
        isRetry = true;
      }
    }
  }

  /** Datagrams sent; when none was, #error says why. */
  #sendFilled(session: UdpSession): number {
    const sent = this.#batch.send(session.fd, 0, this.#batch.messages);
    this.#error = sent < 0 ? -sent : 0;
    return sent <= 0 ? 0 : this.#batch.datagramsIn(0, sent);
  }

  /** On the same machine an ICMP error is there before the call returns: worth asking while nothing is proven. */
  #findError(session: UdpSession): number {
    if (!session.isUnproven) return 0;
    session.isUnproven = false;
    const error = takeError(session.fd);
    return isCongestion(error) || error === EMSGSIZE ? 0 : error;
  }

  #move(session: UdpSession, error: number): UdpSession | null {
    session.set.onFailed(session, error);
    this.#tried.push(session.target);
    return session.set.move(session, this.#tried);
  }
}

/** The datagram could not be queued; nothing is wrong with the task. */
export function isCongestion(error: number): boolean {
  return error === EAGAIN || error === ENOBUFS || error === ENOMEM || error === EINVAL;
}

/** Datagrams cannot go down as one: longer than the path's MTU, or a device that computes no checksums. */
export function isUnsegmentable(error: number): boolean {
  return error === EMSGSIZE || error === EINVAL || error === EIO;
}

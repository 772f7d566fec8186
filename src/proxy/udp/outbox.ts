/**
 * Datagrams on their way to tasks: those of one batch are grouped by session and each group is sent by one call, in
 * the order they came. What a task refuses goes to another one while its bytes are still here.
 */
import { EAGAIN, EINVAL, EMSGSIZE, ENOBUFS, ENOMEM } from "../../sys/errno.ts";
import { SendBatch } from "../../sys/messages.ts";
import { takeError } from "../../sys/socket.ts";
import type { Refusal } from "../counters.ts";
import type { Target } from "../worker/target.ts";
import { writeProxyHeader } from "./send-proxy.ts";
import type { UdpSession } from "./session.ts";
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
  #isSending = false;

  constructor(
    readonly context: UdpContext,
    size: number,
  ) {
    this.#batch = new SendBatch(context.memory, size, false);
    this.#payloadAt = new Int32Array(size);
    this.#length = new Int32Array(size);
    this.#nextSlot = new Int32Array(size);
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
    this.#deliver(session, this.#fill(session));
    this.#isSending = false;
  }

  /** Takes the session's datagrams into the batch; returns their number. */
  #fill(session: UdpSession): number {
    const headerLength = this.#prepareHeader(session);
    const { headerAt } = this.context;
    let count = 0;
    for (let slot = session.firstSlot; slot >= 0; slot = this.#nextSlot[slot]!) {
      this.#batch.setPayload(count, this.#payloadAt[slot]!, this.#length[slot]!);
      this.#batch.setPrefix(count, headerAt, headerLength);
      count++;
    }
    session.firstSlot = -1;
    return count;
  }

  /** Length of the PROXY header that goes before each datagram of the session, 0 for none. */
  #prepareHeader(session: UdpSession): number {
    if (session.set.route.rules.sendProxy !== "v2") return 0;
    session.header ??= writeProxyHeader(session);
    this.context.memory.bytes.set(session.header, this.context.headerAt);
    return session.header.length;
  }

  /** Sends `count` datagrams of the batch, moving the session as often as tasks fail. */
  #deliver(session: UdpSession, count: number): void {
    let at = 0;
    let unprovenFrom = 0;
    // an error may be an older datagram's, so one that names no other task is met by sending once more
    let isRetry = false;
    while (at < count) {
      const sent = this.#batch.send(session.fd, at, count - at);
      let error = -sent;
      if (sent > 0) {
        at += sent;
        isRetry = false;
        if (at < count) {
          // the next one's error is not told, and the kernel forgets it
          session.isUnproven = true;
          unprovenFrom = at - 1;
          continue;
        }
        error = this.#findError(session);
        if (error === 0) return session.set.onSent(session);
        at = unprovenFrom;
        isRetry = true;
      }
      if (isCongestion(error)) return this.#drop(session, "send-failed", count - at);
      if (error === EMSGSIZE) {
        if (isRetry) {
          this.#drop(session, "too-long", 1);
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
        return this.#drop(session, session.set.refusal, count - at);
      } else {
        isRetry = true;
      }
    }
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

  #drop(session: UdpSession, reason: Refusal, count: number): void {
    session.set.route.rules.refuse(reason, count);
  }
}

/** The datagram could not be queued; nothing is wrong with the task. */
export function isCongestion(error: number): boolean {
  return error === EAGAIN || error === ENOBUFS || error === ENOMEM || error === EINVAL;
}

/**
 * Datagrams on their way back to clients: received from the sockets of many sessions into one batch, sent when the
 * turn ends or the batch is full, so that a turn costs one send per listener and not one per session.
 */
import { EAGAIN, EMSGSIZE, ENOBUFS } from "../../sys/errno.ts";
import { ReceiveBatch, SendBatch } from "../../sys/messages.ts";
import { setBufferSizes } from "../../sys/socket.ts";
import { S_UDP_BYTES_OUT, S_UDP_DATAGRAMS_OUT } from "../counters.ts";
import type { TurnEnder } from "../worker/event-loop.ts";
import { isCongestion } from "./outbox.ts";
import type { UdpSession } from "./session.ts";
import type { SessionSet } from "./session-set.ts";
import type { UdpContext } from "./udp-context.ts";

/** With less room than this the batch is sent first. */
const LEAST_ROOM = 32;
/** Errors in a row that are read off a socket in one turn. */
const MAX_ERRORS = 4;
/** Of a session whose task answers in bursts. */
const BIG_BUFFER_BYTES = 1024 * 1024;

export class Replies implements TurnEnder {
  readonly #received: ReceiveBatch;
  readonly #sent: SendBatch;
  /** by slot */
  readonly #sets: SessionSet[] = [];
  #count = 0;
  #isQueued = false;

  constructor(
    readonly context: UdpContext,
    readonly size: number,
  ) {
    this.#received = new ReceiveBatch(context.memory, size, false);
    this.#sent = new SendBatch(context.memory, size, true);
  }

  /** Takes what the task has sent, one batch at most; asks for another turn when there is more. */
  receiveFrom(session: UdpSession): void {
    for (let errors = 0; errors < MAX_ERRORS; errors++) {
      if (this.size - this.#count < LEAST_ROOM) this.flush();
      const room = this.size - this.#count;
      const count = this.#received.receive(session.fd, this.#count, room);
      if (count === -EAGAIN) return;
      if (count < 0) {
        this.#onError(session, -count);
        continue;
      }
      this.#take(session, count);
      // what arrives after a short batch raises a new edge, and so does an error that cut it short
      if (count === room) this.#onBurst(session);
      return;
    }
    session.queue();
  }

  onTurnEnd(): void {
    this.#isQueued = false;
    this.flush();
  }

  /** Sends everything. Must be called before a listener is closed. */
  flush(): void {
    const count = this.#count;
    this.#count = 0;
    for (let first = 0; first < count; ) {
      const set = this.#sets[first]!;
      let end = first + 1;
      while (end < count && this.#sets[end] === set) end++;
      this.#send(set, first, end);
      first = end;
    }
  }

  #take(session: UdpSession, count: number): void {
    const { set, key } = session;
    for (let i = 0; i < count; i++) {
      const from = this.#count + i;
      const to = from;
      this.#sent.setPayload(to, this.#received.payloadAt(from), this.#received.length(from));
      set.layout.writeDestination(key, this.#sent, to);
      this.#sets[to] = set;
    }
    this.#count += count;
    set.touch(session);
    set.onAnswered(session);
    if (this.#isQueued) return;
    this.#isQueued = true;
    this.context.loop.atTurnEnd(this);
  }

  #onBurst(session: UdpSession): void {
    session.queue();
    if (session.hasBigBuffers) return;
    session.hasBigBuffers = true;
    setBufferSizes(session.fd, BIG_BUFFER_BYTES);
  }

  #onError(session: UdpSession, error: number): void {
    if (error === EMSGSIZE) session.set.route.rules.refuse("too-long");
    else if (!isCongestion(error)) session.set.onFailed(session, error);
  }

  #send(set: SessionSet, first: number, end: number): void {
    const { rules } = set.route;
    for (let at = first; at < end; ) {
      const sent = this.#sent.send(set.fd, at, end - at);
      if (sent > 0) {
        this.#countSent(set, at, at + sent);
        at += sent;
      } else if (sent === -EAGAIN || sent === -ENOBUFS) {
        return rules.refuse("send-failed", end - at);
      } else {
        rules.refuse(sent === -EMSGSIZE ? "too-long" : "send-failed");
        at++;
      }
    }
  }

  #countSent(set: SessionSet, first: number, end: number): void {
    let bytes = 0;
    for (let slot = first; slot < end; slot++) bytes += this.#sent.payloadLength(slot);
    set.route.rules.count(S_UDP_DATAGRAMS_OUT, end - first);
    set.route.rules.count(S_UDP_BYTES_OUT, bytes);
  }
}

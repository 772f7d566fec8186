/**
 * Datagrams on their way back to clients: received from the sockets of many sessions into one batch, sent when the
 * turn ends or the batch is full, so that a turn costs one send per listener and not one per session.
 */
import { EAGAIN, EMSGSIZE, ENOBUFS } from "../../sys/errno.ts";
import type { TurnEnder } from "../../sys/event-loop.ts";
import { ReceiveBatch, SendBatch } from "../../sys/mmsg.ts";
import { S_UDP_BYTES_OUT, S_UDP_DATAGRAMS_OUT } from "../table/counters.ts";
import type { RelaySocket } from "./relay/relay-socket.ts";
import { BURST_BYTES, type UdpSession } from "./session.ts";
import type { SessionSet } from "./session-set.ts";
import { isCongestion, isUnsegmentable } from "./task-send-batch.ts";
import type { UdpContext } from "./udp-context.ts";

/** With less room than this the batch is sent first. */
const LEAST_ROOM = 32;
/** Errors in a row that are read off a socket in one turn. */
const MAX_ERRORS = 4;

export class Replies implements TurnEnder {
  readonly #received: ReceiveBatch;
  readonly #sent: SendBatch;
  /** by answer; those of one session that were received together follow each other */
  readonly #sessions: UdpSession[] = [];
  /** Those that end once their last answer is sent; bounded by the size of a batch. */
  readonly #done: UdpSession[] = [];
  readonly #payloadAt: Int32Array;
  readonly #length: Int32Array;
  #count = 0;
  /** Slots of #received that hold answers, and others that turned out to be none. */
  #used = 0;
  #isQueued = false;

  constructor(
    readonly context: UdpContext,
    readonly size: number,
  ) {
    this.#received = new ReceiveBatch(context.memory, size, false);
    this.#sent = new SendBatch(context.memory, size, true);
    this.#payloadAt = new Int32Array(size);
    this.#length = new Int32Array(size);
  }

  payloadAt(answer: number): number {
    return this.#payloadAt[answer]!;
  }

  length(answer: number): number {
    return this.#length[answer]!;
  }

  session(answer: number): UdpSession {
    return this.#sessions[answer]!;
  }

  /** Takes what the task has sent, one batch at most; asks for another turn when there is more. */
  receiveFrom(session: UdpSession): void {
    for (let errors = 0; errors < MAX_ERRORS; errors++) {
      const room = this.#makeRoom();
      const count = this.#received.receive(session.fd, this.#used, room);
      if (count === -EAGAIN) return;
      if (count < 0) {
        this.#onError(session, -count);
        continue;
      }
      this.#take(session, count);
      // what arrives after a short batch raises a new edge, and so does an error that cut it short
      if (count < room) return;
      session.queue();
      return session.growBuffers();
    }
    session.queue();
  }

  /** Takes what another node has sent, one batch at most; true: there may be more. */
  receiveFromRelay(socket: RelaySocket): boolean {
    const room = this.#makeRoom();
    const count = this.#received.receive(socket.fd, this.#used, room);
    if (count === -EAGAIN) return false;
    if (count < 0) {
      socket.onReceiveError(-count);
      return true;
    }
    const first = this.#used;
    this.#used += count;
    for (let slot = first; slot < first + count; slot++) this.#takeFromRelay(socket, slot);
    return count === room;
  }

  onTurnEnd(): void {
    this.#isQueued = false;
    this.flush();
  }

  /** Sends everything. Must be called before a listener is closed. */
  flush(): void {
    const count = this.#count;
    this.#count = this.#used = 0;
    for (let first = 0; first < count; ) {
      const { returnPath } = this.#sessions[first]!;
      let end = first + 1;
      while (end < count && this.#sessions[end]!.returnPath === returnPath) end++;
      returnPath.sendAnswers(first, end);
      first = end;
    }
    if (this.#done.length > 0) this.#endDone();
  }

  /** Sends those in slots first…end, all of one listener. */
  sendToClients(set: SessionSet, first: number, end: number): void {
    const { rules } = set.route;
    for (let at = first; at < end; ) {
      this.#fill(set, at, end);
      const sent = this.#sent.send(set.fd, 0, this.#sent.messages);
      if (sent > 0) {
        const datagrams = this.#sent.datagramsIn(0, sent);
        rules.count(S_UDP_DATAGRAMS_OUT, datagrams);
        rules.count(S_UDP_BYTES_OUT, this.#sent.payloadBytesIn(0, sent));
        at += datagrams;
      } else if (this.#sent.datagramsIn(0, 1) > 1 && isUnsegmentable(-sent)) {
        this.#sessions[at]!.canSegmentReplies = false;
      } else if (sent === -EAGAIN || sent === -ENOBUFS) {
        return rules.refuse("send-failed", end - at);
      } else {
        const datagrams = this.#sent.datagramsIn(0, 1);
        rules.refuse(sent === -EMSGSIZE ? "too-long" : "send-failed", datagrams);
        at += datagrams;
      }
    }
  }

  #endDone(): void {
    for (const session of this.#done)
      if (!session.isClosed && session.isDone) session.returnPath.onDone(session);
    this.#done.length = 0;
  }

  /** Free slots; a few at least. */
  #makeRoom(): number {
    if (this.size - this.#used < LEAST_ROOM) this.flush();
    return this.size - this.#used;
  }

  #take(session: UdpSession, count: number): void {
    let bytes = 0;
    for (const end = this.#used + count; this.#used < end; this.#used++) {
      const length = this.#received.length(this.#used);
      this.#add(session, this.#received.payloadAt(this.#used), length);
      bytes += length;
    }
    if (bytes > BURST_BYTES) session.growBuffers();
    this.#onAnswered(session, count);
  }

  #takeFromRelay(socket: RelaySocket, slot: number): void {
    const received = this.#received;
    const session = socket.receive(received.payloadAt(slot), received.length(slot));
    if (session === null) return;
    const { dataAt, dataLength } = socket.relay.datagram;
    this.#add(session, dataAt, dataLength);
    this.#onAnswered(session, 1);
  }

  #add(session: UdpSession, payloadAt: number, length: number): void {
    this.#sessions[this.#count] = session;
    this.#payloadAt[this.#count] = payloadAt;
    this.#length[this.#count++] = length;
  }

  #onAnswered(session: UdpSession, answers: number): void {
    session.returnPath.touch(session);
    session.onAnswered();
    if (session.isDoneAfter(answers)) this.#done.push(session);
    if (this.#isQueued) return;
    this.#isQueued = true;
    this.context.loop.atTurnEnd(this);
  }

  #onError(session: UdpSession, error: number): void {
    const { returnPath } = session;
    if (error === EMSGSIZE) returnPath.refuse(session, "too-long", 1);
    else if (!isCongestion(error)) returnPath.onFailed(session, error);
  }

  #fill(set: SessionSet, first: number, end: number): void {
    const sent = this.#sent;
    let before: UdpSession | null = null;
    sent.clear();
    for (let answer = first; answer < end; answer++) {
      const session = this.#sessions[answer]!;
      const mayJoin = session === before && session.canSegmentReplies;
      const isJoined = sent.add(this.#payloadAt[answer]!, this.#length[answer]!, 0, 0, mayJoin);
      if (!isJoined) set.layout.writeDestination(session.key, sent, sent.messages - 1);
      before = session;
    }
  }
}

/**
 * Datagrams on their way back to clients: received from the sockets of many sessions into one batch, sent when the turn
 * ends or the batch is full, so that a turn costs one send per listener and not one per session.
 */
import type { Arena } from "../../sys/arena.ts";
import { EAGAIN, EMSGSIZE, isCongestion } from "../../sys/errno.ts";
import type { TurnEnder } from "../../sys/event-loop.ts";
import { ReceiveBatch } from "../../sys/mmsg.ts";
import type { ReplyBatch, UdpLoop } from "./return-path.ts";
import { BURST_BYTES, type UdpSession } from "./session.ts";

/** With less room than this the batch is sent first. */
const LEAST_ROOM = 32;
/** Errors in a row that are read off a socket in one turn. */
const MAX_ERRORS = 4;

/** The socket of a relay to another node. */
export interface RelaySource {
  readonly fd: number;
  /** Where the data of the datagram is that `receive` was given last. */
  readonly datagram: { readonly dataAt: number; readonly dataLength: number };
  /** The session that a received datagram is a reply for; null: there is nothing to pass on. */
  receive(at: number, length: number): UdpSession | null;
  /** @param error positive errno */
  onReceiveError(error: number): void;
}

export class Replies implements ReplyBatch<UdpSession>, TurnEnder {
  readonly #received: ReceiveBatch;
  /** by reply; those of one session that were received together follow each other */
  readonly #sessions: UdpSession[] = [];
  /** Those that end once their last reply is sent; bounded by the size of a batch. */
  readonly #done: UdpSession[] = [];
  readonly #payloadAt: Int32Array;
  readonly #length: Int32Array;
  #count = 0;
  /** Slots of #received that hold replies, and others that turned out to be none. */
  #used = 0;
  #isQueued = false;

  constructor(
    readonly loop: UdpLoop,
    memory: Arena,
    readonly size: number,
  ) {
    this.#received = new ReceiveBatch(memory, size, false);
    this.#payloadAt = new Int32Array(size);
    this.#length = new Int32Array(size);
  }

  payloadAt(index: number): number {
    return this.#payloadAt[index]!;
  }

  length(index: number): number {
    return this.#length[index]!;
  }

  session(index: number): UdpSession {
    return this.#sessions[index]!;
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
  receiveFromRelay(socket: RelaySource): boolean {
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
      returnPath.sendReplies(this, first, end);
      first = end;
    }
    if (this.#done.length > 0) this.#endDone();
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
    session.countOut(count, bytes);
    if (bytes > BURST_BYTES) session.growBuffers();
    session.target.countBytesOut(bytes);
    this.#onAnswered(session, count);
  }

  #takeFromRelay(socket: RelaySource, slot: number): void {
    const received = this.#received;
    const session = socket.receive(received.payloadAt(slot), received.length(slot));
    if (session === null) return;
    const { dataAt, dataLength } = socket.datagram;
    this.#add(session, dataAt, dataLength);
    session.countOut(1, dataLength);
    session.target.countBytesOut(dataLength);
    this.#onAnswered(session, 1);
  }

  #add(session: UdpSession, payloadAt: number, length: number): void {
    this.#sessions[this.#count] = session;
    this.#payloadAt[this.#count] = payloadAt;
    this.#length[this.#count++] = length;
  }

  #onAnswered(session: UdpSession, replies: number): void {
    session.returnPath.touch(session);
    session.onAnswered();
    if (session.isDoneAfter(replies)) this.#done.push(session);
    if (this.#isQueued) return;
    this.#isQueued = true;
    this.loop.atTurnEnd(this);
  }

  #onError(session: UdpSession, error: number): void {
    const { returnPath } = session;
    if (error === EMSGSIZE) returnPath.refuse(session, "too-long", 1);
    else if (!isCongestion(error)) returnPath.onFailed(session, error);
  }
}

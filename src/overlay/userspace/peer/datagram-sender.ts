/**
 * Datagrams on their way to the underlay, sent in as few system calls as can be: those of one packet leave as one
 * (UDP_SEGMENT) where the path to the peer allows it.
 *
 * A peer to which the kernel refuses to segment gets its datagrams one by one from then on; one that cannot be reached
 * loses its datagrams; other peers are not affected.
 */
import type { Arena } from "../../../sys/arena.ts";
import {
  EACCES,
  EAGAIN,
  EHOSTUNREACH,
  EINVAL,
  EIO,
  EMSGSIZE,
  ENETUNREACH,
  ENOBUFS,
  EPERM,
} from "../../../sys/errno.ts";
import { SendBatch, sendBatchBytes } from "../../../sys/mmsg.ts";
import { type Counters, F_BYTES_OUT, F_DATAGRAMS_OUT, type PacketDrop } from "../counters.ts";
import type { RemotePeer } from "./remote-peer.ts";

/** Datagrams in an sender: what some ten super-packets are cut into. */
export const MAX_QUEUED_DATAGRAMS = 512;
/** Room before the payload of a datagram: head of the frame, longest IP and TCP headers. */
const PREFIX_BYTES = 192;

/** Words of #adds for each datagram. */
const ADD_WORDS = 4;

export function datagramSenderBytes(): number {
  return 2 * sendBatchBytes(MAX_QUEUED_DATAGRAMS) + MAX_QUEUED_DATAGRAMS * PREFIX_BYTES;
}

/** What a path needs of an sender. */
export type DatagramSink = Pick<DatagramSender, "isFull" | "prefixAt" | "add" | "flush">;

export class DatagramSender {
  /** Added since the last flush that sent everything. */
  datagrams = 0;
  readonly #batch: SendBatch;
  /** For datagrams of a message that was refused as a whole. */
  readonly #singles: SendBatch;
  readonly #prefixesAt: number;
  /** by message: whose it is, and its first datagram */
  readonly #peers: (RemotePeer | null)[] = new Array(MAX_QUEUED_DATAGRAMS).fill(null);
  readonly #firstOf = new Int32Array(MAX_QUEUED_DATAGRAMS);
  /** by datagram: payload, its length, prefix, its length */
  readonly #adds = new Int32Array(MAX_QUEUED_DATAGRAMS * ADD_WORDS);
  /** Messages before it are gone. */
  #next = 0;

  constructor(
    readonly arena: Arena,
    readonly fd: number,
    readonly counters: Counters,
  ) {
    this.#batch = new SendBatch(arena, MAX_QUEUED_DATAGRAMS, true);
    this.#singles = new SendBatch(arena, MAX_QUEUED_DATAGRAMS, true);
    this.#prefixesAt = arena.take(MAX_QUEUED_DATAGRAMS * PREFIX_BYTES);
  }

  get isFull(): boolean {
    return this.datagrams === MAX_QUEUED_DATAGRAMS;
  }

  /** Offset of PREFIX_BYTES, a multiple of 64, for the next datagram. There has to be room. */
  get prefixAt(): number {
    return this.#prefixesAt + this.datagrams * PREFIX_BYTES;
  }

  /** Adds a datagram: prefix, then payload. Both stay as they are until everything is sent. There has to be room. */
  add(peer: RemotePeer, payloadAt: number, length: number, prefixAt: number, prefixLength: number): void {
    const previous = this.#batch.messages - 1;
    const mayJoin = previous >= 0 && this.#peers[previous] === peer && peer.maySegment;
    const isJoined = this.#batch.add(payloadAt, length, prefixAt, prefixLength, mayJoin);
    if (!isJoined) this.#address(this.#batch, previous + 1, peer);
    if (!isJoined) this.#firstOf[previous + 1] = this.datagrams;
    if (!isJoined) this.#peers[previous + 1] = peer;
    const at = this.datagrams++ * ADD_WORDS;
    this.#adds[at] = payloadAt;
    this.#adds[at + 1] = length;
    this.#adds[at + 2] = prefixAt;
    this.#adds[at + 3] = prefixLength;
  }

  /** False: the socket takes no more now; flush again when it does. */
  flush(): boolean {
    const { messages } = this.#batch;
    while (this.#next < messages) {
      const sent = this.#batch.send(this.fd, this.#next, messages - this.#next);
      if (sent > 0) this.#count(sent);
      else if (sent === -EAGAIN) return false;
      else this.#onRefused(-sent);
    }
    this.#clear();
    return true;
  }

  /** Forgets what could not be sent. */
  drop(): void {
    for (; this.#next < this.#batch.messages; this.#next++) this.#dropMessage(ENOBUFS);
    this.#clear();
  }

  #clear(): void {
    this.#peers.fill(null, 0, this.#batch.messages);
    this.#batch.clear();
    this.#next = 0;
    this.datagrams = 0;
  }

  #count(messages: number): void {
    for (const end = this.#next + messages; this.#next < end; this.#next++) {
      const { row } = this.#peers[this.#next]!;
      const datagrams = this.#batch.datagramsIn(this.#next, 1);
      this.counters.add(row, F_DATAGRAMS_OUT, datagrams);
      this.counters.add(row, F_BYTES_OUT, this.#bytesOf(this.#firstOf[this.#next]!, datagrams));
    }
  }

  /** Segments have the length of the first; the last may be shorter. */
  #bytesOf(first: number, datagrams: number): number {
    const lengthOf = (datagram: number) =>
      this.#adds[datagram * ADD_WORDS + 1]! + this.#adds[datagram * ADD_WORDS + 3]!;
    return lengthOf(first) * (datagrams - 1) + lengthOf(first + datagrams - 1);
  }

  /** The message at #next. */
  #onRefused(errno: number): void {
    const peer = this.#peers[this.#next]!;
    const isSegmented = this.#batch.datagramsIn(this.#next, 1) > 1;
    const isRefusal = errno === EIO || errno === EINVAL;
    // what is too long as one may have datagrams that are not: the last one
    if (!isSegmented || !(isRefusal || errno === EMSGSIZE)) this.#dropMessage(errno);
    else if (this.#sendSingly(peer) > 0 && isRefusal) {
      // it was the segmentation that was refused, not what is sent
      peer.maySegment = false;
      this.counters.setCutHere(peer.row);
    }
    this.#next++;
  }

  /** How many were sent. */
  #sendSingly(peer: RemotePeer): number {
    let total = 0;
    const first = this.#firstOf[this.#next]!;
    const count = this.#batch.datagramsIn(this.#next, 1);
    this.#singles.clear();
    for (let i = 0; i < count; i++) {
      const at = (first + i) * ADD_WORDS;
      const adds = this.#adds;
      this.#singles.add(adds[at]!, adds[at + 1]!, adds[at + 2]!, adds[at + 3]!, false);
      this.#address(this.#singles, i, peer);
    }
    for (let next = 0; next < count; ) {
      const sent = this.#singles.send(this.fd, next, count - next);
      const gone = Math.max(sent, 1);
      if (sent < 0) this.counters.dropPackets(peer.row, dropFor(-sent), 1);
      for (let i = next; sent > 0 && i < next + sent; i++) {
        this.counters.add(peer.row, F_DATAGRAMS_OUT, 1);
        this.counters.add(peer.row, F_BYTES_OUT, this.#bytesOf(first + i, 1));
      }
      next += gone;
      total += Math.max(sent, 0);
    }
    return total;
  }

  #dropMessage(errno: number): void {
    const { row } = this.#peers[this.#next]!;
    this.counters.dropPackets(row, dropFor(errno), this.#batch.datagramsIn(this.#next, 1));
  }

  #address(batch: SendBatch, message: number, peer: RemotePeer): void {
    const at = batch.nameAt(message) / 4;
    const { int32 } = this.arena;
    const { sockaddr } = peer;
    for (let i = 0; i < sockaddr.length; i++) int32[at + i] = sockaddr[i]!;
    batch.setNameFamily(message, peer.family);
  }
}

function dropFor(errno: number): PacketDrop {
  switch (errno) {
    case ENETUNREACH:
    case EHOSTUNREACH:
    case EPERM:
    case EACCES:
      return "unreachable";
    case EMSGSIZE:
      return "too-long";
    default:
      return "send-failed";
  }
}

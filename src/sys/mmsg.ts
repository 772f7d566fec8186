/**
 * Arrays of datagrams for recvmmsg and sendmmsg, laid out in an arena. Everything is written in place: a batch
 * allocates when it is made and never again.
 */
import type { Pointer } from "bun:ffi";
import type { Arena } from "./arena.ts";
import { CONTROL_MAX, writeSegmentSize } from "./control-data.ts";
import {
  CONTROL,
  CONTROL_LENGTH,
  FLAGS,
  HEADER_BYTES,
  IOVEC,
  IOVEC_BYTES,
  IOVEC_COUNT,
  IOVEC_LENGTH,
  LENGTH,
  NAME,
  NAME_BYTES,
  NAME_LENGTH,
} from "./mmsghdr.ts";
import { AF_INET6, SOCKADDR_MAX } from "./sockaddr.ts";
import { recvMessages, sendMessages } from "./socket.ts";

/** The longest datagram there is, and a byte: IPv6 without jumbograms ends at 65527 bytes. */
export const DATAGRAM_MAX = 65_536;
/** Buffers start a little apart from each other's alignment, or the first bytes of all share a few cache lines. */
const BUFFER_STRIDE = DATAGRAM_MAX + 192;

const HEADER_WORDS = HEADER_BYTES / 4;
const IOVEC_WORDS = IOVEC_BYTES / 4;

const MSG_TRUNC = 0x20;
/** UDP_MAX_SEGMENTS of kernels before 6.9, and what fits into one IPv4 packet behind any header. */
const SEGMENTS_MAX = 64;
const SEGMENTED_MAX = 65_000;
const SOCKADDR_IN_BYTES = 16;

/** Bytes of arena that a batch of `size` datagrams takes, at most. */
export function receiveBatchBytes(size: number): number {
  return size * (HEADER_BYTES + IOVEC_BYTES + NAME_BYTES + CONTROL_MAX + BUFFER_STRIDE) + 512;
}

export function sendBatchBytes(size: number): number {
  return size * (HEADER_BYTES + 2 * IOVEC_BYTES + NAME_BYTES + CONTROL_MAX) + 512;
}

/** Room for `size` datagrams from a socket. What a slot holds is valid until it is received into again. */
export class ReceiveBatch {
  readonly #words: Int32Array;
  readonly #headersAt: number;
  readonly #namesAt: number;
  readonly #controlsAt: number;
  readonly #buffersAt: number;
  /** Slots from 0 whose lengths the kernel has overwritten. */
  #used = 0;

  /** @param hasAddresses false for connected sockets: neither the peer's address nor control data is wanted */
  constructor(
    readonly arena: Arena,
    readonly size: number,
    readonly hasAddresses: boolean,
  ) {
    this.#words = arena.int32;
    this.#headersAt = arena.take(size * HEADER_BYTES);
    const iovecsAt = arena.take(size * IOVEC_BYTES);
    this.#namesAt = arena.take(size * NAME_BYTES);
    this.#controlsAt = arena.take(size * CONTROL_MAX);
    this.#buffersAt = arena.take(size * BUFFER_STRIDE);
    for (let slot = 0; slot < size; slot++) {
      const header = this.#header(slot);
      const iovecAt = iovecsAt + slot * IOVEC_BYTES;
      writePointer(arena, header + IOVEC, iovecAt);
      this.#words[header + IOVEC_COUNT] = 1;
      writePointer(arena, iovecAt / 4, this.payloadAt(slot));
      this.#words[iovecAt / 4 + IOVEC_LENGTH] = DATAGRAM_MAX;
      if (!hasAddresses) continue;
      writePointer(arena, header + NAME, this.nameAt(slot));
      writePointer(arena, header + CONTROL, this.controlAt(slot));
    }
    this.#used = size;
  }

  /** Fills slots from `first` on: how many, or -errno. Fewer than `count`: the socket is empty, or has an error next. */
  receive(fd: number, first: number, count: number): number {
    if (this.hasAddresses) this.#resetLengths();
    const received = recvMessages(fd, this.#address(first), count);
    if (received > 0) this.#used = first + received;
    return received;
  }

  /** Bytes of the datagram. */
  length(slot: number): number {
    return this.#words[this.#header(slot) + LENGTH]!;
  }

  /** It was longer than DATAGRAM_MAX. */
  isTruncated(slot: number): boolean {
    return (this.#words[this.#header(slot) + FLAGS]! & MSG_TRUNC) !== 0;
  }

  /** Offset of the datagram in the arena. */
  payloadAt(slot: number): number {
    return this.#buffersAt + slot * BUFFER_STRIDE;
  }

  /** Offset of the sender's struct sockaddr. */
  nameAt(slot: number): number {
    return this.#namesAt + slot * NAME_BYTES;
  }

  /** Offset and length of the control data. */
  controlAt(slot: number): number {
    return this.#controlsAt + slot * CONTROL_MAX;
  }

  controlLength(slot: number): number {
    return this.#words[this.#header(slot) + CONTROL_LENGTH]!;
  }

  #resetLengths(): void {
    for (let slot = 0; slot < this.#used; slot++) {
      const header = this.#header(slot);
      this.#words[header + NAME_LENGTH] = SOCKADDR_MAX;
      this.#words[header + CONTROL_LENGTH] = CONTROL_MAX;
    }
    this.#used = 0;
  }

  #header(slot: number): number {
    return this.#headersAt / 4 + slot * HEADER_WORDS;
  }

  #address(slot: number): Pointer {
    return this.arena.address(this.#headersAt + slot * HEADER_BYTES);
  }
}

/**
 * Up to `size` datagrams to send, in as few messages as can be: datagrams of one length to one receiver, the last of
 * which may be shorter, go down to the driver as one (UDP_SEGMENT, udp(7)). Their bytes stay where they are, in the
 * same arena.
 */
export class SendBatch {
  /** Messages added since `clear`. */
  messages = 0;
  readonly #words: Int32Array;
  readonly #headersAt: number;
  readonly #iovecsAt: number;
  readonly #namesAt: number;
  readonly #controlsAt: number;
  #iovecs = 0;
  /** by message: datagrams in it, bytes without prefixes, with prefixes, of each datagram but a shorter last one */
  readonly #datagrams: Int32Array;
  readonly #payloadBytes: Int32Array;
  readonly #totalBytes: Int32Array;
  readonly #segmentBytes: Int32Array;

  /** @param hasAddresses false for connected sockets */
  constructor(
    readonly arena: Arena,
    readonly size: number,
    hasAddresses: boolean,
  ) {
    this.#words = arena.int32;
    this.#headersAt = arena.take(size * HEADER_BYTES);
    this.#iovecsAt = arena.take(size * 2 * IOVEC_BYTES);
    this.#namesAt = arena.take(size * NAME_BYTES);
    this.#controlsAt = arena.take(size * CONTROL_MAX);
    this.#datagrams = new Int32Array(size);
    this.#payloadBytes = new Int32Array(size);
    this.#totalBytes = new Int32Array(size);
    this.#segmentBytes = new Int32Array(size);
    for (let message = 0; message < size; message++) {
      const header = this.#header(message);
      writePointer(arena, header + CONTROL, this.controlAt(message));
      if (hasAddresses) writePointer(arena, header + NAME, this.nameAt(message));
    }
  }

  clear(): void {
    this.messages = 0;
    this.#iovecs = 0;
  }

  /**
   * Adds a datagram: `prefixLength` bytes of the arena, then `length` bytes. With `mayJoin`, which says that it goes
   * to the same receiver, it joins the message before where that is possible: true. Else it starts one, without
   * control data.
   */
  add(payloadAt: number, length: number, prefixAt: number, prefixLength: number, mayJoin: boolean): boolean {
    const isJoined = mayJoin && this.#join(prefixLength + length);
    if (!isJoined) this.#start(prefixLength + length);
    const message = this.messages - 1;
    if (prefixLength > 0) this.#addIovec(message, prefixAt, prefixLength);
    this.#addIovec(message, payloadAt, length);
    this.#payloadBytes[message]! += length;
    return isJoined;
  }

  /** Datagrams in `count` messages. */
  datagramsIn(first: number, count: number): number {
    let sum = 0;
    for (let message = first; message < first + count; message++) sum += this.#datagrams[message]!;
    return sum;
  }

  /** Bytes in `count` messages, without prefixes. */
  payloadBytesIn(first: number, count: number): number {
    let sum = 0;
    for (let message = first; message < first + count; message++) sum += this.#payloadBytes[message]!;
    return sum;
  }

  /** Offset where the receiver's struct sockaddr is to be written; then say which kind it is. */
  nameAt(message: number): number {
    return this.#namesAt + message * NAME_BYTES;
  }

  setNameFamily(message: number, family: number): void {
    this.#words[this.#header(message) + NAME_LENGTH] = family === AF_INET6 ? SOCKADDR_MAX : SOCKADDR_IN_BYTES;
  }

  /** Offset where control data is to be written before another datagram joins, and then its length. */
  controlAt(message: number): number {
    return this.#controlsAt + message * CONTROL_MAX;
  }

  setControlLength(message: number, length: number): void {
    this.#words[this.#header(message) + CONTROL_LENGTH] = length;
  }

  /** How many of `count` messages from `first` on were sent, or -errno of the first. */
  send(fd: number, first: number, count: number): number {
    return sendMessages(fd, this.arena.address(this.#headersAt + first * HEADER_BYTES), count);
  }

  #start(bytes: number): void {
    const message = this.messages++;
    const header = this.#header(message);
    writePointer(this.arena, header + IOVEC, this.#iovecsAt + this.#iovecs * IOVEC_BYTES);
    this.#words[header + IOVEC_COUNT] = 0;
    this.#words[header + CONTROL_LENGTH] = 0;
    this.#datagrams[message] = 1;
    this.#payloadBytes[message] = 0;
    this.#totalBytes[message] = bytes;
    this.#segmentBytes[message] = bytes;
  }

  #join(bytes: number): boolean {
    if (this.messages === 0 || bytes === 0) return false;
    const message = this.messages - 1;
    const datagrams = this.#datagrams[message]!;
    const segmentBytes = this.#segmentBytes[message]!;
    const totalBytes = this.#totalBytes[message]!;
    if (bytes > segmentBytes || datagrams === SEGMENTS_MAX || totalBytes + bytes > SEGMENTED_MAX)
      return false;
    if (totalBytes !== datagrams * segmentBytes) return false;
    if (datagrams === 1) this.#setSegmentSize(message, segmentBytes);
    this.#datagrams[message] = datagrams + 1;
    this.#totalBytes[message] = totalBytes + bytes;
    return true;
  }

  #setSegmentSize(message: number, bytes: number): void {
    const length = this.#header(message) + CONTROL_LENGTH;
    const at = this.controlAt(message) + this.#words[length]!;
    this.#words[length]! += writeSegmentSize(this.arena, at, bytes);
  }

  #addIovec(message: number, at: number, length: number): void {
    const iovec = this.#iovecsAt / 4 + this.#iovecs++ * IOVEC_WORDS;
    writePointer(this.arena, iovec, at);
    this.#words[iovec + IOVEC_LENGTH] = length;
    this.#words[this.#header(message) + IOVEC_COUNT]!++;
  }

  #header(message: number): number {
    return this.#headersAt / 4 + message * HEADER_WORDS;
  }
}

/** The address of `offset`, as two int32 words. */
function writePointer(arena: Arena, word: number, offset: number): void {
  const address = arena.base + offset;
  arena.int32[word] = address | 0;
  arena.int32[word + 1] = (address / 2 ** 32) | 0;
}

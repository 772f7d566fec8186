/**
 * Arrays of datagrams for recvmmsg and sendmmsg, laid out in an arena. Everything is written in place: a batch
 * allocates when it is made and never again.
 *
 *   struct mmsghdr, 64 bytes
 *      0 name*          8 name length u32 · 0     16 iovec*        24 iovec count u64
 *     32 control*      40 control length u64      48 flags i32 · 0 56 length u32 · 0
 *   struct iovec, 16 bytes
 *      0 base*          8 length u64
 *
 * glibc and the kernel have u64 counts, musl has u32 and zero padding: on little-endian machines, and Linux on x64 and
 * arm64 is, both are a low word and a zero.
 */
import type { Pointer } from "bun:ffi";
import type { Arena } from "./arena.ts";
import { CONTROL_MAX } from "./packet-info.ts";
import { AF_INET6, SOCKADDR_MAX } from "./sockaddr.ts";
import { recvMessages, sendMessages } from "./socket.ts";

/** The longest datagram there is, and a byte: IPv6 without jumbograms ends at 65527 bytes. */
export const DATAGRAM_MAX = 65_536;
/** Buffers start a little apart from each other's alignment, or the first bytes of all share a few cache lines. */
const BUFFER_STRIDE = DATAGRAM_MAX + 192;

const HEADER_BYTES = 64;
const IOVEC_BYTES = 16;
const NAME_BYTES = 32;
const HEADER_WORDS = HEADER_BYTES / 4;
const IOVEC_WORDS = IOVEC_BYTES / 4;

/** int32 words inside struct mmsghdr */
const NAME = 0;
const NAME_LENGTH = 2;
const IOVEC = 4;
const IOVEC_COUNT = 6;
const CONTROL = 8;
const CONTROL_LENGTH = 10;
const FLAGS = 12;
const LENGTH = 14;
/** and inside struct iovec */
const IOVEC_LENGTH = 2;

const MSG_TRUNC = 0x20;
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

/** Up to `size` datagrams to send. Their bytes stay where they are, somewhere in the same arena. */
export class SendBatch {
  readonly #words: Int32Array;
  readonly #headersAt: number;
  readonly #iovecsAt: number;
  readonly #namesAt: number;
  readonly #controlsAt: number;
  /** by slot: 1 when the message starts with the first of its two iovecs */
  readonly #hasPrefix: Uint8Array;

  /** @param hasAddresses false for connected sockets */
  constructor(
    readonly arena: Arena,
    readonly size: number,
    hasAddresses: boolean,
  ) {
    this.#words = arena.int32;
    this.#hasPrefix = new Uint8Array(size);
    this.#headersAt = arena.take(size * HEADER_BYTES);
    this.#iovecsAt = arena.take(size * 2 * IOVEC_BYTES);
    this.#namesAt = arena.take(size * NAME_BYTES);
    this.#controlsAt = arena.take(size * CONTROL_MAX);
    for (let slot = 0; slot < size; slot++) {
      const header = this.#header(slot);
      this.#pointAtIovecs(slot, 0);
      if (!hasAddresses) continue;
      writePointer(arena, header + NAME, this.nameAt(slot));
      writePointer(arena, header + CONTROL, this.controlAt(slot));
    }
  }

  /** The datagram: `length` bytes of the arena from `payloadAt`. */
  setPayload(slot: number, payloadAt: number, length: number): void {
    const iovec = this.#iovec(slot, 1);
    writePointer(this.arena, iovec, payloadAt);
    this.#words[iovec + IOVEC_LENGTH] = length;
  }

  /** What goes before the payload in the same datagram; length 0: nothing. */
  setPrefix(slot: number, prefixAt: number, length: number): void {
    const hasPrefix = length > 0 ? 1 : 0;
    if (hasPrefix !== this.#hasPrefix[slot]) this.#pointAtIovecs(slot, hasPrefix);
    if (hasPrefix === 0) return;
    const iovec = this.#iovec(slot, 0);
    writePointer(this.arena, iovec, prefixAt);
    this.#words[iovec + IOVEC_LENGTH] = length;
  }

  payloadLength(slot: number): number {
    return this.#words[this.#iovec(slot, 1) + IOVEC_LENGTH]!;
  }

  /** Offset where the receiver's struct sockaddr is to be written; then say which kind it is. */
  nameAt(slot: number): number {
    return this.#namesAt + slot * NAME_BYTES;
  }

  setNameFamily(slot: number, family: number): void {
    this.#words[this.#header(slot) + NAME_LENGTH] = family === AF_INET6 ? SOCKADDR_MAX : SOCKADDR_IN_BYTES;
  }

  /** Offset where control data is to be written, and then its length. */
  controlAt(slot: number): number {
    return this.#controlsAt + slot * CONTROL_MAX;
  }

  setControlLength(slot: number, length: number): void {
    this.#words[this.#header(slot) + CONTROL_LENGTH] = length;
  }

  /** How many of `count` from `first` on were sent, or -errno of the first. */
  send(fd: number, first: number, count: number): number {
    return sendMessages(fd, this.arena.address(this.#headersAt + first * HEADER_BYTES), count);
  }

  #pointAtIovecs(slot: number, hasPrefix: 0 | 1): void {
    const header = this.#header(slot);
    this.#hasPrefix[slot] = hasPrefix;
    writePointer(this.arena, header + IOVEC, this.#iovec(slot, 1 - hasPrefix) * 4);
    this.#words[header + IOVEC_COUNT] = 1 + hasPrefix;
  }

  #header(slot: number): number {
    return this.#headersAt / 4 + slot * HEADER_WORDS;
  }

  #iovec(slot: number, index: number): number {
    return this.#iovecsAt / 4 + (2 * slot + index) * IOVEC_WORDS;
  }
}

/** The address of `offset`, as two int32 words. */
function writePointer(arena: Arena, word: number, offset: number): void {
  const address = arena.base + offset;
  arena.int32[word] = address | 0;
  arena.int32[word + 1] = (address / 2 ** 32) | 0;
}

/**
 * Datagrams on their way to other nodes: sealed as they are added, sent together. Data stays where it is in the
 * worker's memory and must not change until `flush`.
 *
 * Unlike elsewhere, a datagram that could not be sent is lost with its counter: sealing it again is up to its owner.
 */
import type { Arena } from "../../../sys/arena.ts";
import { EAGAIN, EMSGSIZE, isCongestion } from "../../../sys/errno.ts";
import { SendBatch } from "../../../sys/mmsg.ts";
import {
  PART_HEAD_BYTES,
  RELAY_PART,
  RELAY_PROBE,
  SEALED_BYTES,
  writeRelayPart,
} from "../../../wire/index.ts";
import { isUnsegmentable } from "../send-errors.ts";
import type { PathMtu } from "./path-mtu.ts";
import type { RelayChannel } from "./relay-channel.ts";

/** Room for one datagram's head and PROXY header: names of services and tasks are at most 255 bytes. */
export const PREFIX_BYTES = 1024;
/** Longest datagram over IPv4 [RFC 768, RFC 791]; what IPv6 could carry beyond it is not worth two limits. */
export const LONGEST_DATAGRAM = 65_507;
const NO_BYTES = new Uint8Array(0);

/** Where datagrams go. */
export interface RelayDestination {
  readonly fd: number;
  /** Datagrams of one length may go down as one; tried until it fails. */
  canSegment: boolean;
  /** null: datagrams are short and never cut. */
  readonly pathMtu: PathMtu | null;
  /** Writes the receiver's address; on a connected socket there is none. */
  writeDestination(batch: SendBatch, message: number): void;
  /** Positive errno: the other node cannot be reached. */
  onSendError(error: number): void;
  onNotSent(reason: "send-failed" | "too-long", datagrams: number): void;
}

export class RelaySendBatch {
  readonly #batch: SendBatch;
  readonly #prefixesAt: number;
  /** by datagram; those of one flush have one descriptor */
  readonly #destinations: RelayDestination[] = [];
  readonly #prefixLength: Int32Array;
  readonly #dataAt: Int32Array;
  readonly #dataLength: Int32Array;
  #count = 0;

  /** @param hasAddresses false: the sockets are connected */
  constructor(
    readonly memory: Arena,
    readonly size: number,
    readonly hasAddresses: boolean,
  ) {
    this.#batch = new SendBatch(memory, size, hasAddresses);
    this.#prefixesAt = memory.take(size * PREFIX_BYTES);
    this.#prefixLength = new Int32Array(size);
    this.#dataAt = new Int32Array(size);
    this.#dataLength = new Int32Array(size);
  }

  /** Seals a datagram; `dataAt` is in the worker's memory. */
  add(
    destination: RelayDestination,
    channel: RelayChannel,
    type: number,
    session: number,
    header: Uint8Array,
    dataAt: number,
    dataLength: number,
  ): void {
    const { pathMtu } = destination;
    const length = SEALED_BYTES + header.length + dataLength;
    if (pathMtu !== null && length > pathMtu.baseBytes && type !== RELAY_PROBE) {
      pathMtu.isUsed = true;
      if (length > pathMtu.maxBytes)
        return this.#addParts(
          destination,
          channel,
          type,
          session,
          header,
          dataAt,
          dataLength,
          pathMtu.maxBytes,
        );
    }
    const { bytes } = this.memory;
    const at = this.prepare(destination);
    if (header.length > 0) bytes.set(header, at + SEALED_BYTES);
    channel.seal(type, session, bytes, at, header.length, dataAt, dataLength);
    this.#append(destination, SEALED_BYTES + header.length, dataAt, dataLength);
  }

  /** A datagram of zeros, of so many bytes. */
  addProbe(destination: RelayDestination, channel: RelayChannel, length: number, zerosAt: number): void {
    const dataLength = length - SEALED_BYTES;
    this.memory.bytes.fill(0, zerosAt, zerosAt + dataLength);
    this.add(destination, channel, RELAY_PROBE, length, NO_BYTES, zerosAt, dataLength);
    this.flush();
  }

  /** Seals a datagram whose data is one byte, or none with 0. */
  addCode(
    destination: RelayDestination,
    channel: RelayChannel,
    type: number,
    session: number,
    code: number,
  ): void {
    const at = this.prepare(destination) + SEALED_BYTES;
    this.memory.bytes[at] = code;
    this.add(destination, channel, type, session, NO_BYTES, at, code === 0 ? 0 : 1);
  }

  /** Makes room for a datagram of PREFIX_BYTES at most; returns where it is to be written before `addPlain`. */
  prepare(destination: RelayDestination): number {
    if (this.#count === this.size || (this.#count > 0 && this.#destinations[0]!.fd !== destination.fd))
      this.flush();
    return this.#prefixesAt + this.#count * PREFIX_BYTES;
  }

  /** The datagram written at `prepare`'s offset, as it is. */
  addPlain(destination: RelayDestination, length: number): void {
    this.#append(destination, length, 0, 0);
  }

  flush(): void {
    const count = this.#count;
    let isRetry = false;
    this.#count = 0;
    for (let at = 0; at < count; ) {
      const destination = this.#destinations[at]!;
      this.#fill(at, count);
      const sent = this.#batch.send(destination.fd, 0, this.#batch.messages);
      if (sent > 0) {
        at += this.#batch.datagramsIn(0, sent);
        isRetry = false;
      } else if (this.#batch.datagramsIn(0, 1) > 1 && isUnsegmentable(-sent)) {
        destination.canSegment = false;
      } else if (isCongestion(-sent)) {
        at = this.#drop(at, sent === -EAGAIN ? count : at + this.#batch.datagramsIn(0, 1), "send-failed");
      } else if (sent === -EMSGSIZE) {
        at = this.#drop(at, at + 1, "too-long");
      } else if (isRetry) {
        at = this.#drop(at, at + this.#batch.datagramsIn(0, 1), "send-failed");
        isRetry = false;
      } else {
        // it may be about an older datagram
        isRetry = true;
        destination.onSendError(-sent);
      }
    }
    this.#destinations.length = 0;
  }

  /** None of them, sealed, is longer than `maxBytes`; the header goes with the first. */
  #addParts(
    destination: RelayDestination,
    channel: RelayChannel,
    type: number,
    session: number,
    header: Uint8Array,
    dataAt: number,
    dataLength: number,
    maxBytes: number,
  ): void {
    const { bytes } = this.memory;
    const roomBytes = maxBytes - SEALED_BYTES - PART_HEAD_BYTES;
    const count = Math.ceil((header.length + dataLength) / roomBytes);
    const number = channel.nextNumber();
    let offset = 0;
    for (let index = 0; index < count; index++) {
      const headerLength = index === 0 ? header.length : 0;
      const length = Math.min(roomBytes - headerLength, dataLength - offset);
      const at = this.prepare(destination);
      writeRelayPart(type, index, count, session, offset, dataLength, bytes, at + SEALED_BYTES);
      if (headerLength > 0) bytes.set(header, at + SEALED_BYTES + PART_HEAD_BYTES);
      const prefixLength = PART_HEAD_BYTES + headerLength;
      channel.seal(RELAY_PART, number, bytes, at, prefixLength, dataAt + offset, length);
      this.#append(destination, SEALED_BYTES + prefixLength, dataAt + offset, length);
      offset += length;
    }
  }

  #append(destination: RelayDestination, prefixLength: number, dataAt: number, dataLength: number): void {
    const index = this.#count++;
    this.#destinations[index] = destination;
    this.#prefixLength[index] = prefixLength;
    this.#dataAt[index] = dataAt;
    this.#dataLength[index] = dataLength;
  }

  #drop(from: number, end: number, reason: "send-failed" | "too-long"): number {
    for (let i = from; i < end; i++) this.#destinations[i]!.onNotSent(reason, 1);
    return end;
  }

  #fill(first: number, end: number): void {
    const batch = this.#batch;
    let before: RelayDestination | null = null;
    batch.clear();
    for (let i = first; i < end; i++) {
      const destination = this.#destinations[i]!;
      const prefixAt = this.#prefixesAt + i * PREFIX_BYTES;
      const mayJoin = destination === before && destination.canSegment;
      const isJoined = batch.add(
        this.#dataAt[i]!,
        this.#dataLength[i]!,
        prefixAt,
        this.#prefixLength[i]!,
        mayJoin,
      );
      if (!isJoined) destination.writeDestination(batch, batch.messages - 1);
      before = destination;
    }
  }
}

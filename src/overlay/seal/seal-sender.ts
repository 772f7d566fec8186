/**
 * Super-packets -> seals on the socket. A packet is sealed whole, or in pieces where its path loses too much for that
 * (seal-size.ts); what a turn of the loop has sealed goes out in one system call.
 *
 * A burst that the system refuses to segment goes as single datagrams, and so does everything to that peer from then
 * on. An error on the path to one peer does not affect the others.
 */
import { EAGAIN, EINVAL, EIO, EMSGSIZE, ENOBUFS, EOPNOTSUPP } from "../../sys/errno.ts";
import { PartSender } from "../../sys/part-sender.ts";
import {
  type Gcm,
  MAX_PARTS,
  MAX_SEAL_BYTES,
  partsOf,
  SEAL_CONTROL,
  SEAL_HEADER_BYTES,
  SEAL_PACKET,
  SEAL_TAG_BYTES,
  type SealKind,
  writeSealHeader,
} from "../../wire/index.ts";
import { Aead } from "./aead.ts";
import type { SealedPeer } from "./sealed-peer.ts";
import { type PacketMemory, SuperPacketSplitter } from "./split-super-packet.ts";

/** Why datagrams came to nothing. */
export type SendRefusal = "too-long" | "buffer-full" | "send-failed";

export interface SealedWay {
  readonly peer: SealedPeer;
  /** struct sockaddr of its overlay port. */
  readonly name: Uint8Array;
  /** Bursts are cut by the system; tried until it fails. */
  canSegment: boolean;
  onSegmentationRefused(): void;
  /** The longest datagram that the system refused for its size was so long. */
  onTooLong(datagramBytes: number): void;
  onRefused(reason: SendRefusal, datagrams: number): void;
  onSent(datagrams: number, bytes: number): void;
}

const HEADER_INDEX_AT = 1;

export class SealSender {
  readonly #parts = new PartSender();
  readonly #ways: SealedWay[] = [];
  readonly #bytes: number[] = [];
  readonly #ciphertexts: Uint8Array[] = [];
  readonly #aead: Aead;
  readonly #header = new Uint8Array(SEAL_HEADER_BYTES);
  readonly #headerView = new DataView(this.#header.buffer);
  readonly #splitter: SuperPacketSplitter;
  /** Seals before it are gone. */
  #next = 0;
  #way: SealedWay | null = null;
  #nowMs = 0;
  readonly #takePiece = (at: number, length: number) => this.#sealPiece(at, length);

  constructor(
    readonly fd: number,
    readonly memory: PacketMemory,
    gcm: Gcm,
  ) {
    this.#aead = new Aead(gcm);
    this.#splitter = new SuperPacketSplitter(memory);
  }

  /** Seals the packet at `at` with its virtio header; its bytes are spoilt. Flush at the end of the turn. */
  sendPacket(way: SealedWay, at: number, length: number, nowMs: number): void {
    const { peer } = way;
    peer.usedMs = nowMs;
    this.#way = way;
    this.#nowMs = nowMs;
    const maxBytes = this.#maxBytes(peer);
    if (length <= maxBytes || !this.#splitter.canSplit(at, length)) return this.#sealPiece(at, length);
    const segments = this.#splitter.segmentsIn(at, maxBytes);
    this.#splitter.split(at, length, segments, this.#takePiece);
  }

  /** In one datagram, whatever is known of the path: that is what probes are for. */
  sendControl(way: SealedWay, message: Uint8Array, nowMs: number): void {
    this.#add(way, SEAL_CONTROL, message, message.length + SEAL_TAG_BYTES, nowMs);
  }

  get isFull(): boolean {
    return this.#parts.isFull;
  }

  /** False: the socket takes no more now; flush again when it does. */
  flush(): boolean {
    const { seals } = this.#parts;
    while (this.#next < seals) {
      const count = this.#burstsFrom(this.#next);
      if (count === 0) {
        this.#sendSingly(this.#next++);
        continue;
      }
      const sent = this.#parts.send(this.fd, this.#next, count);
      if (sent === -EAGAIN) return false;
      if (sent < 0) this.#onRefused(this.#next++, -sent);
      for (const end = this.#next + Math.max(0, sent); this.#next < end; this.#next++)
        this.#onSent(this.#next);
    }
    this.#parts.clear();
    this.#ways.length = 0;
    this.#bytes.length = 0;
    for (const ciphertext of this.#ciphertexts) this.#aead.release(ciphertext);
    this.#ciphertexts.length = 0;
    this.#next = 0;
    return true;
  }

  /** Forgets what could not be sent. */
  #drop(): void {
    for (; this.#next < this.#parts.seals; this.#next++)
      this.#ways[this.#next]!.onRefused("buffer-full", this.#parts.partsOf(this.#next));
    this.flush();
  }

  /** Seals in a row, from this one on, that the system cuts. */
  #burstsFrom(first: number): number {
    let end = first;
    while (end < this.#ways.length && (this.#ways[end]!.canSegment || this.#parts.partsOf(end) === 1)) end++;
    return end - first;
  }

  #maxBytes({ size, chunk }: SealedPeer): number {
    const parts = Math.min(size.parts, MAX_PARTS);
    return Math.min(parts * chunk - SEAL_TAG_BYTES, MAX_SEAL_BYTES - SEAL_TAG_BYTES);
  }

  #sealPiece(at: number, length: number): void {
    const way = this.#way!;
    const { chunk } = way.peer;
    if (partsOf(length + SEAL_TAG_BYTES, chunk) > MAX_PARTS || length > MAX_SEAL_BYTES - SEAL_TAG_BYTES)
      return way.onRefused("too-long", 1);
    this.#add(way, SEAL_PACKET, this.memory.bytes.subarray(at, at + length), chunk, this.#nowMs);
  }

  #add(way: SealedWay, kind: SealKind, plaintext: Uint8Array, chunk: number, nowMs: number): void {
    if (this.#parts.isFull && !this.flush()) this.#drop();
    const { sending } = way.peer;
    const { id, key } = sending.take(plaintext.length, nowMs);
    const { counter } = sending;
    const length = plaintext.length + SEAL_TAG_BYTES;
    const parts = partsOf(length, chunk);
    const header = this.#header;
    writeSealHeader(header, this.#headerView, 0, { kind, count: parts, keyId: id, counter, length, chunk });
    const { ciphertext, tag } = this.#aead.seal(key, counter, header, plaintext);
    const { name } = way;
    this.#parts.add({ header, indexAt: HEADER_INDEX_AT, ciphertext, tag, chunk, parts, name });
    this.#ways.push(way);
    this.#ciphertexts.push(ciphertext);
    this.#bytes.push(length + parts * SEAL_HEADER_BYTES);
  }

  #onSent(seal: number): void {
    this.#ways[seal]!.onSent(this.#parts.partsOf(seal), this.#bytes[seal]!);
  }

  #onRefused(seal: number, error: number): void {
    const way = this.#ways[seal]!;
    const parts = this.#parts.partsOf(seal);
    const isSegmentationRefused = error === EIO || error === EINVAL || error === EOPNOTSUPP;
    if (parts > 1 && isSegmentationRefused) {
      way.canSegment = false;
      way.onSegmentationRefused();
      return this.#sendSingly(seal);
    }
    this.#reportError(way, error, parts, Math.ceil(this.#bytes[seal]! / parts));
  }

  #sendSingly(seal: number): void {
    const way = this.#ways[seal]!;
    const parts = this.#parts.partsOf(seal);
    for (let part = 0; part < parts; ) {
      const sent = this.#parts.sendSingly(this.fd, seal, part);
      if (sent < 0) return this.#reportError(way, -sent, parts - part, Math.ceil(this.#bytes[seal]! / parts));
      part += sent;
    }
    this.#onSent(seal);
  }

  #reportError(way: SealedWay, error: number, datagrams: number, datagramBytes: number): void {
    if (error === EMSGSIZE) way.onTooLong(datagramBytes);
    if (error === EMSGSIZE) way.onRefused("too-long", datagrams);
    else if (error === EAGAIN || error === ENOBUFS) way.onRefused("buffer-full", datagrams);
    else way.onRefused("send-failed", datagrams);
  }
}

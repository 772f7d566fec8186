/**
 * Seals on their way out: each as one burst of datagrams, header and part by header and part, that the kernel or the
 * network card cuts (UDP_SEGMENT, udp(7)), several seals in one sendmmsg(2). No byte of a long seal is copied.
 *
 *   message │ iovecs: header 0, part 0, header 1, part 1, … header n, rest of the ciphertext, tag
 *
 * Where segmentation is refused the same iovecs go as one message for each part.
 */
import { Arena, addressOfLong, MOVABLE_BYTES } from "./arena.ts";
import { CONTROL_MAX, writeSegmentSize } from "./control-data.ts";
import {
  CONTROL,
  CONTROL_LENGTH,
  HEADER_BYTES,
  IOVEC,
  IOVEC_BYTES,
  IOVEC_COUNT,
  IOVEC_LENGTH,
  NAME,
  NAME_BYTES,
  NAME_LENGTH,
} from "./mmsghdr.ts";
import { sendMessages } from "./socket.ts";

/** In one batch. */
export const MAX_SEALS = 16;
const MAX_PARTS = 64;
/** Room for one header of a part. */
const HEADER_STRIDE = 32;
const TAG_BYTES = 16;
/** A part and its header each; the last part may be in two pieces, and a tag cut in two. */
const IOVECS = 2 * MAX_PARTS + 3;

export interface OutgoingSeal {
  /** Of the first part, copied; the others differ in the byte at `indexAt`. */
  readonly header: Uint8Array;
  readonly indexAt: number;
  /** Copied when it is shorter than MOVABLE_BYTES; else it must stay as it is until it has been sent. */
  readonly ciphertext: Uint8Array;
  /** TAG_BYTES, copied. */
  readonly tag: Uint8Array;
  /** Bytes of ciphertext and tag in each part but the last. */
  readonly chunk: number;
  /** 1 … 64 */
  readonly parts: number;
  /** The receiver's struct sockaddr, copied. */
  readonly name: Uint8Array;
}

export class PartSender {
  /** Seals added since `clear`. */
  seals = 0;
  readonly #arena = new Arena(
    MAX_SEALS * (HEADER_BYTES + IOVECS * IOVEC_BYTES + CONTROL_MAX + NAME_BYTES + MAX_PARTS * HEADER_STRIDE) +
      MAX_SEALS * (TAG_BYTES + MOVABLE_BYTES) +
      MAX_PARTS * HEADER_BYTES +
      1024,
  );
  readonly #messagesAt = this.#arena.take(MAX_SEALS * HEADER_BYTES);
  readonly #iovecsAt = this.#arena.take(MAX_SEALS * IOVECS * IOVEC_BYTES);
  readonly #controlsAt = this.#arena.take(MAX_SEALS * CONTROL_MAX);
  readonly #namesAt = this.#arena.take(MAX_SEALS * NAME_BYTES);
  readonly #headersAt = this.#arena.take(MAX_SEALS * MAX_PARTS * HEADER_STRIDE);
  readonly #tagsAt = this.#arena.take(MAX_SEALS * TAG_BYTES);
  readonly #shortsAt = this.#arena.take(MAX_SEALS * MOVABLE_BYTES);
  readonly #singlesAt = this.#arena.take(MAX_PARTS * HEADER_BYTES);
  /** By seal: they must live until they are sent. */
  readonly #ciphertexts: (Uint8Array | null)[] = Array.from({ length: MAX_SEALS }, () => null);
  /** By seal and part: the first of its iovecs, and by seal the end of the last's. */
  readonly #firstIovec = new Int32Array(MAX_SEALS * (MAX_PARTS + 1));
  readonly #parts = new Int32Array(MAX_SEALS);
  readonly #nameLengths = new Int32Array(MAX_SEALS);

  get isFull(): boolean {
    return this.seals === MAX_SEALS;
  }

  /** Parts of a seal that was added. */
  partsOf(seal: number): number {
    return this.#parts[seal]!;
  }

  clear(): void {
    for (let seal = 0; seal < this.seals; seal++) this.#ciphertexts[seal] = null;
    this.seals = 0;
  }

  add(outgoing: OutgoingSeal): void {
    const { int32, bytes } = this.#arena;
    const seal = this.seals++;
    const { ciphertext, tag, name, parts, chunk, header } = outgoing;
    this.#ciphertexts[seal] = ciphertext;
    this.#parts[seal] = parts;
    this.#nameLengths[seal] = name.length;
    bytes.set(name, this.#namesAt + seal * NAME_BYTES);
    bytes.set(tag, this.#tagsAt + seal * TAG_BYTES);
    const iovecs = this.#writeIovecs(seal, outgoing, this.#addressOf(seal, ciphertext));
    const message = this.#messagesAt + seal * HEADER_BYTES;
    this.#writeMessage(message, seal, 0, iovecs);
    const word = message / 4;
    if (parts === 1) return;
    const controlAt = this.#controlsAt + seal * CONTROL_MAX;
    this.#writePointer(word + CONTROL, this.#arena.base + controlAt);
    int32[word + CONTROL_LENGTH] = writeSegmentSize(this.#arena, controlAt, header.length + chunk);
  }

  /** How many of `count` seals from `first` on were sent, or -errno of the first. */
  send(fd: number, first: number, count: number): number {
    return sendMessages(fd, this.#arena.address(this.#messagesAt + first * HEADER_BYTES), count);
  }

  /** The same seal in single datagrams: how many of its parts from `firstPart` on were sent, or -errno of the first. */
  sendSingly(fd: number, seal: number, firstPart: number): number {
    const parts = this.#parts[seal]!;
    const base = seal * (MAX_PARTS + 1);
    for (let part = firstPart; part < parts; part++) {
      const first = this.#firstIovec[base + part]!;
      this.#writeMessage(
        this.#singlesAt + part * HEADER_BYTES,
        seal,
        first,
        this.#firstIovec[base + part + 1]! - first,
      );
    }
    return sendMessages(
      fd,
      this.#arena.address(this.#singlesAt + firstPart * HEADER_BYTES),
      parts - firstPart,
    );
  }

  #addressOf(seal: number, ciphertext: Uint8Array): number {
    if (ciphertext.length >= MOVABLE_BYTES) return addressOfLong(ciphertext);
    const at = this.#shortsAt + seal * MOVABLE_BYTES;
    this.#arena.bytes.set(ciphertext, at);
    return this.#arena.base + at;
  }

  /** Returns their number. */
  #writeIovecs(seal: number, outgoing: OutgoingSeal, ciphertextAddress: number): number {
    const { header, indexAt, ciphertext, chunk, parts } = outgoing;
    const { bytes, base } = this.#arena;
    const total = ciphertext.length + TAG_BYTES;
    const tagAddress = base + this.#tagsAt + seal * TAG_BYTES;
    const places = seal * (MAX_PARTS + 1);
    let iovec = 0;
    for (let part = 0; part < parts; part++) {
      const headerAt = this.#headersAt + (seal * MAX_PARTS + part) * HEADER_STRIDE;
      bytes.set(header, headerAt);
      bytes[headerAt + indexAt] = part;
      this.#firstIovec[places + part] = iovec;
      this.#writeIovec(seal, iovec++, base + headerAt, header.length);
      const from = part * chunk;
      const end = Math.min(from + chunk, total);
      const textEnd = Math.min(end, ciphertext.length);
      if (from < textEnd) this.#writeIovec(seal, iovec++, ciphertextAddress + from, textEnd - from);
      const tagFrom = Math.max(from, ciphertext.length);
      if (tagFrom < end)
        this.#writeIovec(seal, iovec++, tagAddress + tagFrom - ciphertext.length, end - tagFrom);
    }
    this.#firstIovec[places + parts] = iovec;
    return iovec;
  }

  #writeMessage(at: number, seal: number, firstIovec: number, iovecs: number): void {
    const { int32, base } = this.#arena;
    const word = at / 4;
    this.#writePointer(word + NAME, base + this.#namesAt + seal * NAME_BYTES);
    int32[word + NAME_LENGTH] = this.#nameLengths[seal]!;
    this.#writePointer(word + IOVEC, base + this.#iovecsAt + (seal * IOVECS + firstIovec) * IOVEC_BYTES);
    int32[word + IOVEC_COUNT] = iovecs;
    int32[word + CONTROL_LENGTH] = 0;
    this.#writePointer(word + CONTROL, 0);
  }

  #writeIovec(seal: number, iovec: number, address: number, length: number): void {
    const word = (this.#iovecsAt + (seal * IOVECS + iovec) * IOVEC_BYTES) / 4;
    this.#writePointer(word, address);
    this.#arena.int32[word + IOVEC_LENGTH] = length;
  }

  #writePointer(word: number, address: number): void {
    this.#arena.int32[word] = address | 0;
    this.#arena.int32[word + 1] = (address / 2 ** 32) | 0;
  }
}

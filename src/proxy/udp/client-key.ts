/**
 * Who a datagram comes from, as int32 words that a session is found by:
 *
 *   peer     2 or 7 words   struct sockaddr as the kernel wrote it (IPv4: without its padding)
 *   local    0, 1 or 5      the address that was asked; only on a wildcard socket, where it varies
 *   named    0 or 10        what an inbound PROXY header says: source and destination
 *   target   0 or 1         in packet mode, where a client has a session per task
 *
 * Within one listener the first two have a fixed length and the others differ in theirs, so equal words mean the same
 * client.
 */

import {
  LOCAL_WORDS_IPV4,
  LOCAL_WORDS_IPV6,
  readPacketInfo,
  writePacketInfo,
} from "../../sys/control-data.ts";
import type { ReceiveBatch, SendBatch } from "../../sys/mmsg.ts";
import { AF_INET6 } from "../../sys/sockaddr.ts";
import { type Endpoint, isMappedIpv4 } from "../../wire/index.ts";

const PEER_WORDS_IPV4 = 2;
const PEER_WORDS_IPV6 = 7;
/** family and port in one word, then 16 address bytes; an IPv4 address is the last four */
const NAMED_WORDS = 5;
const MAX_WORDS = PEER_WORDS_IPV6 + LOCAL_WORDS_IPV6 + 2 * NAMED_WORDS + 1;

export class ClientKey {
  readonly words = new Int32Array(MAX_WORDS);
  length = 0;

  equals(other: Int32Array): boolean {
    if (other.length !== this.length) return false;
    for (let i = 0; i < other.length; i++) if (other[i] !== this.words[i]) return false;
    return true;
  }

  /** A copy, for a session to keep. */
  toArray(): Int32Array {
    return this.words.slice(0, this.length);
  }

  append(word: number): void {
    this.words[this.length++] = word;
  }

  appendEndpoint({ family, bytes, offset, port }: Endpoint): void {
    this.append((port << 8) | family);
    const isIpv4 = family === 4;
    for (let i = 0; i < 12; i += 4) this.append(isIpv4 ? 0 : wordAt(bytes, offset + i));
    this.append(wordAt(bytes, offset + (isIpv4 ? 0 : 12)));
  }
}

/** How the keys of one listener begin, and where in them an answer's addresses are. */
export class KeyLayout {
  readonly #peerWords: number;
  readonly #isIpv6: boolean;

  constructor(
    readonly family: number,
    /** Its local address varies by datagram. */
    readonly isWildcard: boolean,
  ) {
    this.#isIpv6 = family === AF_INET6;
    this.#peerWords = this.#isIpv6 ? PEER_WORDS_IPV6 : PEER_WORDS_IPV4;
  }

  /** Starts a key with the sender of a received datagram and the address it was sent to. */
  read(batch: ReceiveBatch, slot: number, key: ClientKey): void {
    const { int32 } = batch.arena;
    const from = batch.nameAt(slot) / 4;
    for (let i = 0; i < this.#peerWords; i++) key.words[i] = int32[from + i]!;
    key.length = this.#peerWords;
    if (!this.isWildcard) return;
    const { arena } = batch;
    readPacketInfo(
      arena,
      batch.controlAt(slot),
      batch.controlLength(slot),
      this.family,
      key.words,
      key.length,
    );
    key.length += this.#isIpv6 ? LOCAL_WORDS_IPV6 : LOCAL_WORDS_IPV4;
  }

  /** Addresses an answer to the key's client, from the address it had asked. */
  writeDestination(key: Int32Array, batch: SendBatch, slot: number): void {
    const { int32 } = batch.arena;
    const to = batch.nameAt(slot) / 4;
    for (let i = 0; i < this.#peerWords; i++) int32[to + i] = key[i]!;
    if (!this.#isIpv6) int32[to + 2] = int32[to + 3] = 0;
    batch.setNameFamily(slot, this.family);
    if (!this.isWildcard) return batch.setControlLength(slot, 0);
    const length = writePacketInfo(batch.arena, batch.controlAt(slot), this.family, key, this.#peerWords);
    batch.setControlLength(slot, length);
  }

  /** The client's address, without an inbound header's word. */
  readPeer(key: Int32Array, into: Endpoint): void {
    into.port = ((key[0]! >>> 8) & 0xff00) | (key[0]! >>> 24);
    this.#readAddress(key, this.#isIpv6 ? 2 : 1, into);
  }

  /** The address that was asked; only with a wildcard layout. The port is left as it is. */
  readLocal(key: Int32Array, into: Endpoint): void {
    this.#readAddress(key, this.#peerWords, into);
  }

  /** What an inbound header said; false when there was none. */
  readNamed(key: Int32Array, source: Endpoint, destination: Endpoint): boolean {
    const at = this.#peerWords + this.#localWords();
    if (key.length < at + 2 * NAMED_WORDS) return false;
    readNamedEndpoint(key, at, source);
    readNamedEndpoint(key, at + NAMED_WORDS, destination);
    return true;
  }

  #localWords(): number {
    if (!this.isWildcard) return 0;
    return this.#isIpv6 ? LOCAL_WORDS_IPV6 : LOCAL_WORDS_IPV4;
  }

  #readAddress(key: Int32Array, at: number, into: Endpoint): void {
    into.family = this.#isIpv6 ? 6 : 4;
    into.offset = 0;
    for (let i = 0; i < (this.#isIpv6 ? 4 : 1); i++) writeWord(into.bytes, i * 4, key[at + i]!);
    if (!this.#isIpv6 || !isMappedIpv4(into.bytes, 0)) return;
    into.family = 4; // of a socket for both families
    into.offset = 12;
  }
}

function readNamedEndpoint(key: Int32Array, at: number, into: Endpoint): void {
  into.family = (key[at]! & 0xff) === 4 ? 4 : 6;
  into.port = key[at]! >>> 8;
  into.offset = into.family === 4 ? 12 : 0;
  for (let i = 0; i < 4; i++) writeWord(into.bytes, i * 4, key[at + 1 + i]!);
}

function wordAt(bytes: Uint8Array, at: number): number {
  return bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
}

function writeWord(bytes: Uint8Array, at: number, word: number): void {
  bytes[at] = word;
  bytes[at + 1] = word >> 8;
  bytes[at + 2] = word >> 16;
  bytes[at + 3] = word >> 24;
}

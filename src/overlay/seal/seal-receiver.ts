/**
 * Datagrams -> what was sealed, or why not. A whole seal that came as one burst (UDP_GRO) is opened at once; parts that
 * come otherwise wait in the reassembly of their peer.
 *
 *     key id known? ─▶ counter new? ─▶ parts together ─▶ AEAD ─▶ counter taken ─▶ inner packet: from the peer, for us
 *
 * A seal under an unknown key leaves no state and is not read. Authentication comes before reading.
 */
import {
  decodeSealDatagram,
  type Gcm,
  SEAL_CONTROL,
  SEAL_HEADER_BYTES,
  SealDatagram,
  writeSealHeader,
} from "../../wire/index.ts";
import { Aead } from "./aead.ts";
import { type InnerRefusal, refuseInner } from "./inner-packet.ts";
import type { ReceivingKey } from "./receiving-keys.ts";
import type { SealedPeer } from "./sealed-peer.ts";

export type SealRejection =
  | "short"
  | "malformed"
  | "unknown-key"
  | "wrong-source"
  | "replay"
  | "bad-tag"
  | InnerRefusal;

export interface SealSink {
  /** A super-packet with its virtio header; good until the sink returns. */
  onPacket(peer: SealedPeer, packet: Uint8Array): void;
  /** @param datagramBytes of the UDP payload it came in, when it came in one; else 0 */
  onControl(peer: SealedPeer, message: Uint8Array, datagramBytes: number): void;
  /** A seal has proved authentic; it came in so many datagrams, with so many bytes in them. */
  onOpened(peer: SealedPeer, datagrams: number, bytes: number): void;
  /** @param peer null: the sender is unknown */
  onRejected(reason: SealRejection, peer: SealedPeer | null, datagrams: number): void;
}

export interface SealMemory {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  /** 64 KiB for the parts of a seal, put together. */
  readonly gatherAt: number;
}

interface Candidate {
  readonly peer: SealedPeer;
  readonly key: ReceivingKey;
}

const NO_CANDIDATES: readonly Candidate[] = [];

export class SealReceiver {
  readonly #aead: Aead;
  readonly #first = new SealDatagram();
  readonly #datagram = new SealDatagram();
  readonly #bound = new Uint8Array(SEAL_HEADER_BYTES);
  readonly #boundView = new DataView(this.#bound.buffer);
  /** By key id; two keys with one id are both tried. Bounded by peers, their secrets and the keys ready for each. */
  readonly #candidates = new Map<number, Candidate[]>();

  constructor(
    readonly memory: SealMemory,
    /** This node's overlay address, for comparing. */
    readonly ownAddress: number,
    readonly sink: SealSink,
    gcm: Gcm,
  ) {
    this.#aead = new Aead(gcm);
  }

  /** Those are the peers from now on. */
  setPeers(peers: Iterable<SealedPeer>): void {
    this.#candidates.clear();
    for (const peer of peers)
      for (const chain of peer.chains) for (const key of chain.ready) this.#add(peer, key);
  }

  /**
   * bytes[at … at + length): datagrams of `segment` bytes each, the last one perhaps shorter, from one sender.
   * @param isFrom whether the sender has the address that is known of the peer
   */
  receive(at: number, length: number, segment: number, isFrom: (peer: SealedPeer) => boolean): void {
    if (this.#receiveWhole(at, length, segment)) return;
    for (let from = at; from < at + length; from += segment)
      this.#receivePart(from, Math.min(segment, at + length - from), isFrom);
  }

  /** False: the burst is not one whole seal, or not certainly. */
  #receiveWhole(at: number, length: number, segment: number): boolean {
    const { bytes, view, gatherAt } = this.memory;
    const first = this.#first;
    const datagramBytes = Math.min(segment, length);
    if (!decodeSealDatagram(bytes, view, at, datagramBytes, first)) return false;
    if (first.index !== 0 || length !== first.length + first.count * SEAL_HEADER_BYTES) return false;
    if (first.count > 1 && segment !== first.chunk + SEAL_HEADER_BYTES) return false;
    for (let part = 1; part < first.count; part++)
      if (!this.#isNextPart(at, at + part * segment, part)) return false;
    const candidates = this.#candidatesFor(first, first.count);
    if (candidates.length === 0) return true;
    for (let part = 0; part < first.count; part++) {
      const from = at + part * segment + SEAL_HEADER_BYTES;
      const end = Math.min(from + first.chunk, at + length);
      bytes.copyWithin(gatherAt + part * first.chunk, from, end);
    }
    const bound = bytes.subarray(at, at + SEAL_HEADER_BYTES);
    const sealed = bytes.subarray(gatherAt, gatherAt + first.length);
    this.#open(candidates, first, bound, sealed, first.count === 1 ? length : 0);
    return true;
  }

  #isNextPart(firstAt: number, at: number, part: number): boolean {
    const { bytes, view } = this.memory;
    return (
      bytes[at] === bytes[firstAt] &&
      bytes[at + 1] === part &&
      view.getInt32(at + 4) === view.getInt32(firstAt + 4) &&
      view.getInt32(at + 8) === view.getInt32(firstAt + 8) &&
      view.getInt32(at + 12) === view.getInt32(firstAt + 12)
    );
  }

  #receivePart(at: number, length: number, isFrom: (peer: SealedPeer) => boolean): void {
    const { bytes, view } = this.memory;
    const datagram = this.#datagram;
    if (length <= SEAL_HEADER_BYTES) return this.sink.onRejected("short", null, 1);
    if (!decodeSealDatagram(bytes, view, at, length, datagram))
      return this.sink.onRejected("malformed", null, 1);
    const candidates = this.#candidatesFor(datagram, 1);
    if (candidates.length === 0) return;
    if (datagram.count === 1) {
      const bound = bytes.subarray(at, at + SEAL_HEADER_BYTES);
      return this.#open(
        candidates,
        datagram,
        bound,
        bytes.subarray(at + SEAL_HEADER_BYTES, at + length),
        length,
      );
    }
    const known = candidates.filter(({ peer }) => isFrom(peer));
    if (known.length === 0) return this.sink.onRejected("wrong-source", candidates[0]!.peer, 1);
    for (const candidate of known) {
      const part = bytes.subarray(at + SEAL_HEADER_BYTES, at + length);
      const sealed = candidate.peer.reassembly.add(datagram, part);
      if (sealed === null) continue;
      writeSealHeader(this.#bound, this.#boundView, 0, datagram);
      this.#open([candidate], datagram, this.#bound, sealed, 0);
    }
  }

  /** The keys it may be under; rejected when there are none. */
  #candidatesFor({ keyId, counter }: SealDatagram, datagrams: number): readonly Candidate[] {
    const candidates = this.#candidates.get(keyId);
    if (candidates === undefined) {
      this.sink.onRejected("unknown-key", null, datagrams);
      return NO_CANDIDATES;
    }
    if (candidates.length === 1 && candidates[0]!.key.isNew(counter)) return candidates;
    const fresh = candidates.filter(({ key }) => key.isNew(counter));
    if (fresh.length === 0) this.sink.onRejected("replay", candidates[0]!.peer, datagrams);
    return fresh;
  }

  #open(
    candidates: readonly Candidate[],
    datagram: SealDatagram,
    bound: Uint8Array,
    sealed: Uint8Array,
    datagramBytes: number,
  ): void {
    const { kind, counter, count } = datagram;
    for (const { peer, key } of candidates) {
      const plaintext = this.#aead.open(key.epochKey.key, counter, bound, sealed);
      if (plaintext === null) continue;
      if (!key.take(counter)) return this.sink.onRejected("replay", peer, count);
      this.#moveOn(peer, key);
      peer.onOpened(count);
      this.sink.onOpened(peer, count, sealed.length + count * SEAL_HEADER_BYTES);
      if (kind === SEAL_CONTROL) return this.sink.onControl(peer, plaintext, datagramBytes);
      const refusal = refuseInner(plaintext, peer.address, this.ownAddress);
      if (refusal === null) this.sink.onPacket(peer, plaintext);
      else this.sink.onRejected(refusal, peer, count);
      return this.#aead.release(plaintext);
    }
    this.sink.onRejected("bad-tag", candidates[0]!.peer, count);
  }

  #moveOn(peer: SealedPeer, key: ReceivingKey): void {
    const retired = key.chain.onAuthentic(key);
    if (retired === null) return;
    peer.onRetired(retired);
    for (const old of retired) this.#remove(old);
    for (const ready of key.chain.ready) this.#add(peer, ready);
  }

  #add(peer: SealedPeer, key: ReceivingKey): void {
    const { id } = key.epochKey;
    const known = this.#candidates.get(id) ?? [];
    if (!known.some((candidate) => candidate.key === key))
      this.#candidates.set(id, [...known, { peer, key }]);
  }

  #remove(key: ReceivingKey): void {
    const { id } = key.epochKey;
    const rest = (this.#candidates.get(id) ?? []).filter((candidate) => candidate.key !== key);
    if (rest.length === 0) this.#candidates.delete(id);
    else this.#candidates.set(id, rest);
  }
}

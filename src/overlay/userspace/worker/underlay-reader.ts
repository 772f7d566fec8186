/** Takes datagrams from the socket, many at once, cuts apart what the kernel has joined, and hands them to their path. */
import type { Arena } from "../../../sys/arena.ts";
import { readSegmentSize } from "../../../sys/control-data.ts";
import { EAGAIN, EINTR } from "../../../sys/errno.ts";
import { ReceiveBatch, receiveBatchBytes } from "../../../sys/mmsg.ts";
import { SEAL_CONTROL, SEAL_PACKET } from "../../../wire/index.ts";
import { type Counters, F_BYTES_IN, F_DATAGRAMS_IN, UNKNOWN_PEER } from "../counters.ts";
import type { FrameReceiver } from "../peer/frame-receiver.ts";
import type { PeerTable } from "../peer/peer-table.ts";
import type { SealedPeers } from "../sealed/sealed-peers.ts";

/** Joined datagrams taken at once. */
const BATCH = 16;
/** Batches in a row before the other direction has its turn. */
const BATCHES_PER_TURN = 4;
/** Errors of earlier sends that the socket reports instead of a datagram; more than these in a row are a fault. */
const ERRORS_MAX = 64;

export function underlayReaderBytes(): number {
  return receiveBatchBytes(BATCH);
}

export class UnderlayReader {
  peers: PeerTable;
  readonly #batch: ReceiveBatch;

  constructor(
    readonly arena: Arena,
    readonly fd: number,
    peers: PeerTable,
    readonly receiver: FrameReceiver,
    readonly sealed: Pick<SealedPeers, "receive">,
    readonly counters: Counters,
  ) {
    this.peers = peers;
    this.#batch = new ReceiveBatch(arena, BATCH, true);
  }

  /** False: there may be more. */
  read(): boolean {
    let errors = 0;
    for (let i = 0; i < BATCHES_PER_TURN; i++) {
      const count = this.#batch.receive(this.fd, 0, BATCH);
      if (count === -EAGAIN) return true;
      if (count < 0) {
        if (count !== -EINTR && ++errors > ERRORS_MAX) return true;
        continue;
      }
      for (let slot = 0; slot < count; slot++) this.#take(slot);
      this.receiver.onBatchEnd();
      // fewer than asked for: the socket is empty, or has an error next; edge-triggered epoll reports new datagrams
      if (count < BATCH && errors === 0) return true;
    }
    return false;
  }

  #take(slot: number): void {
    const batch = this.#batch;
    const sockaddrAt = batch.nameAt(slot);
    const length = batch.length(slot);
    const controlLength = batch.controlLength(slot);
    const segmentBytes = readSegmentSize(this.arena, batch.controlAt(slot), controlLength) || length;
    const datagrams = Math.max(Math.ceil(length / segmentBytes), 1);
    const from = batch.payloadAt(slot);
    if (length > 0 && isSeal(this.arena.bytes[from]!) && !batch.isTruncated(slot))
      return this.sealed.receive(from, length, segmentBytes, sockaddrAt);
    const sender = this.peers.findSender(this.arena, sockaddrAt);
    if (sender === undefined) return this.counters.dropFrames(UNKNOWN_PEER, "unknown-sender", datagrams);
    this.counters.add(sender.row, F_DATAGRAMS_IN, datagrams);
    this.counters.add(sender.row, F_BYTES_IN, length);
    if (batch.isTruncated(slot)) return this.counters.dropFrames(sender.row, "truncated", datagrams);
    if (length === 0) return this.counters.dropFrames(sender.row, "short", 1);
    for (let at = from, end = from + length; at < end; at += segmentBytes) {
      this.receiver.onDatagram(at, Math.min(segmentBytes, end - at), sender, sockaddrAt);
    }
  }
}

function isSeal(firstByte: number): boolean {
  return firstByte === SEAL_PACKET || firstByte === SEAL_CONTROL;
}

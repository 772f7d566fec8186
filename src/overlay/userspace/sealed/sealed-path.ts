/**
 * The way to a peer that frames are sealed for: what the device hands over goes to the sealer, what is lost on the way
 * is learnt from the peer's reports, how large datagrams may be from probes (overlay/path).
 */

import { SEAL_HEADER_BYTES, SEAL_TAG_BYTES } from "../../../wire/index.ts";
import { VIRTIO_BYTES } from "../../../wire/virtio-header.ts";
import { ANSWER, decodeControl, encodeControl, PROBE, REPORT } from "../../seal/control-message.ts";
import type { SealedWay, SealSender, SendRefusal } from "../../seal/seal-sender.ts";
import type { SealedPeer } from "../../seal/sealed-peer.ts";
import {
  type Counters,
  F_BYTES_OUT,
  F_DATAGRAMS_OUT,
  F_KEY_SINCE_MS,
  F_LOSS,
  F_MTU_BYTES,
  F_RTT_MS,
} from "../counters.ts";
import type { PeerPath, TunPacket } from "../peer/peer-path.ts";
import type { RemotePeer } from "../peer/remote-peer.ts";

/** A peer that packets went to so lately is probed as one in use. */
const ACTIVE_MS = 10_000;
/** Of a probe's datagram, what is not its message. */
const PROBE_OVERHEAD_BYTES = SEAL_HEADER_BYTES + SEAL_TAG_BYTES;

export class SealedPath implements PeerPath<RemotePeer>, SealedWay {
  /** Whose it is. */
  remote: RemotePeer | null = null;
  name: Uint8Array = new Uint8Array(0);
  canSegment = true;
  #wasActive = false;

  constructor(
    readonly peer: SealedPeer,
    readonly row: number,
    readonly sender: SealSender,
    readonly counters: Counters,
    /** IP and UDP headers of its datagrams. */
    readonly udpOverheadBytes: number,
  ) {}

  send(_remote: RemotePeer, { at, length }: TunPacket): void {
    this.sender.sendPacket(this, at - VIRTIO_BYTES, VIRTIO_BYTES + length, performance.now());
  }

  /** @param datagramBytes of the datagram it came in; 0: of several */
  onControl(bytes: Uint8Array, datagramBytes: number): void {
    const message = decodeControl(bytes);
    if (message === null) return this.counters.dropFrame(this.row, "malformed");
    const nowMs = performance.now();
    this.peer.path.onHeard(nowMs);
    if (message.type !== PROBE) this.peer.onConfirmed();
    if (message.type === REPORT) this.peer.onReport(message, nowMs);
    else if (message.type === ANSWER) this.peer.path.onAck(message.id, message.size, nowMs);
    else {
      const size = datagramBytes + this.udpOverheadBytes;
      this.sender.sendControl(this, encodeControl({ type: ANSWER, id: message.id, size }), nowMs);
    }
    this.poll(nowMs);
  }

  /** From time to time: probes that are due, a report when there is something to report, figures for status. */
  tick(nowMs: number): void {
    this.poll(nowMs);
    if (this.peer.hasNews) this.sender.sendControl(this, encodeControl(this.peer.report()), nowMs);
    this.#updateCounters(nowMs);
  }

  poll(nowMs: number): void {
    const { path, usedMs } = this.peer;
    const isActive = nowMs - usedMs < ACTIVE_MS;
    // a path that comes into use is due before its idle time is over
    if (path.nextPollMs > nowMs && isActive === this.#wasActive) return;
    this.#wasActive = isActive;
    for (let probe = path.poll(nowMs, isActive); probe !== null; probe = path.poll(nowMs, isActive)) {
      const length = probe.size - this.udpOverheadBytes - PROBE_OVERHEAD_BYTES;
      this.sender.sendControl(this, encodeControl({ type: PROBE, id: probe.id }, length), nowMs);
    }
  }

  onTooLong(datagramBytes: number): void {
    this.peer.path.onTooBig(datagramBytes + this.udpOverheadBytes, performance.now());
  }

  onRefused(reason: SendRefusal, datagrams: number): void {
    this.counters.dropPackets(this.row, reason === "too-long" ? reason : "send-failed", datagrams);
  }

  onSegmentationRefused(): void {
    this.counters.setCutHere(this.row);
  }

  onSent(datagrams: number, bytes: number): void {
    this.counters.add(this.row, F_DATAGRAMS_OUT, datagrams);
    this.counters.add(this.row, F_BYTES_OUT, bytes);
  }

  #updateCounters(nowMs: number): void {
    const { path, size, sending } = this.peer;
    this.counters.set(this.row, F_MTU_BYTES, path.isUp ? path.mtu : 0);
    this.counters.set(this.row, F_RTT_MS, path.rttMs ?? -1);
    this.counters.set(this.row, F_LOSS, size.loss ?? path.loss ?? -1);
    this.counters.set(this.row, F_KEY_SINCE_MS, Date.now() - sending.ageMs(nowMs));
  }
}

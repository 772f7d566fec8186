/** Takes packets from the device, looks for the peer that has their destination, and hands them to its path. */
import type { Arena } from "../../../sys/arena.ts";
import { EINTR } from "../../../sys/errno.ts";
import { readPacket } from "../../../sys/tun.ts";
import { createIpv4Packet, decodeIpv4 } from "../../../wire/ip/ipv4-packet.ts";
import { createVirtioHeader, readVirtioHeader, VIRTIO_BYTES } from "../../../wire/virtio-header.ts";
import { type Counters, F_PACKETS_OUT, type PacketDrop, UNKNOWN_PEER } from "../counters.ts";
import type { TunPacket } from "../peer/peer-path.ts";
import type { PeerTable } from "../peer/peer-table.ts";
import type { TransmitQueue } from "./transmit-queue.ts";

/** Packets read before their datagrams are sent. */
const BATCH = 8;
/** Batches in a row before the other direction has its turn. */
const BATCHES_PER_TURN = 4;
/** The longest packet, and a little so that slots do not start in the same cache lines. */
const SLOT_BYTES = 65_536 + 320;
/** Of the virtio header, so that the packet behind it starts at a multiple of 4. */
const HEADER_AT = 64 - VIRTIO_BYTES;

export function tunReaderBytes(): number {
  return BATCH * SLOT_BYTES + 64;
}

export class TunReader {
  peers: PeerTable;
  readonly #slotsAt: number;
  readonly #packet: TunPacket = { at: 0, length: 0, virtio: createVirtioHeader(), ip: createIpv4Packet() };

  constructor(
    readonly arena: Arena,
    readonly fd: number,
    peers: PeerTable,
    readonly transmitQueue: Pick<TransmitQueue, "isFull" | "flush">,
    readonly counters: Counters,
  ) {
    this.peers = peers;
    this.#slotsAt = arena.take(BATCH * SLOT_BYTES);
  }

  /** "more": there may be; "blocked": the socket takes no more now. The transmitQueue has to be empty. */
  read(): "empty" | "more" | "blocked" {
    for (let batch = 0; batch < BATCHES_PER_TURN; batch++) {
      const isEmpty = this.#fill();
      if (!this.transmitQueue.flush()) return "blocked";
      if (isEmpty) return "empty";
    }
    return "more";
  }

  /** True: the device has no more. */
  #fill(): boolean {
    for (let slot = 0; slot < BATCH; slot++) {
      const at = this.#slotsAt + slot * SLOT_BYTES + HEADER_AT;
      const length = readPacket(this.fd, this.arena.address(at), SLOT_BYTES - HEADER_AT);
      if (length === -EINTR) continue;
      // epoll reports a device that is down, or gone, when it is back
      if (length < 0) return true;
      const reason = this.#take(at, length);
      if (reason !== null) this.counters.dropPackets(UNKNOWN_PEER, reason, 1);
      if (this.transmitQueue.isFull) return false;
    }
    return false;
  }

  /** Why not; null: it is on its way, or counted. */
  #take(at: number, length: number): PacketDrop | null {
    if (length < VIRTIO_BYTES) return "malformed";
    const packet = this.#packet;
    readVirtioHeader(this.arena.bytes, at, packet.virtio);
    packet.at = at + VIRTIO_BYTES;
    const packetBytes = length - VIRTIO_BYTES;
    if (packetBytes > 0 && this.arena.bytes[packet.at]! >>> 4 !== 4) return "not-ipv4";
    if (!decodeIpv4(this.arena.bytes, packet.at, packetBytes, packet.ip)) return "malformed";
    packet.length = packet.ip.totalBytes;
    const peer = this.peers.find(packet.ip.destination);
    if (peer === undefined) return "no-peer";
    this.counters.add(peer.row, F_PACKETS_OUT, 1);
    peer.path.send(peer, packet);
    return null;
  }
}

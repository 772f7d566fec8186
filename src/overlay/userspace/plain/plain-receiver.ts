/**
 * VXLAN frames from the underlay [RFC 7348 §4.1, §5]: looked at, and their packets handed to the device. What is wrong
 * is dropped and counted, by reason.
 *
 * A packet is taken from a peer if it is from the peer's overlay address to ours. The inner destination MAC is not
 * looked at: the device has none.
 */
import type { Arena } from "../../../sys/arena.ts";
import { readUint16 } from "../../../wire/big-endian.ts";
import {
  ARP_BYTES,
  ARP_REQUEST,
  type ArpPacket,
  decodeArp,
  ETHERNET_BYTES,
  ETHERTYPE_ARP,
  ETHERTYPE_AT,
  ETHERTYPE_IPV4,
  MAC_BYTES,
  writeArpReply,
  writeEthernet,
} from "../../../wire/ethernet.ts";
import { foldSmall, sumHeader, swap } from "../../../wire/ip/internet-checksum.ts";
import {
  createIpv4Packet,
  decodeIpv4,
  IP_FRAGMENT_AT,
  IP_FRAGMENT_MASK,
  IP_PROTOCOL_AT,
  IP_SOURCE_AT,
  type Ipv4Packet,
  PROTOCOL_TCP,
  PROTOCOL_UDP,
  TCP_CHECKSUM_AT,
  UDP_CHECKSUM_AT,
} from "../../../wire/ip/ipv4-packet.ts";
import {
  VIRTIO_BYTES,
  writeChecksumVirtioHeader,
  writePlainVirtioHeader,
} from "../../../wire/virtio-header.ts";
import { readVni, VXLAN_BYTES, writeVxlan } from "../../../wire/vxlan.ts";
import type { Counters, FrameDrop } from "../counters.ts";
import type { DatagramSink } from "../peer/datagram-sender.ts";
import type { FrameReceiver } from "../peer/frame-receiver.ts";
import type { PeerTable } from "../peer/peer-table.ts";
import type { RemotePeer } from "../peer/remote-peer.ts";
import type { PacketSink } from "../peer/tun-writer.ts";
import type { PlainEnd } from "./plain-end.ts";
import { SegmentRun } from "./segment-run.ts";

const FRAME_HEAD_BYTES = VXLAN_BYTES + ETHERNET_BYTES;

export class PlainReceiver implements FrameReceiver {
  peers: PeerTable;
  readonly #bytes: Uint8Array;
  readonly #run: SegmentRun;
  readonly #ip = createIpv4Packet();
  readonly #arp: ArpPacket = { operation: 0, senderMacAt: 0, senderAddress: 0, targetAddress: 0 };

  constructor(
    arena: Arena,
    readonly end: PlainEnd,
    peers: PeerTable,
    readonly tun: PacketSink,
    readonly sender: DatagramSink,
    readonly counters: Counters,
  ) {
    this.peers = peers;
    this.#bytes = arena.bytes;
    this.#run = new SegmentRun(arena, tun);
  }

  onDatagram(at: number, length: number, sender: RemotePeer, sockaddrAt: number): void {
    const reason = this.#take(at, length, sender, sockaddrAt);
    if (reason !== null) this.counters.dropFrame(sender.row, reason);
  }

  onBatchEnd(): void {
    this.#run.flush();
  }

  /** Why not; null: it is taken. */
  #take(at: number, length: number, sender: RemotePeer, sockaddrAt: number): FrameDrop | null {
    if (this.end.isEncrypting) return "clear-frame";
    if (length < FRAME_HEAD_BYTES) return "short";
    const bytes = this.#bytes;
    const vni = readVni(bytes, at);
    if (vni !== this.end.vni) return vni < 0 ? "no-vni-flag" : "wrong-vni";
    const packetAt = at + FRAME_HEAD_BYTES;
    const packetBytes = length - FRAME_HEAD_BYTES;
    const type = readUint16(bytes, at + VXLAN_BYTES + ETHERTYPE_AT);
    if (type === ETHERTYPE_ARP) return this.#onArp(packetAt, packetBytes, sockaddrAt);
    if (type !== ETHERTYPE_IPV4) return "not-ipv4";
    const ip = this.#ip;
    if (!decodeIpv4(bytes, packetAt, packetBytes, ip)) return "malformed";
    if (ip.destination !== this.end.address) return "not-for-us";
    const peer = this.#ownerOf(ip.source, sender, sockaddrAt);
    if (peer === null) return "spoofed-inner-source";
    if (peer.isSealed) return "clear-frame";
    const macAt = at + VXLAN_BYTES + MAC_BYTES;
    if (!peer.hasLearntMac(bytes, macAt)) peer.learnMac(bytes, macAt);
    if (bytes[packetAt + IP_PROTOCOL_AT] !== PROTOCOL_TCP || !this.#run.add(packetAt, ip, peer.row))
      this.#writeWhole(packetAt, ip, peer);
    return null;
  }

  /** The peer that has the overlay address, if it is at the underlay address too; most often it is the sender found. */
  #ownerOf(address: number, sender: RemotePeer, sockaddrAt: number): RemotePeer | null {
    if (sender.address === address) return sender;
    const owner = this.peers.find(address);
    return owner?.isAt(this.#arena, sockaddrAt) ? owner : null;
  }

  #writeWhole(at: number, ip: Ipv4Packet, peer: RemotePeer): void {
    this.#run.flush();
    const offset = this.#uncheckedAt(at, ip);
    if (offset < 0) writePlainVirtioHeader(this.#bytes, at - VIRTIO_BYTES);
    else writeChecksumVirtioHeader(ip.headerBytes, offset, this.#bytes, at - VIRTIO_BYTES);
    this.tun.add(at - VIRTIO_BYTES, VIRTIO_BYTES + ip.totalBytes);
    this.tun.write(peer.row);
  }

  /** Offset of a checksum that holds the pseudo header's sum only (see segment-run.ts) in TCP or UDP; -1: it is whole. */
  #uncheckedAt(at: number, ip: Ipv4Packet): number {
    const bytes = this.#bytes;
    const protocol = bytes[at + IP_PROTOCOL_AT]!;
    const offset =
      protocol === PROTOCOL_TCP ? TCP_CHECKSUM_AT : protocol === PROTOCOL_UDP ? UDP_CHECKSUM_AT : -1;
    const payloadBytes = ip.totalBytes - ip.headerBytes;
    if (offset < 0 || payloadBytes < offset + 2) return -1;
    if ((readUint16(bytes, at + IP_FRAGMENT_AT) & IP_FRAGMENT_MASK) !== 0) return -1;
    const sum = foldSmall(sumHeader(bytes, at + IP_SOURCE_AT, 8) + swap(protocol) + swap(payloadBytes));
    const checksumAt = at + ip.headerBytes + offset;
    return sum === (bytes[checksumAt]! | (bytes[checksumAt + 1]! << 8)) ? offset : -1;
  }

  /** Answers requests for our address, and learns the MAC addresses of peers. [RFC 826] */
  #onArp(at: number, length: number, sockaddrAt: number): FrameDrop | null {
    const arp = this.#arp;
    if (!decodeArp(this.#bytes, at, length, arp)) return "malformed";
    const peer = this.peers.find(arp.senderAddress);
    if (peer === undefined || !peer.isAt(this.#arena, sockaddrAt)) return "spoofed-inner-source";
    if (peer.isSealed) return "clear-frame";
    if (arp.targetAddress !== this.end.address) return "not-for-us";
    peer.learnMac(this.#bytes, arp.senderMacAt);
    if (arp.operation === ARP_REQUEST) this.#answer(at, arp, peer);
    return null;
  }

  #answer(requestAt: number, { senderMacAt }: ArpPacket, peer: RemotePeer): void {
    const { sender, end } = this;
    if (sender.isFull && !sender.flush()) return this.counters.dropPackets(peer.row, "send-failed", 1);
    const bytes = this.#bytes;
    const at = sender.prefixAt;
    const to = bytes.subarray(senderMacAt, senderMacAt + MAC_BYTES);
    writeVxlan(end.vni, bytes, at);
    writeEthernet(to, end.mac, ETHERTYPE_ARP, bytes, at + VXLAN_BYTES);
    writeArpReply(bytes, requestAt, end.mac, bytes, at + FRAME_HEAD_BYTES);
    sender.add(peer, at, FRAME_HEAD_BYTES + ARP_BYTES, 0, 0);
  }

  get #arena(): Arena {
    return this.tun.arena;
  }
}

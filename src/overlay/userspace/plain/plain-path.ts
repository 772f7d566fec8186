/**
 * Packets of the device as VXLAN frames [RFC 7348 §4.1, §5]: one that fits is one frame, a super-packet is cut into
 * segments, each a frame with headers of its own. Payload is summed for checksums, never copied.
 *
 *   │ VXLAN 8 │ Ethernet 14 │ IPv4 20…60 │ TCP 20…60 or UDP 8 │ ─ payload, where it was read ─
 *   └───────────────── prefix of the datagram ────────────────┘
 *
 * Deviates: the outer source port is always ours, not a hash of the flow (§5): one socket sends and receives. Where
 * links are bundled, all frames to one peer take the same one.
 */
import type { Arena } from "../../../sys/arena.ts";
import { readInt32, readUint16, writeUint16, writeUint32 } from "../../../wire/big-endian.ts";
import {
  ARP_BYTES,
  BROADCAST_BYTE,
  ETHERTYPE_ARP,
  MAC_BYTES,
  writeArpRequest,
  writeEthernet,
} from "../../../wire/ethernet.ts";
import {
  foldSmall,
  readSum,
  sumBytes,
  sumHeader,
  swap,
  writeSum,
} from "../../../wire/ip/internet-checksum.ts";
import {
  IP_CHECKSUM_AT,
  IP_DESTINATION_AT,
  IP_ID_AT,
  IP_LENGTH_AT,
  IP_PROTOCOL_AT,
  IP_SOURCE_AT,
  PROTOCOL_TCP,
  PROTOCOL_UDP,
  TCP_BYTES_MIN,
  TCP_CHECKSUM_AT,
  TCP_CWR,
  TCP_FIN,
  TCP_FLAGS_AT,
  TCP_OFFSET_AT,
  TCP_PSH,
  TCP_SEQUENCE_AT,
  UDP_BYTES,
  UDP_CHECKSUM_AT,
  UDP_LENGTH_AT,
} from "../../../wire/ip/ipv4-packet.ts";
import { GSO_NONE, GSO_TCPV4, GSO_UDP_L4 } from "../../../wire/virtio-header.ts";
import { VXLAN_BYTES, writeVxlan } from "../../../wire/vxlan.ts";
import type { Counters } from "../counters.ts";
import type { DatagramSink } from "../peer/datagram-sender.ts";
import type { PeerPath, TunPacket } from "../peer/peer-path.ts";
import { FRAME_HEAD_AT, FRAME_HEAD_BYTES, FRAME_HEAD_WORDS, type RemotePeer } from "../peer/remote-peer.ts";
import type { PlainEnd } from "./plain-end.ts";

/** While a peer that packets go to has not been heard. */
const ASK_EVERY_MS = 1000;
const BROADCAST_MAC = new Uint8Array(MAC_BYTES).fill(BROADCAST_BYTE);
/** Where the IP header is in a prefix. */
const IP_AT = FRAME_HEAD_WORDS * 4;

export class PlainPath implements PeerPath<RemotePeer> {
  readonly #bytes: Uint8Array;
  readonly #words: Int32Array;

  constructor(
    arena: Arena,
    readonly end: PlainEnd,
    readonly sender: DatagramSink,
    readonly counters: Counters,
  ) {
    this.#bytes = arena.bytes;
    this.#words = arena.int32;
  }

  send(peer: RemotePeer, packet: TunPacket): void {
    const { virtio } = packet;
    if (!peer.isMacLearnt) this.#askForMac(peer);
    const isSent =
      virtio.gsoType === GSO_NONE ? this.#sendWhole(peer, packet) : this.#sendSegments(peer, packet);
    if (!isSent) this.counters.dropPackets(peer.row, "malformed", 1);
  }

  /** A device that was made by hand has a MAC address of its own, and takes frames to no other. [RFC 826] */
  #askForMac(peer: RemotePeer): void {
    const nowMs = performance.now();
    if (nowMs - peer.askedAtMs < ASK_EVERY_MS || this.#isFull()) return;
    peer.askedAtMs = nowMs;
    const { end, sender } = this;
    const at = sender.prefixAt;
    writeVxlan(end.vni, this.#bytes, at);
    writeEthernet(BROADCAST_MAC, end.mac, ETHERTYPE_ARP, this.#bytes, at + VXLAN_BYTES);
    writeArpRequest(end.mac, end.address, peer.address, this.#bytes, at + FRAME_HEAD_BYTES);
    sender.add(peer, at, FRAME_HEAD_BYTES + ARP_BYTES, 0, 0);
  }

  #sendWhole(peer: RemotePeer, packet: TunPacket): boolean {
    if (packet.virtio.needsChecksum && !this.#completeChecksum(packet)) return false;
    if (this.#isFull()) return this.#dropFull(peer);
    const { sender } = this;
    const prefixAt = sender.prefixAt;
    this.#writeFrameHead(peer, prefixAt);
    sender.add(peer, packet.at, packet.length, prefixAt + FRAME_HEAD_AT, FRAME_HEAD_BYTES);
    return true;
  }

  /** The checksum field holds the sum of the pseudo header, and is part of what is summed. */
  #completeChecksum({ at, length, virtio }: TunPacket): boolean {
    const { checksumStart, checksumOffset } = virtio;
    if (checksumStart + checksumOffset + 2 > length) return false;
    const start = at + checksumStart;
    const sum = ~sumBytes(this.#bytes, this.#words, start, length - checksumStart) & 0xffff;
    // a UDP checksum of zero would say that there is none [RFC 768]
    const isUdp = checksumOffset === UDP_CHECKSUM_AT;
    writeSum(isUdp && sum === 0 ? 0xffff : sum, this.#bytes, start + checksumOffset);
    return true;
  }

  #sendSegments(peer: RemotePeer, packet: TunPacket): boolean {
    const { at, virtio, ip } = packet;
    const protocol = this.#bytes[at + IP_PROTOCOL_AT]!;
    if (virtio.gsoSize === 0) return false;
    if (virtio.gsoType === GSO_TCPV4 && protocol === PROTOCOL_TCP) {
      if (ip.headerBytes + TCP_BYTES_MIN > packet.length) return false;
      const tcpBytes = (this.#bytes[at + ip.headerBytes + TCP_OFFSET_AT]! >>> 4) * 4;
      if (tcpBytes < TCP_BYTES_MIN || ip.headerBytes + tcpBytes > packet.length) return false;
      this.#cutTcp(peer, packet, tcpBytes);
      return true;
    }
    if (virtio.gsoType !== GSO_UDP_L4 || protocol !== PROTOCOL_UDP) return false;
    if (ip.headerBytes + UDP_BYTES > packet.length) return false;
    this.#cutUdp(peer, packet);
    return true;
  }

  /** [RFC 9293 §3.1] FIN and PSH are the last segment's, CWR is the first's [RFC 3168 §6.1.2]. */
  #cutTcp(peer: RemotePeer, packet: TunPacket, tcpBytes: number): void {
    const bytes = this.#bytes;
    const { at, length, virtio, ip } = packet;
    const headerBytes = ip.headerBytes + tcpBytes;
    const sequence = readInt32(bytes, at + ip.headerBytes + TCP_SEQUENCE_AT);
    const flags = bytes[at + ip.headerBytes + TCP_FLAGS_AT]!;
    const ipSum = this.#ipSumOf(packet);
    const tcpSum = this.#tcpSumOf(packet, tcpBytes);
    for (let from = headerBytes, index = 0; from < length; from += virtio.gsoSize, index++) {
      if (this.#isFull()) return void this.#dropFull(peer);
      const count = Math.min(virtio.gsoSize, length - from);
      const isLast = from + count === length;
      const tcpAt = this.#startSegment(peer, packet, headerBytes, count, index, ipSum);
      const ownSequence = sequence + from - headerBytes;
      writeUint32(ownSequence, bytes, tcpAt + TCP_SEQUENCE_AT);
      const ownFlags = flags & ~(isLast ? 0 : TCP_FIN | TCP_PSH) & ~(index === 0 ? 0 : TCP_CWR);
      bytes[tcpAt + TCP_FLAGS_AT] = ownFlags;
      const sum =
        tcpSum +
        swap((ownSequence >>> 16) & 0xffff) +
        swap(ownSequence & 0xffff) +
        (ownFlags << 8) +
        swap(tcpBytes + count) +
        sumBytes(bytes, this.#words, at + from, count);
      writeSum(~foldSmall(sum) & 0xffff, bytes, tcpAt + TCP_CHECKSUM_AT);
      this.#addSegment(peer, at + from, count, headerBytes);
    }
  }

  #cutUdp(peer: RemotePeer, packet: TunPacket): void {
    const bytes = this.#bytes;
    const { at, length, virtio, ip } = packet;
    const headerBytes = ip.headerBytes + UDP_BYTES;
    const ipSum = this.#ipSumOf(packet);
    const portsSum = sumHeader(bytes, at + ip.headerBytes, UDP_LENGTH_AT) + this.#pseudoSumOf(packet);
    for (let from = headerBytes, index = 0; from < length; from += virtio.gsoSize, index++) {
      if (this.#isFull()) return void this.#dropFull(peer);
      const count = Math.min(virtio.gsoSize, length - from);
      const udpAt = this.#startSegment(peer, packet, headerBytes, count, index, ipSum);
      writeUint16(UDP_BYTES + count, bytes, udpAt + UDP_LENGTH_AT);
      const sum = portsSum + 2 * swap(UDP_BYTES + count) + sumBytes(bytes, this.#words, at + from, count);
      writeSum(~foldSmall(sum) & 0xffff || 0xffff, bytes, udpAt + UDP_CHECKSUM_AT);
      this.#addSegment(peer, at + from, count, headerBytes);
    }
  }

  /** Writes head and IP header of a segment, and copies what is behind them; returns where the latter is. */
  #startSegment(
    peer: RemotePeer,
    { at, ip }: TunPacket,
    headerBytes: number,
    payloadBytes: number,
    index: number,
    ipSum: number,
  ): number {
    const bytes = this.#bytes;
    const prefixAt = this.sender.prefixAt;
    this.#writeFrameHead(peer, prefixAt);
    const ipAt = prefixAt + IP_AT;
    const words = this.#words;
    for (let word = 0, count = (headerBytes + 3) >>> 2; word < count; word++) {
      words[(ipAt >>> 2) + word] = words[(at >>> 2) + word]!;
    }
    const length = headerBytes + payloadBytes;
    const id = (readUint16(bytes, at + IP_ID_AT) + index) & 0xffff;
    writeUint16(length, bytes, ipAt + IP_LENGTH_AT);
    writeUint16(id, bytes, ipAt + IP_ID_AT);
    writeSum(~foldSmall(ipSum + swap(length) + swap(id)) & 0xffff, bytes, ipAt + IP_CHECKSUM_AT);
    return ipAt + ip.headerBytes;
  }

  #addSegment(peer: RemotePeer, payloadAt: number, payloadBytes: number, headerBytes: number): void {
    const prefixAt = this.sender.prefixAt;
    this.sender.add(peer, payloadAt, payloadBytes, prefixAt + FRAME_HEAD_AT, FRAME_HEAD_BYTES + headerBytes);
  }

  #writeFrameHead(peer: RemotePeer, prefixAt: number): void {
    const { frameHead } = peer;
    const to = prefixAt >>> 2;
    for (let word = 0; word < FRAME_HEAD_WORDS; word++) this.#words[to + word] = frameHead[word]!;
  }

  /** Of the IP header without what differs between segments: length, id, checksum. */
  #ipSumOf({ at, ip }: TunPacket): number {
    const bytes = this.#bytes;
    return (
      readSum(bytes, at) +
      sumHeader(bytes, at + IP_ID_AT + 2, IP_CHECKSUM_AT - IP_ID_AT - 2) +
      sumHeader(bytes, at + IP_SOURCE_AT, ip.headerBytes - IP_SOURCE_AT)
    );
  }

  /** Of pseudo header and TCP header without length, sequence number, flags, checksum. */
  #tcpSumOf(packet: TunPacket, tcpBytes: number): number {
    const bytes = this.#bytes;
    const at = packet.at + packet.ip.headerBytes;
    return (
      this.#pseudoSumOf(packet) +
      sumHeader(bytes, at, TCP_SEQUENCE_AT) +
      sumHeader(bytes, at + TCP_SEQUENCE_AT + 4, TCP_OFFSET_AT - TCP_SEQUENCE_AT - 4) +
      bytes[at + TCP_OFFSET_AT]! +
      sumHeader(bytes, at + TCP_FLAGS_AT + 1, 2) +
      sumHeader(bytes, at + TCP_CHECKSUM_AT + 2, tcpBytes - TCP_CHECKSUM_AT - 2)
    );
  }

  /** Addresses and protocol. */
  #pseudoSumOf({ at }: TunPacket): number {
    const bytes = this.#bytes;
    return (
      sumHeader(bytes, at + IP_SOURCE_AT, IP_DESTINATION_AT + 4 - IP_SOURCE_AT) +
      swap(bytes[at + IP_PROTOCOL_AT]!)
    );
  }

  /** After trying to make room. */
  #isFull(): boolean {
    return this.sender.isFull && !this.sender.flush();
  }

  /** One packet's segments are more than an sender holds, and the socket takes no more. */
  #dropFull(peer: RemotePeer): boolean {
    this.counters.dropPackets(peer.row, "send-failed", 1);
    return true;
  }
}

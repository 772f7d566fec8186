/**
 * TCP segments that follow each other, joined to one super-packet for the device, as the kernel's receive offload does
 * it: same flow, same headers, consecutive sequence numbers, one size but for a shorter last one. Payload stays where
 * it was received.
 *
 * Checksums are not believed but passed on. What a segment's checksum says of its payload is computed from it and the
 * headers; the sum of these claims is the super-packet's checksum, and the kernel verifies it over what really arrived,
 * as it copies. Corrupt payload is hence found where it always was: by the receiver's TCP.
 *
 * Segments whose checksum is the bare sum of the pseudo header are from a sender that leaves it to its card, and never
 * met one (a kernel VXLAN device over veth): there is nothing to verify, and the device is to complete it.
 */
import type { Arena } from "../../../sys/arena.ts";
import { readInt32, readUint16, writeUint16 } from "../../../wire/big-endian.ts";
import { foldSmall, readSum, sumHeader, swap, writeSum } from "../../../wire/ip/internet-checksum.ts";
import {
  IP_CHECKSUM_AT,
  IP_FRAGMENT_AT,
  IP_LENGTH_AT,
  IP_SOURCE_AT,
  IPV4_BYTES_MIN,
  type Ipv4Packet,
  PROTOCOL_TCP,
  TCP_ACK,
  TCP_BYTES_MIN,
  TCP_CHECKSUM_AT,
  TCP_FLAGS_AT,
  TCP_OFFSET_AT,
  TCP_PSH,
  TCP_SEQUENCE_AT,
} from "../../../wire/ip/ipv4-packet.ts";
import { VIRTIO_BYTES, writeTcpVirtioHeader } from "../../../wire/virtio-header.ts";
import { PARTS_MAX, type PacketSink } from "../peer/tun-writer.ts";

/** Of an IP packet. */
const PACKET_BYTES_MAX = 65_535;
const DONT_FRAGMENT = 0x4000;

export class SegmentRun {
  readonly #bytes: Uint8Array;
  #segments = 0;
  #row = 0;
  /** Offset of the first segment's IP header. */
  #at = 0;
  #headerBytes = 0;
  #totalBytes = 0;
  /** Payload of every segment but the last. */
  #size = 0;
  #nextSequence = 0;
  /** The last one was shorter or pushes: no segment may follow. */
  #isEnded = false;
  #isPushing = false;
  #isPartial = false;
  /** Of what the checksums say of the payloads. */
  #payloadSum = 0;
  /** By `#examine`. */
  #tcpAt = 0;
  #payloadBytes = 0;
  #flags = 0;
  #isNextPartial = false;
  #claim = 0;

  constructor(
    arena: Arena,
    readonly tun: PacketSink,
  ) {
    this.#bytes = arena.bytes;
  }

  /**
   * Takes a TCP packet of `ip`, whose IP header is at `at` behind VIRTIO_BYTES that may be overwritten. False: it is
   * none that could ever be joined; then nothing is left here that came before it.
   */
  add(at: number, ip: Ipv4Packet, row: number): boolean {
    if (!this.#examine(at, ip)) {
      this.flush();
      return false;
    }
    if (this.#segments > 0 && !this.#follows(at, ip, row)) this.flush();
    if (this.#segments === 0) this.#start(at, ip, row);
    else this.tun.add(at + this.#headerBytes, this.#payloadBytes);
    this.#segments++;
    this.#totalBytes += this.#payloadBytes;
    this.#nextSequence = (this.#nextSequence + this.#payloadBytes) | 0;
    this.#isPushing = (this.#flags & TCP_PSH) !== 0;
    this.#isEnded = this.#payloadBytes < this.#size || this.#isPushing;
    return true;
  }

  /** Gives what there is to the device. */
  flush(): void {
    if (this.#segments === 0) return;
    const bytes = this.#bytes;
    const ipBytes = IPV4_BYTES_MIN;
    if (this.#segments > 1) this.#writeJoinedHeaders();
    const gsoSize = this.#segments > 1 ? this.#size : 0;
    writeTcpVirtioHeader(
      this.#isPartial,
      ipBytes,
      this.#headerBytes,
      gsoSize,
      bytes,
      this.#at - VIRTIO_BYTES,
    );
    this.#segments = 0;
    this.tun.write(this.#row);
  }

  /** Whether it is a segment that can be joined at all: data, nothing unusual, and an IP header that is right. */
  #examine(at: number, ip: Ipv4Packet): boolean {
    const bytes = this.#bytes;
    const tcpAt = at + IPV4_BYTES_MIN;
    if (ip.headerBytes !== IPV4_BYTES_MIN || readUint16(bytes, at + IP_FRAGMENT_AT) !== DONT_FRAGMENT)
      return false;
    if (ip.totalBytes < IPV4_BYTES_MIN + TCP_BYTES_MIN) return false;
    const tcpBytes = (bytes[tcpAt + TCP_OFFSET_AT]! >>> 4) * 4;
    this.#payloadBytes = ip.totalBytes - IPV4_BYTES_MIN - tcpBytes;
    this.#flags = bytes[tcpAt + TCP_FLAGS_AT]!;
    if (tcpBytes < TCP_BYTES_MIN || this.#payloadBytes <= 0) return false;
    if ((this.#flags & ~TCP_PSH) !== TCP_ACK) return false;
    if (foldSmall(sumHeader(bytes, at, IPV4_BYTES_MIN)) !== 0xffff) return false;
    this.#tcpAt = tcpAt;
    const pseudo = pseudoSum(bytes, at, ip.totalBytes - IPV4_BYTES_MIN);
    this.#isNextPartial = foldSmall(pseudo) === readSum(bytes, tcpAt + TCP_CHECKSUM_AT);
    this.#claim = 0xffff - foldSmall(pseudo + sumHeader(bytes, tcpAt, tcpBytes));
    return true;
  }

  #start(at: number, ip: Ipv4Packet, row: number): void {
    this.#row = row;
    this.#at = at;
    this.#headerBytes = ip.totalBytes - this.#payloadBytes;
    this.#totalBytes = this.#headerBytes;
    this.#size = this.#payloadBytes;
    this.#nextSequence = readInt32(this.#bytes, this.#tcpAt + TCP_SEQUENCE_AT);
    this.#isPartial = this.#isNextPartial;
    this.#payloadSum = this.#claim;
    this.tun.add(at - VIRTIO_BYTES, VIRTIO_BYTES + ip.totalBytes);
  }

  #follows(at: number, ip: Ipv4Packet, row: number): boolean {
    if (this.#isEnded || this.#isNextPartial !== this.#isPartial || row !== this.#row) return false;
    if (this.#payloadBytes > this.#size || ip.totalBytes - this.#payloadBytes !== this.#headerBytes)
      return false;
    if (this.#totalBytes + this.#payloadBytes > PACKET_BYTES_MAX || this.tun.parts === PARTS_MAX)
      return false;
    if (readInt32(this.#bytes, this.#tcpAt + TCP_SEQUENCE_AT) !== this.#nextSequence) return false;
    if (!this.#hasSameHeaders(at)) return false;
    // at an odd place in the super-packet every byte of the payload is the other one of its word
    const isOdd = ((this.#totalBytes - this.#headerBytes) & 1) === 1;
    this.#payloadSum += isOdd ? swap(this.#claim) : this.#claim;
    return true;
  }

  /** But for lengths, ids, checksums, sequence numbers and PSH. */
  #hasSameHeaders(at: number): boolean {
    const bytes = this.#bytes;
    const other = this.#at;
    if (bytes[at + 1] !== bytes[other + 1]) return false;
    if (!isSame(bytes, at + IP_FRAGMENT_AT, other + IP_FRAGMENT_AT, IP_CHECKSUM_AT - IP_FRAGMENT_AT))
      return false;
    const addressesAndPorts = IPV4_BYTES_MIN + TCP_SEQUENCE_AT - IP_SOURCE_AT;
    if (!isSame(bytes, at + IP_SOURCE_AT, other + IP_SOURCE_AT, addressesAndPorts)) return false;
    const acknowledgement = IPV4_BYTES_MIN + TCP_SEQUENCE_AT + 4;
    if (!isSame(bytes, at + acknowledgement, other + acknowledgement, 5)) return false;
    const window = IPV4_BYTES_MIN + TCP_FLAGS_AT + 1;
    if (!isSame(bytes, at + window, other + window, 2)) return false;
    const options = IPV4_BYTES_MIN + TCP_CHECKSUM_AT + 2;
    return isSame(bytes, at + options, other + options, this.#headerBytes - options);
  }

  #writeJoinedHeaders(): void {
    const bytes = this.#bytes;
    const at = this.#at;
    const tcpAt = at + IPV4_BYTES_MIN;
    const tcpBytes = this.#headerBytes - IPV4_BYTES_MIN;
    if (this.#isPushing) bytes[tcpAt + TCP_FLAGS_AT]! |= TCP_PSH;
    writeUint16(this.#totalBytes, bytes, at + IP_LENGTH_AT);
    writeUint16(0, bytes, at + IP_CHECKSUM_AT);
    writeSum(~foldSmall(sumHeader(bytes, at, IPV4_BYTES_MIN)) & 0xffff, bytes, at + IP_CHECKSUM_AT);
    const pseudo = pseudoSum(bytes, at, this.#totalBytes - IPV4_BYTES_MIN);
    writeUint16(0, bytes, tcpAt + TCP_CHECKSUM_AT);
    const sum = pseudo + sumHeader(bytes, tcpAt, tcpBytes) + this.#payloadSum;
    const checksum = this.#isPartial ? foldSmall(pseudo) : ~foldSmall(sum) & 0xffff;
    writeSum(checksum, bytes, tcpAt + TCP_CHECKSUM_AT);
  }
}

/** Of addresses, protocol and length of a TCP segment. */
function pseudoSum(bytes: Uint8Array, at: number, tcpLength: number): number {
  return sumHeader(bytes, at + IP_SOURCE_AT, 8) + swap(PROTOCOL_TCP) + swap(tcpLength);
}

function isSame(bytes: Uint8Array, a: number, b: number, count: number): boolean {
  for (let i = 0; i < count; i++) if (bytes[a + i] !== bytes[b + i]) return false;
  return true;
}

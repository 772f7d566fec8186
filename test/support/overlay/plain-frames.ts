/** The plain path of the userspace driver without a device and a socket: packets in, datagrams out, and back. */
import {
  Counters,
  createCounters,
  type PeerCounts,
  readCounts,
} from "../../../src/overlay/userspace/counters.ts";
import type { DatagramSink } from "../../../src/overlay/userspace/peer/datagram-sender.ts";
import { PeerTable } from "../../../src/overlay/userspace/peer/peer-table.ts";
import { RemotePeer } from "../../../src/overlay/userspace/peer/remote-peer.ts";
import type { PacketSink } from "../../../src/overlay/userspace/peer/tun-writer.ts";
import { PlainPath } from "../../../src/overlay/userspace/plain/plain-path.ts";
import { PlainReceiver } from "../../../src/overlay/userspace/plain/plain-receiver.ts";
import { Arena } from "../../../src/sys/arena.ts";
import { writeSockaddr } from "../../../src/sys/sockaddr.ts";
import { createIpv4Packet, decodeIpv4 } from "../../../src/wire/ip/ipv4-packet.ts";
import { createVirtioHeader, type VirtioHeader } from "../../../src/wire/virtio-header.ts";

export const OWN_ADDRESS = "10.200.0.1";
export const PEER_ADDRESS = "10.200.0.2";
const TEST_VNI = 4711;
const OWN = { address: 0x0ac8_0001, mac: Uint8Array.of(2, 0x42, 10, 200, 0, 1), vni: TEST_VNI };
const PEER_ROW = 1;

const PACKET_AT = 64;
const PREFIXES_AT = 131_072;
const DATAGRAMS_AT = 262_144;
const SOCKADDR_AT = 1_048_576;
const ARENA_BYTES = SOCKADDR_AT + 64;
const PREFIX_BYTES = 192;

export class PlainFrames {
  readonly arena = new Arena(ARENA_BYTES);
  /** Handed to the socket. */
  readonly datagrams: Buffer[] = [];
  /** Handed to the device, with their virtio headers. */
  readonly packets: Buffer[] = [];
  readonly #counters = createCounters();
  readonly #path: PlainPath;
  readonly #receiver: PlainReceiver;
  readonly #peer: RemotePeer;

  constructor(isEncrypting = false, secrets: readonly string[] | null = null) {
    const counters = new Counters(this.#counters);
    const sender = this.#sender();
    const end = { ...OWN, isEncrypting };
    this.#path = new PlainPath(this.arena, end, sender, counters);
    const config = { name: "peer", overlayAddress: PEER_ADDRESS, underlayAddress: "192.0.2.2", port: 4789 };
    const own = { address: OWN_ADDRESS, vni: TEST_VNI };
    this.#peer = new RemotePeer({ ...config, secrets, row: PEER_ROW }, this.#path, own);
    this.#peer.isMacLearnt = true;
    writeSockaddr(this.arena.bytes, SOCKADDR_AT, Uint8Array.of(192, 0, 2, 2), 50_000);
    const table = new PeerTable([this.#peer]);
    this.#receiver = new PlainReceiver(this.arena, end, table, this.#writer(), sender, counters);
  }

  /** Of the peer. */
  get counts(): PeerCounts {
    return readCounts(this.#counters, PEER_ROW);
  }

  /** As if the device had handed over the packet. False: it is no IPv4. */
  send(packet: Uint8Array, virtio: Partial<VirtioHeader>): boolean {
    this.arena.bytes.set(packet, PACKET_AT);
    const ip = createIpv4Packet();
    if (!decodeIpv4(this.arena.bytes, PACKET_AT, packet.length, ip)) return false;
    const header = { ...createVirtioHeader(), ...virtio };
    this.#path.send(this.#peer, { at: PACKET_AT, length: ip.totalBytes, virtio: header, ip });
    return true;
  }

  /** As if the datagrams had been received at once, `strideBytes` apart. */
  receive(datagrams: readonly Uint8Array[], strideBytes: number): void {
    datagrams.forEach((datagram, index) => {
      this.arena.bytes.set(datagram, DATAGRAMS_AT + index * strideBytes);
    });
    datagrams.forEach((datagram, index) => {
      this.#receiver.onDatagram(DATAGRAMS_AT + index * strideBytes, datagram.length, this.#peer, SOCKADDR_AT);
    });
    this.#receiver.onBatchEnd();
  }

  #sender(): DatagramSink {
    const { arena, datagrams } = this;
    return {
      isFull: false,
      get prefixAt() {
        return PREFIXES_AT + (datagrams.length % 512) * PREFIX_BYTES;
      },
      add(_, payloadAt, length, prefixAt, prefixLength) {
        const prefix = arena.bytes.slice(prefixAt, prefixAt + prefixLength);
        datagrams.push(Buffer.concat([prefix, arena.bytes.subarray(payloadAt, payloadAt + length)]));
      },
      flush: () => true,
    };
  }

  #writer(): PacketSink {
    const { arena, packets } = this;
    let parts: Uint8Array[] = [];
    return {
      arena,
      get parts() {
        return parts.length;
      },
      add(at, length) {
        parts.push(arena.bytes.subarray(at, at + length));
      },
      write() {
        packets.push(Buffer.concat(parts));
        parts = [];
        return 0;
      },
    };
  }
}

/** RFC 1071 as it is written: big-endian words, folded. The oracle of the fast one. */
export function slowSum(...parts: readonly Uint8Array[]): number {
  const bytes = Buffer.concat(parts);
  let sum = 0;
  for (let at = 0; at < bytes.length; at++) sum += at % 2 === 0 ? bytes[at]! * 256 : bytes[at]!;
  while (sum > 0xffff) sum = (sum & 0xffff) + Math.floor(sum / 0x1_0000);
  return sum;
}

/** Of an IPv4 packet with a header of 20 bytes: addresses, protocol, length. */
export function pseudoHeader(packet: Uint8Array): Uint8Array {
  const length = packet.length - 20;
  return Uint8Array.of(...packet.subarray(12, 20), 0, packet[9]!, length >> 8, length & 0xff);
}

export interface TcpParts {
  readonly from: string;
  readonly to: string;
  readonly sequence: number;
  readonly flags: number;
  /** A multiple of 4 in number. */
  readonly options: Uint8Array;
  readonly payload: Uint8Array;
}

/** A whole packet, with right checksums. */
export function tcpPacket({ from, to, sequence, flags, options, payload }: TcpParts): Buffer {
  const packet = ipv4Packet(from, to, 6, 20 + options.length + payload.length);
  const tcp = packet.subarray(20);
  tcp.writeUInt16BE(40_000, 0);
  tcp.writeUInt16BE(5201, 2);
  tcp.writeUInt32BE(sequence, 4);
  tcp.writeUInt32BE(0x8765_4321, 8);
  tcp[12] = ((20 + options.length) / 4) << 4;
  tcp[13] = flags;
  tcp.writeUInt16BE(502, 14);
  tcp.set(options, 20);
  tcp.set(payload, 20 + options.length);
  tcp.writeUInt16BE(~slowSum(pseudoHeader(packet), tcp) & 0xffff, 16);
  return packet;
}

export function udpPacket(from: string, to: string, payload: Uint8Array): Buffer {
  const packet = ipv4Packet(from, to, 17, 8 + payload.length);
  const udp = packet.subarray(20);
  udp.writeUInt16BE(40_000, 0);
  udp.writeUInt16BE(443, 2);
  udp.writeUInt16BE(udp.length, 4);
  udp.set(payload, 8);
  udp.writeUInt16BE(~slowSum(pseudoHeader(packet), udp) & 0xffff || 0xffff, 6);
  return packet;
}

/** What the kernel leaves to a card: the pseudo header's sum alone. */
export function withoutChecksum(packet: Uint8Array): Buffer {
  const copy = Buffer.from(packet);
  copy.writeUInt16BE(slowSum(pseudoHeader(copy)), 20 + (copy[9] === 6 ? 16 : 6));
  return copy;
}

/** In a VXLAN frame. */
export function frameOf(packet: Uint8Array): Buffer {
  const head = Buffer.from("0800000000126700".concat("0242", "0ac80001", "0242", "0ac80002", "0800"), "hex");
  return Buffer.concat([head, packet]);
}

function ipv4Packet(from: string, to: string, protocol: number, payloadBytes: number): Buffer {
  const packet = Buffer.alloc(20 + payloadBytes);
  packet[0] = 0x45;
  packet.writeUInt16BE(packet.length, 2);
  packet.writeUInt16BE(0xfffe, 4);
  packet.writeUInt16BE(0x4000, 6);
  packet[8] = 64;
  packet[9] = protocol;
  packet.set(from.split(".").map(Number), 12);
  packet.set(to.split(".").map(Number), 16);
  packet.writeUInt16BE(~slowSum(packet.subarray(0, 20)) & 0xffff, 10);
  return packet;
}

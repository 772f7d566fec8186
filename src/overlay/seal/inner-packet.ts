/**
 * Whether what came out of a seal may go to the kernel: a virtio header that fits its packet, and an IPv4 packet from
 * the peer to this node. A sender with the key is a member; its packets may still be malformed. [virtio 1.2 §5.1.6.4]
 *
 *     flags u8 │ gso type u8 │ header length u16 │ gso size u16 │ checksum start u16 │ checksum offset u16 │ IP packet
 *
 * Numbers of the header are in the machine's order, which is little-endian on x64 and arm64.
 */
import { ipv4Word } from "./ipv4-word.ts";

export type InnerRefusal = "malformed-inner" | "spoofed-inner-source" | "not-for-us";

const VIRTIO_BYTES = 10;
const IPV4_BYTES = 20;
const NEEDS_CHECKSUM = 1;
const GSO_NONE = 0;
const GSO_TCPV4 = 1;
const GSO_UDP_L4 = 5;
const GSO_ECN = 0x80;

/** null: it may. @param source, destination IPv4 addresses as numbers (ipv4Word) */
export function refuseInner(packet: Uint8Array, source: number, destination: number): InnerRefusal | null {
  if (packet.length < VIRTIO_BYTES + IPV4_BYTES) return "malformed-inner";
  const view = new DataView(packet.buffer, packet.byteOffset, packet.length);
  if (!isVirtioHeader(view, packet.length - VIRTIO_BYTES)) return "malformed-inner";
  const headerLength = (packet[VIRTIO_BYTES]! & 0x0f) * 4;
  if (packet[VIRTIO_BYTES]! >> 4 !== 4 || headerLength < IPV4_BYTES) return "malformed-inner";
  if (view.getUint16(VIRTIO_BYTES + 2) !== packet.length - VIRTIO_BYTES) return "malformed-inner";
  if (headerLength > packet.length - VIRTIO_BYTES) return "malformed-inner";
  if (ipv4Word(packet, VIRTIO_BYTES + 12) !== source) return "spoofed-inner-source";
  return ipv4Word(packet, VIRTIO_BYTES + 16) === destination ? null : "not-for-us";
}

function isVirtioHeader(view: DataView, packetLength: number): boolean {
  const flags = view.getUint8(0);
  const gsoType = view.getUint8(1) & ~GSO_ECN;
  const [headerLength, gsoSize] = [view.getUint16(2, true), view.getUint16(4, true)];
  const [checksumStart, checksumOffset] = [view.getUint16(6, true), view.getUint16(8, true)];
  if ((flags & ~NEEDS_CHECKSUM) !== 0) return false;
  if (flags === NEEDS_CHECKSUM && checksumStart + checksumOffset + 2 > packetLength) return false;
  if (gsoType === GSO_NONE) return true;
  if (gsoType !== GSO_TCPV4 && gsoType !== GSO_UDP_L4) return false;
  return flags === NEEDS_CHECKSUM && gsoSize > 0 && headerLength <= packetLength;
}

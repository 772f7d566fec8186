/**
 * What is left to do to a packet, before it on a TUN device. Host order, which is little-endian on every machine this
 * runs on. [virtio 1.2 §5.1.6; linux/virtio_net.h, struct virtio_net_hdr]
 *
 *      0       1          2             4              6                8
 *     +-------+----------+-------------+--------------+----------------+-----------------+
 *     | flags | GSO type | header u16  | GSO size u16 | csum start u16 | csum offset u16 |
 *     +-------+----------+-------------+--------------+----------------+-----------------+
 *
 * Offsets count from the packet behind it.
 */
export const VIRTIO_BYTES = 10;

/** The checksum at start + offset holds the sum of the pseudo header and is to be completed. */
const NEEDS_CSUM = 1;

export const GSO_NONE = 0;
export const GSO_TCPV4 = 1;
export const GSO_UDP_L4 = 5;
const GSO_ECN = 0x80;

export interface VirtioHeader {
  needsChecksum: boolean;
  /** GSO_…, without the ECN bit. */
  gsoType: number;
  /** Bytes of payload in each segment. */
  gsoSize: number;
  checksumStart: number;
  checksumOffset: number;
}

export function createVirtioHeader(): VirtioHeader {
  return { needsChecksum: false, gsoType: GSO_NONE, gsoSize: 0, checksumStart: 0, checksumOffset: 0 };
}

/** The caller has seen to it that VIRTIO_BYTES are there; what the values promise is not looked at. */
export function readVirtioHeader(bytes: Uint8Array, at: number, into: VirtioHeader): void {
  into.needsChecksum = (bytes[at]! & NEEDS_CSUM) !== 0;
  into.gsoType = bytes[at + 1]! & ~GSO_ECN;
  into.gsoSize = bytes[at + 4]! | (bytes[at + 5]! << 8);
  into.checksumStart = bytes[at + 6]! | (bytes[at + 7]! << 8);
  into.checksumOffset = bytes[at + 8]! | (bytes[at + 9]! << 8);
}

/** A packet that is as it has to be. */
export function writePlainVirtioHeader(out: Uint8Array, at: number): void {
  for (let i = 0; i < VIRTIO_BYTES; i++) out[at + i] = 0;
}

/** A packet whose checksum is to be completed. */
export function writeChecksumVirtioHeader(start: number, offset: number, out: Uint8Array, at: number): void {
  writePlainVirtioHeader(out, at);
  out[at] = NEEDS_CSUM;
  out[at + 6] = start;
  out[at + 8] = offset;
}

/** A super-packet of TCP, or with a `gsoSize` of 0 a packet. */
export function writeTcpVirtioHeader(
  needsChecksum: boolean,
  ipBytes: number,
  headerBytes: number,
  gsoSize: number,
  out: Uint8Array,
  at: number,
): void {
  out[at] = needsChecksum ? NEEDS_CSUM : 0;
  out[at + 1] = gsoSize === 0 ? GSO_NONE : GSO_TCPV4;
  out[at + 2] = headerBytes;
  out[at + 3] = headerBytes >>> 8;
  out[at + 4] = gsoSize;
  out[at + 5] = gsoSize >>> 8;
  out[at + 6] = needsChecksum ? ipBytes : 0;
  out[at + 7] = 0;
  out[at + 8] = needsChecksum ? TCP_CHECKSUM_AT : 0;
  out[at + 9] = 0;
}

const TCP_CHECKSUM_AT = 16;

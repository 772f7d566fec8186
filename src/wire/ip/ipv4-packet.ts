/**
 * Where things are in IPv4 [RFC 791 §3.1], TCP [RFC 9293 §3.1] and UDP [RFC 768] headers. Offsets of bytes from the
 * start of the header.
 */
import { readInt32, readUint16 } from "../big-endian.ts";

export const IPV4_BYTES_MIN = 20;
export const IP_LENGTH_AT = 2;
export const IP_ID_AT = 4;
export const IP_FRAGMENT_AT = 6;
export const IP_PROTOCOL_AT = 9;
export const IP_CHECKSUM_AT = 10;
export const IP_SOURCE_AT = 12;
export const IP_DESTINATION_AT = 16;
/** More fragments, or an offset. */
export const IP_FRAGMENT_MASK = 0x3fff;

export const PROTOCOL_TCP = 6;
export const PROTOCOL_UDP = 17;

export const TCP_BYTES_MIN = 20;
export const TCP_SEQUENCE_AT = 4;
export const TCP_OFFSET_AT = 12;
export const TCP_FLAGS_AT = 13;
export const TCP_CHECKSUM_AT = 16;
export const TCP_FIN = 0x01;
export const TCP_PSH = 0x08;
export const TCP_ACK = 0x10;
export const TCP_CWR = 0x80;

export const UDP_BYTES = 8;
export const UDP_LENGTH_AT = 4;
export const UDP_CHECKSUM_AT = 6;

/** Header and addresses of a packet; addresses as int32 in network order. */
export interface Ipv4Packet {
  headerBytes: number;
  /** With the header. */
  totalBytes: number;
  source: number;
  destination: number;
}

export function createIpv4Packet(): Ipv4Packet {
  return { headerBytes: 0, totalBytes: 0, source: 0, destination: 0 };
}

/** False: it is not IPv4, or longer than `length`. What is behind the packet is padding. The checksum is not looked at. */
export function decodeIpv4(bytes: Uint8Array, at: number, length: number, into: Ipv4Packet): boolean {
  if (length < IPV4_BYTES_MIN) return false;
  const first = bytes[at]!;
  into.headerBytes = (first & 0x0f) * 4;
  into.totalBytes = readUint16(bytes, at + IP_LENGTH_AT);
  into.source = readInt32(bytes, at + IP_SOURCE_AT);
  into.destination = readInt32(bytes, at + IP_DESTINATION_AT);
  if (first >>> 4 !== 4 || into.headerBytes < IPV4_BYTES_MIN) return false;
  return into.totalBytes >= into.headerBytes && into.totalBytes <= length;
}

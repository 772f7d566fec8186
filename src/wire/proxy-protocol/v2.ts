/**
 * PROXY protocol version 2 [PROXY §2.2]: a binary header in front of a TCP stream or a datagram, big-endian.
 *
 *      0                   12        13        14         16
 *     +--------------------+----+----+----+----+----------+------------------------------+----------+
 *     | signature          | 2  |cmd | af | tp | length n | addresses, then ports        | TLVs     |
 *     +--------------------+----+----+----+----+----------+------------------------------+----------+
 *       0D0A0D0A000D0A515549540A               n = bytes after it     src dst sport dport   type8 len16 value
 *
 * TLVs are framed but not read. A header ends at 16 + n, never more than PROXY_V2_MAX_BYTES.
 */
import { readUint16, writeUint16 } from "../big-endian.ts";
import { copyAsIpv6, copyIpv4, type Endpoint, type IpFamily } from "../ip/ip-address.ts";
import { MALFORMED, NEED_MORE, scanLiteral } from "../scan.ts";
import type { ProxyHeader } from "./header.ts";

/** Longest header accepted. The specification allows 65551; a bound on what is buffered before a client counts. */
export const PROXY_V2_MAX_BYTES = 4096;
/** Longest header written: fixed part, two IPv6 addresses, two ports. */
export const PROXY_V2_MAX_ENCODED_BYTES = 52;

export const PROXY_V2_SIGNATURE = Uint8Array.of(13, 10, 13, 10, 0, 13, 10, 0x51, 0x55, 0x49, 0x54, 10);
const FIXED_BYTES = 16;
const COMMAND_AT = 12;
const FAMILY_AT = 13;
const LENGTH_AT = 14;

const VERSION_2_LOCAL = 0x20;
const VERSION_2_PROXY = 0x21;

/** Address families and transports: the nibbles of byte 13. Larger values are unassigned. */
const AF_UNSPEC = 0;
const AF_INET = 1;
const AF_INET6 = 2;
const AF_UNIX = 3;
const TRANSPORT_UNSPEC = 0;
const TRANSPORT_STREAM = 1;
const TRANSPORT_DGRAM = 2;

const IPV4_BLOCK_BYTES = 12;
const IPV6_BLOCK_BYTES = 36;
const UNIX_BLOCK_BYTES = 216;
const TLV_HEADER_BYTES = 3;

/**
 * Writes the header of a proxied connection or datagram to `out` at `offset` and returns its length: 28 or 52 bytes,
 * for which there must be room. When the families differ both are written as IPv6, the IPv4 one mapped. [PROXY §2.2]
 */
export function encodeProxyV2(
  source: Endpoint,
  destination: Endpoint,
  transport: "tcp" | "udp",
  out: Uint8Array,
  offset: number,
): number {
  const isIpv4 = source.family === 4 && destination.family === 4;
  const width = isIpv4 ? 4 : 16;
  const familyByte =
    ((isIpv4 ? AF_INET : AF_INET6) << 4) | (transport === "tcp" ? TRANSPORT_STREAM : TRANSPORT_DGRAM);
  const blockBytes = isIpv4 ? IPV4_BLOCK_BYTES : IPV6_BLOCK_BYTES;
  writeFixed(VERSION_2_PROXY, familyByte, blockBytes, out, offset);
  const addressAt = offset + FIXED_BYTES;
  writeAddress(source, isIpv4, out, addressAt);
  writeAddress(destination, isIpv4, out, addressAt + width);
  writeUint16(source.port, out, addressAt + 2 * width);
  writeUint16(destination.port, out, addressAt + 2 * width + 2);
  return FIXED_BYTES + blockBytes;
}

/** Writes the 16 bytes that say "this connection is the proxy's own", as for health checks. [PROXY §2.2] */
export function encodeProxyV2Local(out: Uint8Array, offset: number): number {
  writeFixed(VERSION_2_LOCAL, (AF_UNSPEC << 4) | TRANSPORT_UNSPEC, 0, out, offset);
  return FIXED_BYTES;
}

/**
 * Reads a header from bytes[start…end). Returns the index after it, NEED_MORE or MALFORMED (as in scan.ts);
 * `header` is filled in, apart from status and length, and meaningful only in the first case. [PROXY §2.2]
 *
 * LOCAL: family byte and block are ignored, whatever they hold. PROXY: an unassigned family or transport is malformed;
 * UNSPEC in either nibble leaves the block unread; AF_UNIX is checked for length and TLVs and then treated as UNSPEC.
 */
export function decodeProxyV2(bytes: Uint8Array, start: number, end: number, header: ProxyHeader): number {
  const signatureEnd = scanLiteral(bytes, start, end, PROXY_V2_SIGNATURE);
  if (signatureEnd < 0) return signatureEnd;
  const availableBytes = end - start;

  if (availableBytes <= COMMAND_AT) return NEED_MORE;
  const command = bytes[start + COMMAND_AT]!;
  if (command !== VERSION_2_LOCAL && command !== VERSION_2_PROXY) return MALFORMED;

  if (availableBytes <= FAMILY_AT) return NEED_MORE;
  const familyByte = bytes[start + FAMILY_AT]!;
  const isProxied = command === VERSION_2_PROXY;
  if (isProxied && !isAssigned(familyByte)) return MALFORMED;

  const blockAt = start + FIXED_BYTES;
  const blockBytes = leastUint16(bytes, start + LENGTH_AT, end);
  if (FIXED_BYTES + blockBytes > PROXY_V2_MAX_BYTES) return MALFORMED;
  if (availableBytes < FIXED_BYTES) return NEED_MORE;
  const headerEnd = blockAt + blockBytes;
  const addressBytes = isProxied ? addressBlockBytes(familyByte) : 0;
  if (blockBytes < addressBytes) return MALFORMED;
  if (addressBytes > 0 && !areTlvsFramed(bytes, blockAt + addressBytes, headerEnd, end)) return MALFORMED;
  if (end < headerEnd) return NEED_MORE;

  header.command = isProxied ? "proxy" : "local";
  header.hasEndpoints = addressBytes === IPV4_BLOCK_BYTES || addressBytes === IPV6_BLOCK_BYTES;
  if (!header.hasEndpoints) {
    header.transport = "unspec";
    return headerEnd;
  }
  header.transport = (familyByte & 0xf) === TRANSPORT_STREAM ? "tcp" : "udp";
  const family = addressBytes === IPV4_BLOCK_BYTES ? 4 : 6;
  const width = family === 4 ? 4 : 16;
  const portsAt = blockAt + 2 * width;
  readEndpoint(family, bytes, blockAt, portsAt, header.source);
  readEndpoint(family, bytes, blockAt + width, portsAt + 2, header.destination);
  return headerEnd;
}

function isAssigned(familyByte: number): boolean {
  return familyByte >> 4 <= AF_UNIX && (familyByte & 0xf) <= TRANSPORT_DGRAM;
}

/** Bytes that addresses and ports take in front of the TLVs; 0 when the block is not to be read. */
function addressBlockBytes(familyByte: number): number {
  if ((familyByte & 0xf) === TRANSPORT_UNSPEC) return 0;
  switch (familyByte >> 4) {
    case AF_INET:
      return IPV4_BLOCK_BYTES;
    case AF_INET6:
      return IPV6_BLOCK_BYTES;
    case AF_UNIX:
      return UNIX_BLOCK_BYTES;
    default:
      return 0;
  }
}

/** Whether TLVs fill [at…headerEnd) exactly, as far as the bytes before `end` show. [PROXY §2.2 "struct pp2_tlv"] */
function areTlvsFramed(bytes: Uint8Array, at: number, headerEnd: number, end: number): boolean {
  while (at < headerEnd) {
    const tlvEnd = at + TLV_HEADER_BYTES + leastUint16(bytes, at + 1, end);
    if (at + TLV_HEADER_BYTES > end) return tlvEnd <= headerEnd;
    at = tlvEnd;
  }
  return at === headerEnd;
}

/** A big-endian uint16 of which any part may still be missing: the least it can be. */
function leastUint16(bytes: Uint8Array, at: number, end: number): number {
  return ((at < end ? bytes[at]! : 0) << 8) | (at + 1 < end ? bytes[at + 1]! : 0);
}

function readEndpoint(family: IpFamily, bytes: Uint8Array, at: number, portAt: number, into: Endpoint): void {
  into.family = family;
  if (family === 4) copyIpv4(bytes, at, into.bytes, into.offset);
  else copyAsIpv6(6, bytes, at, into.bytes, into.offset);
  into.port = readUint16(bytes, portAt);
}

function writeFixed(
  command: number,
  familyByte: number,
  blockBytes: number,
  out: Uint8Array,
  at: number,
): void {
  for (let i = 0; i < PROXY_V2_SIGNATURE.length; i++) out[at + i] = PROXY_V2_SIGNATURE[i]!;
  out[at + COMMAND_AT] = command;
  out[at + FAMILY_AT] = familyByte;
  writeUint16(blockBytes, out, at + LENGTH_AT);
}

function writeAddress(endpoint: Endpoint, isIpv4: boolean, out: Uint8Array, at: number): void {
  if (isIpv4) copyIpv4(endpoint.bytes, endpoint.offset, out, at);
  else copyAsIpv6(endpoint.family, endpoint.bytes, endpoint.offset, out, at);
}

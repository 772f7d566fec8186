/**
 * PROXY protocol version 1 [PROXY §2.1]: one line of ASCII of at most 107 bytes in front of a TCP stream.
 *
 *     PROXY TCP4 192.0.2.1 192.0.2.9 56324 443\r\n
 *     PROXY TCP6 2001:db8::1 2001:db8::9 56324 443\r\n
 *     PROXY UNKNOWN[ anything]\r\n                          the socket's own addresses count
 */
import type { Endpoint } from "../ip/ip-address.ts";
import { writeDecimal, writeIp } from "../ip/ip-format.ts";
import {
  ascii,
  decimalBetween,
  MALFORMED,
  NEED_MORE,
  scanDecimal,
  scanIpv4,
  scanIpv6,
  scanLiteral,
} from "../scan.ts";
import type { ProxyHeader } from "./header.ts";

/** Longest line with its CRLF [PROXY §2.1 "worst case"]. */
export const PROXY_V1_MAX_BYTES = 107;

const PROXY_SPACE = ascii("PROXY ");
const TCP4_SPACE = ascii("TCP4 ");
const TCP6_SPACE = ascii("TCP6 ");
const UNKNOWN = ascii("UNKNOWN");
const MAPPED_PREFIX = ascii("::ffff:");
const SPACE = ascii(" ");
const CRLF = ascii("\r\n");
const LETTER_U = 0x55;
const DIGIT_6 = 0x36;
const CR = 0x0d;
const LF = 0x0a;
const BLANK = 0x20;

/**
 * Writes the line for a TCP connection to `out` at `offset` and returns its length, at most 104 bytes, for which
 * there must be room. When the families differ both are written as IPv6, the IPv4 one mapped. [PROXY §2.1]
 */
export function encodeProxyV1(
  source: Endpoint,
  destination: Endpoint,
  out: Uint8Array,
  offset: number,
): number {
  const isIpv4 = source.family === 4 && destination.family === 4;
  let at = writeLiteral(PROXY_SPACE, out, offset);
  at = writeLiteral(isIpv4 ? TCP4_SPACE : TCP6_SPACE, out, at);
  at = writeAddress(source, isIpv4, out, at);
  at = writeLiteral(SPACE, out, at);
  at = writeAddress(destination, isIpv4, out, at);
  at = writeLiteral(SPACE, out, at);
  at = writeDecimal(source.port, out, at);
  at = writeLiteral(SPACE, out, at);
  at = writeDecimal(destination.port, out, at);
  return writeLiteral(CRLF, out, at) - offset;
}

/**
 * Reads a line from bytes[start…end). Returns the index after its LF, NEED_MORE or MALFORMED (as in scan.ts);
 * `header` is filled in, apart from status and length, and meaningful only in the first case. [PROXY §2.1]
 *
 * Single spaces, no leading zeros, no zones. Deviates: the specification's IPv6 addresses have hexadecimal groups
 * only; a dotted quad after "::" is accepted because senders that use inet_ntop write mapped addresses so.
 */
export function decodeProxyV1(bytes: Uint8Array, start: number, end: number, header: ProxyHeader): number {
  const familyAt = scanLiteral(bytes, start, end, PROXY_SPACE);
  if (familyAt === end) return NEED_MORE;
  if (familyAt >= 0 && bytes[familyAt] === LETTER_U)
    return decodeUnknown(bytes, start, familyAt, end, header);

  header.command = "proxy";
  header.transport = "tcp";
  header.hasEndpoints = true;
  const isIpv6 = familyAt >= 0 && familyAt + 3 < end && bytes[familyAt + 3] === DIGIT_6;
  let at = scanLiteral(bytes, familyAt, end, isIpv6 ? TCP6_SPACE : TCP4_SPACE);
  at = scanAddress(bytes, at, end, isIpv6, header.source);
  at = scanLiteral(bytes, at, end, SPACE);
  at = scanAddress(bytes, at, end, isIpv6, header.destination);
  at = scanLiteral(bytes, at, end, SPACE);
  at = scanPort(bytes, at, end, header.source);
  at = scanLiteral(bytes, at, end, SPACE);
  at = scanPort(bytes, at, end, header.destination);
  return scanLiteral(bytes, at, end, CRLF);
}

/** UNKNOWN and whatever follows before the CRLF; a CR or LF alone does not end the line. */
function decodeUnknown(
  bytes: Uint8Array,
  start: number,
  familyAt: number,
  end: number,
  header: ProxyHeader,
): number {
  header.command = "proxy";
  header.transport = "unspec";
  header.hasEndpoints = false;
  const restAt = scanLiteral(bytes, familyAt, end, UNKNOWN);
  if (restAt < 0) return restAt;
  const lastCrAt = start + PROXY_V1_MAX_BYTES - CRLF.length;
  for (let at = restAt; at < end; at++) {
    const byte = bytes[at]!;
    if (byte === CR) return scanLiteral(bytes, at, end, CRLF);
    if (byte === LF || at >= lastCrAt || (at === restAt && byte !== BLANK)) return MALFORMED;
  }
  return NEED_MORE;
}

function scanAddress(bytes: Uint8Array, at: number, end: number, isIpv6: boolean, into: Endpoint): number {
  into.family = isIpv6 ? 6 : 4;
  return isIpv6 ? scanIpv6(bytes, at, end, into.bytes) : scanIpv4(bytes, at, end, into.bytes, 0);
}

function scanPort(bytes: Uint8Array, at: number, end: number, into: Endpoint): number {
  const portEnd = scanDecimal(bytes, at, end, 65535);
  if (portEnd >= 0) into.port = decimalBetween(bytes, at, portEnd);
  return portEnd;
}

function writeAddress(endpoint: Endpoint, isIpv4: boolean, out: Uint8Array, at: number): number {
  if (!isIpv4 && endpoint.family === 4) at = writeLiteral(MAPPED_PREFIX, out, at);
  return writeIp(endpoint.family, endpoint.bytes, endpoint.offset, out, at);
}

function writeLiteral(literal: Uint8Array, out: Uint8Array, at: number): number {
  for (let i = 0; i < literal.length; i++) out[at + i] = literal[i]!;
  return at + literal.length;
}

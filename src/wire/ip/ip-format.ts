/**
 * IP addresses to text: dotted quad, and RFC 5952 for IPv6 (lower case, no leading zeros, the first longest run of
 * two or more zero groups becomes "::", v4-mapped addresses end in a dotted quad as in §5 and inet_ntop).
 * `writeIp` puts ASCII into a buffer without allocating; `formatIp` is the same as a string, for logs and status.
 */
import { type IpFamily, isMappedIpv4 } from "./ip-address.ts";

/** "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"; everything shorter fits. */
export const MAX_IP_TEXT_BYTES = 39;

const COLON = 0x3a;
const DOT = 0x2e;
const HEX_DIGITS = Uint8Array.from("0123456789abcdef", (digit) => digit.charCodeAt(0));
const MAPPED_START = Uint8Array.from("::ffff:", (character) => character.charCodeAt(0));

export function formatIp(family: IpFamily, bytes: Uint8Array, offset = 0): string {
  const text = new Uint8Array(MAX_IP_TEXT_BYTES);
  return String.fromCharCode(...text.subarray(0, writeIp(family, bytes, offset, text, 0)));
}

/** Writes at most MAX_IP_TEXT_BYTES to `out` at `at`; returns the index after the last one. */
export function writeIp(
  family: IpFamily,
  bytes: Uint8Array,
  offset: number,
  out: Uint8Array,
  at: number,
): number {
  if (family === 4) return writeIpv4(bytes, offset, out, at);
  if (!isMappedIpv4(bytes, offset)) return writeIpv6(bytes, offset, out, at);
  for (let i = 0; i < MAPPED_START.length; i++) out[at + i] = MAPPED_START[i]!;
  return writeIpv4(bytes, offset + 12, out, at + MAPPED_START.length);
}

/** Writes 0…65535 in decimal; returns the index after the last digit. */
export function writeDecimal(value: number, out: Uint8Array, at: number): number {
  let divisor = 1;
  while (value >= divisor * 10) divisor *= 10;
  for (; divisor >= 1; divisor = Math.floor(divisor / 10)) {
    out[at++] = HEX_DIGITS[Math.floor(value / divisor) % 10]!;
  }
  return at;
}

function writeIpv4(bytes: Uint8Array, offset: number, out: Uint8Array, at: number): number {
  for (let i = 0; i < 4; i++) {
    if (i > 0) out[at++] = DOT;
    at = writeDecimal(bytes[offset + i]!, out, at);
  }
  return at;
}

function writeIpv6(bytes: Uint8Array, offset: number, out: Uint8Array, at: number): number {
  const run = longestZeroRun(bytes, offset);
  const runStart = run >> 4;
  const runEnd = runStart + (run & 0xf);
  for (let group = 0; group < 8; group++) {
    if (group === runStart && runEnd > runStart) {
      out[at++] = COLON;
      if (runEnd === 8) out[at++] = COLON;
      group = runEnd - 1;
      continue;
    }
    if (group > 0) out[at++] = COLON;
    at = writeHexGroup(groupAt(bytes, offset, group), out, at);
  }
  return at;
}

/** First group in the high nibble, number of groups in the low one; 0 when no run has two (RFC 5952 §4.2). */
function longestZeroRun(bytes: Uint8Array, offset: number): number {
  let start = 0;
  let length = 0;
  let current = 0;
  for (let group = 0; group < 8; group++) {
    current = groupAt(bytes, offset, group) === 0 ? current + 1 : 0;
    if (current > length) {
      length = current;
      start = group - current + 1;
    }
  }
  return length >= 2 ? (start << 4) | length : 0;
}

function groupAt(bytes: Uint8Array, offset: number, group: number): number {
  return (bytes[offset + 2 * group]! << 8) | bytes[offset + 2 * group + 1]!;
}

function writeHexGroup(value: number, out: Uint8Array, at: number): number {
  let shift = value > 0xfff ? 12 : value > 0xff ? 8 : value > 0xf ? 4 : 0;
  for (; shift >= 0; shift -= 4) out[at++] = HEX_DIGITS[(value >> shift) & 0xf]!;
  return at;
}

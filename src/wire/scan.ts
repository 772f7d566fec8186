/**
 * Scanning ASCII that may not have arrived completely. Every function looks at bytes[at…end) and returns the index
 * after what it recognised, or NEED_MORE when the bytes so far could still become it, or MALFORMED when no
 * continuation can. A negative `at` is handed through, so scans chain without a check between them. No allocation.
 *
 * Numbers and addresses have no terminator of their own: they end at the first byte that cannot belong to them, so
 * one that touches `end` is NEED_MORE.
 */

export const NEED_MORE = -1;
export const MALFORMED = -2;

const DIGIT_0 = 0x30;
const DIGIT_9 = 0x39;
const DOT = 0x2e;
const COLON = 0x3a;

/** The bytes of an ASCII constant, for `scanLiteral`. */
export function ascii(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

export function scanLiteral(bytes: Uint8Array, at: number, end: number, literal: Uint8Array): number {
  if (at < 0) return at;
  for (let i = 0; i < literal.length; i++) {
    if (at + i === end) return NEED_MORE;
    if (bytes[at + i] !== literal[i]) return MALFORMED;
  }
  return at + literal.length;
}

/** A decimal 0…max without sign or leading zeros; `decimalBetween` gives its value. */
export function scanDecimal(bytes: Uint8Array, at: number, end: number, max: number): number {
  if (at < 0) return at;
  let value = 0;
  for (let i = at; i < end; i++) {
    const byte = bytes[i]!;
    if (byte < DIGIT_0 || byte > DIGIT_9) return i > at ? i : MALFORMED;
    if (i > at && value === 0) return MALFORMED;
    value = value * 10 + byte - DIGIT_0;
    if (value > max) return MALFORMED;
  }
  return NEED_MORE;
}

/** The value of the digits in bytes[from…to), which `scanDecimal` has accepted. */
export function decimalBetween(bytes: Uint8Array, from: number, to: number): number {
  let value = 0;
  for (let i = from; i < to; i++) value = value * 10 + bytes[i]! - DIGIT_0;
  return value;
}

/** A dotted quad; its 4 bytes go to `into` at `intoOffset`, also when the scan fails half-way. */
export function scanIpv4(
  bytes: Uint8Array,
  at: number,
  end: number,
  into: Uint8Array,
  intoOffset: number,
): number {
  for (let octet = 0; octet < 4; octet++) {
    if (octet > 0) at = scanDot(bytes, at, end);
    const octetEnd = scanDecimal(bytes, at, end, 255);
    if (octetEnd < 0) return octetEnd;
    into[intoOffset + octet] = decimalBetween(bytes, at, octetEnd);
    at = octetEnd;
  }
  return at;
}

/**
 * An IPv6 address (RFC 4291 §2.2), either case; its 16 bytes go to `into` at 0, also when the scan fails half-way.
 *
 * A dotted quad at the end is accepted only in an address with "::" (as inet_ntop writes mapped addresses): that
 * keeps the longest text at 41 bytes, and a PROXY v1 line within its 107.
 */
export function scanIpv6(bytes: Uint8Array, at: number, end: number, into: Uint8Array): number {
  if (at < 0) return at;
  let groups = 0;
  /** How many groups stand before "::", −1 without one; it stands for at least one group. */
  let compressedAt = -1;
  if (at < end && bytes[at] === COLON) {
    if (at + 1 === end) return NEED_MORE;
    if (bytes[at + 1] !== COLON) return MALFORMED;
    compressedAt = 0;
    at += 2;
  }
  for (;;) {
    const groupEnd = scanHexDigits(bytes, at, end);
    if (groupEnd === MALFORMED) return MALFORMED;
    if (groupEnd > at && isFull(groups, compressedAt)) return MALFORMED;
    if (groupEnd === end) return NEED_MORE;
    if (bytes[groupEnd] === DOT) {
      if (compressedAt < 0 || groups > 5) return MALFORMED;
      at = scanIpv4(bytes, at, end, into, groups * 2);
      groups += 2;
      break;
    }
    if (groupEnd === at) {
      if (compressedAt !== groups) return MALFORMED;
      break;
    }
    writeGroup(bytes, at, groupEnd, into, groups++);
    at = groupEnd;
    if (bytes[at] !== COLON) break;
    if (isFull(groups, compressedAt)) return MALFORMED;
    if (at + 1 === end) return NEED_MORE;
    at++;
    if (bytes[at] === COLON) {
      if (compressedAt >= 0) return MALFORMED;
      compressedAt = groups;
      at++;
    }
  }
  if (at < 0) return at;
  if (compressedAt < 0) return groups === 8 ? at : MALFORMED;
  const tailStart = 16 - (groups - compressedAt) * 2;
  into.copyWithin(tailStart, compressedAt * 2, groups * 2);
  into.fill(0, compressedAt * 2, tailStart);
  return at;
}

function scanDot(bytes: Uint8Array, at: number, end: number): number {
  if (at === end) return NEED_MORE;
  return bytes[at] === DOT ? at + 1 : MALFORMED;
}

function isFull(groups: number, compressedAt: number): boolean {
  return groups + (compressedAt >= 0 ? 1 : 0) >= 8;
}

/** Index after at most four hex digits, `at` when there is none; MALFORMED at a fifth. */
function scanHexDigits(bytes: Uint8Array, at: number, end: number): number {
  let i = at;
  while (i < end && hexValue(bytes[i]!) >= 0) {
    if (i - at === 4) return MALFORMED;
    i++;
  }
  return i;
}

function writeGroup(bytes: Uint8Array, from: number, to: number, into: Uint8Array, group: number): void {
  let value = 0;
  for (let i = from; i < to; i++) value = (value << 4) | hexValue(bytes[i]!);
  into[group * 2] = value >> 8;
  into[group * 2 + 1] = value & 0xff;
}

/** 0…15, or −1 for any other byte. */
function hexValue(byte: number): number {
  if (byte >= DIGIT_0 && byte <= DIGIT_9) return byte - DIGIT_0;
  const lower = byte | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x61 + 10 : -1;
}

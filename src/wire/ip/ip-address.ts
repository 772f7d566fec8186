/**
 * IP addresses as the data path holds them: a family and its bytes in network order somewhere in a buffer
 * (4 bytes for IPv4, 16 for IPv6). Nothing here allocates except parsing text.
 *
 * Invariant of the whole program: an IPv4-mapped IPv6 address (::ffff:a.b.c.d, RFC 4291 §2.5.5.2) *is* the IPv4
 * address. Prefixes and hashes treat both the same; only formats that carry a family keep them apart.
 */
import ipaddr from "ipaddr.js";

export type IpFamily = 4 | 6;

export interface IpAddress {
  readonly family: IpFamily;
  /** 4 or 16 bytes, network order. */
  readonly bytes: Uint8Array;
}

/** One side of a connection. The bytes may lie inside a larger buffer that another owner keeps. */
export interface Endpoint {
  family: IpFamily;
  bytes: Uint8Array;
  /** Where the 4 or 16 address bytes start in `bytes`. */
  offset: number;
  /** 0…65535, host order. */
  port: number;
}

/** A new endpoint with room for either family: 0.0.0.0 port 0. */
export function createEndpoint(): Endpoint {
  return { family: 4, bytes: new Uint8Array(16), offset: 0, port: 0 };
}

/** Strict: dotted quad without leading zeros, or IPv6 without zone or brackets. null for anything else. */
export function parseIp(text: string): IpAddress | null {
  return text.includes(":") ? parseIpv6(text) : parseIpv4(text);
}

function parseIpv4(text: string): IpAddress | null {
  if (!ipaddr.IPv4.isValidFourPartDecimal(text)) return null;
  return { family: 4, bytes: Uint8Array.from(ipaddr.IPv4.parse(text).toByteArray()) };
}

function parseIpv6(text: string): IpAddress | null {
  const hexadecimal = text.includes(".") ? withoutDottedQuad(text) : text;
  if (/[.%]/.test(hexadecimal)) return null;
  try {
    return { family: 6, bytes: Uint8Array.from(ipaddr.IPv6.parse(hexadecimal).toByteArray()) };
  } catch {
    return null; // isValid would parse it once more
  }
}

/** Whether the 16 bytes at `offset` are ::ffff:a.b.c.d; the IPv4 address is then at `offset + 12`. */
export function isMappedIpv4(bytes: Uint8Array, offset: number): boolean {
  for (let i = 0; i < 10; i++) {
    if (bytes[offset + i] !== 0) return false;
  }
  return bytes[offset + 10] === 0xff && bytes[offset + 11] === 0xff;
}

/** Copies 4 bytes; the caller has checked that the source is IPv4. */
export function copyIpv4(from: Uint8Array, fromOffset: number, to: Uint8Array, toOffset: number): void {
  for (let i = 0; i < 4; i++) to[toOffset + i] = from[fromOffset + i]!;
}

/** Writes 16 bytes to `to`; IPv4 becomes v4-mapped. */
export function copyAsIpv6(
  family: IpFamily,
  from: Uint8Array,
  fromOffset: number,
  to: Uint8Array,
  toOffset: number,
): void {
  if (family === 6) {
    for (let i = 0; i < 16; i++) to[toOffset + i] = from[fromOffset + i]!;
    return;
  }
  to.fill(0, toOffset, toOffset + 10);
  to.fill(0xff, toOffset + 10, toOffset + 12);
  copyIpv4(from, fromOffset, to, toOffset + 12);
}

/** "::1.2.3.4" → "::102:304". ipaddr.js would take it for ::ffff:1.2.3.4, which is another address. */
function withoutDottedQuad(text: string): string {
  const quadAt = text.lastIndexOf(":") + 1;
  const quad = text.slice(quadAt);
  if (!ipaddr.IPv4.isValidFourPartDecimal(quad)) return text;
  const [a, b, c, d] = ipaddr.IPv4.parse(quad).octets as [number, number, number, number];
  return `${text.slice(0, quadAt)}${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`;
}

/** A bind address that stands for every address of its family. */
export function isWildcard(address: string): boolean {
  return address === "0.0.0.0" || address === "::";
}

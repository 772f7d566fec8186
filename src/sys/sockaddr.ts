/**
 * struct sockaddr_in and sockaddr_in6 in an arena. The layouts are the same on every Linux.
 *
 *   sockaddr_in   family u16 (host order) · port u16 · address 4                                  16 bytes
 *   sockaddr_in6  family u16 (host order) · port u16 · flowinfo u32 · address 16 · scope u32      28 bytes
 */
import { isIP } from "node:net";

export const AF_INET = 2;
export const AF_INET6 = 10;
export const SOCKADDR_MAX = 28;
/** Where the address bytes start inside the struct. */
export const SOCKADDR_IN_ADDRESS = 4;
export const SOCKADDR_IN6_ADDRESS = 8;

/** Writes address (4 or 16 bytes, network order) and port; returns the struct's length. */
export function writeSockaddr(bytes: Uint8Array, offset: number, address: Uint8Array, port: number): number {
  const isV4 = address.length === 4;
  const length = isV4 ? 16 : SOCKADDR_MAX;
  bytes.fill(0, offset, offset + length);
  bytes[offset] = isV4 ? AF_INET : AF_INET6;
  bytes[offset + 2] = port >> 8;
  bytes[offset + 3] = port & 0xff;
  bytes.set(address, offset + (isV4 ? SOCKADDR_IN_ADDRESS : SOCKADDR_IN6_ADDRESS));
  return length;
}

/** Writes any address of the family with this port; returns the struct's length. */
export function writeAnyAddress(bytes: Uint8Array, offset: number, family: number, port: number): number {
  const length = family === AF_INET ? 16 : SOCKADDR_MAX;
  bytes.fill(0, offset, offset + length);
  bytes[offset] = family;
  bytes[offset + 2] = port >> 8;
  bytes[offset + 3] = port & 0xff;
  return length;
}

export function setSockaddrPort(bytes: Uint8Array, offset: number, port: number): void {
  bytes[offset + 2] = port >> 8;
  bytes[offset + 3] = port & 0xff;
}

export function sockaddrPort(bytes: Uint8Array, offset: number): number {
  return (bytes[offset + 2]! << 8) | bytes[offset + 3]!;
}

/** AF_INET or AF_INET6 for a literal address; 0 for anything else. */
export function addressFamily(text: string): number {
  const version = isIP(text);
  return version === 4 ? AF_INET : version === 6 ? AF_INET6 : 0;
}

/** An IPv4 address as one number, for comparing: what it reads as in big-endian order, signed. */
import { parseIp } from "../../wire/index.ts";

export function ipv4Word(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!;
}

export function wordOf(address: string): number {
  return ipv4Word(parseIp(address)!.bytes, 0);
}

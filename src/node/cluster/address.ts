/** Addresses of members: raw bytes in the protocol, text for sockets and people. */
import type { Address } from "../../membership/index.ts";
import { formatHostPort, formatIp, isMappedIpv4, parseIp } from "../../wire/index.ts";

/** null when `host` is not a literal address. */
export function addressOf(host: string, port: number): Address | null {
  const ip = parseIp(host);
  return ip === null ? null : { ip: ip.bytes, port };
}

/** An IPv4 address in either form is IPv4. */
export function hostOf(address: Address): string {
  const ip = ipOf(address);
  return formatIp(ip.length === 16 ? 6 : 4, ip);
}

/** "192.0.2.1:7946", "[2001:db8::1]:7946" */
export function addressText(address: Address): string {
  return formatHostPort(hostOf(address), address.port);
}

/** 4 or 16 bytes. */
export function ipOf({ ip }: Address): Uint8Array {
  return ip.length === 16 && isMappedIpv4(ip, 0) ? ip.subarray(12) : ip;
}

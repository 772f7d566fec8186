/** Addresses of members: raw bytes in the protocol, text for sockets and people. */
import type { Address } from "../../membership/index.ts";
import { formatIp, isMappedIpv4, parseIp } from "../../wire/index.ts";

/** null when `host` is no literal address. */
export function addressOf(host: string, port: number): Address | null {
  const ip = parseIp(host);
  return ip === null ? null : { ip: ip.bytes, port };
}

/** An IPv4 address in either form is IPv4. */
export function hostOf({ ip }: Address): string {
  return ip.length === 16 && !isMappedIpv4(ip, 0) ? formatIp(6, ip) : formatIp(4, ip, ip.length - 4);
}

/** struct sockaddr <-> the endpoints of `wire`. */
import { AF_INET6, SOCKADDR_IN_ADDRESS, SOCKADDR_IN6_ADDRESS, sockaddrPort } from "../sys/sockaddr.ts";
import { type Endpoint, formatIp } from "../wire/index.ts";

/** A copy of the sockaddr at `offset`. */
export function readEndpoint(bytes: Uint8Array, offset: number): Endpoint {
  const isV6 = bytes[offset] === AF_INET6;
  const start = offset + (isV6 ? SOCKADDR_IN6_ADDRESS : SOCKADDR_IN_ADDRESS);
  return {
    family: isV6 ? 6 : 4,
    bytes: bytes.slice(start, start + (isV6 ? 16 : 4)),
    offset: 0,
    port: sockaddrPort(bytes, offset),
  };
}

/** "192.0.2.1:80", "[2001:db8::1]:80" */
export function formatEndpoint(endpoint: Endpoint): string {
  return formatAddress(formatIp(endpoint.family, endpoint.bytes, endpoint.offset), endpoint.port);
}

export function formatAddress(address: string, port: number): string {
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}

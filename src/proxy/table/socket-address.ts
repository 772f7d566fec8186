/** struct sockaddr <-> the endpoints of `wire`. */
import { AF_INET6, SOCKADDR_IN_ADDRESS, SOCKADDR_IN6_ADDRESS, sockaddrPort } from "../../sys/sockaddr.ts";
import { type Endpoint, isMappedIpv4 } from "../../wire/index.ts";

/** ::ffff: in front of an IPv4-mapped address */
const MAPPED_PREFIX_BYTES = 12;

/** A copy of the sockaddr at `offset`; of a socket for both families an IPv4 address comes as one. */
export function readEndpoint(bytes: Uint8Array, offset: number): Endpoint {
  const isSixteen = bytes[offset] === AF_INET6;
  const at = offset + (isSixteen ? SOCKADDR_IN6_ADDRESS : SOCKADDR_IN_ADDRESS);
  const isV6 = isSixteen && !isMappedIpv4(bytes, at);
  const start = isSixteen && !isV6 ? at + MAPPED_PREFIX_BYTES : at;
  return {
    family: isV6 ? 6 : 4,
    bytes: bytes.slice(start, start + (isV6 ? 16 : 4)),
    offset: 0,
    port: sockaddrPort(bytes, offset),
  };
}

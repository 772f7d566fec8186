/**
 * Control data of a datagram: its local address, that is which one it was sent to and which one an answer comes from
 * [ip(7) IP_PKTINFO, ipv6(7) IPV6_PKTINFO, RFC 3542 §6]; and the size of the datagrams that a long one is to be cut
 * into [udp(7) UDP_SEGMENT], or has been put together from [UDP_GRO].
 *
 *   cmsghdr          see control-message.ts                                                  16 bytes
 *   in_pktinfo       interface i32 · local address 4 · destination in the IP header 4        12 bytes
 *   in6_pktinfo      address 16 · interface u32                                              20 bytes
 *   segment size     u16 to send, i32 received                                            2, 4 bytes
 */
import type { Arena } from "./arena.ts";
import { CONTROL_HEADER_BYTES, findControl, writeControlHeader } from "./control-message.ts";
import { AF_INET6 } from "./sockaddr.ts";

/** Room for what one datagram has: a local address (32 or 40 bytes) and a segment size (24). The kernel cuts the rest. */
export const CONTROL_MAX = 64;

/** int32 words of a local address: the IPv4 address; or the IPv6 address and the interface of a link-local one. */
export const LOCAL_WORDS_IPV4 = 1;
export const LOCAL_WORDS_IPV6 = 5;

const IPPROTO_IP = 0;
const IP_PKTINFO = 8;
const IPPROTO_IPV6 = 41;
const IPV6_PKTINFO = 50;
const SOL_UDP = 17;
const UDP_SEGMENT = 103;
const UDP_GRO = 104;
const IN_PKTINFO_BYTES = 12;
const IN6_PKTINFO_BYTES = 20;

/** Copies the local address in the control data to `words`; all zeros when there is none. */
export function readPacketInfo(
  arena: Arena,
  controlAt: number,
  controlLength: number,
  family: number,
  words: Int32Array,
  at: number,
): void {
  const isIpv6 = family === AF_INET6;
  const found = isIpv6
    ? findControl(arena, controlAt, controlLength, IPPROTO_IPV6, IPV6_PKTINFO)
    : findControl(arena, controlAt, controlLength, IPPROTO_IP, IP_PKTINFO);
  const from = found / 4;
  if (!isIpv6) {
    words[at] = found < 0 ? 0 : arena.int32[from + 1]!;
    return;
  }
  for (let i = 0; i < 4; i++) words[at + i] = found < 0 ? 0 : arena.int32[from + i]!;
  words[at + 4] = found >= 0 && isLinkLocal(arena.bytes, found) ? arena.int32[from + 4]! : 0;
}

/** Writes control data that makes a datagram leave from the local address in `words`; returns its length. */
export function writePacketInfo(
  arena: Arena,
  controlAt: number,
  family: number,
  words: Int32Array,
  at: number,
): number {
  const to = controlAt / 4;
  const { int32 } = arena;
  const isIpv6 = family === AF_INET6;
  if (isIpv6) {
    writeControlHeader(arena, controlAt, IPPROTO_IPV6, IPV6_PKTINFO, IN6_PKTINFO_BYTES);
    for (let i = 0; i < LOCAL_WORDS_IPV6; i++) int32[to + 4 + i] = words[at + i]!;
    return CONTROL_HEADER_BYTES + IN6_PKTINFO_BYTES + 4;
  }
  writeControlHeader(arena, controlAt, IPPROTO_IP, IP_PKTINFO, IN_PKTINFO_BYTES);
  int32[to + 4] = 0;
  int32[to + 5] = words[at]!;
  int32[to + 6] = 0;
  return CONTROL_HEADER_BYTES + IN_PKTINFO_BYTES + 4;
}

/** Writes control data that has a datagram cut into ones of `bytes`, the last of which may be shorter; returns its length. */
export function writeSegmentSize(arena: Arena, controlAt: number, bytes: number): number {
  writeControlHeader(arena, controlAt, SOL_UDP, UDP_SEGMENT, 2);
  arena.int32[(controlAt + CONTROL_HEADER_BYTES) / 4] = bytes;
  return CONTROL_HEADER_BYTES + 8;
}

/** Of datagrams that arrived as one: bytes of each but a shorter last one; 0: it is a single one. [udp(7) UDP_GRO] */
export function readSegmentSize(arena: Arena, controlAt: number, controlLength: number): number {
  const found = findControl(arena, controlAt, controlLength, SOL_UDP, UDP_GRO);
  return found < 0 ? 0 : arena.int32[found / 4]!;
}

/** fe80::/10 */
function isLinkLocal(bytes: Uint8Array, at: number): boolean {
  return bytes[at] === 0xfe && (bytes[at + 1]! & 0xc0) === 0x80;
}

/**
 * Reading a PROXY protocol header of either version at the start of a stream or datagram. [PROXY §2]
 *
 * The first byte distinguishes the versions (CR or "P"). The decoder keeps no state: while a header is `incomplete`,
 * call it again with all bytes received so far. It does not guess whether a header is due: the caller has
 * decided that from the sender's address, as §2 demands.
 */

import { NEED_MORE } from "../scan.ts";
import type { ProxyHeader } from "./header.ts";
import { decodeProxyV1 } from "./v1.ts";
import { decodeProxyV2, PROXY_V2_SIGNATURE } from "./v2.ts";

/**
 * Reads bytes[offset…offset + length) into `header` and returns it. Reads nothing outside, never throws, keeps no
 * reference to `bytes`. At most 4096 bytes can be `incomplete`.
 */
export function decodeProxyHeader(
  bytes: Uint8Array,
  offset: number,
  length: number,
  header: ProxyHeader,
): ProxyHeader {
  const headerEnd = scanHeader(bytes, offset, offset + length, header);
  if (headerEnd >= 0) {
    header.status = "complete";
    header.headerLength = headerEnd - offset;
  } else {
    header.status = headerEnd === NEED_MORE ? "incomplete" : "malformed";
    header.headerLength = 0;
  }
  return header;
}

function scanHeader(bytes: Uint8Array, start: number, end: number, header: ProxyHeader): number {
  if (start === end) return NEED_MORE;
  if (bytes[start] === PROXY_V2_SIGNATURE[0]) return decodeProxyV2(bytes, start, end, header);
  return decodeProxyV1(bytes, start, end, header);
}

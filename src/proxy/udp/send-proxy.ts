/**
 * The PROXY header that goes before every datagram to a task and tells it who its client is. [PROXY §2.2]
 * As unbound (proxy-protocol-port), dnsdist and knot expect it: in each datagram, not only in the first.
 */
import { createEndpoint, encodeProxyV2, PROXY_V2_MAX_ENCODED_BYTES } from "../../wire/index.ts";
import type { UdpSession } from "./session.ts";
import type { SessionSet } from "./session-set.ts";

/** The client is who an inbound header named, else who sent the datagram. */
export function writeProxyHeader({ layout, local }: SessionSet, { key }: UdpSession): Uint8Array {
  const source = createEndpoint();
  let destination = createEndpoint();
  if (!layout.readNamed(key, source, destination)) {
    layout.readPeer(key, source);
    if (!layout.isWildcard) destination = local;
    else layout.readLocal(key, destination);
    destination.port = local.port;
  }
  const header = new Uint8Array(PROXY_V2_MAX_ENCODED_BYTES);
  return header.subarray(0, encodeProxyV2(source, destination, "udp", header, 0));
}

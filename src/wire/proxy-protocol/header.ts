/**
 * What a PROXY protocol header says, in either version. Decoders write into one that the caller keeps, so that
 * reading a header allocates nothing. [PROXY] is haproxy's doc/proxy-protocol.txt.
 */
import { createEndpoint, type Endpoint } from "../ip/ip-address.ts";

/** `udp` is SOCK_DGRAM, `unspec` is v1 UNKNOWN or v2 UNSPEC and whatever is treated like it. */
export type ProxyTransport = "tcp" | "udp" | "unspec";

export class ProxyHeader {
  /** `malformed` is final: no further byte can make a header of it. The rest is meaningful only when `complete`. */
  status: "complete" | "incomplete" | "malformed" = "incomplete";
  /** Bytes to skip before the client's own. */
  headerLength = 0;
  /** `local`: the proxy speaks for itself, as in a health check. */
  command: "local" | "proxy" = "local";
  transport: ProxyTransport = "unspec";
  /** false: the header names no endpoints; the socket's own count. */
  hasEndpoints = false;
  /** Of the same family. */
  readonly source: Endpoint = createEndpoint();
  readonly destination: Endpoint = createEndpoint();
}

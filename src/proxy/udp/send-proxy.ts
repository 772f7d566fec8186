/**
 * The PROXY header that goes before every datagram to a task and tells it who its client is. [PROXY §2.2]
 * As unbound (proxy-protocol-port), dnsdist and knot expect it: in each datagram, not only in the first.
 */
import {
  createEndpoint,
  type Endpoint,
  encodeProxyV2,
  encodeRelaySession,
  PROXY_V2_MAX_ENCODED_BYTES,
} from "../../wire/index.ts";
import type { Target } from "../table/target.ts";
import type { UdpSession } from "./session.ts";
import type { SessionSet } from "./session-set.ts";

interface Endpoints {
  readonly source: Endpoint;
  readonly destination: Endpoint;
}

/** The client is who an inbound header named, else who sent the datagram. */
function endpointsOf({ layout, local }: SessionSet, key: Int32Array): Endpoints {
  const source = createEndpoint();
  let destination = createEndpoint();
  if (layout.readNamed(key, source, destination)) return { source, destination };
  layout.readPeer(key, source);
  if (!layout.isWildcard) destination = local;
  else layout.readLocal(key, destination);
  destination.port = local.port;
  return { source, destination };
}

export function writeProxyHeader(set: SessionSet, { key }: UdpSession): Uint8Array {
  const { source, destination } = endpointsOf(set, key);
  const header = new Uint8Array(PROXY_V2_MAX_ENCODED_BYTES);
  return header.subarray(0, encodeProxyV2(source, destination, "udp", header, 0));
}

/** What another node is told of a session for one of its tasks; null when a name is too long to be told. */
export function writeRelayHeader(set: SessionSet, key: Int32Array, target: Target): Uint8Array | null {
  return encodeRelaySession({
    ...endpointsOf(set, key),
    service: set.route.rules.name,
    task: target.taskName,
    targetPort: target.port,
  });
}

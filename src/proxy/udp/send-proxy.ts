/**
 * The PROXY header before every datagram to a task, with the client's address. [PROXY §2.2]
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
import type { KeyLayout } from "./client-key.ts";

/** Where clients send to: the layout of their keys, and the listener's own address. */
interface Listener {
  readonly layout: KeyLayout;
  readonly local: Endpoint;
}

interface Endpoints {
  readonly source: Endpoint;
  readonly destination: Endpoint;
}

/** The client is the source of the inbound header if there is one, else the sender of the datagram. */
function endpointsOf({ layout, local }: Listener, key: Int32Array): Endpoints {
  const source = createEndpoint();
  let destination = createEndpoint();
  if (layout.readNamed(key, source, destination)) return { source, destination };
  layout.readPeer(key, source);
  if (!layout.isWildcard) destination = local;
  else layout.readLocal(key, destination);
  destination.port = local.port;
  return { source, destination };
}

export function writeProxyHeader(listener: Listener, key: Int32Array): Uint8Array {
  const { source, destination } = endpointsOf(listener, key);
  const header = new Uint8Array(PROXY_V2_MAX_ENCODED_BYTES);
  return header.subarray(0, encodeProxyV2(source, destination, "udp", header, 0));
}

/** A session described to the node that runs its task; null: a name is too long. */
export function writeRelayHeader(
  listener: Listener,
  key: Int32Array,
  service: string,
  target: Pick<Target, "taskName" | "port">,
): Uint8Array | null {
  return encodeRelaySession({
    ...endpointsOf(listener, key),
    service,
    task: target.taskName,
    targetPort: target.port,
  });
}

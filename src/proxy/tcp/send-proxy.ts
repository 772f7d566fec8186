/** Writes the PROXY header with the client's address for a task. [PROXY §2.1, §2.2] */
import { type Endpoint, encodeProxyV1, encodeProxyV2 } from "../../wire/index.ts";
import type { TcpContext } from "./tcp-context.ts";

/** Into the context's header memory; returns its length. */
export function writeProxyHeader(
  { memory, headerAt }: TcpContext,
  version: "v1" | "v2",
  client: Endpoint,
  published: Endpoint,
): number {
  return version === "v1"
    ? encodeProxyV1(client, published, memory.bytes, headerAt)
    : encodeProxyV2(client, published, "tcp", memory.bytes, headerAt);
}

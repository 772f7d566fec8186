/**
 * Reads an inbound PROXY header. It peeks until the header is complete and then takes exactly its bytes, so the bytes
 * behind it stay in the socket for the flow. [PROXY §2]
 */
import { EAGAIN } from "../../sys/errno.ts";
import { MSG_PEEK } from "../../sys/socket.ts";
import { decodeProxyHeader, type Endpoint, PROXY_V2_MAX_BYTES } from "../../wire/index.ts";
import type { TcpContext } from "./tcp-context.ts";

export type HeaderOutcome = "complete" | "incomplete" | "malformed" | "ended";

/** On "complete" the header is in the context. */
export function readProxyHeader(context: TcpContext, fd: number): HeaderOutcome {
  const { memory, headerAt, proxyHeader, sockets } = context;
  const peeked = sockets.recv(fd, memory.address(headerAt), PROXY_V2_MAX_BYTES, MSG_PEEK);
  if (peeked === -EAGAIN) return "incomplete";
  if (peeked <= 0) return "ended";
  decodeProxyHeader(memory.bytes, headerAt, peeked, proxyHeader);
  if (proxyHeader.status !== "complete") return proxyHeader.status;
  sockets.recv(fd, memory.address(headerAt), proxyHeader.headerLength, 0);
  return "complete";
}

/** With memory of its own. */
export function copyEndpoint({ family, bytes, offset, port }: Endpoint): Endpoint {
  return { family, port, offset: 0, bytes: bytes.slice(offset, offset + (family === 4 ? 4 : 16)) };
}

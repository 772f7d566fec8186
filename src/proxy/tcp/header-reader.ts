/**
 * Reads an inbound PROXY header. It peeks until the header is complete and then takes exactly its bytes, so the bytes
 * behind it stay in the socket for the flow. [PROXY §2]
 */
import { EAGAIN } from "../../sys/errno.ts";
import { MSG_PEEK } from "../../sys/socket.ts";
import { decodeProxyHeader, type Endpoint, PROXY_V2_MAX_BYTES } from "../../wire/index.ts";
import type { Client } from "./client.ts";

export type HeaderOutcome = "complete" | "incomplete" | "malformed" | "ended";

/** On "complete" the client has the addresses that the header names, if it names any. */
export function readProxyHeader(client: Client): HeaderOutcome {
  const { memory, headerAt, proxyHeader, sockets } = client.context;
  const peeked = sockets.recv(client.fd, memory.address(headerAt), PROXY_V2_MAX_BYTES, MSG_PEEK);
  if (peeked === -EAGAIN) return "incomplete";
  if (peeked <= 0) return "ended";
  decodeProxyHeader(memory.bytes, headerAt, peeked, proxyHeader);
  if (proxyHeader.status !== "complete") return proxyHeader.status;
  sockets.recv(client.fd, memory.address(headerAt), proxyHeader.headerLength, 0);
  if (proxyHeader.command === "proxy" && proxyHeader.transport === "tcp" && proxyHeader.hasEndpoints) {
    client.endpoint = copyEndpoint(proxyHeader.source);
    client.namedLocal = copyEndpoint(proxyHeader.destination);
  }
  return "complete";
}

/** With memory of its own. */
export function copyEndpoint({ family, bytes, offset, port }: Endpoint): Endpoint {
  return { family, port, offset: 0, bytes: bytes.slice(offset, offset + (family === 4 ? 4 : 16)) };
}

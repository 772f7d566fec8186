/**
 * Reads an inbound PROXY header. It peeks until the header is whole and then takes exactly its bytes, so what follows
 * stays in the socket for the flow. [PROXY §2]
 */
import { EAGAIN } from "../../sys/errno.ts";
import { MSG_PEEK, recv } from "../../sys/socket.ts";
import { decodeProxyHeader, type Endpoint, PROXY_V2_MAX_BYTES, ProxyHeader } from "../../wire/index.ts";
import type { TcpContext } from "./tcp-context.ts";

export type HeaderOutcome = "complete" | "incomplete" | "malformed" | "ended";

/** Reused: it is read out before the next header is decoded. */
const header = new ProxyHeader();

/** On "complete", `client` and `local` hold the addresses that the header names, if it names any. */
export function readProxyHeader(
  context: TcpContext,
  fd: number,
  client: Endpoint,
  local: { endpoint: Endpoint | null },
): HeaderOutcome {
  const { memory, headerAt } = context;
  const peeked = recv(fd, memory.address(headerAt), PROXY_V2_MAX_BYTES, MSG_PEEK);
  if (peeked === -EAGAIN) return "incomplete";
  if (peeked <= 0) return "ended";
  decodeProxyHeader(memory.bytes, headerAt, peeked, header);
  if (header.status !== "complete") return header.status;
  recv(fd, memory.address(headerAt), header.headerLength, 0);
  if (header.command === "proxy" && header.transport === "tcp" && header.hasEndpoints) {
    Object.assign(client, copyEndpoint(header.source));
    local.endpoint = copyEndpoint(header.destination);
  }
  return "complete";
}

/** With memory of its own. */
export function copyEndpoint({ family, bytes, offset, port }: Endpoint): Endpoint {
  return { family, port, offset: 0, bytes: bytes.slice(offset, offset + (family === 4 ? 4 : 16)) };
}

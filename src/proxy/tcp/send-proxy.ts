/** Writes the PROXY header that tells a task who its client is. [PROXY §2.1, §2.2] */
import { localAddress } from "../../sys/socket.ts";
import { type Endpoint, encodeProxyV1, encodeProxyV2 } from "../../wire/index.ts";
import { readEndpoint } from "../table/socket-address.ts";
import type { TcpConnection } from "./connection.ts";
import type { TcpContext } from "./tcp-context.ts";

/** Into the context's header memory; returns its length. */
export function writeProxyHeader(context: TcpContext, connection: TcpConnection): number {
  const { memory, headerAt } = context;
  const destination = publishedAddress(context, connection);
  return connection.route.rules.sendProxy === "v1"
    ? encodeProxyV1(connection.client, destination, memory.bytes, headerAt)
    : encodeProxyV2(connection.client, destination, "tcp", memory.bytes, headerAt);
}

/** That the client connected to, or that the header before its bytes names. */
export function publishedAddress(context: TcpContext, connection: TcpConnection): Endpoint {
  return connection.namedLocal ?? readLocal(context, connection.clientFd);
}

function readLocal(context: TcpContext, fd: number): Endpoint {
  const { memory, sockaddrAt } = context;
  localAddress(fd, memory.address(sockaddrAt));
  return readEndpoint(memory.bytes, sockaddrAt);
}

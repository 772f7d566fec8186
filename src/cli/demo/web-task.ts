/**
 * The smallest task that shows what a task sees: HTTP/1.1, one answer per connection, which names the task and the
 * client. The client's address comes from the PROXY header when there is one, else from the socket.
 */
import type { Socket } from "bun";
import { decodeProxyHeader, formatHostPort, formatIp, ProxyHeader } from "../../wire/index.ts";

const MAX_REQUEST_BYTES = 64 * 1024;
const END_OF_HEAD = "\r\n\r\n";

/** @param name what the task calls itself */
export async function startWebTask(name: string, hostname = "127.0.0.1"): Promise<{ port: number }> {
  const { port } = Bun.listen<{ received: Buffer }>({
    hostname,
    port: 0,
    socket: {
      open(socket) {
        socket.data = { received: Buffer.alloc(0) };
      },
      data(socket, chunk) {
        const received = Buffer.concat([socket.data.received, chunk]);
        socket.data.received = received;
        if (received.length > MAX_REQUEST_BYTES) socket.end();
        else if (received.includes(END_OF_HEAD)) socket.end(answer(name, clientOf(socket, received)));
      },
      error: (socket) => socket.terminate(),
    },
  });
  return { port };
}

function clientOf(socket: Socket<unknown>, received: Buffer): string {
  const header = decodeProxyHeader(received, 0, received.length, new ProxyHeader());
  if (header.status !== "complete" || !header.hasEndpoints) {
    return `${formatHostPort(socket.remoteAddress, socket.remotePort)} (this is portmesh: send_proxy is off)`;
  }
  const { family, bytes, offset, port } = header.source;
  return formatHostPort(formatIp(family, bytes, offset), port);
}

function answer(name: string, client: string): string {
  const text = `hello from ${name}, your connection came from ${client}\n`;
  const head = [
    "HTTP/1.1 200 OK",
    "Content-Type: text/plain",
    `Content-Length: ${text.length}`,
    "Connection: close",
  ];
  return `${head.join("\r\n")}${END_OF_HEAD}${text}`;
}

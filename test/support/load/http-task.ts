/** HTTP tasks in the test's own process: one says its name, one says what the PROXY header in front told it. */
import { createServer, type Socket } from "node:net";
import { decodeProxyHeader, formatIp, ProxyHeader } from "../../../src/wire/index.ts";

export interface HttpTask {
  readonly port: number;
  stop(): Promise<void>;
}

/** Answers with its name, one request per connection. */
export function startNamedTask(name: string): HttpTask {
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: () => new Response(name, { headers: { connection: "close" } }),
  });
  return { port: server.port!, stop: () => server.stop(true) };
}

/** Answers `SOURCE DESTINATION`, or `no header`. */
export async function startProxyHeaderTask(): Promise<HttpTask> {
  const server = createServer((socket) => {
    let bytes: Buffer = Buffer.alloc(0);
    socket.on("error", () => {});
    socket.on("data", (chunk: Buffer) => {
      bytes = Buffer.concat([bytes, chunk]);
      // at the end: a version 2 header begins with an empty line
      if (bytes.subarray(-4).toString() === "\r\n\r\n") answer(socket, describeHeader(bytes));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  return { port, stop: () => new Promise((resolve) => server.close(() => resolve())) };
}

/** Of the first bytes of a connection or of a datagram. */
export function describeHeader(bytes: Uint8Array): string {
  const header = decodeProxyHeader(bytes, 0, bytes.length, new ProxyHeader());
  if (header.status !== "complete" || !header.hasEndpoints) return "no header";
  const { source, destination } = header;
  const text = (end: typeof source) => formatIp(end.family, end.bytes, end.offset);
  return `${text(source)} ${text(destination)}:${destination.port}`;
}

function answer(socket: Socket, body: string): void {
  socket.end(`HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
}

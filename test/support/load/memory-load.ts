/** Work that makes a node's memory grow: connections for one byte each, and long streams, in this process. */
import type { Socket } from "bun";

/** A task that answers the first byte of a connection and takes whatever follows. */
export function startSink(hostname = "127.0.0.1"): { readonly port: number; stop(): void } {
  const answered = new WeakSet<Socket>();
  const listener = Bun.listen({
    hostname,
    port: 0,
    socket: {
      data: (socket) => {
        if (answered.has(socket)) return;
        answered.add(socket);
        socket.write("x");
      },
    },
  });
  return { port: listener.port, stop: () => listener.stop(true) };
}

/** `count` connections, `width` at a time, each with a byte there and back; returns how many failed. */
export async function connectOften(
  hostname: string,
  port: number,
  { count, width }: { count: number; width: number },
): Promise<number> {
  let [left, failed] = [count, 0];
  const client = async () => {
    while (left-- > 0) if (!(await isEchoed(hostname, port))) failed++;
  };
  await Promise.all(Array.from({ length: width }, client));
  return failed;
}

function isEchoed(hostname: string, port: number): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  let isAnswered = false;
  Bun.connect({
    hostname,
    port,
    socket: {
      open: (socket) => void socket.write("x"),
      data: (socket) => {
        isAnswered = true;
        socket.end();
      },
      close: () => resolve(isAnswered),
      connectError: () => resolve(false),
    },
  }).catch(() => resolve(false));
  return promise;
}

/** Sends so many bytes on each of `streams` connections at once; resolves when all of it has been taken. */
export async function sendStreams(
  hostname: string,
  port: number,
  { streams, bytes }: { streams: number; bytes: number },
): Promise<void> {
  await Promise.all(Array.from({ length: streams }, () => sendStream(hostname, port, bytes)));
}

const CHUNK = new Uint8Array(256 * 1024);

async function sendStream(hostname: string, port: number, bytes: number): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  let left = bytes;
  const send = (socket: Socket) => {
    while (left > 0) {
      const sent = socket.write(CHUNK.subarray(0, Math.min(left, CHUNK.length)));
      if (sent <= 0) return;
      left -= sent;
    }
    socket.end();
  };
  await Bun.connect({
    hostname,
    port,
    socket: {
      open: send,
      drain: send,
      data: () => {},
      close: () => (left === 0 ? resolve() : reject(cut())),
    },
  });
  return promise;
}

function cut(): Error {
  return new Error("the connection ended before everything was sent");
}

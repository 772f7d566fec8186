/**
 * Exchanges over TCP: the dialer sends one frame, the listener may answer with one, both close. Where a frame ends is
 * known to whoever reads it. Every exchange has a time limit; the listener serves a bounded number at once.
 */
import { createConnection, createServer, type Server, type Socket } from "node:net";

export interface Reader {
  /** More bytes of the peer's frame. True when it is whole, or can never be. */
  push(chunk: Uint8Array): boolean;
}

export interface DialOptions {
  readonly host: string;
  readonly port: number;
  /** Leaves from this address; null: any. */
  readonly localHost: string | null;
  readonly request: Uint8Array;
  readonly timeoutMs: number;
  /** null: no answer is expected. */
  readonly reader: Reader | null;
}

/** Resolves when the reader is satisfied or, without one, when the request has been taken; else with why not. */
export function dialExchange(options: DialOptions): Promise<{ readonly error: string | null }> {
  return new Promise((resolve) => {
    const { host, port, localHost, request, reader, timeoutMs } = options;
    const socket = createConnection({ host, port, ...(localHost !== null && { localAddress: localHost }) });
    const timer = setTimeout(() => end("timed out"), timeoutMs);
    const end = (error: string | null) => {
      clearTimeout(timer);
      socket.removeAllListeners();
      socket.on("error", () => {}); // it is over, whatever comes
      if (error === null && reader === null) socket.end();
      else socket.destroy();
      resolve({ error });
    };
    socket.on("connect", () => {
      socket.write(request, () => {
        if (reader === null) end(null);
      });
    });
    socket.on("data", (chunk: Uint8Array) => {
      if (reader?.push(chunk)) end(null);
    });
    socket.on("end", () => end("closed before the answer was complete"));
    socket.on("close", () => end("closed before the answer was complete"));
    socket.on("error", (error: NodeJS.ErrnoException) => end(error.code ?? error.message));
  });
}

export interface ListenOptions {
  readonly host: string;
  readonly port: number;
  readonly maxOpen: number;
  readonly timeoutMs: number;
  /** Somebody has connected. */
  readonly onOpen: (host: string, port: number) => Responder;
}

/** One side of one exchange. */
export interface Responder {
  /** More bytes: null while the frame is not whole, else the answer; empty: none. */
  push(chunk: Uint8Array): Uint8Array | null;
}

export class ExchangeServer {
  readonly #server: Server;
  readonly #open = new Set<Socket>();

  private constructor(readonly options: ListenOptions) {
    this.#server = createServer((socket) => this.#serve(socket));
  }

  /** Rejects with the error of the system when the address cannot be had. */
  static async listen(options: ListenOptions): Promise<ExchangeServer> {
    const exchanges = new ExchangeServer(options);
    await new Promise<void>((resolve, reject) => {
      const server = exchanges.#server;
      server.once("error", reject);
      server.listen({ host: options.host, port: options.port }, () => {
        server.off("error", reject);
        server.on("error", () => {}); // accepting failed once; the next one may not
        resolve();
      });
    });
    return exchanges;
  }

  close(): void {
    this.#server.close();
    for (const socket of this.#open) socket.destroy();
  }

  #serve(socket: Socket): void {
    const { maxOpen, timeoutMs, onOpen } = this.options;
    socket.on("error", () => socket.destroy());
    if (this.#open.size >= maxOpen) return void socket.destroy();
    this.#open.add(socket);
    const timer = setTimeout(() => socket.destroy(), timeoutMs);
    socket.on("close", () => {
      clearTimeout(timer);
      this.#open.delete(socket);
    });
    const responder = onOpen(socket.remoteAddress ?? "", socket.remotePort ?? 0);
    let isAnswered = false;
    socket.on("data", (chunk: Uint8Array) => {
      if (isAnswered) return;
      const answer = responder.push(chunk);
      if (answer === null) return;
      isAnswered = true;
      socket.end(answer);
    });
  }
}

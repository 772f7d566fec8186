/**
 * Exchanges over TCP: the dialer sends one frame, the listener may answer with one, both close. Where a frame ends is
 * known to the reader. Every exchange has a time limit, and all of them share the limits of an ExchangeLimiter.
 */
import { createConnection, createServer, type Server, type Socket } from "node:net";
import type { ExchangeLimiter, LimitReason } from "./exchange-limiter.ts";
import { duplicateListening, type ListenAt, listenAt, listeningFd } from "./tcp-server.ts";

/** Behind a frame, before the peer hears that it was the last: it does not stop for that. */
const MAX_SURPLUS_BYTES = 64 * 1024;
/** The other side has closed: it has no answer, or has not finished it. */
export const CLOSED_EARLY = "closed before the reply was complete";
/** Timers have this resolution. */
const MIN_PAUSE_MS = 1;

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
  readonly limiter: ExchangeLimiter;
}

/** Resolves when the reader is satisfied or, without one, when the request has been taken; else with why not. */
export function dialExchange(options: DialOptions): Promise<{ readonly error: string | null }> {
  return new Promise((resolve) => {
    const { host, port, localHost, request, reader, timeoutMs, limiter } = options;
    const socket = createConnection({ host, port, ...(localHost !== null && { localAddress: localHost }) });
    const timer = setTimeout(() => end("timed out"), timeoutMs);
    const slot = limiter.open(
      { host, isAccepted: false, onLimit: (reason) => end(reason) },
      performance.now(),
    );
    const end = (error: string | null) => {
      clearTimeout(timer);
      limiter.close(slot);
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
      if (!limiter.received(slot, chunk.length, performance.now())) return;
      if (reader?.push(chunk)) end(null);
      else pauseWhile(socket, limiter.pauseMs(slot, performance.now()));
    });
    socket.on("end", () => end(CLOSED_EARLY));
    socket.on("close", () => end(CLOSED_EARLY));
    socket.on("error", (error: NodeJS.ErrnoException) => end(error.code ?? error.message));
  });
}

export interface ListenOptions extends ListenAt {
  readonly timeoutMs: number;
  readonly limiter: ExchangeLimiter;
  /** A peer has connected. */
  readonly onOpen: (host: string, port: number) => Responder;
  /** A limit has ended a connection. */
  readonly onLimit: (reason: LimitReason, host: string) => void;
}

/** One side of one exchange. */
export interface Responder {
  /** More bytes: null while the frame is not whole. */
  push(chunk: Uint8Array): Answer | null;
}

export interface Answer {
  /** Empty: none. */
  readonly bytes: Uint8Array;
  /** The peer has a key of ours. */
  readonly isAuthenticated: boolean;
}

export class ExchangeServer {
  readonly #server: Server;
  readonly #open = new Set<Socket>(); // bounded by the limiter

  private constructor(readonly options: ListenOptions) {
    this.#server = createServer((socket) => this.#serve(socket));
  }

  /** Rejects with the error of the system when the address cannot be had. */
  static async listen(options: ListenOptions): Promise<ExchangeServer> {
    const exchanges = new ExchangeServer(options);
    await listenAt(exchanges.#server, options);
    return exchanges;
  }

  /** Of the listening socket. */
  get fd(): number {
    return listeningFd(this.#server);
  }

  /** Another descriptor of it, which stays open when this object is closed; or -errno. */
  duplicate(): number {
    return duplicateListening(this.#server);
  }

  close(): void {
    this.#server.close();
    for (const socket of this.#open) socket.destroy();
  }

  #serve(socket: Socket): void {
    const { timeoutMs, limiter, onOpen, onLimit } = this.options;
    const host = socket.remoteAddress ?? "";
    const endByLimit = (reason: LimitReason) => {
      onLimit(reason, host);
      socket.destroy();
    };
    const slot = limiter.open({ host, isAccepted: true, onLimit: endByLimit }, performance.now());
    this.#open.add(socket);
    const timer = setTimeout(() => socket.destroy(), timeoutMs);
    socket.on("error", () => socket.destroy());
    socket.on("close", () => {
      clearTimeout(timer);
      limiter.close(slot);
      this.#open.delete(socket);
    });
    let responder: Responder | null = onOpen(host, socket.remotePort ?? 0);
    let surplusBytes = 0;
    socket.on("data", (chunk: Uint8Array) => {
      if (responder === null) {
        surplusBytes += chunk.length;
        if (surplusBytes > MAX_SURPLUS_BYTES) socket.destroy();
        return;
      }
      if (!limiter.received(slot, chunk.length, performance.now())) return;
      const answer = responder.push(chunk);
      if (answer === null) return pauseWhile(socket, limiter.pauseMs(slot, performance.now()));
      responder = null; // and what it has received
      const { bytes, isAuthenticated } = answer;
      if (limiter.answering(slot, bytes.length, isAuthenticated, performance.now())) socket.end(bytes);
    });
  }
}

/** Nothing is read meanwhile; what it sends waits in the kernel. */
function pauseWhile(socket: Socket, pauseMs: number): void {
  if (pauseMs < MIN_PAUSE_MS) return;
  socket.pause();
  setTimeout(() => socket.resume(), pauseMs);
}

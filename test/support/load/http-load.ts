/**
 * Clients that open one connection per HTTP request, one after another, and remember how each went. Raw sockets, so
 * that no library retries anything.
 */
import { connect } from "node:net";

export interface RequestRecord {
  /** performance.now() before the connect. */
  readonly startedMs: number;
  readonly endedMs: number;
  /** Body of a complete answer; null when the request failed. */
  readonly body: string | null;
  readonly error: string | null;
}

export interface HttpLoadOptions {
  /** Between a client's requests; without it the next begins at once. */
  readonly pauseMs?: number;
  /** A request without an answer for so long has failed. */
  readonly timeoutMs?: number;
}

export interface RequestOptions {
  readonly localAddress?: string;
  readonly timeoutMs?: number;
}

const TIMEOUT_MS = 5000;

export class HttpLoad {
  readonly records: RequestRecord[] = [];
  readonly #clients: Promise<void>[];
  #isStopped = false;
  #pauseMs: number;

  /** Starts `clients` of them at once. */
  constructor(
    readonly host: string,
    readonly port: number,
    clients: number,
    readonly options: HttpLoadOptions = {},
  ) {
    this.#pauseMs = options.pauseMs ?? 0;
    this.#clients = Array.from({ length: clients }, () => this.#run());
  }

  /** Between a client's requests, from its next pause on. */
  pause(ms: number): void {
    this.#pauseMs = ms;
  }

  get failures(): RequestRecord[] {
    return this.records.filter((record) => record.error !== null);
  }

  /** Of requests that began at or after `performance.now()` was this. */
  since(startedMs: number): RequestRecord[] {
    return this.records.filter((record) => record.startedMs >= startedMs);
  }

  /** Lets every client finish its request. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    await Promise.all(this.#clients);
  }

  async #run(): Promise<void> {
    const { timeoutMs = TIMEOUT_MS } = this.options;
    while (!this.#isStopped) {
      this.records.push(await request(this.host, this.port, { timeoutMs }));
      if (this.#pauseMs > 0) await Bun.sleep(this.#pauseMs);
    }
  }
}

/** One request on a connection of its own, from `localAddress` if given; never throws. */
export function request(
  host: string,
  port: number,
  { localAddress, timeoutMs = TIMEOUT_MS }: RequestOptions = {},
): Promise<RequestRecord> {
  const startedMs = performance.now();
  return new Promise((resolve) => {
    let text = "";
    const finish = (error: string | null) => {
      socket.destroy();
      const [head = "", body = ""] = text.split("\r\n\r\n");
      const isWhole = error === null && head.startsWith("HTTP/1.1 200");
      resolve({
        startedMs,
        endedMs: performance.now(),
        body: isWhole ? body : null,
        error: isWhole ? null : (error ?? `no answer: ${JSON.stringify(text)}`),
      });
    };
    const socket = connect({ port, host, ...(localAddress && { localAddress }) }, () =>
      socket.write("GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"),
    );
    socket.setTimeout(timeoutMs, () => finish("timeout"));
    socket.on("data", (chunk) => {
      text += chunk;
    });
    socket.on("error", (error) => finish(error.message));
    socket.on("end", () => finish(null));
  });
}

/** Whether somebody listens there. */
export function accepts(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, host);
    const finish = (isOpen: boolean) => {
      socket.destroy();
      resolve(isOpen);
    };
    socket.on("connect", () => finish(true));
    socket.on("error", () => finish(false));
  });
}

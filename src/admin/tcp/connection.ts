/**
 * One client of the admin API over TCP: reads a request, has it judged, reads its body, has it answered, and so on. One
 * request at a time; what arrives meanwhile waits in the kernel. Every wait has an end.
 *
 *     idle -> head -> (refused | body -> answering) -> idle
 */
import type { Socket } from "node:net";
import { BODY_MS, HEAD_MS, IDLE_MS, LINGER_MS, MAX_BODY_BYTES, MAX_HELD_BYTES, STALL_MS } from "./limits.ts";
import { findHeadEnd, MAX_HEAD_BYTES, parseHead, type Refusal, type RequestHead } from "./request-head.ts";

export type Handle = (request: Request) => Response | Promise<Response>;

export interface ConnectionOptions {
  readonly address: string;
  readonly isTls: boolean;
  readonly handle: Handle;
  readonly judge: (head: RequestHead, address: string) => Refusal | null;
  /** Of all connections. */
  readonly held: { bytes: number };
  /** true: this process will not answer much longer. */
  readonly isClosing: () => boolean;
}

export class Connection {
  readonly #socket: Socket;
  readonly #options: ConnectionOptions;
  #received: Buffer = Buffer.alloc(0);
  /** null: the next head is awaited. */
  #head: RequestHead | null = null;
  #isBusy = false;
  #isEnding = false;
  #heldBytes = 0;
  #timer: Timer;

  constructor(socket: Socket, options: ConnectionOptions) {
    this.#socket = socket;
    this.#options = options;
    this.#timer = setTimeout(() => socket.destroy(), HEAD_MS);
    socket.on("data", (chunk: Buffer) => this.#onData(chunk));
    socket.on("error", () => socket.destroy());
    socket.on("close", () => {
      clearTimeout(this.#timer);
      this.#hold(0);
    });
  }

  /** Nothing is under way: it may be closed without harm. */
  get isIdle(): boolean {
    return !this.#isBusy && this.#head === null && this.#received.length === 0;
  }

  destroy(): void {
    this.#socket.destroy();
  }

  #onData(chunk: Buffer): void {
    if (this.#isEnding) return;
    if (this.isIdle) this.#within(HEAD_MS);
    this.#received = this.#received.length === 0 ? chunk : Buffer.concat([this.#received, chunk]);
    this.#advance();
  }

  #advance(): void {
    if (this.#isBusy || this.#isEnding) return;
    if (this.#head === null && !this.#readHead()) return;
    const head = this.#head;
    if (head === null || this.#received.length < head.bodyBytes) return;
    const body = this.#received.subarray(0, head.bodyBytes);
    this.#received = Buffer.from(this.#received.subarray(head.bodyBytes));
    this.#head = null;
    this.#isBusy = true;
    this.#socket.pause();
    clearTimeout(this.#timer);
    this.#answer(head, body).catch(() => this.#socket.destroy());
  }

  /** false: there is none yet, or none that is answered. */
  #readHead(): boolean {
    const end = findHeadEnd(this.#received.subarray(0, MAX_HEAD_BYTES));
    if (end < 0) {
      if (this.#received.length >= MAX_HEAD_BYTES)
        this.#refuse({ status: 431, error: `the headers are longer than ${MAX_HEAD_BYTES} bytes` });
      return false;
    }
    const head = parseHead(this.#received.subarray(0, end));
    if ("error" in head) return this.#refuse(head);
    const refusal = this.#options.judge(head, this.#options.address) ?? this.#refuseBody(head);
    if (refusal !== null) return this.#refuse(refusal, head);
    this.#received = this.#received.subarray(end);
    this.#head = head;
    this.#hold(head.bodyBytes);
    if (head.bodyBytes > this.#received.length) {
      this.#within(BODY_MS);
      if (/^100-continue$/i.test(head.headers.get("expect") ?? "")) this.#socket.write(CONTINUE);
    }
    return true;
  }

  #refuseBody({ bodyBytes }: RequestHead): Refusal | null {
    if (bodyBytes > MAX_BODY_BYTES)
      return {
        status: 413,
        error: `the body is longer than ${MAX_BODY_BYTES} bytes, which are allowed over TCP`,
      };
    return this.#options.held.bytes > MAX_HELD_BYTES ? BUSY : null;
  }

  async #answer(head: RequestHead, body: Buffer): Promise<void> {
    const response = await this.#options.handle(this.#requestOf(head, body));
    const isLast = isLastRequest(head) || this.#options.isClosing();
    if (isEventStream(response)) await this.#stream(response);
    else await this.#send(head, response, isLast);
    if (this.#socket.destroyed) return;
    if (isLast || isEventStream(response)) return this.#end();
    this.#hold(0);
    this.#isBusy = false;
    this.#within(IDLE_MS);
    this.#socket.resume();
    if (this.#received.length > 0) {
      this.#within(HEAD_MS);
      this.#advance();
    }
  }

  #requestOf({ method, target, headers }: RequestHead, body: Buffer): Request {
    const scheme = this.#options.isTls ? "https" : "http";
    const passed = [...headers].filter(([name]) => PASSED.has(name));
    return new Request(`${scheme}://portmesh${target}`, {
      method,
      headers: passed,
      ...(method !== "GET" && method !== "HEAD" && body.length > 0 && { body: new Uint8Array(body) }),
    });
  }

  async #send({ method }: RequestHead, response: Response, isLast: boolean): Promise<void> {
    const body = Buffer.from(await response.arrayBuffer());
    this.#hold(body.length);
    const length = { "content-length": String(body.length), ...(isLast && { connection: "close" }) };
    await this.#write(headText(response.status, response.headers, length));
    if (method !== "HEAD" && body.length > 0) await this.#write(body);
  }

  /** Ends with the connection. */
  async #stream(response: Response): Promise<void> {
    const reader = response.body!.getReader();
    const cancel = () => void reader.cancel().catch(() => undefined);
    this.#socket.on("close", cancel);
    this.#socket.on("end", () => this.#socket.destroy());
    this.#socket.resume(); // its end is seen only then
    await this.#write(headText(response.status, response.headers, { connection: "close" }));
    for (;;) {
      const { done, value } = await reader.read();
      if (done || this.#socket.destroyed) break;
      await this.#write(value);
    }
  }

  /** Resolves when the kernel has taken it, or the connection is gone. */
  #write(bytes: string | Uint8Array): Promise<void> {
    const socket = this.#socket;
    if (socket.destroyed || socket.write(bytes)) return Promise.resolve();
    return new Promise((resolve) => {
      let left = socket.writableLength;
      const look = setInterval(() => {
        if (socket.writableLength >= left) socket.destroy();
        left = socket.writableLength;
      }, STALL_MS);
      const done = () => {
        clearInterval(look);
        socket.off("drain", done);
        socket.off("close", done);
        resolve();
      };
      socket.on("drain", done);
      socket.on("close", done);
    });
  }

  /** false, for callers that go on with true. */
  #refuse({ status, error, headers }: Refusal, head: RequestHead | null = null): false {
    const body = head?.method === "HEAD" ? "" : JSON.stringify({ error });
    const own = new Headers({ "content-type": "application/json", ...headers });
    const length = { "content-length": String(Buffer.byteLength(body)), connection: "close" };
    this.#socket.write(headText(status, own, length) + body);
    this.#end();
    return false;
  }

  /** What the client still sends is read and thrown away for a moment: closing at once would reset the connection. */
  #end(): void {
    this.#isEnding = true;
    this.#received = Buffer.alloc(0);
    this.#within(LINGER_MS);
    this.#socket.on("end", () => this.#socket.destroy());
    this.#socket.end();
    this.#socket.resume();
  }

  #within(ms: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#onTimeout(), ms);
  }

  #onTimeout(): void {
    if (this.#isEnding || this.isIdle) this.#socket.destroy();
    else this.#refuse({ status: 408, error: "the request took too long" });
  }

  #hold(bytes: number): void {
    this.#options.held.bytes += bytes - this.#heldBytes;
    this.#heldBytes = bytes;
  }
}

const BUSY: Refusal = {
  status: 503,
  error: "too many answers are waiting for slow clients",
  headers: { "retry-after": "5" },
};
const CONTINUE = "HTTP/1.1 100 Continue\r\n\r\n";
/** What the API reads. */
const PASSED: ReadonlySet<string> = new Set([
  "accept",
  "accept-encoding",
  "content-type",
  "host",
  "last-event-id",
]);
const REASONS: Readonly<Record<number, string>> = {
  200: "OK",
  201: "Created",
  400: "Bad Request",
  401: "Unauthorized",
  403: "Forbidden",
  404: "Not Found",
  408: "Request Timeout",
  409: "Conflict",
  411: "Length Required",
  413: "Content Too Large",
  421: "Misdirected Request",
  422: "Unprocessable Content",
  429: "Too Many Requests",
  431: "Request Header Fields Too Large",
  500: "Internal Server Error",
  501: "Not Implemented",
  503: "Service Unavailable",
};
/** Where the answer does not say otherwise. */
const USUAL = { "cache-control": "no-store", "x-content-type-options": "nosniff" };

function headText(status: number, headers: Headers, more: Readonly<Record<string, string>>): string {
  const fields = Object.entries({ ...USUAL, ...Object.fromEntries(headers), ...more });
  const lines = fields.map(([name, value]) => `${name}: ${value}\r\n`);
  return `HTTP/1.1 ${status} ${REASONS[status] ?? ""}\r\n${lines.join("")}\r\n`;
}

function isLastRequest({ isHttp10, headers }: RequestHead): boolean {
  const connection = (headers.get("connection") ?? "").toLowerCase();
  return isHttp10 ? !connection.includes("keep-alive") : connection.includes("close");
}

function isEventStream(response: Response): boolean {
  return response.headers.get("content-type")?.startsWith("text/event-stream") === true;
}

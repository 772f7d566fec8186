/** Asks a running node over its admin socket. An error says what is wrong and what to do about it. */
import { CommandFailure } from "../invocation.ts";
import { type HttpResponse, type Method, requestOverSocket } from "./http.ts";

/** After this the node is assumed to be stopped or hung. */
const TIMEOUT_MS = 10_000;

export interface AskOptions {
  /** Statuses besides those of success that do not end the command. */
  readonly expected?: readonly number[];
  readonly body?: unknown;
  readonly timeoutMs?: number;
}

export interface Answer {
  readonly status: number;
  readonly body: unknown;
}

/** An unsuccessful status that is not in `expected` ends the command with the node's own words. */
export async function askNode(
  socket: string,
  method: Method,
  path: string,
  { expected = [], body: request, timeoutMs = TIMEOUT_MS }: AskOptions = {},
): Promise<Answer> {
  const { status, text } = await send(socket, method, path, request, timeoutMs);
  const body = parseJson(text);
  const isSuccess = status >= 200 && status < 300;
  if (!isSuccess && !expected.includes(status)) {
    throw new CommandFailure(`the node refuses ${method} ${path}: ${reasonOf(body) ?? `status ${status}`}`);
  }
  if (body === undefined) throw new CommandFailure(notPortmesh(socket, "the reply is not JSON"));
  return { status, body };
}

async function send(
  socket: string,
  method: Method,
  path: string,
  body: unknown,
  timeoutMs: number,
): Promise<HttpResponse> {
  try {
    return await requestOverSocket(socket, { method, path, body, timeoutMs });
  } catch (error) {
    throw new CommandFailure(unreachable(socket, error, timeoutMs), undefined, { cause: error });
  }
}

function unreachable(socket: string, error: unknown, timeoutMs: number): string {
  const { code, message, name } = error as NodeJS.ErrnoException;
  if (name === "TimeoutError") {
    return `no reply from the node on ${socket} within ${timeoutMs / 1000} s: it is stopped or overloaded; see its log`;
  }
  if (name === "HTTPParserError") return notPortmesh(socket, "it does not speak HTTP");
  if (code === "EACCES" || code === "EPERM") {
    return `cannot reach the node: permission denied on ${socket}: run this as the user portmesh runs as`;
  }
  return (
    `cannot reach the node: ${reasonFor(socket, code, message)}: is portmesh running? ` +
    "start it with `portmesh run -c FILE`, or name its socket with --socket"
  );
}

function reasonFor(socket: string, code: string | undefined, message: string): string {
  if (code === "ENOENT") return `${socket} does not exist`;
  if (code === "ECONNREFUSED") return `nothing listens on ${socket}`;
  if (code === "ECONNRESET" || code === "EPIPE" || code === "UND_ERR_SOCKET") {
    return `the connection to ${socket} was closed before a reply`;
  }
  return `${socket}: ${message}`;
}

function notPortmesh(socket: string, reason: string): string {
  return `the program that listens on ${socket} is not portmesh (${reason}): name the node's socket with --socket`;
}

/** Undefined when it is not JSON. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function reasonOf(body: unknown): string | null {
  if (typeof body !== "object" || body === null || !("error" in body)) return null;
  return String(body.error);
}

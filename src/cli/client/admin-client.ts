/** Asks a running node over its admin socket. What goes wrong says how to get on. */
import { CommandFailure } from "../invocation.ts";

/** Longer means that the node is stopped or hangs. */
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

export type Method = "GET" | "POST" | "DELETE";

/** Statuses that tell of a failure and are not in `expected` end the command with the node's own words. */
export async function askNode(
  socket: string,
  method: Method,
  path: string,
  { expected = [], body: request, timeoutMs = TIMEOUT_MS }: AskOptions = {},
): Promise<Answer> {
  const response = await send(socket, method, path, request, timeoutMs);
  const body: unknown = await response.json().catch(() => null);
  if (!response.ok && !expected.includes(response.status)) {
    throw new CommandFailure(
      `the node refuses ${method} ${path}: ${reasonOf(body) ?? `status ${response.status}`}`,
    );
  }
  return { status: response.status, body };
}

async function send(
  socket: string,
  method: Method,
  path: string,
  body: unknown,
  timeoutMs: number,
): Promise<Response> {
  try {
    return await fetch(`http://portmesh${path}`, {
      method,
      ...(body !== undefined && { body: JSON.stringify(body) }),
      unix: socket,
      signal: AbortSignal.timeout(timeoutMs),
    });
  } catch (error) {
    throw new CommandFailure(unreachable(socket, error, timeoutMs), undefined, { cause: error });
  }
}

function unreachable(socket: string, error: unknown, timeoutMs: number): string {
  const { code, message, name } = error as NodeJS.ErrnoException;
  if (name === "TimeoutError") {
    return `the node behind ${socket} does not answer within ${timeoutMs / 1000} s: it is stopped or overloaded; look at its log`;
  }
  if (code === "EACCES" || code === "EPERM") {
    return `cannot reach the node: permission denied on ${socket}: run this as the user portmesh runs as`;
  }
  const isNobodyThere = ["ENOENT", "ECONNREFUSED", "FailedToOpenSocket", "ConnectionRefused"].includes(
    code ?? "",
  );
  const reason = isNobodyThere ? `nothing listens on ${socket}` : `${socket}: ${message}`;
  return (
    `cannot reach the node: ${reason}: is portmesh running? ` +
    "start it with `portmesh run -c FILE`, or name its socket with --socket"
  );
}

function reasonOf(body: unknown): string | null {
  if (typeof body !== "object" || body === null || !("error" in body)) return null;
  return String(body.error);
}

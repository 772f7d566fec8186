/**
 * The task answers an HTTP request with the wanted status. Redirects are not followed: their status is the answer. Of the
 * body only the beginning is read, to find an agent's "drain".
 */
import { createConnection } from "node:net";
import type { buildConnector } from "undici/index.js";
import { type HttpCheck, parseStatus } from "../../model/index.ts";
import { formatHostPort } from "../../wire/index.ts";
import { down, type ProbeResult, readDrain, up } from "../probe-result.ts";
import { type ProbeTarget, reasonOf } from "./connection.ts";

/** An agent's answer is a line; of anything longer nobody waits for the end. */
const MAX_AGENT_BYTES = 256;
/** After the headers: some responses are streams that never end. */
const LATE_BODY_MS = 250;

export async function probeHttp(
  check: HttpCheck,
  { address, port }: ProbeTarget,
  signal: AbortSignal,
): Promise<ProbeResult> {
  const { Client } = await import("undici/index.js"); // "undici" is an emulation of the runtime
  const client = new Client(`http://${formatHostPort(address, port)}`, {
    headersTimeout: 0,
    bodyTimeout: 0,
    pipelining: 0,
    connect: connectorOf({ address, port }, signal),
  });
  try {
    const { method, path, host, headers } = check;
    const response = await client.request({
      method: method as "GET",
      path,
      headers: { "user-agent": "portmesh", connection: "close", ...headers, ...(host !== null && { host }) },
      signal,
    });
    const length = Number(response.headers["content-length"] ?? 0);
    const answer = length > MAX_AGENT_BYTES ? "" : await readBeginning(response.body);
    return readDrain(answer) ?? judge(response.statusCode, check.status);
  } catch (error) {
    return down(whyFailed(error));
  } finally {
    await client.destroy().catch(() => undefined);
  }
}

/** undici's own goes on connecting when the request has been called off. */
function connectorOf({ address, port }: ProbeTarget, signal: AbortSignal): buildConnector.connector {
  return (_options, done) => {
    const socket = createConnection({ host: address, port });
    signal.addEventListener("abort", () => socket.destroy(new Error("called off")), { once: true });
    socket.once("error", (error) => done(error, null));
    socket.once("connect", () => done(null, socket));
  };
}

function judge(status: number, expected: string): ProbeResult {
  const isExpected = parseStatus(expected).some(([first, last]) => status >= first && status <= last);
  return isExpected ? up(`status ${status}`) : down(`status ${status}, expected ${expected}`);
}

/** A body that breaks off or is late is no fault of the status. */
async function readBeginning(body: AsyncIterable<Uint8Array>): Promise<string> {
  const late = Promise.withResolvers<string>();
  const timer = setTimeout(() => late.resolve(""), LATE_BODY_MS);
  try {
    return await Promise.race([readLine(body), late.promise]);
  } finally {
    clearTimeout(timer);
  }
}

async function readLine(body: AsyncIterable<Uint8Array>): Promise<string> {
  let text = "";
  try {
    for await (const chunk of body) {
      text += Buffer.from(chunk).toString("latin1");
      if (text.length > MAX_AGENT_BYTES || text.includes("\n")) break;
    }
  } catch {
    return text;
  }
  return text;
}

function whyFailed(error: unknown): string {
  const { name, code, cause } = error as Error & { code?: unknown };
  if (name === "HTTPParserError" || String(code).startsWith("HPE_")) return "the answer is not HTTP";
  if (code === "UND_ERR_SOCKET") return "connection closed without an answer";
  return reasonOf(code === undefined && cause instanceof Error ? cause : error);
}

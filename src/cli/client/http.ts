/**
 * One HTTP request over a Unix socket, with undici. "undici/index.js" and not "undici": for that name Bun supplies an
 * emulation on top of its own fetch. Loaded on the first request, because it takes longer than most commands do.
 */

export type Method = "GET" | "POST" | "DELETE";

export interface HttpRequest {
  readonly method: Method;
  /** With the query. */
  readonly path: string;
  /** Sent as JSON; undefined: none. */
  readonly body?: unknown;
  /** For everything: connecting, headers and body. */
  readonly timeoutMs: number;
}

export interface HttpResponse {
  readonly status: number;
  readonly text: string;
}

/**
 * An answer without an end, in pieces as they come. Rejects like requestOverSocket, also when the connection is lost on the way;
 * returns when the node ends it.
 */
export async function* streamOverSocket(
  socket: string,
  path: string,
): AsyncGenerator<{ readonly status: number; readonly text: string }> {
  const { Client } = await import("undici/index.js");
  const client = new Client("http://portmesh", { socketPath: socket, headersTimeout: 0, bodyTimeout: 0 });
  try {
    const { statusCode: status, body } = await client.request({ method: "GET", path });
    const decoder = new TextDecoder();
    yield { status, text: "" };
    for await (const chunk of body) yield { status, text: decoder.decode(chunk, { stream: true }) };
  } finally {
    await client.destroy();
  }
}

/**
 * Rejects with what undici or the system says: a TimeoutError at the deadline, an error with an errno code when the
 * connection failed, and an HTTPParserError when the peer does not speak HTTP.
 */
export async function requestOverSocket(
  socket: string,
  { method, path, body, timeoutMs }: HttpRequest,
): Promise<HttpResponse> {
  const { Client } = await import("undici/index.js");
  const client = new Client("http://portmesh", { socketPath: socket, headersTimeout: 0, bodyTimeout: 0 });
  try {
    const response = await client.request({
      method,
      path,
      ...(body !== undefined && {
        body: JSON.stringify(body),
        headers: { "content-type": "application/json" },
      }),
      signal: AbortSignal.timeout(timeoutMs),
    });
    return { status: response.statusCode, text: await response.body.text() };
  } finally {
    await client.destroy();
  }
}

/**
 * Metrics over HTTP.
 *
 *     GET /metrics   as text or OpenMetrics, whichever is asked for; compressed when gzip is accepted
 *
 * Scrapes that come while one is under way share its answer. The main thread does its other work between the parts of a
 * long one, and a thread of the pool compresses it.
 */
import type { Writable } from "node:stream";
import { setImmediate } from "node:timers/promises";
import { createGzip } from "node:zlib";
import type { Hono } from "hono";

export interface MetricsNode {
  /** @param accept the header @param acceptEncoding the header accept-encoding */
  scrape(accept: string | null, acceptEncoding: string | null): Promise<MetricsScrape>;
}

export interface MetricsScrape {
  readonly contentType: string;
  /** To be compressed with gzip. */
  readonly isZipped: boolean;
  /** Each is valid until the next. */
  readonly chunks: AsyncIterable<Uint8Array>;
}

/** The least effort: metrics repeat themselves so much that more of it saves little. */
const GZIP_LEVEL = 1;

export function addMetrics(app: Hono, node: () => MetricsNode): void {
  /** By kind of answer, of which there are four. */
  const underWay = new Map<string, Promise<Uint8Array<ArrayBuffer>>>();
  app.get("/metrics", async (c) => {
    const header = (name: string) => c.req.header(name) ?? null;
    const scrape = await node().scrape(header("accept"), header("accept-encoding"));
    const { contentType, isZipped } = scrape;
    const key = `${isZipped} ${contentType}`;
    const answering = underWay.get(key) ?? bodyOf(scrape);
    underWay.set(key, answering);
    try {
      const encoding: Record<string, string> = isZipped ? { "content-encoding": "gzip" } : {};
      const headers = { "content-type": contentType, vary: "accept, accept-encoding", ...encoding };
      return c.body(await answering, 200, headers);
    } finally {
      if (underWay.get(key) === answering) underWay.delete(key);
    }
  });
}

async function bodyOf({ isZipped, chunks }: MetricsScrape): Promise<Uint8Array<ArrayBuffer>> {
  const parts: Uint8Array[] = [];
  if (!isZipped) {
    for await (const chunk of paused(chunks)) parts.push(chunk.slice());
    return Buffer.concat(parts);
  }
  const gzip = createGzip({ level: GZIP_LEVEL });
  const zipped = Promise.withResolvers<void>();
  gzip.on("data", (part: Uint8Array) => parts.push(part));
  gzip.on("end", zipped.resolve);
  gzip.on("error", zipped.reject);
  for await (const chunk of paused(chunks)) await written(gzip, chunk);
  gzip.end();
  await zipped.promise;
  return Buffer.concat(parts);
}

/** Resolves when the chunk is used up. */
function written(stream: Writable, chunk: Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    stream.write(chunk, (error) => (error ? reject(error) : resolve()));
  });
}

async function* paused(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  for await (const chunk of chunks) {
    yield chunk;
    await setImmediate();
  }
}

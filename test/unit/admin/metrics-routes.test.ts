import { expect, test } from "bun:test";
import { gunzipSync } from "node:zlib";
import { Hono } from "hono";
import { addMetrics, type MetricsScrape } from "../../../src/admin/metrics-routes.ts";

const TEXT = "text/plain; version=0.0.4; charset=utf-8";

/** Every chunk is written into the same bytes. */
async function* chunksOf(...texts: string[]): AsyncGenerator<Uint8Array> {
  const bytes = new Uint8Array(1024);
  for (const text of texts) yield bytes.subarray(0, new TextEncoder().encodeInto(text, bytes).written);
}

function appWith(scrape: (...headers: (string | null)[]) => MetricsScrape | Promise<MetricsScrape>): Hono {
  const app = new Hono();
  addMetrics(app, () => ({ scrape: async (...headers) => scrape(...headers) }));
  return app;
}

test("the answer has what was asked for by the headers", async () => {
  const asked: (string | null)[][] = [];
  const app = appWith((...headers) => {
    asked.push(headers);
    return { contentType: TEXT, isZipped: false, chunks: chunksOf("a 1\n", "b 2\n") };
  });
  const response = await app.request("/metrics", { headers: { accept: "x/y", "accept-encoding": "br" } });
  await app.request("/metrics");
  expect(asked).toEqual([
    ["x/y", "br"],
    [null, null],
  ]);
  const { headers, status } = response;
  expect([status, headers.get("content-type"), headers.get("content-encoding")]).toEqual([200, TEXT, null]);
  expect(await response.text()).toBe("a 1\nb 2\n");
});

test("gzip, of chunks that share their memory", async () => {
  const texts = Array.from({ length: 50 }, (_, index) => `line ${index}\n`);
  const app = appWith(() => ({ contentType: TEXT, isZipped: true, chunks: chunksOf(...texts) }));
  const response = await app.request("/metrics");
  expect(response.headers.get("content-encoding")).toBe("gzip");
  expect(response.headers.get("vary")).toBe("accept, accept-encoding");
  expect(gunzipSync(await response.arrayBuffer()).toString()).toBe(texts.join(""));
});

test("scrapes at the same time share one answer, the next one is new", async () => {
  let begun = 0;
  const gate = Promise.withResolvers<void>();
  async function* slow(): AsyncGenerator<Uint8Array> {
    begun++;
    await gate.promise;
    yield new TextEncoder().encode(`scrape ${begun}\n`);
  }
  const app = appWith(() => ({ contentType: TEXT, isZipped: false, chunks: slow() }));
  const both = [app.request("/metrics"), app.request("/metrics")];
  gate.resolve();
  const texts = await Promise.all(both.map(async (response) => (await response).text()));
  expect(texts).toEqual(["scrape 1\n", "scrape 1\n"]);
  expect(await (await app.request("/metrics")).text()).toBe("scrape 2\n");
});

test("a scrape that fails is not kept", async () => {
  let isBroken = true;
  async function* chunks(): AsyncGenerator<Uint8Array> {
    if (isBroken) throw new Error("no numbers");
    yield new TextEncoder().encode("a 1\n");
  }
  for (const isZipped of [false, true]) {
    const app = appWith(() => ({ contentType: TEXT, isZipped, chunks: chunks() }));
    app.onError((error, c) => c.text(error.message, 500));
    isBroken = true;
    expect((await app.request("/metrics")).status).toBe(500);
    isBroken = false;
    expect((await app.request("/metrics")).status).toBe(200);
  }
});

import { expect, test } from "bun:test";
import { type AdminNode, adminApp } from "../../../src/admin/index.ts";

const version = { version: "1.2.3" };
const dryRuns: boolean[] = [];

function appOf(outcome: string, notReady: string | null = null) {
  const node: AdminNode = {
    notReady,
    makeWay: () => notReady !== null,
    ping: async () => undefined,
    whyPortNotReady: (protocol, port) =>
      port === 8080 && protocol === "tcp" ? null : `nothing on ${port}/${protocol}`,
    status: () => ({ node: "edge-1" }),
    async reload(isDryRun) {
      dryRuns.push(isDryRun);
      return { outcome };
    },
  };
  return adminApp(() => node, version);
}

test("status and version are the node's own", async () => {
  const app = appOf("applied");
  expect(await (await app.request("/v1/status")).json()).toEqual({ node: "edge-1" });
  expect(await (await app.request("/v1/version")).json()).toEqual(version);
});

test.each([
  ["/v1/reload", false],
  ["/v1/reload?dry-run=1", true],
  ["/v1/reload?dry-run", true],
  ["/v1/reload?dry-run=0", false],
])("POST %s is a dry run: %p", async (path, isDryRun) => {
  await appOf("applied").request(path, { method: "POST" });
  expect(dryRuns.pop()).toBe(isDryRun);
});

test("a refused reload is 422 with the whole report", async () => {
  const response = await appOf("refused").request("/v1/reload", { method: "POST" });
  expect(response.status).toBe(422);
  expect(await response.json()).toEqual({ outcome: "refused" });
});

test("a starting node answers with its version and 503 for the rest", async () => {
  const app = adminApp(() => null, version);
  expect((await app.request("/v1/version")).status).toBe(200);
  const response = await app.request("/v1/status");
  expect(response.status).toBe(503);
  expect(await response.json()).toEqual({ error: "the node is starting" });
});

test("readiness is 200, or 503 with the reason", async () => {
  const ready = await appOf("applied").request("/readyz");
  expect([ready.status, await ready.json()]).toEqual([200, { ready: true }]);
  const draining = await appOf("applied", "the node is draining").request("/readyz");
  expect([draining.status, await draining.json()]).toEqual([503, { error: "the node is draining" }]);
  const starting = await adminApp(() => null, version).request("/readyz");
  expect([starting.status, await starting.json()]).toEqual([503, { error: "the node is starting" }]);
});

test("a node that stops makes way, one that serves refuses", async () => {
  const ask = (app: ReturnType<typeof appOf>) => app.request("/v1/make-way", { method: "POST" });
  expect((await ask(appOf("applied", "the node is draining"))).status).toBe(200);
  const serving = await ask(appOf("applied"));
  expect([serving.status, await serving.json()]).toEqual([409, { error: "the node is not stopping" }]);
});

test("what is not there is 404 in JSON", async () => {
  const response = await appOf("applied").request("/v2/status");
  expect(response.status).toBe(404);
  expect(await response.json()).toEqual({ error: "cannot GET /v2/status: no such resource" });
});

test("a node that starts or drains lives; one whose workers are silent does not", async () => {
  expect((await adminApp(() => null, version).request("/livez")).status).toBe(200);
  expect((await appOf("applied", "the node is draining").request("/livez")).status).toBe(200);
});

test.each([
  ["/ports/8080/ready", 200, { ready: true }],
  ["/ports/8080/ready?protocol=tcp", 200, { ready: true }],
  ["/ports/8080/ready?protocol=udp", 503, { error: "nothing on 8080/udp" }],
  ["/ports/1/ready", 503, { error: "nothing on 1/tcp" }],
  ["/ports/0/ready", 400, { error: 'port: "0" is not a port in 1..65535' }],
  ["/ports/a/ready", 400, { error: 'port: "a" is not a port in 1..65535' }],
])("%s is %p", async (path, status, body) => {
  const response = await appOf("applied").request(path);
  expect([response.status, await response.json()]).toEqual([status, body]);
});

test("no port of a node that drains is ready", async () => {
  const response = await appOf("applied", "the node is draining").request("/ports/8080/ready");
  expect([response.status, await response.json()]).toEqual([503, { error: "the node is draining" }]);
});

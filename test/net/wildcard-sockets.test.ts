/** A service at all addresses needs one socket per port and worker, for IPv4 and IPv6. */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { readdirSync, readlinkSync } from "node:fs";
import { createServer } from "node:net";
import { request } from "../support/load/http-load.ts";
import { type HttpTask, startNamedTask, startProxyHeaderTask } from "../support/load/http-task.ts";
import { freePort } from "../support/os/free-port.ts";
import { ProxyHarness } from "../support/proxy/proxy-harness.ts";
import { type TestService, tableOf } from "../support/proxy/routing-table.ts";

const BOTH = ["0.0.0.0", "::"];
const WORKERS = 2;

let harness: ProxyHarness;
let port: number;
let web: HttpTask;
const closers: (() => unknown)[] = [];

beforeEach(async () => {
  harness = await ProxyHarness.start(WORKERS);
  port = await freePort();
  web = startNamedTask("web");
});

afterEach(async () => {
  for (const close of closers.splice(0)) await close();
  await harness.stop();
  await web.stop();
});

const service = (listenAddresses: readonly string[], rest: Partial<TestService> = {}) =>
  ({ protocol: "tcp", published: port, tasks: [web.port], listenAddresses, ...rest }) as const;

function socketCount(): number {
  const links = readdirSync("/proc/self/fd").map((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`);
    } catch {
      return "";
    }
  });
  return links.filter((link) => link.startsWith("socket:")).length;
}

/** What 127.0.0.1 and ::1 serve; null: nothing. */
async function served(): Promise<(string | null)[]> {
  const answers = await Promise.all(["127.0.0.1", "::1"].map((address) => request(address, port)));
  return answers.map(({ body }) => body);
}

test("both wildcard addresses are one socket per port and worker", async () => {
  const before = socketCount();
  const ports = Array.from({ length: 20 }, () => 0);
  const first = 22_000;
  const published = ports.map(
    (_, index) => ({ protocol: "udp", published: first + index, target: 9, mode: "ingress" }) as const,
  );
  await harness.apply({ ...service(BOTH), protocol: "udp", ports: published });
  expect(socketCount() - before).toBe(ports.length * WORKERS);
});

test("listen addresses may change from and to both while clients come", async () => {
  for (const addresses of [BOTH, ["::"], BOTH, ["0.0.0.0"], BOTH, ["127.0.0.1", "::"], BOTH, []]) {
    await harness.apply(service(addresses));
    const has = (...wanted: string[]) =>
      addresses.some((address) => wanted.includes(address)) ? "web" : null;
    expect(await served()).toEqual([has("0.0.0.0", "127.0.0.1"), has("::")]);
  }
});

test("where another program has the port at one family, the other is listened on", async () => {
  const squatter = createServer();
  await new Promise<void>((done) => squatter.listen(port, "127.0.0.1", done));
  closers.push(() => squatter.close());
  const prepared = harness.proxy.prepare(tableOf(service(BOTH)));
  expect(prepared.bindErrors.map(({ address }) => address)).toEqual(["0.0.0.0"]);
  await harness.proxy.commit(prepared);
  expect((await request("::1", port)).body).toBe("web");
});

test("what is abandoned leaves no socket behind and what runs as it was", async () => {
  await harness.apply(service(BOTH));
  const before = socketCount();
  harness.proxy.abandon(harness.proxy.prepare(tableOf(service(["::"]))));
  expect(socketCount()).toBe(before);
  expect(await served()).toEqual(["web", "web"]);
});

test.each(["v1", "v2"] as const)("a task sees an IPv4 client as IPv4 (%s)", async (sendProxy) => {
  const headers = await startProxyHeaderTask();
  closers.push(() => headers.stop());
  await harness.apply(service(BOTH, { tasks: [headers.port], sendProxy, allow: ["127.0.0.0/8", "::1"] }));
  expect(await served()).toEqual([`127.0.0.1 127.0.0.1:${port}`, `::1 ::1:${port}`]);
});

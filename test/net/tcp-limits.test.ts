/** What ends or prevents a connection: rules, limits, timeouts, draining, reloads. */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { createServer } from "node:net";
import type { ConnectionRecord } from "../../src/proxy/index.ts";
import { SpliceProxy } from "../../src/proxy/index.ts";
import { freePort, freePorts } from "../support/free-port.ts";
import { accepts } from "../support/http-load.ts";
import { ProxyHarness } from "../support/proxy-harness.ts";
import { RawListener, RawSocket } from "../support/raw-socket.ts";
import { type TestService, tableOf } from "../support/routing-table.ts";
import { waitFor } from "../support/wait-for.ts";

let harness: ProxyHarness;
let task: RawListener;
let published: number;
const sockets: RawSocket[] = [];

beforeEach(async () => {
  harness = await ProxyHarness.start(2);
  task = RawListener.open();
  published = await freePort();
});

afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.close();
  task.close();
  await harness.stop();
});

function serve(overrides: Partial<TestService> = {}): Promise<void> {
  return harness.apply({ protocol: "tcp", published, tasks: [task.port], ...overrides });
}

function keep(socket: RawSocket): RawSocket {
  sockets.push(socket);
  return socket;
}

async function connect(): Promise<RawSocket> {
  return keep(await RawSocket.connect(published));
}

/** The reset may come as early as the handshake. */
async function expectRefused(): Promise<void> {
  const code = connect().then((client) => client.failure());
  expect(await code.catch((error: { code: string }) => error.code)).toBe("ECONNRESET");
}

async function open(): Promise<{ client: RawSocket; served: RawSocket }> {
  const client = await connect();
  return { client, served: keep(await task.accept()) };
}

async function expectEcho({ client, served }: { client: RawSocket; served: RawSocket }): Promise<void> {
  await client.send("ping");
  expect(await served.receiveText(4)).toBe("ping");
  await served.send("pong");
  expect(await client.receiveText(4)).toBe("pong");
}

async function expectReset({ client, served }: { client: RawSocket; served: RawSocket }): Promise<void> {
  expect(await client.failure()).toBe("ECONNRESET");
  expect(await served.failure()).toBe("ECONNRESET");
}

const status = () => harness.proxy.status().services[0]!;

test("bytes are counted while the connection is open", async () => {
  await serve();
  await expectEcho(await open());
  await waitFor(() => status().tcp.bytesOutTotal === 4, { what: "bytes out" });
  expect(status().tcp).toMatchObject({ openConnections: 1, acceptedTotal: 1, bytesInTotal: 4 });
});

test("deny wins over allow", async () => {
  await serve({ allow: ["127.0.0.0/8"], deny: ["127.0.0.1"] });
  await expectRefused();
  await waitFor(() => status().refusedTotal.denied === 1, { what: "the refusal to be counted" });
});

test("who is not allowed is refused", async () => {
  await serve({ allow: ["192.0.2.0/24"] });
  await expectRefused();
  await serve({ allow: ["127.0.0.0/8"] });
  await expectEcho(await open());
});

test("max_connections holds exactly over all workers", async () => {
  await serve({ maxConnections: 5 });
  const held = [];
  for (let i = 0; i < 5; i++) held.push(await open());
  for (let i = 0; i < 10; i++) await expectRefused();
  await waitFor(() => status().refusedTotal["connection-limit"] === 10, { what: "refusals to be counted" });
  expect(status().tcp.openConnections).toBe(5);
  held[0]!.client.reset();
  await waitFor(() => status().tcp.openConnections === 4, { what: "one connection to end" });
  await held[0]!.served.failure();
  await expectEcho(await open());
});

test("idle_timeout ends a silent connection with a reset", async () => {
  await serve({ idleTimeoutMs: 150 });
  const connection = await open();
  for (let i = 0; i < 5; i++) await expectEcho(connection);
  await expectReset(connection);
  await waitFor(() => status().refusedTotal.idle === 1, { what: "the end to be counted" });
});

test("a draining task gets no new connection and keeps its own until drain_timeout", async () => {
  const other = RawListener.open();
  await serve();
  const old = await open();
  const drainTimeoutMs = 600;
  await serve({ tasks: [{ port: task.port, isDraining: true }, other.port], drainTimeoutMs });
  for (let i = 0; i < 4; i++) {
    await connect();
    keep(await other.accept());
  }
  await expectEcho(old);
  await expectReset(old);
  await waitFor(() => status().refusedTotal.drained === 1, { what: "the cut to be counted" });
  other.close();
});

test("connections of a removed task end at drain_timeout", async () => {
  await serve({ drainTimeoutMs: 400 });
  const old = await open();
  await serve({ drainTimeoutMs: 400, tasks: [] });
  await expectEcho(old);
  await expectReset(old);
});

test("drain_timeout 0 cuts at once", async () => {
  await serve({ drainTimeoutMs: 0 });
  const old = await open();
  await serve({ drainTimeoutMs: 0, tasks: [] });
  await expectReset(old);
});

test("a removed service closes its port and lets its connections go on", async () => {
  await serve();
  const old = await open();
  await harness.apply();
  expect(await accepts("127.0.0.1", published)).toBe(false);
  await expectEcho(old);
});

test("a change of rules leaves running connections and listeners alone", async () => {
  await serve();
  const old = await open();
  const next = {
    protocol: "tcp",
    published,
    tasks: [task.port],
    deny: ["127.0.0.1"],
    balance: "random",
  } as const;
  expect(harness.proxy.compare(tableOf(next))).toEqual({ listenersOpened: [], listenersClosed: [] });
  await harness.apply(next);
  await expectEcho(old);
  await expectRefused();
});

test("a port that another program holds is reported, retried, and served once it is free", async () => {
  const squatter = createServer();
  await new Promise<void>((done) => squatter.listen(published, "127.0.0.1", done));
  const free = await freePort();
  const prepared = harness.proxy.prepare(
    tableOf({
      protocol: "tcp",
      published,
      tasks: [task.port],
      ports: [published, free].map((port) => ({ protocol: "tcp", published: port, target: port })),
    }),
  );
  expect(prepared.bindErrors).toHaveLength(1);
  expect(prepared.bindErrors[0]).toMatchObject({ port: published, service: "test" });
  await harness.proxy.commit(prepared);
  expect(status().ports.map((port) => port.listeners[0]!.error === null)).toEqual([false, true]);
  keep(await RawSocket.connect(free));
  keep(await task.accept());
  await new Promise((done) => squatter.close(done));
  await waitFor(() => status().ports[0]!.listeners[0]!.error === null, { what: "the retry" });
  await expectEcho(await open());
});

test("a second proxy cannot share a port unnoticed", async () => {
  await serve();
  const second = await ProxyHarness.start(1);
  await expect(second.apply({ protocol: "tcp", published, tasks: [] })).rejects.toThrow(
    "another program uses it",
  );
  await second.stop();
});

test("what is abandoned leaves no socket behind", async () => {
  const table = tableOf({ protocol: "tcp", published, tasks: [task.port] });
  const second = await ProxyHarness.start(1);
  harness.proxy.abandon(harness.proxy.prepare(table));
  await second.apply({ protocol: "tcp", published, tasks: [] });
  await second.stop();
});

test("finished connections are recorded while that is switched on", async () => {
  const records: ConnectionRecord[] = [];
  const [port, dead] = (await freePorts(2)) as [number, number];
  const proxy = await SpliceProxy.start({
    workers: 1,
    onConnectionsClosed: (batch) => records.push(...batch),
    onListener: () => {},
  });
  await proxy.commit(
    proxy.prepare(
      tableOf(
        { protocol: "tcp", name: "alive", published: port, tasks: [task.port] },
        { protocol: "tcp", name: "dead", published, tasks: [dead] },
      ),
    ),
  );
  proxy.recordConnections(true);
  const client = keep(await RawSocket.connect(port));
  const served = keep(await task.accept());
  await client.send("12345");
  expect(await served.receiveText(5)).toBe("12345");
  await served.send("123");
  served.close();
  expect(await client.receiveRest()).toBe("123");
  client.close();
  await expectRefused();
  await waitFor(() => records.length === 2, { what: "two records" });
  const [alive, failed] = records.sort((a, b) => a.service.localeCompare(b.service));
  expect(alive).toMatchObject({
    service: "alive",
    published: port,
    task: `127.0.0.1:${task.port}`,
    bytesIn: 5,
    bytesOut: 3,
    reason: "done",
  });
  expect(alive!.client).toStartWith("127.0.0.1:");
  expect(failed).toMatchObject({ service: "dead", task: null, reason: "no-task" });
  await proxy.stop();
});

/** What ends or prevents a connection: rules, limits, timeouts, draining, reloads. */
import { afterEach, beforeEach, expect, spyOn, test } from "bun:test";
import { createSocket } from "node:dgram";
import { readdirSync, readlinkSync } from "node:fs";
import { createServer } from "node:net";
import type { EndReason, ListenerReport } from "../../src/proxy/index.ts";
import { SpliceProxy } from "../../src/proxy/index.ts";
import { accepts } from "../support/load/http-load.ts";
import { Pattern } from "../support/load/pattern.ts";
import { freePort, freePorts } from "../support/os/free-port.ts";
import { RawListener, RawSocket } from "../support/os/raw-socket.ts";
import { ProxyHarness } from "../support/proxy/proxy-harness.ts";
import { RecordCollector } from "../support/proxy/record-collector.ts";
import { type TestService, tableOf } from "../support/proxy/routing-table.ts";
import { waitFor } from "../support/time/wait-for.ts";

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

/** Sockets of this process, by inode. */
function openSockets(): string[] {
  const links = readdirSync("/proc/self/fd").map((fd) => readLink(`/proc/self/fd/${fd}`));
  return links.filter((link) => link.startsWith("socket:")).sort();
}

/** A socket that was closed and opened again is among them; sockets that earlier tests left behind may end meanwhile. */
function openedSince(before: readonly string[]): string[] {
  return openSockets().filter((socket) => !before.includes(socket));
}

/** Empty for a descriptor that is closed by now: the one that lists them. */
function readLink(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return "";
  }
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

test("max_connections of one worker: the sixth is reset, after one closes the next is served", async () => {
  const single = await ProxyHarness.start(1);
  await single.apply({ protocol: "tcp", published, tasks: [task.port], maxConnections: 5 });
  const held = [];
  for (let i = 0; i < 5; i++) held.push(await open());
  await expectRefused();
  const refusedTotal = () => single.proxy.status().services[0]!.refusedTotal;
  await waitFor(() => refusedTotal()["connection-limit"] === 1, { what: "the refusal to be counted" });
  held[4]!.client.close();
  held[4]!.served.close();
  await waitFor(() => single.openConnections === 4, { what: "one connection to end" });
  await expectEcho(await open());
  await single.stop();
});

test("a lowered max_connections leaves those that are open", async () => {
  await serve();
  const held = [await open(), await open(), await open()];
  await serve({ maxConnections: 2 });
  await expectRefused();
  for (const connection of held) await expectEcho(connection);
});

test("idle_timeout ends a silent connection with a reset", async () => {
  await serve({ idleTimeoutMs: 150 });
  const connection = await open();
  for (let i = 0; i < 5; i++) await expectEcho(connection);
  await expectReset(connection);
  await waitFor(() => status().refusedTotal.idle === 1, { what: "the end to be counted" });
});

test("idle_timeout spares a reader that is slow but takes what there is, and ends one that takes nothing", async () => {
  const idleTimeoutMs = 800; // longer than a loaded machine holds up this reader
  await serve({ idleTimeoutMs });
  const client = keep(await RawSocket.connect(published, { bufferBytes: 32 * 1024 }));
  const served = keep(await task.accept());
  const pattern = new Pattern(0);
  await pattern.sendUntilStalled(served, 50);
  const startMs = performance.now();
  // it takes much longer than the timeout until the proxy's own buffer has room again
  while (performance.now() - startMs < 5 * idleTimeoutMs) {
    await pattern.receive(client, 8 * 1024);
    await Bun.sleep(20); // the pace of this reader
  }
  expect(status().tcp.openConnections).toBe(1);
  await waitFor(() => status().refusedTotal.idle === 1, { what: "the end" });
  expect(pattern.receivedBytes).toBeLessThan(pattern.sentBytes);
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

test("a removed service closes its port and lets its connections go on until drain_timeout", async () => {
  await serve({ drainTimeoutMs: 400 });
  const old = await open();
  await harness.apply();
  expect(await accepts("127.0.0.1", published)).toBe(false);
  await expectEcho(old);
  await expectReset(old);
});

test("a task that stops draining before its time keeps its connections", async () => {
  const drainTimeoutMs = 200;
  await serve({ drainTimeoutMs });
  const old = await open();
  await serve({ drainTimeoutMs, tasks: [{ port: task.port, isDraining: true }] });
  await serve({ drainTimeoutMs });
  expect(await old.client.becomesReadable(3 * drainTimeoutMs)).toBe(false);
  await expectEcho(old);
});

test("a commit that changes nothing touches no socket", async () => {
  await serve();
  const old = await open();
  const sockets = openSockets();
  for (let i = 0; i < 3; i++) await serve();
  expect(openedSince(sockets)).toEqual([]);
  await expectEcho(old);
  await expectEcho(await open());
});

test("a port that another service takes over is not closed, its connections keep their task", async () => {
  const other = RawListener.open();
  await serve();
  const old = await open();
  const sockets = openSockets();
  await serve({ name: "successor", tasks: [other.port] });
  expect(openedSince(sockets)).toEqual([]);
  await expectEcho(old);
  const client = await connect();
  await expectEcho({ client, served: keep(await other.accept()) });
  expect(status()).toMatchObject({ name: "successor", tcp: { openConnections: 1 } });
  other.close();
});

test("drain closes the ports and waits for the connections", async () => {
  await serve();
  const old = await open();
  const isDrained = harness.proxy.drain();
  await waitFor(async () => !(await accepts("127.0.0.1", published)), { what: "the port to close" });
  await waitFor(
    async () => {
      while (await task.hasWaiting()) (await task.accept()).close();
      return status().tcp.openConnections === 1;
    },
    { what: "who asked before it closed to be served" },
  );
  await expectEcho(old);
  old.client.close();
  old.served.close();
  expect(await isDrained).toBe(true);
});

test("drain gives every service its own time", async () => {
  const other = RawListener.open();
  const patient = await freePort();
  await harness.apply(
    { protocol: "tcp", name: "hasty", published, tasks: [task.port], drainTimeoutMs: 100 },
    { protocol: "tcp", name: "patient", published: patient, tasks: [other.port] },
  );
  const cut = await open();
  const kept = { client: keep(await RawSocket.connect(patient)), served: keep(await other.accept()) };
  await expectEcho(kept);
  await expectEcho(cut);
  const isDrained = harness.proxy.drain();
  await expectReset(cut);
  await expectEcho(kept);
  harness.proxy.hurry();
  expect(await isDrained).toBe(false);
  other.close();
});

test("stop resets what is still open and leaves no descriptor behind", async () => {
  const before = openSockets();
  const second = await ProxyHarness.start(2);
  await second.apply({ protocol: "tcp", published, tasks: [task.port] });
  const connections = [];
  for (let i = 0; i < 4; i++) connections.push(await open());
  for (const connection of connections) await expectEcho(connection);
  await second.stop();
  for (const connection of connections) await expectReset(connection);
  expect(await accepts("127.0.0.1", published)).toBe(false);
  for (const socket of sockets.splice(0)) socket.close();
  await waitFor(() => openedSince(before).length === 0, { what: "the sockets to be closed" });
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
      ports: [published, free].map((port) => ({
        protocol: "tcp",
        published: port,
        target: port,
        mode: "ingress",
      })),
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

test("a listener that fails and one that opens later are logged", async () => {
  const squatter = createServer();
  await new Promise<void>((done) => squatter.listen(published, "127.0.0.1", done));
  const told: ListenerReport[] = [];
  const errors: (readonly number[])[] = [];
  const proxy = await SpliceProxy.start({
    workers: 2,

    onListeners: (reports) => told.push(...reports),
    onBindErrors: (all) => errors.push(all.map(({ port }) => port)),
  });
  const table = tableOf({ protocol: "tcp", published, tasks: [task.port] });
  await proxy.commit(proxy.prepare(table));
  await proxy.commit(proxy.prepare(table)); // is not told twice
  expect(told).toHaveLength(1);
  expect(told[0]).toMatchObject({ service: "test", protocol: "tcp", address: "127.0.0.1", port: published });
  expect(told[0]!.error).toContain("this node uses it itself"); // the other program is this process
  await new Promise((done) => squatter.close(done));
  await waitFor(() => told.length === 2, { what: "the retry" });
  expect(told[1]).toMatchObject({ port: published, error: null });
  expect(errors).toEqual([[published], []]);
  await expectEcho(await open());
  await proxy.stop();
});

test("a port that stays taken is tried ever more rarely, and a change tries it at once", async () => {
  const squatter = createServer();
  await new Promise<void>((done) => squatter.listen(published, "127.0.0.1", done));
  const delays: number[] = [];
  const { setTimeout: arm } = globalThis;
  const spy = spyOn(globalThis, "setTimeout").mockImplementation(((run: () => void, ms = 0) => {
    if (ms >= 1_000) delays.push(ms);
    return arm(run, ms >= 1_000 ? 1 : ms);
  }) as typeof setTimeout);
  try {
    const table = tableOf({ protocol: "tcp", published, tasks: [task.port] });
    await harness.proxy.commit(harness.proxy.prepare(table));
    await waitFor(() => delays.length >= 8, { what: "eight attempts" });
    expect(delays.slice(0, 8)).toEqual([1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000]);
    await new Promise((done) => squatter.close(done));
    await harness.proxy.commit(harness.proxy.prepare(table));
    await expectEcho(await open());
  } finally {
    spy.mockRestore();
    squatter.close();
  }
});

test("a port of this process is distinguished from one of another program", async () => {
  const errorOf = async (port: number) => {
    const table = tableOf({ protocol: "udp", published: port, tasks: [task.port] });
    const { bindErrors } = harness.proxy.prepare(table);
    return bindErrors[0]!.error;
  };
  const socket = createSocket("udp4");
  await new Promise<void>((done) => socket.bind(0, "127.0.0.1", done));
  const { port } = socket.address();
  expect(await errorOf(port)).toContain("this node uses it itself (cluster.bind, overlay.port)");
  await new Promise<void>((done) => socket.connect(9, "127.0.0.1", done));
  expect(await errorOf(port)).toMatch(
    /a connection of this node uses it as its local port, from net.ipv4.ip_local_port_range \(\d+-\d+\); /,
  );
  expect(await errorOf(port)).toContain(`ip_local_reserved_ports=${port}`);
  socket.close();
});

test("a second proxy cannot share a port unnoticed", async () => {
  await serve();
  const second = await ProxyHarness.start(1);
  await expect(second.apply({ protocol: "tcp", published, tasks: [] })).rejects.toThrow(
    "this node uses it itself", // both are in this process
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
  const collector = new RecordCollector();
  const { records } = collector;
  const [port, dead] = (await freePorts(2)) as [number, number];
  const proxy = await SpliceProxy.start({
    workers: 1,
    records: collector,
    onListeners: () => {},
  });
  await proxy.commit(
    proxy.prepare(
      tableOf(
        { protocol: "tcp", name: "alive", published: port, tasks: [task.port] },
        { protocol: "tcp", name: "dead", published, tasks: [dead] },
      ),
    ),
  );
  proxy.recordConnections({ errors: true, every: 1 });
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
    task: { address: `127.0.0.1:${task.port}`, node: null, path: "local" },
    bytesIn: 5,
    bytesOut: 3,
    reason: "done",
  });
  expect(alive!.client).toStartWith("127.0.0.1:");
  expect(failed).toMatchObject({
    service: "dead",
    task: { address: `127.0.0.1:${dead}` },
    reason: "no-task",
  });
  await proxy.stop();
});

test("every way a connection ends is recorded once, with its reason", async () => {
  const collector = new RecordCollector();
  const { records } = collector;
  const proxy = await SpliceProxy.start({
    workers: 1,
    records: collector,
    onListeners: () => {},
  });
  const run = async (overrides: Partial<TestService> = {}) => {
    const service = {
      protocol: "tcp",
      published,
      tasks: [task.port],
      drainTimeoutMs: 0,
      ...overrides,
    } as const;
    await proxy.commit(proxy.prepare(tableOf(service)));
  };
  const reasons: EndReason[] = [];
  const nextReason = async (reason: EndReason) => {
    reasons.push(reason);
    await waitFor(() => records.length >= reasons.length, { what: `the record of ${reason}` });
  };
  // a connection that has carried bytes is past dialing, whose ends have other reasons
  const openUsed = async () => {
    const connection = await open();
    await expectEcho(connection);
    return connection;
  };
  await run();
  proxy.recordConnections({ errors: true, every: 1 });

  (await openUsed()).client.reset();
  await nextReason("client-reset");
  (await openUsed()).served.reset();
  await nextReason("task-reset");
  await openUsed();
  await run({ tasks: [] });
  await nextReason("drained");
  await expectRefused();
  await nextReason("no-task");
  await run({ deny: ["127.0.0.0/8"] });
  await expectRefused();
  await nextReason("denied");
  await run({ idleTimeoutMs: 50 });
  await openUsed();
  await nextReason("idle");
  await run({ acceptProxy: ["127.0.0.1"] });
  await (await connect()).send("no header");
  await nextReason("bad-proxy-header");
  await run({ maxConnections: 1 });
  const { client, served } = await open();
  await expectRefused();
  await nextReason("connection-limit");
  client.close();
  served.close();
  await nextReason("done");
  expect(records.map(({ reason }) => reason)).toEqual(reasons);
  expect(records.every((record) => record.client.startsWith("127.0.0.1:"))).toBe(true);

  proxy.recordConnections({ errors: false, every: 0 });
  await run(); // a later message has been applied, so the one before has been too
  (await openUsed()).client.reset();
  await waitFor(() => proxy.status().services[0]!.tcp.openConnections === 0, { what: "the last to end" });
  await proxy.stop();
  expect(records).toHaveLength(reasons.length);
});

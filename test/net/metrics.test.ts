/** /metrics of the compiled node: its values are what clients did, in every format, over reloads and an upgrade. */
import { afterEach, describe, expect, test } from "bun:test";
import { connect, createServer, type Socket } from "node:net";
import { gunzipSync } from "node:zlib";
import { UdpPeer } from "../support/load/udp-peer.ts";
import { Metrics } from "../support/node/metrics.ts";
import { NodeProcess, portmesh } from "../support/node/node-process.ts";
import { freePorts } from "../support/os/free-port.ts";
import { waitFor } from "../support/time/wait-for.ts";

const REQUEST = "x".repeat(100);
const ANSWER_BYTES = 300;
/** Clients come from here, so that their address can be looked for. */
const CLIENT = "127.77.66.55";

const closers: (() => unknown)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

/** Answers a request of 100 bytes with 300, and leaves the connection open. */
async function openTask(port: number): Promise<void> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    let received = 0;
    sockets.add(socket);
    socket.on("error", () => undefined);
    socket.on("close", () => sockets.delete(socket));
    socket.on("data", (data) => {
      received += data.length;
      for (; received >= REQUEST.length; received -= REQUEST.length) socket.write("y".repeat(ANSWER_BYTES));
    });
  });
  await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
  closers.push(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
}

/** Resolves when the task has answered, or with null when the connection has ended before. */
function request(port: number, localAddress = CLIENT): Promise<Socket | null> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: "127.0.0.1", localAddress });
    let received = 0;
    socket.on("connect", () => socket.write(REQUEST));
    socket.on("error", () => undefined);
    socket.on("close", () => resolve(null));
    socket.on("data", (data) => {
      received += data.length;
      if (received === ANSWER_BYTES) resolve(socket);
    });
    closers.push(() => socket.destroy());
  });
}

async function ended(socket: Socket | null): Promise<void> {
  const closed = new Promise((resolve) => socket!.once("close", resolve));
  socket!.end();
  await closed;
}

async function start(services: string): Promise<NodeProcess> {
  const node = await NodeProcess.start(services);
  closers.push(async () => {
    const pid = await node.status().then(
      (status) => status.pid,
      () => null,
    );
    if (pid !== null && pid !== node.child.pid) process.kill(pid, "SIGKILL");
    await node.kill();
  });
  return node;
}

/** Its name, too. */
function taskAt(port: number): string {
  return `127.0.0.1:${port}`;
}

function web(published: number, tasks: readonly number[], more = ""): string {
  const list = tasks.map((port) => `"${taskAt(port)}"`);
  return `[proxy]
workers = 2
[[services]]
name = "web"
publish = ["${published}:80"]
tasks = [${list.join(", ")}]
balance = "round-robin"
${more}`;
}

/** As soon as the values are these: counts of a connection follow its end. */
async function metricsWith(node: NodeProcess, isRight: (metrics: Metrics) => boolean): Promise<Metrics> {
  let metrics = await Metrics.of(node.socket);
  const what = "the expected values in /metrics";
  await waitFor(async () => isRight((metrics = await Metrics.of(node.socket))), { what });
  return metrics;
}

describe("TCP", () => {
  test("connections, bytes and connect times are those of the clients, of the service and of its tasks", async () => {
    const [published, one, two] = (await freePorts(3)) as [number, number, number];
    await Promise.all([openTask(one), openTask(two)]);
    const node = await start(web(published, [one, two]));
    const clients = await Promise.all(Array.from({ length: 20 }, () => request(published)));
    expect(clients.includes(null)).toBe(false);
    const open = await Metrics.of(node.socket);
    expect(open.value("portmesh_service_connections_open", { service: "web" })).toBe(20);
    expect(open.sum("portmesh_task_connections_open", { service: "web" })).toBe(20);
    await Promise.all(clients.slice(0, 15).map(ended));
    const metrics = await metricsWith(node, (each) => each.value("portmesh_service_connections_open") === 5);
    const service = (name: string, labels = {}) => metrics.value(`portmesh_service_${name}`, labels);
    const tasks = (name: string, labels = {}) => metrics.sum(`portmesh_task_${name}`, labels);
    expect(service("connections_total")).toBe(20);
    expect(tasks("connections_total")).toBe(20);
    expect(metrics.value("portmesh_task_connections_total", { task: taskAt(one) })).toBeGreaterThan(0);
    expect(service("received_bytes_total", { protocol: "tcp" })).toBe(20 * REQUEST.length);
    expect(service("sent_bytes_total", { protocol: "tcp" })).toBe(20 * ANSWER_BYTES);
    expect(tasks("sent_bytes_total")).toBe(20 * REQUEST.length);
    expect(tasks("received_bytes_total")).toBe(20 * ANSWER_BYTES);
    expect(service("connect_duration_seconds_count")).toBe(20);
    expect(tasks("connect_duration_seconds_count")).toBe(20);
    expect(service("connect_duration_seconds_bucket", { le: "+Inf" })).toBe(20);
    expect([service("tasks"), service("tasks_up")]).toEqual([2, 2]);
    expect(metrics.sum("portmesh_service_failures_total")).toBe(0);
    expect(metrics.text.includes(CLIENT)).toBe(false);
  });

  test("failures have their reasons: of the task, of the service, of the client", async () => {
    const [published, denied, full, dead, alive] = (await freePorts(5)) as [
      number,
      number,
      number,
      number,
      number,
    ];
    await openTask(alive);
    const service = (name: string, port: number, tasks: readonly number[], rest: string) =>
      web(port, tasks, rest)
        .replace('"web"', `"${name}"`)
        .replace(/\[proxy]\nworkers = 2\n/, "");
    const node = await start(
      web(published, [dead, alive]) +
        service("denied", denied, [alive], 'deny = ["127.77.0.0/16"]\n') +
        service("full", full, [alive], "max_connections = 1\n"),
    );
    expect(await request(published)).not.toBeNull();
    expect(await request(published)).not.toBeNull();
    expect(await request(denied)).toBeNull();
    expect(await request(full)).not.toBeNull();
    expect(await request(full)).toBeNull();
    const reset = await request(published);
    reset!.resetAndDestroy();
    const metrics = await metricsWith(
      node,
      (each) =>
        each.value("portmesh_service_failures_total", { service: "web", reason: "client-reset" }) === 1,
    );
    const failures = (name: string, reason: string) =>
      metrics.value("portmesh_service_failures_total", { service: name, reason });
    expect([failures("denied", "denied"), failures("full", "connection-limit")]).toEqual([1, 1]);
    const refused = metrics.value("portmesh_task_connect_failures_total", {
      service: "web",
      task: taskAt(dead),
      reason: "refused",
    });
    expect(refused).toBeGreaterThan(0);
    expect(metrics.sum("portmesh_task_connect_failures_total")).toBe(refused);
    const retries = metrics.value("portmesh_service_retries_total", { service: "web" });
    expect(retries).toBe(refused);
    expect(metrics.value("portmesh_task_retries_total", { service: "web", task: taskAt(dead) })).toBe(
      retries,
    );
    expect(metrics.value("portmesh_task_up", { service: "web", task: taskAt(dead) })).toBe(0);
    expect(metrics.value("portmesh_service_tasks_up", { service: "web" })).toBe(1);
  });

  test("a client without any task is a failure of the service", async () => {
    const [published, dead] = (await freePorts(2)) as [number, number];
    const node = await start(web(published, [dead]));
    expect(await request(published)).toBeNull();
    await metricsWith(
      node,
      (each) => each.value("portmesh_service_failures_total", { reason: "no-task" }) === 1,
    );
  });
});

test("UDP sessions, datagrams and bytes, and drops by reason", async () => {
  const [published] = (await freePorts(1)) as [number];
  const task = await UdpPeer.task();
  const [client, denied] = [await UdpPeer.open(), await UdpPeer.open(CLIENT)];
  closers.push(() => [task, client, denied].forEach((peer) => peer.close()));
  const node = await start(`[[services]]
name = "dns"
publish = ["${published}:53/udp"]
tasks = ["127.0.0.1:${task.port}"]
bind = ["127.0.0.1"]
deny = ["${CLIENT}"]
`);
  for (let sent = 1; sent <= 5; sent++) {
    client.send("0123456789", published);
    await waitFor(() => client.received.length === sent, { what: "an answer" });
  }
  denied.send("x", published);
  const metrics = await metricsWith(
    node,
    (each) => each.value("portmesh_service_udp_drops_total", { reason: "denied" }) === 1,
  );
  const value = (name: string, labels = {}) => metrics.value(`portmesh_${name}`, labels);
  expect([value("service_udp_sessions_open"), value("service_udp_sessions_total")]).toEqual([1, 1]);
  const sent = value("service_udp_sent_datagrams_total");
  expect([value("service_udp_received_datagrams_total"), sent]).toEqual([6, 5]);
  expect(value("service_received_bytes_total", { protocol: "udp" })).toBe(51);
  expect(value("service_sent_bytes_total", { protocol: "udp" })).toBe(50);
  expect([value("task_sent_bytes_total"), value("task_received_bytes_total")]).toEqual([50, 50]);
  expect(metrics.sum("portmesh_service_udp_drops_total")).toBe(1);
  // a service without TCP has no figures of it
  expect(metrics.has("portmesh_service_connections_total")).toBe(false);
  expect(metrics.text.includes(CLIENT)).toBe(false);
});

describe("formats", () => {
  const OPENMETRICS = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";

  test("OpenMetrics and gzip are there for those that ask, with the same samples", async () => {
    const [published, task] = (await freePorts(2)) as [number, number];
    const node = await start(web(published, [task]));
    const ask = (headers: Record<string, string>) =>
      fetch("http://portmesh/metrics", { unix: node.socket, headers, decompress: false } as RequestInit);
    const plain = await ask({ "accept-encoding": "identity" });
    expect(plain.headers.get("content-type")).toBe("text/plain; version=0.0.4; charset=utf-8");
    const open = await ask({ accept: OPENMETRICS, "accept-encoding": "gzip" });
    expect(open.headers.get("content-type")).toBe(
      "application/openmetrics-text; version=1.0.0; charset=utf-8",
    );
    expect(open.headers.get("content-encoding")).toBe("gzip");
    const [text, openText] = [await plain.text(), gunzipSync(await open.arrayBuffer()).toString()];
    expect([openText.endsWith("\n# EOF\n"), text.includes("# EOF")]).toEqual([true, false]);
    const names = (each: string) => [...new Metrics(each).samples.keys()];
    expect(names(openText)).toEqual(names(text));
  });

  test("every family has its own name, a help text and a type that fits its name", async () => {
    const [published, task] = (await freePorts(2)) as [number, number];
    await openTask(task);
    const node = await start(web(published, [task]));
    await request(published);
    const { families } = await Metrics.of(node.socket);
    for (const [name, { type, help }] of families) {
      expect([name, help.endsWith(".") || help.endsWith("1")]).toEqual([name, true]);
      expect([name, type === "counter"]).toEqual([name, name.endsWith("_total")]);
      expect([name, /^(portmesh|process)_/.test(name)]).toEqual([name, true]);
    }
  });
});

test("reloads: what came of them, and a refused one until the next", async () => {
  const [published, task] = (await freePorts(2)) as [number, number];
  const services = web(published, [task]);
  const node = await start(services);
  const state = async () => {
    const metrics = await Metrics.of(node.socket);
    const total = (result: string) => metrics.value("portmesh_config_reloads_total", { result });
    return [total("applied"), total("refused"), metrics.value("portmesh_config_last_reload_successful")];
  };
  expect(await state()).toEqual([0, 0, 1]);
  await node.reload(`${services}balance = 1\n`);
  const [, refused, isGood] = await state();
  expect([refused! > 0, isGood]).toEqual([true, 0]);
  await node.reload(`${services}max_connections = 9\n`);
  const [applied, , isGoodAgain] = await state();
  expect([applied! > 0, isGoodAgain]).toEqual([true, 1]);
});

test("a task that is removed takes its series along, and begins at 0 when it comes back", async () => {
  const [published, one, two] = (await freePorts(3)) as [number, number, number];
  await Promise.all([openTask(one), openTask(two)]);
  const node = await start(web(published, [one, two]));
  for (let index = 0; index < 4; index++) await ended(await request(published));
  await metricsWith(node, (each) => each.sum("portmesh_task_connections_open") === 0);
  await node.reload(web(published, [one]));
  const without = await Metrics.of(node.socket);
  expect(without.has("portmesh_task_connections_total", { task: taskAt(two) })).toBe(false);
  expect(without.value("portmesh_service_connections_total")).toBe(4);
  await node.reload(web(published, [one, two]));
  const again = await Metrics.of(node.socket);
  expect(again.value("portmesh_task_connections_total", { task: taskAt(two) })).toBe(0);
  expect(again.has("portmesh_task_sent_bytes_total", { task: taskAt(two) })).toBe(false);
  expect(again.value("portmesh_service_connections_total")).toBe(4);
});

test("no counter goes backwards when another process takes over", async () => {
  const [published, dead, alive] = (await freePorts(3)) as [number, number, number];
  await openTask(alive);
  const services = web(published, [dead, alive]);
  const node = await start(services);
  for (let index = 0; index < 6; index++) await ended(await request(published));
  await node.reload(`${services}balance = 1\n`);
  await node.reload(services);
  await metricsWith(node, (each) => each.value("portmesh_service_connections_open") === 0);
  await waitFor(
    async () => (await Metrics.of(node.socket)).sum("portmesh_event_loop_lag_seconds_count") > 3,
    { what: "some looks at the lag" },
  );
  const before = await Metrics.of(node.socket);
  for (let upgrades = 0; upgrades < 2; upgrades++) {
    expect(await portmesh("upgrade", "--socket", node.socket)).toMatchObject({ exitCode: 0, stderr: "" });
    await waitFor(async () => (await node.status()).predecessor === null, { what: "the predecessor to end" });
  }
  const after = await Metrics.of(node.socket);
  const lost = [...before.counters].filter(
    ([key, value]) => !key.startsWith("process_") && !((after.samples.get(key) ?? -1) >= value),
  );
  expect(lost).toEqual([]);
  expect(before.counters.size).toBeGreaterThan(50);
  expect(after.value("portmesh_service_connections_total")).toBe(6);
  expect(after.value("portmesh_config_reloads_total", { result: "refused" })).toBe(
    before.value("portmesh_config_reloads_total", { result: "refused" }),
  );
});

/** Clients open one connection per request all the time while the file is changed, tasks die and ports come and go. */
import { afterEach, expect, test } from "bun:test";
import { accepts, HttpLoad, request } from "../support/load/http-load.ts";
import { startWebTask, type WebTask } from "../support/load/web-task.ts";
import { NodeProcess, portmesh } from "../support/node/node-process.ts";
import { freePorts } from "../support/os/free-port.ts";
import { RawListener, RawSocket } from "../support/os/raw-socket.ts";
import { waitFor } from "../support/time/wait-for.ts";

const RELOADS = 100;
const CLIENTS = 8;

const tasks: WebTask[] = [];
let node: NodeProcess | null = null;
let load: HttpLoad | null = null;

afterEach(async () => {
  await load?.stop();
  await node?.kill();
  await Promise.all(tasks.splice(0).map((task) => task.kill()));
  node = null;
  load = null;
});

async function startTasks(ports: readonly number[]): Promise<void> {
  for (const [index, port] of ports.entries()) tasks.push(await startWebTask(`task-${index}`, port));
}

/** Every reload changes something else: tasks, weights, balance, a second port. */
function variant(round: number, published: number, other: number, targets: readonly number[]): string {
  const used = targets.filter((_, index) => index !== round % (targets.length + 1));
  const list = used.map((port) => `{ address = "127.0.0.1:${port}", weight = ${(round % 3) + 1} }`);
  const balance = ["round-robin", "least-connections", "source-hash", "random"][round % 4];
  const second = round % 2 === 0 ? `, "${other}:${targets[0]}"` : "";
  return `[[services]]
name = "web"
publish = ["${published}:80"${second}]
bind = ["127.0.0.1"]
balance = "${balance}"
tasks = [${list.join(", ")}]
`;
}

test("100 reloads under load fail no request", async () => {
  const [published, other, ...targets] = (await freePorts(5)) as [number, number, ...number[]];
  await startTasks(targets);
  node = await NodeProcess.start(variant(1, published, other, targets));
  load = new HttpLoad("127.0.0.1", published, CLIENTS);
  for (let round = 2; round < RELOADS + 2; round++) {
    const report = await node.reload(variant(round, published, other, targets));
    expect(report.problems).toEqual([]); // the watch may have been faster than the command
    expect(report.bindErrors).toEqual([]);
  }
  await load.stop();
  expect(load.records.length).toBeGreaterThan(RELOADS);
  expect(load.failures).toEqual([]);
});

test("a task that is killed fails no connection that begins afterwards", async () => {
  const [published, other, ...targets] = (await freePorts(5)) as [number, number, ...number[]];
  await startTasks(targets);
  node = await NodeProcess.start(variant(3, published, other, targets));
  load = new HttpLoad("127.0.0.1", published, CLIENTS);
  const enough = 200;
  await waitFor(() => load!.records.length > enough, { what: "some load" });
  await tasks[0]!.kill();
  const killedMs = performance.now();
  const after = () => load!.records.filter((record) => record.startedMs > killedMs);
  await waitFor(() => after().length > enough, { what: "load after the kill" });
  await load.stop();
  expect(after().filter((record) => record.error !== null)).toEqual([]);
  expect(new Set(after().map((record) => record.body))).not.toContain("task-0");
  const { proxy } = await node.status();
  const dead = proxy.services[0]!.tasks.find((task) => task.name.endsWith(String(targets[0])))!;
  expect(dead.state).toBe("failing");
  expect(dead.lastError?.message).toBe("connection refused");
});

test("a wrong file changes nothing and every place says why", async () => {
  const [published, other, ...targets] = (await freePorts(4)) as [number, number, ...number[]];
  await startTasks(targets);
  const right = variant(3, published, other, targets);
  node = await NodeProcess.start(right);
  const report = await node.reload(right.replace(/balance = .*/, 'balance = "best"\nbalnce = "x"'));
  expect(report.outcome).toBe("refused");
  expect(report.problems.map((problem) => problem.key)).toEqual([
    "services[0].balance",
    "services[0].balnce",
  ]);
  expect((await node.status()).config.lastReload?.outcome).toBe("refused");
  await waitFor(() => node!.log.includes("services[0].balnce"), { what: "the log to name the key" });
  expect((await request("127.0.0.1", published)).error).toBeNull();
});

test("a file that is saved is picked up without a command", async () => {
  const [published, other, ...targets] = (await freePorts(4)) as [number, number, ...number[]];
  await startTasks(targets);
  node = await NodeProcess.start(variant(3, published, other, targets));
  expect((await request("127.0.0.1", other)).error).not.toBeNull();
  node.write(variant(4, published, other, targets));
  await waitFor(async () => (await request("127.0.0.1", other)).error === null, {
    what: "the new port to serve",
  });
});

test("SIGHUP reloads", async () => {
  const [published, other, ...targets] = (await freePorts(4)) as [number, number, ...number[]];
  await startTasks(targets);
  node = await NodeProcess.start(variant(3, published, other, targets));
  node.write(variant(4, published, other, targets));
  node.child.kill("SIGHUP");
  await waitFor(async () => (await node!.status()).config.lastReload?.outcome === "applied", {
    what: "a reload",
  });
  expect((await request("127.0.0.1", other)).error).toBeNull();
});

test("SIGTERM lets open connections finish, refuses new ones and exits 0", async () => {
  const [published] = (await freePorts(1)) as [number];
  let release: () => void = () => {};
  const released = new Promise<void>((resolve) => {
    release = resolve;
  });
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: () => released.then(() => new Response("late")),
  });
  node = await NodeProcess.start(`[[services]]
name = "slow"
publish = ["${published}:${server.port}"]
tasks = ["127.0.0.1"]
`);
  const answer = request("127.0.0.1", published);
  await waitFor(async () => (await node!.status()).proxy.services[0]!.tcp.openConnections === 1, {
    what: "a connection",
  });
  const exit = node.stop();
  await waitFor(async () => !(await accepts("127.0.0.1", published)), { what: "the port to close" });
  release();
  expect(await answer).toMatchObject({ body: "late", error: null });
  expect(await exit).toBe(0);
  server.stop(true);
});

test("SIGTERM resets what is open after drain_timeout", async () => {
  const task = RawListener.open();
  const [published] = (await freePorts(1)) as [number];
  node = await NodeProcess.start(`[proxy]
workers = 2
[[services]]
name = "long"
publish = ["${published}:${task.port}"]
bind = ["127.0.0.1"]
tasks = ["127.0.0.1"]
drain_timeout = "300ms"
`);
  const client = await RawSocket.connect(published);
  const served = await task.accept();
  await served.send("the first half of an ans");
  expect(await client.receiveText(24)).toBe("the first half of an ans");
  expect(await node.stop()).toBe(0);
  expect([await client.failure(), await served.failure()]).toEqual(["ECONNRESET", "ECONNRESET"]);
  for (const socket of [client, served, task]) socket.close();
});

test("1,000 published ports start, serve and reload", async () => {
  const first = 21_000;
  const server = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: () => new Response("one of many") });
  const config = (count: number) =>
    Array.from(
      { length: count },
      (_, index) => `[[services]]
name = "service-${index}"
publish = ["${first + index}:${server.port}"]
bind = ["127.0.0.1"]
tasks = ["127.0.0.1"]
`,
    ).join("");
  node = await NodeProcess.start(config(1000));
  expect((await request("127.0.0.1", first)).body).toBe("one of many");
  expect((await request("127.0.0.1", first + 999)).body).toBe("one of many");
  const report = await node.reload(config(999));
  expect(report.changes.services.removed).toEqual(["service-999"]);
  expect(report.changes.listenersClosed).toEqual([`tcp 127.0.0.1:${first + 999}`]);
  expect((await request("127.0.0.1", first + 998)).body).toBe("one of many");
  expect((await request("127.0.0.1", first + 999)).error).not.toBeNull();
  server.stop(true);
});

test("reload and status find the node by a file that has become wrong", async () => {
  const [published] = (await freePorts(1)) as [number];
  const right = `[[services]]\nname = "web"\npublish = ["${published}:80"]\ntasks = []\n`;
  node = await NodeProcess.start(right);
  node.write(`${right}balnce = "random"\n`);
  const reload = await portmesh("reload", "-c", node.file);
  expect(reload.exitCode).toBe(1);
  expect(reload.stderr).toContain("services[0].balnce");
  expect((await portmesh("status", "-c", node.file)).exitCode).toBe(0);
});

test("a second SIGTERM ends at once, with a reset for what is open", async () => {
  const [published] = (await freePorts(1)) as [number];
  const server = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: () => new Promise<Response>(() => {}) });
  node = await NodeProcess.start(`[[services]]
name = "stuck"
publish = ["${published}:${server.port}"]
tasks = ["127.0.0.1"]
`);
  const answer = request("127.0.0.1", published);
  const isOpen = async () => (await node!.status()).proxy.services[0]!.tcp.openConnections === 1;
  await waitFor(isOpen, { what: "a connection" });
  const exit = node.stop();
  await waitFor(async () => !(await accepts("127.0.0.1", published)), { what: "the drain to begin" });
  node.child.kill("SIGTERM");
  expect(await exit).toBe(1);
  expect((await answer).error).toContain("ECONNRESET");
  await server.stop(true);
});

/**
 * Another process takes over from a running node: no client is refused or cut off, and a new process that does not get
 * ready changes nothing. HANDOVERS=20 makes the run under load longer.
 */
import { afterEach, expect, test } from "bun:test";
import { chmodSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Channel } from "../../src/node/handover/channel.ts";
import { LAYOUT } from "../../src/node/handover/messages.ts";
import { steadyClock } from "../../src/sys/clock.ts";
import { connectSeqpacket } from "../../src/sys/seqpacket.ts";
import { HeldConnection } from "../support/load/held-connection.ts";
import { HttpLoad, request } from "../support/load/http-load.ts";
import { startWebTask, type WebTask } from "../support/load/web-task.ts";
import { openHandover, sayHello, takeOverFrom } from "../support/node/fake-successor.ts";
import { NodeProcess, portmesh } from "../support/node/node-process.ts";
import { freePort, freePorts } from "../support/os/free-port.ts";
import { waitFor } from "../support/time/wait-for.ts";

const HANDOVERS = Number(process.env.HANDOVERS ?? 4);
const CLIENTS = 4;

let node: NodeProcess | null = null;
let load: HttpLoad | null = null;
const closers: (() => unknown)[] = [];

afterEach(async () => {
  await load?.stop();
  load = null;
  for (const close of closers.splice(0).reverse()) await close();
  if (node === null) return;
  const pid = await pidOf(node).catch(() => null);
  if (pid !== null && pid !== node.child.pid) process.kill(pid, "SIGKILL");
  await node.kill();
  node = null;
});

async function pidOf(running: NodeProcess): Promise<number> {
  return (await running.status()).pid;
}

async function startTask(name: string, port: number): Promise<WebTask> {
  const task = await startWebTask(name, port);
  closers.push(() => task.kill());
  return task;
}

function startEcho(port: number): void {
  const echo = Bun.listen({
    hostname: "127.0.0.1",
    port,
    socket: { data: (socket, data) => void socket.write(data) },
  });
  closers.push(() => echo.stop(true));
}

function web(published: number, target: number, more = ""): string {
  return `[[services]]
name = "web"
publish = ["${published}:${target}"]
bind = ["127.0.0.1"]
drain_timeout = "20s"
tasks = [{ address = "127.0.0.1" }]
${more}`;
}

function echo(published: number, target: number): string {
  return web(published, target).replace('"web"', '"echo"');
}

async function upgrade(running: NodeProcess, ...file: string[]) {
  return await portmesh("upgrade", ...file, "--socket", running.socket);
}

/** Nothing has happened: the same process serves, and it can be upgraded. */
async function continues(running: NodeProcess, published: number): Promise<void> {
  expect(await pidOf(running)).toBe(running.child.pid);
  expect((await request("127.0.0.1", published)).error).toBeNull();
}

test(`${HANDOVERS} upgrades in a row under load fail no request and keep the connections that are open`, async () => {
  const [published, target, echoed, echoTarget] = (await freePorts(4)) as [number, number, number, number];
  await startTask("task", target);
  startEcho(echoTarget);
  node = await NodeProcess.start(web(published, target) + echo(echoed, echoTarget));
  load = new HttpLoad("127.0.0.1", published, CLIENTS);
  const pids = new Set([node.child.pid]);
  let longestMs = 0;
  for (let generation = 1; generation <= HANDOVERS; generation++) {
    const held = await HeldConnection.open(echoed);
    await held.echoes(`before ${generation}`);
    const before = await pidOf(node);
    const startedMs = performance.now();
    expect(await upgrade(node)).toMatchObject({ exitCode: 0, stderr: "" });
    const { pid, predecessor } = await node.status();
    pids.add(pid);
    await waitFor(async () => (await node!.status()).predecessor?.openConnections === 1, {
      what: "the predecessor to report its connection",
    });
    expect(predecessor?.pid).toBe(before);
    expect((await portmesh("status", "--socket", node.socket)).stdout).toContain(
      `predecessor pid ${before}: 1 connection, `,
    );
    await held.echoes(`after ${generation}`);
    expect(held.isClosed).toBe(false);
    const records = load.since(startedMs).map((record) => record.endedMs - record.startedMs);
    longestMs = Math.max(longestMs, ...records);
    held.socket.end();
    await waitFor(async () => (await node!.status()).predecessor === null, {
      what: "the predecessor to end",
    });
  }
  await load.stop();
  expect(load.failures).toEqual([]);
  expect(load.records.length).toBeGreaterThan(HANDOVERS);
  expect(pids.size).toBe(HANDOVERS + 1);
  if (process.env.HANDOVERS)
    console.log(`${load.records.length} requests, longest ${Math.round(longestMs)} ms around a handover`);
}, 240_000);

test("several old processes drain side by side, and status shows each until it ends", async () => {
  const [published, target] = (await freePorts(2)) as [number, number];
  startEcho(target);
  node = await NodeProcess.start(echo(published, target));
  const held: HeldConnection[] = [];
  const pids: number[] = [];
  const shows = (expected: readonly number[]) =>
    waitFor(
      async () => {
        const { predecessors = [] } = await node!.status();
        const isListed = Bun.deepEquals(
          predecessors.map(({ pid }) => pid),
          expected,
        );
        return isListed && predecessors.every(({ openConnections }) => openConnections === 1);
      },
      { what: `predecessors ${expected.join(", ")}` },
    );
  for (let generation = 0; generation < 3; generation++) {
    held.push(await HeldConnection.open(published));
    await held[generation]!.echoes(`held ${generation}`);
    pids.unshift(await pidOf(node));
    expect(await upgrade(node)).toMatchObject({ exitCode: 0, stderr: "" });
    await shows(pids);
  }
  // one that fails after it has got the list
  const takeover = await takeOverFrom(node);
  expect([...(await takeover.begin()).keys()]).toContain("predecessors");
  await takeover.fail("stopped by the test");
  await waitFor(() => node!.log.includes("stopped by the test"), { what: "the failure in the log" });
  await shows(pids);
  const { stdout } = await portmesh("status", "--socket", node.socket);
  for (const pid of pids) expect(stdout).toContain(`predecessor pid ${pid}: 1 connection, `);
  // not in the order of their age
  const [third, , first] = pids as [number, number, number];
  for (const [generation, left] of [
    [1, [third, first]],
    [0, [third]],
    [2, []],
  ] as const) {
    await held[generation]!.echoes("still open");
    held[generation]!.socket.end();
    await shows(left);
  }
  expect((await node.status()).predecessor).toBeNull();
});

test("a new process that fails changes nothing, and the command says why", async () => {
  const [published, target] = (await freePorts(2)) as [number, number];
  await startTask("task", target);
  node = await NodeProcess.start(web(published, target));
  load = new HttpLoad("127.0.0.1", published, 2);
  expect((await upgrade(node, "/bin/false")).stderr).toContain("it ended with exit code 1");
  await continues(node, published);
  expect((await upgrade(node, join(node.directory, "nothing"))).stderr).toContain("cannot start");
  await continues(node, published);
  const killed = join(node.directory, "killed");
  writeFileSync(killed, "#!/bin/sh\nkill -9 $$\n");
  chmodSync(killed, 0o755);
  expect((await upgrade(node, killed)).stderr).toContain("it was ended by SIGKILL");
  await continues(node, published);
  const right = web(published, target);
  node.write(`${right}nonsense = 1\n`);
  const wrong = await upgrade(node);
  expect(wrong.exitCode).toBe(1);
  expect(wrong.stderr).toContain("nonsense");
  expect((await upgrade(node, "/bin/false")).stderr).not.toContain("nonsense"); // of the attempt before
  await continues(node, published);
  node.write(right);
  expect((await upgrade(node)).exitCode).toBe(0);
  await load.stop();
  expect(load.failures).toEqual([]);
});

test("a successor that goes away at any step leaves the running process as it was", async () => {
  const [published, target, gossip] = (await freePorts(3)) as [number, number, number];
  await startTask("task", target);
  const cluster = `[cluster]\nkeys = ["${Buffer.alloc(32, 1).toString("base64")}"]\nbind = "127.0.0.1:${gossip}"\n`;
  node = await NodeProcess.start(`${cluster}${web(published, target)}`);
  load = new HttpLoad("127.0.0.1", published, 2);
  const failures = () => node!.log.split("this process continues").length - 1;
  const steps: ((running: NodeProcess) => Promise<void>)[] = [
    async (running) => new Channel(connectSeqpacket(await openHandover(running)), steadyClock).close(),
    async (running) => (await sayHello(running)).close(),
    async (running) => {
      const channel = await sayHello(running, LAYOUT + 1);
      const { message } = await channel.receive(10_000);
      expect(message.type).toBe("refused");
      channel.close();
    },
    async (running) => await (await takeOverFrom(running)).fail("stopped by the test"),
    async (running) => {
      const takeover = await takeOverFrom(running);
      expect(takeover.sockets.keys()).toContain(`tcp:127.0.0.1:${published}:0`);
      await takeover.begin();
      await takeover.fail("stopped by the test after the state");
    },
  ];
  for (const [index, step] of steps.entries()) {
    await step(node);
    await waitFor(() => failures() === index + 1, { what: `failure ${index + 1} in the log` });
    await continues(node, published);
  }
  expect(node.log).toContain("stopped by the test after the state");
  expect((await upgrade(node)).exitCode).toBe(0);
  await load.stop();
  expect(load.failures).toEqual([]);
});

test("a handover works with more and with fewer workers, and with other ports", async () => {
  const [published, target, other] = (await freePorts(3)) as [number, number, number];
  await startTask("task", target);
  const file = (workers: number, more = "") =>
    `[proxy]\nworkers = ${workers}\n${web(published, target)}${more}`;
  node = await NodeProcess.start(file(2));
  load = new HttpLoad("127.0.0.1", published, CLIENTS);
  for (const [workers, more] of [
    [3, ""],
    [1, ""],
    [2, web(other, target).replace('"web"', '"other"')],
  ] as const) {
    node.write(file(workers, more));
    await waitFor(async () => (await node!.status()).predecessor === null);
    expect(await upgrade(node)).toMatchObject({ exitCode: 0, stderr: "" });
    const status = await node.status();
    expect(status.proxy.workers).toBe(workers);
    const enough = load.records.length + 40;
    await waitFor(() => load!.records.length > enough, { what: "load after the handover" });
  }
  expect((await request("127.0.0.1", other)).error).toBeNull();
  await load.stop();
  expect(load.failures).toEqual([]);
});

test("a port that a reload opens while a new process starts goes to that one too", async () => {
  const [published, target, other] = (await freePorts(3)) as [number, number, number];
  await startTask("task", target);
  node = await NodeProcess.start(web(published, target));
  const takeover = await takeOverFrom(node);
  const key = `tcp:127.0.0.1:${other}:0`;
  expect(takeover.sockets.keys()).not.toContain(key);
  await node.reload(web(published, target) + web(other, target).replace('"web"', '"other"'));
  await takeover.begin();
  expect(takeover.sockets.keys()).toContain(key);
  await takeover.fail("stopped by the test");
  await waitFor(() => node!.log.includes("stopped by the test"), { what: "the failure in the log" });
  await continues(node, other);
});

test("restart applies what a reload cannot, under load, and says what it needs before", async () => {
  const [published, target] = (await freePorts(2)) as [number, number];
  await startTask("task", target);
  const file = (workers: number) => `[proxy]\nworkers = ${workers}\n${web(published, target)}`;
  node = await NodeProcess.start(file(1));
  load = new HttpLoad("127.0.0.1", published, CLIENTS);
  await node.reload(file(2));
  const waiting = async () => (await node!.status()).config.needsRestart.map(({ key }) => key);
  expect(await waiting()).toEqual(["proxy.workers"]);
  const { pid } = await node.status();
  const { exitCode, stdout, stderr } = await portmesh("restart", "--socket", node.socket);
  const after = await node.status();
  expect([exitCode, stdout, stderr]).toEqual([0, `process ${after.pid} has taken over and serves\n`, ""]);
  expect([after.pid === pid, after.proxy.workers, await waiting()]).toEqual([false, 2, []]);
  const enough = load.records.length + 40;
  await waitFor(() => load!.records.length > enough, { what: "load after the restart" });
  await load.stop();
  expect(load.failures).toEqual([]);
  // nobody there
  const nobody = await portmesh("restart", "--socket", join(node.directory, "nobody.sock"));
  expect(nobody.exitCode).not.toBe(0);
  expect(nobody.stderr).toContain("nobody.sock");
});

test("1,000 ports change hands", async () => {
  const target = await freePort();
  await startTask("task", target);
  const ports = `publish = ["21000-21999:21000-21999"]`;
  const tasks = `tasks = [{ address = "127.0.0.1:${target}" }]`;
  node = await NodeProcess.start(
    web(1, target)
      .replace(/publish = .*/, ports)
      .replace(/tasks = .*/, tasks),
  );
  expect(await upgrade(node)).toMatchObject({ exitCode: 0, stderr: "" });
  expect(await pidOf(node)).not.toBe(node.child.pid);
  for (const port of [21_000, 21_500, 21_999]) expect((await request("127.0.0.1", port)).error).toBeNull();
});

test("a file with another name or data_dir is another node, which is refused", async () => {
  const [published, target] = (await freePorts(2)) as [number, number];
  await startTask("task", target);
  node = await NodeProcess.start(`[node]\nname = "edge-1"\n${web(published, target)}`);
  node.write(`[node]\nname = "edge-2"\n${web(published, target)}`);
  expect((await upgrade(node)).stderr).toContain(
    'its node.name is "edge-2", that of the running node "edge-1": stop this node and start the new one',
  );
  await continues(node, published);
  const other = join(node.directory, "other");
  node.write(`[node]\nname = "edge-1"\ndata_dir = "${other}"\n${web(published, target)}`);
  expect((await upgrade(node)).stderr).toContain(`its data_dir is ${other}, that of the running node`);
  await continues(node, published);
  // the same directory by another path
  symlinkSync(join(node.directory, "data"), other);
  expect(await upgrade(node)).toMatchObject({ exitCode: 0, stderr: "" });
});

test("run --take-over by hand takes over", async () => {
  const [published, target] = (await freePorts(2)) as [number, number];
  await startTask("task", target);
  node = await NodeProcess.start(web(published, target));
  const pid = await pidOf(node);
  const child = Bun.spawn(["dist/portmesh", "run", "-c", node.file, "--take-over"], {
    env: {},
    stdin: "ignore",
    stdout: "ignore",
    stderr: "ignore",
  });
  closers.push(() => child.kill("SIGKILL"));
  await waitFor(async () => (await pidOf(node!).catch(() => null)) === child.pid, {
    what: "the new process to serve",
  });
  expect(pid).not.toBe(child.pid);
  expect((await request("127.0.0.1", published)).error).toBeNull();
});

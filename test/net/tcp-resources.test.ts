/** The executable's descriptors and memory: many connections, one after another and at once, and too few descriptors. */
import { afterEach, expect, test } from "bun:test";
import { connect, createServer, type Socket } from "node:net";
import { resolve } from "node:path";
import { NodeProcess } from "../support/node/node-process.ts";
import { freePort } from "../support/os/free-port.ts";
import { cpuSecondsOf, descriptorsOf, memoryBytesOf } from "../support/os/process-stats.ts";
import { RawListener, RawSocket } from "../support/os/raw-socket.ts";
import { findProgram } from "../support/os/require-program.ts";
import { ProxyHarness } from "../support/proxy/proxy-harness.ts";
import { waitFor } from "../support/time/wait-for.ts";

const HELPER = resolve("test/support/load/echo-clients.ts");
const MEBIBYTE = 1024 * 1024;

const cleanUps: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

interface Progress {
  isListening?: boolean;
  echoed?: number;
  failed?: number;
}

/** A helper process and the last thing it said. */
function startHelper(...args: string[]): { readonly last: () => Progress; stop(): Promise<void> } {
  let last: Progress = {};
  const child = Bun.spawn([process.execPath, HELPER, ...args], {
    stdio: ["ignore", "ignore", "inherit"],
    ipc: (message) => {
      last = message as Progress;
    },
  });
  const stop = async () => {
    child.kill("SIGKILL");
    await child.exited;
  };
  cleanUps.push(stop);
  return { last: () => last, stop };
}

async function startTask(): Promise<number> {
  const port = await freePort();
  const task = startHelper("task", String(port));
  await waitFor(() => task.last().isListening === true, { what: "the task" });
  return port;
}

async function startNode(target: number, wrapper: readonly string[] = []): Promise<[NodeProcess, number]> {
  const published = await freePort();
  const node = await NodeProcess.start(
    `[proxy]
workers = 1
[[services]]
name = "echo"
publish = ["${published}:${target}"]
bind = ["127.0.0.1"]
tasks = ["127.0.0.1"]
`,
    wrapper,
  );
  cleanUps.push(() => node.kill());
  return [node, published];
}

async function openConnections(node: NodeProcess): Promise<number> {
  return (await node.status()).proxy.services[0]!.tcp.openConnections;
}

/** `count` connections, 50 at a time, each with one byte there and back. */
async function runThrough(published: number, count: number, end: (socket: Socket) => void): Promise<number> {
  const width = 50;
  let left = count;
  let failed = 0;
  const one = () =>
    new Promise<void>((done) => {
      const socket = connect(published, "127.0.0.1", () => socket.write("x"));
      socket.on("data", () => end(socket));
      socket.on("error", () => failed++);
      socket.on("close", () => done());
    });
  const client = async () => {
    while (left-- > 0) await one();
  };
  await Promise.all(Array.from({ length: width }, client));
  return failed;
}

test("10,000 connections leak no descriptor, pipe or memory", async () => {
  const [node, published] = await startNode(await startTask());
  const pid = node.child.pid;
  expect(await runThrough(published, 3000, (socket) => socket.end())).toBe(0); // warm: code is compiled, heaps are grown
  const [descriptors, memory] = [descriptorsOf(pid), memoryBytesOf(pid)];
  expect(await runThrough(published, 7000, (socket) => socket.end())).toBe(0);
  expect(await runThrough(published, 3000, (socket) => socket.resetAndDestroy())).toBe(0);
  await waitFor(async () => (await openConnections(node)) === 0, { what: "every connection to end" });
  await waitFor(() => descriptorsOf(pid) <= descriptors, { what: "every descriptor to be closed" });
  const grownBytes = memoryBytesOf(pid) - memory;
  console.log(`memory after 10,000 more connections: ${(grownBytes / MEBIBYTE).toFixed(1)} MiB more`);
  expect(grownBytes).toBeLessThan(24 * MEBIBYTE);
});

test("9,000 connections at once", async () => {
  const count = 9000;
  const [node, published] = await startNode(await startTask());
  const before = memoryBytesOf(node.child.pid);
  const clients = startHelper("clients", String(published), String(count));
  await waitFor(() => clients.last().echoed === count, { what: "9,000 echoes", deadlineMs: 60_000 });
  expect(clients.last().failed).toBe(0);
  expect(await openConnections(node)).toBe(count);
  const perConnection = () => (memoryBytesOf(node.child.pid) - before) / count;
  console.log(`memory per connection right after opening: ${perConnection().toFixed(0)} bytes`);
  await waitFor(() => perConnection() < 4 * 1024, { what: "what opening took to be given back" });
  await clients.stop();
  await waitFor(async () => (await openConnections(node)) === 0, { what: "all to end" });
});

test("without descriptors accepting pauses, nothing spins, and who waited is served", async () => {
  const limited = [findProgram("bash")!, "-c", 'ulimit -n 200; exec "$0" "$@"'];
  const [node, published] = await startNode(await startTask(), limited);
  const pid = node.child.pid;
  const count = 150;
  const sockets: Socket[] = [];
  const answered = new Set<Socket>();
  for (let i = 0; i < count; i++) {
    const socket = connect(published, "127.0.0.1", () => socket.write("x"));
    socket.on("data", () => answered.add(socket));
    socket.on("error", () => {});
    sockets.push(socket);
  }
  cleanUps.push(() => sockets.forEach((socket) => socket.destroy()));
  const paused = async () => (await node.status()).proxy.workersOutOfDescriptors === 1;
  await waitFor(paused, { what: "accepting to pause" });
  const cpuBefore = cpuSecondsOf(pid);
  const startMs = performance.now();
  await waitFor(() => performance.now() - startMs > 1000, { what: "a second" });
  expect(cpuSecondsOf(pid) - cpuBefore).toBeLessThan(0.5);
  expect(answered.size).toBeLessThan(count);
  // one goes, one comes
  for (const socket of sockets) {
    await waitFor(() => answered.has(socket), { what: "a waiting client to be served" });
    socket.destroy();
  }
  await waitFor(async () => !(await paused()), { what: "accepting to go on" });
  expect((await node.status()).proxy.services[0]!.refusedTotal).toEqual({});
});

test("connections whose task closes at once leave nothing behind", async () => {
  const dead = createServer((socket) => socket.destroy());
  await new Promise<void>((done) => dead.listen(0, "127.0.0.1", done));
  cleanUps.push(() => dead.close());
  const { port } = dead.address() as { port: number };
  const [node, published] = await startNode(port);
  const descriptors = descriptorsOf(node.child.pid);
  await runThrough(published, 500, (socket) => socket.end());
  await waitFor(() => descriptorsOf(node.child.pid) <= descriptors + 32, {
    what: "descriptors to be closed",
  });
});

test("a storm of clients that reset at once, after a byte, or in mid-stream leaves nothing behind", async () => {
  const harness = await ProxyHarness.start(1);
  cleanUps.push(() => harness.stop());
  const task = RawListener.open();
  const published = await freePort();
  await harness.apply({ protocol: "tcp", published, tasks: [task.port] });
  const served: RawSocket[] = [];
  const chunk = new Uint8Array(4096);

  async function storm(count: number): Promise<void> {
    for (let i = 0; i < count; i++) {
      const client = await RawSocket.connect(published);
      if (i % 3 === 1) await client.send("x");
      if (i % 3 === 2) for (let sent = 0; sent < 4; sent++) await client.send(chunk);
      client.reset();
      // tasks come late, or never: their queue holds connections that are over already
      if (i % 4 === 0) served.push(await task.accept());
      if (i % 16 === 0) for (const socket of served.splice(0)) socket.close();
    }
    for (const socket of served.splice(0)) socket.close();
  }

  async function emptyQueue(): Promise<void> {
    while (await task.hasWaiting()) (await task.accept()).close();
  }

  await storm(60); // the pipes that a pool keeps are open now
  await harness.allClosed(60);
  await emptyQueue();
  const before = descriptorsOf(process.pid);
  for (let round = 1; round <= 10; round++) {
    await storm(60);
    await harness.allClosed(60 + 60 * round);
    await emptyQueue();
  }
  await waitFor(() => descriptorsOf(process.pid) <= before, { what: "every descriptor to be closed" });
  const { tcp, tasks } = harness.proxy.status().services[0]!;
  expect(tcp.acceptedTotal).toBe(660);
  expect(tasks[0]).toMatchObject({ openConnections: 0, state: "active" });
});

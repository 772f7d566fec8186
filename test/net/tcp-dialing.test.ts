/** Which task a client gets, and what happens when it does not answer. */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { Arena } from "../../src/sys/arena.ts";
import { AF_INET, SOCKADDR_MAX, writeSockaddr } from "../../src/sys/sockaddr.ts";
import * as socket from "../../src/sys/socket.ts";
import { request } from "../support/load/http-load.ts";
import { freePort, freePorts } from "../support/os/free-port.ts";
import { descriptorsOf } from "../support/os/process-stats.ts";
import { RawListener, RawSocket } from "../support/os/raw-socket.ts";
import { takeAllDescriptors } from "../support/os/take-descriptors.ts";
import { ProxyHarness } from "../support/proxy/proxy-harness.ts";
import { waitFor } from "../support/time/wait-for.ts";

const ACCEPT_LENGTH_AT = 64;
/** Sooner than a silent task is given up, also on a busy machine. */
const SOON_MS = 4_000;

let harness: ProxyHarness;
const cleanUps: (() => unknown)[] = [];

beforeEach(async () => {
  harness = await ProxyHarness.start(1);
});

afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
  await harness.stop();
});

function startWeb(name: string, port = 0): number {
  const server = Bun.serve({ hostname: "127.0.0.1", port, fetch: () => new Response(name) });
  cleanUps.push(() => server.stop(true));
  return server.port!;
}

interface BlackHole {
  readonly port: number;
  /** Takes everybody out of the queue: the next SYN is answered. */
  open(): RawSocket[];
}

/**
 * A task that neither accepts nor refuses: it listens with the shortest queue, which is filled, so that the kernel
 * drops every further SYN.
 */
async function startBlackHole(): Promise<BlackHole> {
  const memory = new Arena(4096);
  const fd = socket.tcpSocket(AF_INET);
  const port = await freePort();
  const length = writeSockaddr(memory.bytes, 0, Uint8Array.of(127, 0, 0, 1), port);
  expect(socket.bind(fd, memory.address(0), length)).toBe(0);
  expect(socket.listen(fd, 0)).toBe(0);
  cleanUps.push(() => socket.close(fd));
  for (let i = 0; i < 4; i++) {
    const filler = socket.tcpSocket(AF_INET);
    socket.connect(filler, memory.address(0), length);
    cleanUps.push(() => socket.close(filler));
  }
  return { port, open: () => acceptAll(fd, memory) };
}

function acceptAll(fd: number, memory: Arena): RawSocket[] {
  const all: RawSocket[] = [];
  for (;;) {
    memory.int32[ACCEPT_LENGTH_AT / 4] = SOCKADDR_MAX;
    const accepted = socket.accept(fd, memory.address(0), memory.address(ACCEPT_LENGTH_AT));
    if (accepted < 0) return all;
    const served = new RawSocket(accepted);
    cleanUps.push(() => served.close());
    all.push(served);
  }
}

/** How a connection that is refused ends; the reset may come as early as the handshake. */
async function endOfConnection(published: number): Promise<string> {
  try {
    const client = await RawSocket.connect(published);
    cleanUps.push(() => client.close());
    return await client.failure();
  } catch (error) {
    return (error as { code: string }).code;
  }
}

async function bodies(published: number, count: number): Promise<(string | null)[]> {
  const answers: (string | null)[] = [];
  for (let i = 0; i < count; i++) answers.push((await request("127.0.0.1", published)).body);
  return answers;
}

function status() {
  return harness.proxy.status().services[0]!;
}

test("a refused task costs no client anything", async () => {
  const [published, dead] = (await freePorts(2)) as [number, number];
  await harness.apply({ protocol: "tcp", published, tasks: [startWeb("a"), dead, startWeb("b")] });
  const answers = await bodies(published, 200);
  expect(answers).not.toContain(null);
  expect(new Set(answers)).toEqual(new Set(["a", "b"]));
  expect(status().tasks[1]).toMatchObject({
    state: "failing",
    connectionsTotal: 0,
    lastError: { message: "connection refused" },
  });
  // it was taken out of rotation, not tried for every client
  expect(status().tasks[1]!.connectFailuresTotal).toBeLessThan(10);
});

test("a silent task is overtaken by the next one", async () => {
  const published = await freePort();
  const hole = await startBlackHole();
  await harness.apply({ protocol: "tcp", published, tasks: [hole.port, startWeb("alive")] });
  const startMs = performance.now();
  expect(await bodies(published, 1)).toEqual(["alive"]);
  expect(performance.now() - startMs).toBeLessThan(SOON_MS);
  expect(await bodies(published, 20)).toEqual(Array(20).fill("alive"));
  await waitFor(() => status().tasks[0]!.state === "failing", { what: "the silent task to be noticed" });
  expect(status().tasks[0]!.lastError?.message).toBe("timed out");
  expect(status().refusedTotal).toEqual({});
});

test("a silent task that was overtaken is let go: the next client does not notice", async () => {
  const count = 16; // round-robin sends half of them to the silent task first
  const published = await freePort();
  const hole = await startBlackHole();
  const task = RawListener.open();
  cleanUps.push(() => task.close());
  const openAll = async () => {
    const clients = await Promise.all(Array.from({ length: count }, () => RawSocket.connect(published)));
    const served = await Promise.all(clients.map(() => task.accept()));
    cleanUps.push(() => [...clients, ...served].forEach((end) => end.close()));
    return { clients, served };
  };
  await harness.apply({ protocol: "tcp", published, tasks: [hole.port, task.port] });
  const first = await openAll();
  for (const end of [...first.clients, ...first.served]) end.close();
  await harness.allClosed();
  const second = await openAll(); // they get the descriptors of the first
  let isOver = false;
  const hearing = Promise.all(second.clients.map((client) => client.becomesReadable(2000)));
  void hearing.then(() => (isOver = true));
  // if the connect goes on, the kernel's next SYN gets through, a second after the first
  await waitFor(() => {
    for (const stranger of hole.open()) void stranger.send("who are you?");
    return isOver;
  });
  expect(await hearing).toEqual(Array(count).fill(false));
  expect(status().tasks[0]).toMatchObject({ connectionsTotal: 0, openConnections: 0 });
});

test("when every task fails the client is reset at once and status says why", async () => {
  const [published, dead, gone] = (await freePorts(3)) as [number, number, number];
  await harness.apply({ protocol: "tcp", published, tasks: [dead, gone] });
  const startMs = performance.now();
  expect(await endOfConnection(published)).toBe("ECONNRESET");
  expect(performance.now() - startMs).toBeLessThan(SOON_MS);
  await harness.allClosed();
  expect(status().refusedTotal).toEqual({ "no-task": 1 });
  expect(status().tasks.map((task) => task.lastError?.message)).toEqual([
    "connection refused",
    "connection refused",
  ]);
});

test("a service without tasks resets its clients", async () => {
  const published = await freePort();
  await harness.apply({ protocol: "tcp", published, tasks: [] });
  expect(await endOfConnection(published)).toBe("ECONNRESET");
  // the client hears of it before the worker has ended the turn in which it counts
  await waitFor(() => status().refusedTotal["no-task"] === 1, { what: "the refusal to be counted" });
});

test("when every task is silent the client is reset after the connect timeout", async () => {
  const published = await freePort();
  const holes = [await startBlackHole(), await startBlackHole()];
  await harness.apply({ protocol: "tcp", published, tasks: holes.map((hole) => hole.port) });
  expect(await endOfConnection(published)).toBe("ECONNRESET");
  await harness.allClosed();
  expect(status().refusedTotal).toEqual({ "no-task": 1 });
  expect(status().tasks.map((task) => task.lastError?.message)).toEqual(["timed out", "timed out"]);
});

test("a client that goes while its task is being dialed leaves nothing behind", async () => {
  const published = await freePort();
  const hole = await startBlackHole();
  await harness.apply({ protocol: "tcp", published, tasks: [hole.port] });
  const before = descriptorsOf(process.pid);
  const clients = await Promise.all(Array.from({ length: 20 }, () => RawSocket.connect(published)));
  await waitFor(() => harness.openConnections === 20, { what: "20 connects to be under way" });
  for (const client of clients) client.reset();
  await harness.allClosed();
  await waitFor(() => descriptorsOf(process.pid) <= before, { what: "their descriptors to be closed" });
  expect(status().refusedTotal).toEqual({});
});

test("a task that was cut off while it was being dialed gets no connection", async () => {
  const published = await freePort();
  const hole = await startBlackHole();
  const service = { protocol: "tcp", published, drainTimeoutMs: 0 } as const;
  await harness.apply({ ...service, tasks: [hole.port] });
  const client = await RawSocket.connect(published);
  cleanUps.push(() => client.close());
  await waitFor(() => status().tcp.openConnections === 1, { what: "the connect to be under way" });
  await harness.apply({ ...service, tasks: [] });
  hole.open(); // the kernel's next SYN, a second after the first, gets through
  expect(await client.failure()).toBe("ECONNRESET");
  await harness.allClosed();
});

test("a client that is still waiting gets a task that a reload brings", async () => {
  const published = await freePort();
  const hole = await startBlackHole();
  await harness.apply({ protocol: "tcp", published, tasks: [hole.port] });
  const answer = request("127.0.0.1", published);
  await waitFor(() => status().tcp.openConnections === 1, { what: "the connect to be under way" });
  await harness.apply({ protocol: "tcp", published, tasks: [startWeb("new")] });
  expect((await answer).body).toBe("new");
});

test("a task that comes back serves again", async () => {
  const [published, port] = (await freePorts(2)) as [number, number];
  await harness.apply({ protocol: "tcp", published, tasks: [port] });
  expect((await request("127.0.0.1", published)).error).not.toBeNull();
  startWeb("back", port);
  // the only task is tried although it is failing
  expect((await request("127.0.0.1", published)).body).toBe("back");
  expect(status().tasks[0]!.state).toBe("active");
});

test("a failing task is tried again after its pause", async () => {
  const [published, port] = (await freePorts(2)) as [number, number];
  await harness.apply({ protocol: "tcp", published, tasks: [port, startWeb("other")] });
  await bodies(published, 2);
  startWeb("back", port);
  await waitFor(async () => (await request("127.0.0.1", published)).body === "back", {
    what: "the task to get traffic again",
  });
});

test("a request that comes with its FIN before the task has accepted is delivered whole", async () => {
  const published = await freePort();
  const task = RawListener.open();
  cleanUps.push(() => task.close());
  const hole = await startBlackHole();
  await harness.apply({ protocol: "tcp", published, tasks: [hole.port, task.port] });
  for (let i = 0; i < 2; i++) {
    const client = await RawSocket.connect(published);
    await client.send("question");
    client.finish();
    const served = await task.accept();
    expect(await served.receiveRest()).toBe("question");
    await served.send("answer");
    served.close();
    expect(await client.receiveRest()).toBe("answer");
    client.close();
  }
});

test("round-robin and weights spread connections as they say", async () => {
  const published = await freePort();
  const [light, heavy] = [startWeb("light"), startWeb("heavy")];
  const tasks = [
    { port: light, weight: 1 },
    { port: heavy, weight: 3 },
  ];
  await harness.apply({ protocol: "tcp", published, tasks });
  const answers = await bodies(published, 40);
  expect(answers.filter((body) => body === "heavy")).toHaveLength(30);
});

test("least-connections avoids a busy task", async () => {
  const published = await freePort();
  const busy = RawListener.open();
  cleanUps.push(() => busy.close());
  await harness.apply({ protocol: "tcp", published, tasks: [busy.port] });
  const held = [await RawSocket.connect(published), await RawSocket.connect(published)];
  cleanUps.push(() => held.forEach((client) => client.close()));
  await waitFor(() => status().tasks[0]!.openConnections === 2, { what: "two open connections" });
  const balance = "least-connections";
  await harness.apply({ protocol: "tcp", published, balance, tasks: [busy.port, startWeb("idle")] });
  expect(await bodies(published, 2)).toEqual(["idle", "idle"]);
});

test("least-connections levels open connections, by weight", async () => {
  const published = await freePort();
  const tasks = [1, 1, 2].map((weight) => {
    const task = RawListener.open();
    cleanUps.push(() => task.close());
    return { port: task.port, weight };
  });
  await harness.apply({ protocol: "tcp", published, balance: "least-connections", tasks });
  for (let i = 0; i < 40; i++) {
    const client = await RawSocket.connect(published);
    cleanUps.push(() => client.close());
    await waitFor(() => opened() === i + 1, { what: "the connection to be counted" });
  }
  expect(status().tasks.map((task) => task.openConnections)).toEqual([10, 10, 20]);

  function opened(): number {
    return status().tasks.reduce((sum, task) => sum + task.openConnections, 0);
  }
});

test("random spreads connections over all tasks", async () => {
  const published = await freePort();
  const tasks = ["a", "b", "c"].map((name) => startWeb(name));
  await harness.apply({ protocol: "tcp", published, balance: "random", tasks });
  await bodies(published, 150);
  await harness.allClosed();
  const totals = status().tasks.map((task) => task.connectionsTotal);
  expect(totals.reduce((sum, total) => sum + total)).toBe(150);
  // an even share is 50; less than 20 has a chance below 1e-7
  expect(Math.min(...totals)).toBeGreaterThanOrEqual(20);
});

test("source-hash sends a client to one task", async () => {
  const published = await freePort();
  const tasks = ["a", "b", "c", "d"].map((name) => startWeb(name));
  await harness.apply({ protocol: "tcp", published, balance: "source-hash", tasks });
  expect(new Set(await bodies(published, 20)).size).toBe(1);
});

test("source-hash spreads clients, each to the same task again", async () => {
  const published = await freePort();
  const tasks = ["a", "b", "c"].map((name) => startWeb(name));
  await harness.apply({ protocol: "tcp", published, balance: "source-hash", tasks });
  const clients = Array.from({ length: 40 }, (_, i) => `127.0.1.${i + 1}`);
  const ask = () =>
    Promise.all(clients.map((localAddress) => request("127.0.0.1", published, { localAddress })));
  const [first, again] = [await ask(), await ask()].map((answers) => answers.map(({ body }) => body));
  expect(again).toEqual(first!);
  expect(new Set(first)).toEqual(new Set(["a", "b", "c"]));
});

/** Takes every descriptor that the process may still open; returns what gives them back. */
test("a client for whose task there is no descriptor waits for one", async () => {
  const published = await freePort();
  const task = RawListener.open();
  cleanUps.push(() => task.close());
  await harness.apply({ protocol: "tcp", published, tasks: [task.port], acceptProxy: ["127.0.0.1"] });
  const client = await RawSocket.connect(published);
  cleanUps.push(() => client.close());
  await waitFor(() => harness.openConnections === 1, { what: "the connection to be accepted" });
  const giveBack = await takeAllDescriptors();
  cleanUps.push(giveBack);
  await client.send("PROXY UNKNOWN\r\nhello");
  await waitFor(() => harness.proxy.status().workersOutOfDescriptors === 1, { what: "the dial to wait" });
  giveBack();
  const served = await task.accept();
  expect(await served.receiveText(5)).toBe("hello");
  served.close();
});

test("a client that waits for a descriptor in vain is reset", async () => {
  const [published, port] = (await freePorts(2)) as [number, number];
  await harness.apply({ protocol: "tcp", published, tasks: [port], acceptProxy: ["127.0.0.1"] });
  const client = await RawSocket.connect(published);
  cleanUps.push(() => client.close());
  await waitFor(() => harness.openConnections === 1, { what: "the connection to be accepted" });
  cleanUps.push(await takeAllDescriptors());
  await client.send("PROXY UNKNOWN\r\n");
  expect(await client.failure()).toBe("ECONNRESET");
  // the client hears of it before the worker has ended the turn in which it counts
  await waitFor(() => status().refusedTotal["out-of-descriptors"] === 1, {
    what: "the refusal to be counted",
  });
});

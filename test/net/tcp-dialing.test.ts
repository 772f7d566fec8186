/** Which task a client gets, and what happens when it does not answer. */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { Arena } from "../../src/sys/arena.ts";
import { AF_INET, writeSockaddr } from "../../src/sys/sockaddr.ts";
import * as socket from "../../src/sys/socket.ts";
import { freePort, freePorts } from "../support/free-port.ts";
import { request } from "../support/http-load.ts";
import { ProxyHarness } from "../support/proxy-harness.ts";
import { RawListener, RawSocket } from "../support/raw-socket.ts";
import { waitFor } from "../support/wait-for.ts";

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

/**
 * A task that neither accepts nor refuses: it listens with the shortest queue, which is filled, so that the kernel
 * drops every further SYN.
 */
async function startBlackHole(): Promise<number> {
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
  return port;
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
  await harness.apply({ protocol: "tcp", published, tasks: [hole, startWeb("alive")] });
  expect(await bodies(published, 20)).toEqual(Array(20).fill("alive"));
  await waitFor(() => status().tasks[0]!.state === "failing", { what: "the silent task to be noticed" });
  expect(status().tasks[0]!.lastError?.message).toBe("timed out");
  expect(status().refusedTotal).toEqual({});
});

test("when every task fails the client is reset at once and status says why", async () => {
  const [published, dead, gone] = (await freePorts(3)) as [number, number, number];
  await harness.apply({ protocol: "tcp", published, tasks: [dead, gone] });
  expect(await endOfConnection(published)).toBe("ECONNRESET");
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
  await harness.apply({ protocol: "tcp", published, tasks: [hole, task.port] });
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

test("source-hash sends a client to one task", async () => {
  const published = await freePort();
  const tasks = ["a", "b", "c", "d"].map((name) => startWeb(name));
  await harness.apply({ protocol: "tcp", published, balance: "source-hash", tasks });
  expect(new Set(await bodies(published, 20)).size).toBe(1);
});

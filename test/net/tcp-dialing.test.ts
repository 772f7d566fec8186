/** Which task a client gets, and what happens when it does not answer. */
import { expect, test } from "bun:test";
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

interface BlackHole {
  readonly port: number;
  /** Takes everybody out of the queue: the next SYN is answered. */
  open(): RawSocket[];
}

/** A proxy, its tasks and clients, of one test. */
class Dialing implements AsyncDisposable {
  readonly #cleanUps: (() => unknown)[] = [];

  private constructor(readonly harness: ProxyHarness) {}

  static async start(): Promise<Dialing> {
    return new Dialing(await ProxyHarness.start(1));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const cleanUp of this.#cleanUps.splice(0).reverse()) await cleanUp();
    await this.harness.stop();
  }

  defer(cleanUp: () => unknown): void {
    this.#cleanUps.push(cleanUp);
  }

  status() {
    return this.harness.proxy.status().services[0]!;
  }

  startWeb(name: string, port = 0): number {
    const server = Bun.serve({ hostname: "127.0.0.1", port, fetch: () => new Response(name) });
    this.defer(() => server.stop(true));
    return server.port!;
  }

  /**
   * A task that neither accepts nor refuses: it listens with the shortest queue, which is filled, so that the kernel
   * drops every further SYN.
   */
  async startBlackHole(): Promise<BlackHole> {
    const memory = new Arena(4096);
    const fd = socket.tcpSocket(AF_INET);
    const port = await freePort();
    const length = writeSockaddr(memory.bytes, 0, Uint8Array.of(127, 0, 0, 1), port);
    expect(socket.bind(fd, memory.address(0), length)).toBe(0);
    expect(socket.listen(fd, 0)).toBe(0);
    this.defer(() => socket.close(fd));
    for (let i = 0; i < 4; i++) {
      const filler = socket.tcpSocket(AF_INET);
      socket.connect(filler, memory.address(0), length);
      this.defer(() => socket.close(filler));
    }
    return { port, open: () => this.#acceptAll(fd, memory) };
  }

  #acceptAll(fd: number, memory: Arena): RawSocket[] {
    const all: RawSocket[] = [];
    for (;;) {
      memory.int32[ACCEPT_LENGTH_AT / 4] = SOCKADDR_MAX;
      const accepted = socket.accept(fd, memory.address(0), memory.address(ACCEPT_LENGTH_AT));
      if (accepted < 0) return all;
      const served = new RawSocket(accepted);
      this.defer(() => served.close());
      all.push(served);
    }
  }

  /** How a connection that is refused ends; the reset may come as early as the handshake. */
  /** The client hears of it before the worker has ended the turn in which it counts. */
  async refuses(reason: string): Promise<void> {
    await this.harness.allClosed();
    await waitFor(() => Bun.deepEquals(this.status().refusedTotal, { [reason]: 1 }), {
      what: "the refusal to be counted",
    });
  }

  async endOfConnection(published: number): Promise<string> {
    try {
      const client = await RawSocket.connect(published);
      this.defer(() => client.close());
      return await client.failure();
    } catch (error) {
      return (error as { code: string }).code;
    }
  }
}

async function bodies(published: number, count: number): Promise<(string | null)[]> {
  const answers: (string | null)[] = [];
  for (let i = 0; i < count; i++) answers.push((await request("127.0.0.1", published)).body);
  return answers;
}

test.concurrent("a refused task costs no client anything", async () => {
  await using t = await Dialing.start();
  const [published, dead] = (await freePorts(2)) as [number, number];
  await t.harness.apply({ protocol: "tcp", published, tasks: [t.startWeb("a"), dead, t.startWeb("b")] });
  const answers = await bodies(published, 200);
  expect(answers).not.toContain(null);
  expect(new Set(answers)).toEqual(new Set(["a", "b"]));
  expect(t.status().tasks[1]).toMatchObject({
    state: "failing",
    connectionsTotal: 0,
    lastError: { message: "connection refused" },
  });
  // it was taken out of rotation, not tried for every client
  expect(t.status().tasks[1]!.connectFailuresTotal).toBeLessThan(10);
});

test.concurrent("a silent task is overtaken by the next one", async () => {
  await using t = await Dialing.start();
  const published = await freePort();
  const hole = await t.startBlackHole();
  await t.harness.apply({ protocol: "tcp", published, tasks: [hole.port, t.startWeb("alive")] });
  const startMs = performance.now();
  expect(await bodies(published, 1)).toEqual(["alive"]);
  expect(performance.now() - startMs).toBeLessThan(SOON_MS);
  expect(await bodies(published, 20)).toEqual(Array(20).fill("alive"));
  await waitFor(() => t.status().tasks[0]!.state === "failing", { what: "the silent task to be noticed" });
  expect(t.status().tasks[0]!.lastError?.message).toBe("timed out");
  expect(t.status().refusedTotal).toEqual({});
});

test.concurrent("a silent task that was overtaken is let go: the next client does not notice", async () => {
  await using t = await Dialing.start();
  const count = 16; // round-robin sends half of them to the silent task first
  const published = await freePort();
  const hole = await t.startBlackHole();
  const task = RawListener.open();
  t.defer(() => task.close());
  const openAll = async () => {
    const clients = await Promise.all(Array.from({ length: count }, () => RawSocket.connect(published)));
    const served = await Promise.all(clients.map(() => task.accept()));
    t.defer(() => [...clients, ...served].forEach((end) => end.close()));
    return { clients, served };
  };
  await t.harness.apply({ protocol: "tcp", published, tasks: [hole.port, task.port] });
  const first = await openAll();
  for (const end of [...first.clients, ...first.served]) end.close();
  await t.harness.allClosed();
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
  expect(t.status().tasks[0]).toMatchObject({ connectionsTotal: 0, openConnections: 0 });
});

test.concurrent("when every task fails the client is reset at once and status says why", async () => {
  await using t = await Dialing.start();
  const [published, dead, gone] = (await freePorts(3)) as [number, number, number];
  await t.harness.apply({ protocol: "tcp", published, tasks: [dead, gone] });
  const startMs = performance.now();
  expect(await t.endOfConnection(published)).toBe("ECONNRESET");
  expect(performance.now() - startMs).toBeLessThan(SOON_MS);
  await t.refuses("no-task");
  expect(t.status().tasks.map((task) => task.lastError?.message)).toEqual([
    "connection refused",
    "connection refused",
  ]);
});

test.concurrent("a service without tasks resets its clients", async () => {
  await using t = await Dialing.start();
  const published = await freePort();
  await t.harness.apply({ protocol: "tcp", published, tasks: [] });
  expect(await t.endOfConnection(published)).toBe("ECONNRESET");
  await t.refuses("no-task");
});

test.concurrent("when every task is silent the client is reset after the connect timeout", async () => {
  await using t = await Dialing.start();
  const published = await freePort();
  const holes = [await t.startBlackHole(), await t.startBlackHole()];
  await t.harness.apply({ protocol: "tcp", published, tasks: holes.map((hole) => hole.port) });
  expect(await t.endOfConnection(published)).toBe("ECONNRESET");
  await t.refuses("no-task");
  expect(t.status().tasks.map((task) => task.lastError?.message)).toEqual(["timed out", "timed out"]);
});

test.concurrent("a task that was cut off while it was being dialed gets no connection", async () => {
  await using t = await Dialing.start();
  const published = await freePort();
  const hole = await t.startBlackHole();
  const service = { protocol: "tcp", published, drainTimeoutMs: 0 } as const;
  await t.harness.apply({ ...service, tasks: [hole.port] });
  const client = await RawSocket.connect(published);
  t.defer(() => client.close());
  await waitFor(() => t.status().tcp.openConnections === 1, { what: "the connect to be under way" });
  await t.harness.apply({ ...service, tasks: [] });
  hole.open(); // the kernel's next SYN, a second after the first, gets through
  expect(await client.failure()).toBe("ECONNRESET");
  await t.harness.allClosed();
});

test.concurrent("a client that is still waiting gets a task that a reload brings", async () => {
  await using t = await Dialing.start();
  const published = await freePort();
  const hole = await t.startBlackHole();
  await t.harness.apply({ protocol: "tcp", published, tasks: [hole.port] });
  const answer = request("127.0.0.1", published);
  await waitFor(() => t.status().tcp.openConnections === 1, { what: "the connect to be under way" });
  await t.harness.apply({ protocol: "tcp", published, tasks: [t.startWeb("new")] });
  expect((await answer).body).toBe("new");
});

test.concurrent("a task that comes back serves again", async () => {
  await using t = await Dialing.start();
  const [published, port] = (await freePorts(2)) as [number, number];
  await t.harness.apply({ protocol: "tcp", published, tasks: [port] });
  expect((await request("127.0.0.1", published)).error).not.toBeNull();
  t.startWeb("back", port);
  // the only task is tried although it is failing
  expect((await request("127.0.0.1", published)).body).toBe("back");
  expect(t.status().tasks[0]!.state).toBe("active");
});

test.concurrent("a failing task is tried again after its pause", async () => {
  await using t = await Dialing.start();
  const [published, port] = (await freePorts(2)) as [number, number];
  await t.harness.apply({ protocol: "tcp", published, tasks: [port, t.startWeb("other")] });
  await bodies(published, 2);
  t.startWeb("back", port);
  await waitFor(async () => (await request("127.0.0.1", published)).body === "back", {
    what: "the task to get traffic again",
  });
});

test.concurrent("a request that comes with its FIN before the task has accepted is delivered whole", async () => {
  await using t = await Dialing.start();
  const published = await freePort();
  const task = RawListener.open();
  t.defer(() => task.close());
  const hole = await t.startBlackHole();
  await t.harness.apply({ protocol: "tcp", published, tasks: [hole.port, task.port] });
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

test.concurrent("round-robin and weights spread connections as they say", async () => {
  await using t = await Dialing.start();
  const published = await freePort();
  const [light, heavy] = [t.startWeb("light"), t.startWeb("heavy")];
  const tasks = [
    { port: light, weight: 1 },
    { port: heavy, weight: 3 },
  ];
  await t.harness.apply({ protocol: "tcp", published, tasks });
  const answers = await bodies(published, 40);
  expect(answers.filter((body) => body === "heavy")).toHaveLength(30);
});

test.concurrent("least-connections avoids a busy task", async () => {
  await using t = await Dialing.start();
  const published = await freePort();
  const busy = RawListener.open();
  t.defer(() => busy.close());
  await t.harness.apply({ protocol: "tcp", published, tasks: [busy.port] });
  const held = [await RawSocket.connect(published), await RawSocket.connect(published)];
  t.defer(() => held.forEach((client) => client.close()));
  await waitFor(() => t.status().tasks[0]!.openConnections === 2, { what: "two open connections" });
  const balance = "least-connections";
  await t.harness.apply({ protocol: "tcp", published, balance, tasks: [busy.port, t.startWeb("idle")] });
  expect(await bodies(published, 2)).toEqual(["idle", "idle"]);
});

test.concurrent("least-connections levels open connections, by weight", async () => {
  await using t = await Dialing.start();
  const published = await freePort();
  const tasks = [1, 1, 2].map((weight) => {
    const task = RawListener.open();
    t.defer(() => task.close());
    return { port: task.port, weight };
  });
  await t.harness.apply({ protocol: "tcp", published, balance: "least-connections", tasks });
  for (let i = 0; i < 40; i++) {
    const client = await RawSocket.connect(published);
    t.defer(() => client.close());
    await waitFor(() => opened() === i + 1, { what: "the connection to be counted" });
  }
  expect(t.status().tasks.map((task) => task.openConnections)).toEqual([10, 10, 20]);

  function opened(): number {
    return t.status().tasks.reduce((sum, task) => sum + task.openConnections, 0);
  }
});

test.concurrent("random spreads connections over all tasks", async () => {
  await using t = await Dialing.start();
  const published = await freePort();
  const tasks = ["a", "b", "c"].map((name) => t.startWeb(name));
  await t.harness.apply({ protocol: "tcp", published, balance: "random", tasks });
  await bodies(published, 150);
  await t.harness.allClosed();
  const totals = t.status().tasks.map((task) => task.connectionsTotal);
  expect(totals.reduce((sum, total) => sum + total)).toBe(150);
  // an even share is 50; less than 20 has a chance below 1e-7
  expect(Math.min(...totals)).toBeGreaterThanOrEqual(20);
});

test.concurrent("source-hash sends a client to one task", async () => {
  await using t = await Dialing.start();
  const published = await freePort();
  const tasks = ["a", "b", "c", "d"].map((name) => t.startWeb(name));
  await t.harness.apply({ protocol: "tcp", published, balance: "source-hash", tasks });
  expect(new Set(await bodies(published, 20)).size).toBe(1);
});

test.concurrent("source-hash spreads clients, each to the same task again", async () => {
  await using t = await Dialing.start();
  const published = await freePort();
  const tasks = ["a", "b", "c"].map((name) => t.startWeb(name));
  await t.harness.apply({ protocol: "tcp", published, balance: "source-hash", tasks });
  const clients = Array.from({ length: 40 }, (_, i) => `127.0.1.${i + 1}`);
  const ask = () =>
    Promise.all(clients.map((localAddress) => request("127.0.0.1", published, { localAddress })));
  const [first, again] = [await ask(), await ask()].map((answers) => answers.map(({ body }) => body));
  expect(again).toEqual(first!);
  expect(new Set(first)).toEqual(new Set(["a", "b", "c"]));
});

// they count or take the descriptors of this process

test("a client that goes while its task is being dialed leaves nothing behind", async () => {
  await using t = await Dialing.start();
  const published = await freePort();
  const hole = await t.startBlackHole();
  await t.harness.apply({ protocol: "tcp", published, tasks: [hole.port] });
  const before = descriptorsOf(process.pid);
  const clients = await Promise.all(Array.from({ length: 20 }, () => RawSocket.connect(published)));
  await waitFor(() => t.harness.openConnections === 20, { what: "20 connects to be under way" });
  for (const client of clients) client.reset();
  await t.harness.allClosed();
  await waitFor(() => descriptorsOf(process.pid) <= before, { what: "their descriptors to be closed" });
  expect(t.status().refusedTotal).toEqual({});
});

test("a client for whose task there is no descriptor waits for one", async () => {
  await using t = await Dialing.start();
  const published = await freePort();
  const task = RawListener.open();
  t.defer(() => task.close());
  await t.harness.apply({ protocol: "tcp", published, tasks: [task.port], acceptProxy: ["127.0.0.1"] });
  const client = await RawSocket.connect(published);
  t.defer(() => client.close());
  await waitFor(() => t.harness.openConnections === 1, { what: "the connection to be accepted" });
  const giveBack = await takeAllDescriptors();
  t.defer(giveBack);
  await client.send("PROXY UNKNOWN\r\nhello");
  await waitFor(() => t.harness.proxy.status().workersOutOfDescriptors === 1, { what: "the dial to wait" });
  giveBack();
  const served = await task.accept();
  expect(await served.receiveText(5)).toBe("hello");
  served.close();
});

test("a client that waits for a descriptor in vain is reset", async () => {
  await using t = await Dialing.start();
  const [published, port] = (await freePorts(2)) as [number, number];
  await t.harness.apply({ protocol: "tcp", published, tasks: [port], acceptProxy: ["127.0.0.1"] });
  const client = await RawSocket.connect(published);
  t.defer(() => client.close());
  await waitFor(() => t.harness.openConnections === 1, { what: "the connection to be accepted" });
  t.defer(await takeAllDescriptors());
  await client.send("PROXY UNKNOWN\r\n");
  expect(await client.failure()).toBe("ECONNRESET");
  // the client hears of it before the worker has ended the turn in which it counts
  await waitFor(() => t.status().refusedTotal["out-of-descriptors"] === 1, {
    what: "the refusal to be counted",
  });
});

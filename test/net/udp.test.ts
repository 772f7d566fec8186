/**
 * The UDP side of the proxy with real sockets on loopback.
 *
 *   clients (node:dgram)  ──▶  published port, one or more workers  ──▶  tasks (node:dgram)
 */
import { afterEach, describe, expect, test } from "bun:test";
import fc from "fast-check";
import { type ServiceStatus, SpliceProxy } from "../../src/proxy/index.ts";
import { decodeProxyHeader, encodeProxyV2, encodeProxyV2Local, ProxyHeader } from "../../src/wire/index.ts";
import { UdpPeer } from "../support/load/udp-peer.ts";
import { freeQuietPort } from "../support/os/free-port.ts";
import { type TestService, type TestTask, tableOf } from "../support/proxy/routing-table.ts";
import { addressOf, endpoint } from "../support/random/arbitrary-ip.ts";
import { waitFor } from "../support/time/wait-for.ts";

const cleanUps: (() => unknown)[] = [];

afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

/** A running proxy with one published port. */
class Published {
  private constructor(
    readonly proxy: SpliceProxy,
    readonly port: number,
    readonly rules: Partial<TestService>,
  ) {}

  static async start(
    tasks: readonly TestTask[],
    rules: Partial<TestService> = {},
    workers = 1,
  ): Promise<Published> {
    const proxy = await SpliceProxy.start({ workers, onListeners: () => {} });
    cleanUps.push(() => proxy.stop());
    const published = new Published(proxy, await freeQuietPort(), rules);
    await published.reload(tasks);
    return published;
  }

  async reload(tasks: readonly TestTask[], rules: Partial<TestService> = this.rules): Promise<void> {
    const prepared = this.proxy.prepare(tableOf({ protocol: "udp", published: this.port, ...rules, tasks }));
    expect(prepared.bindErrors).toEqual([]);
    await this.proxy.commit(prepared);
  }

  get status(): ServiceStatus {
    return this.proxy.status().services[0]!;
  }

  refused(reason: string): number {
    return this.status.refusedTotal[reason] ?? 0;
  }
}

async function client(address?: string): Promise<UdpPeer> {
  const peer = await UdpPeer.open(address);
  cleanUps.push(() => peer.close());
  return peer;
}

/** A task that answers with its name and what it was sent. */
async function task(name = "", address?: string): Promise<UdpPeer> {
  const peer = await UdpPeer.task((data) => Buffer.concat([Buffer.from(name), data]), address);
  cleanUps.push(() => peer.close());
  return peer;
}

async function answer(peer: UdpPeer, published: Published, data = "x"): Promise<string> {
  return (await peer.ask(data, published.port)).data.toString();
}

function udp(overrides: Partial<TestService["udp"] & object>) {
  return {
    udp: { mode: "session" as const, idleTimeoutMs: 90_000, maxSessions: 65_536, responses: 0, ...overrides },
  };
}

describe("a session", () => {
  test("carries datagrams both ways, empty ones too", async () => {
    const echo = await task();
    const published = await Published.start([echo.port]);
    const peer = await client();
    for (const data of ["one", "", "three"]) expect(await answer(peer, published, data)).toBe(data);
    expect(peer.received[0]!.from.port).toBe(published.port);
    expect(new Set(echo.received.map(({ from }) => from.port)).size).toBe(1);
    expect(published.status.udp).toEqual({
      openSessions: 1,
      sessionsTotal: 1,
      datagramsInTotal: 3,
      datagramsOutTotal: 3,
      bytesInTotal: 8,
      bytesOutTotal: 8,
    });
    expect(published.status.tasks[0]).toMatchObject({ openConnections: 1, connectionsTotal: 1 });
    expect(published.status.refusedTotal).toEqual({});
  });

  test("carries 65507 bytes both ways", async () => {
    const published = await Published.start([(await task()).port]);
    const data = Buffer.alloc(65_507, "0123456789abcdef!");
    const { data: echoed } = await (await client()).ask(data, published.port);
    expect(echoed.equals(data)).toBe(true);
  });

  test("keeps the order of its datagrams", async () => {
    const echo = await task();
    const published = await Published.start([echo.port]);
    const peers = await Promise.all([client(), client(), client()]);
    const counts = Array.from({ length: 400 }, (_, i) => String(i));
    const window = 50; // what any socket buffer holds, however long its reader is held up
    for (let sent = 0; sent < counts.length; sent += window) {
      const burst = counts.slice(sent, sent + window);
      for (const count of burst) for (const peer of peers) peer.send(count, published.port);
      await waitFor(() => peers.every((peer) => peer.received.length === sent + window), {
        what: "all answers of a burst",
      });
    }
    for (const peer of peers) expect(peer.texts).toEqual(counts);
    expect(published.status.udp.openSessions).toBe(3);
  });

  test("answers each of many clients, with several workers", async () => {
    const published = await Published.start([(await task("a")).port, (await task("b")).port], {}, 2);
    const peers = await Promise.all(Array.from({ length: 100 }, () => client()));
    const answers = await Promise.all(peers.map((peer, i) => answer(peer, published, `${i}`)));
    expect(answers.map((text) => text.slice(1))).toEqual(peers.map((_, i) => `${i}`));
    expect(answers.filter((text) => text.startsWith("a")).length).toBeGreaterThan(20);
    expect(answers.filter((text) => text.startsWith("b")).length).toBeGreaterThan(20);
    expect(published.status.udp.openSessions).toBe(100);
  });

  test("ends when it has been idle", async () => {
    const published = await Published.start([(await task()).port], udp({ idleTimeoutMs: 1_000 }));
    expect(await answer(await client(), published)).toBe("x");
    await waitFor(() => published.status.udp.openSessions === 0, { what: "no session" });
    expect(published.status.tasks[0]!.openConnections).toBe(0);
    expect(published.status.refusedTotal).toEqual({});
  });

  test("makes room for a new one at the limit: the one idle for longest goes", async () => {
    const echo = await task();
    const published = await Published.start([echo.port], udp({ maxSessions: 2 }));
    const [first, second, third] = [await client(), await client(), await client()];
    const ports = async (peer: UdpPeer) => {
      await answer(peer, published);
      return echo.received.at(-1)!.from.port;
    };
    const firstPort = await ports(first);
    const secondPort = await ports(second);
    expect(await ports(first)).toBe(firstPort);
    await ports(third);
    expect(await ports(first)).toBe(firstPort);
    expect(published.status.udp).toMatchObject({ openSessions: 2, sessionsTotal: 3 });
    expect(published.refused("session-limit")).toBe(1);
    expect(await ports(second)).not.toBe(secondPort);
  });

  test("ends with its answers, where the service says how many there are", async () => {
    const sink = await client();
    const published = await Published.start([sink.port], udp({ responses: 2 }));
    const peer = await client();
    for (const question of ["a", "b"]) peer.send(question, published.port);
    await waitFor(() => sink.received.length === 2, { what: "both questions" });
    const { from } = sink.received[0]!;
    expect(sink.received[1]!.from.port).toBe(from.port);
    for (let answered = 1; answered <= 4; answered++) {
      expect(published.status.udp.openSessions).toBe(1);
      sink.send(`${answered}`, from.port);
      await waitFor(() => peer.received.length === answered, { what: "an answer" });
    }
    await waitFor(() => published.status.udp.openSessions === 0, { what: "the session to end" });
    expect(published.status.refusedTotal).toEqual({});
    peer.send("c", published.port);
    await waitFor(() => sink.received.length === 3, { what: "another question" });
    expect(published.status.udp).toMatchObject({ openSessions: 1, sessionsTotal: 2 });
  });

  test("delivers what a batch of more clients than sessions holds", async () => {
    const published = await Published.start([(await task()).port], udp({ maxSessions: 1 }));
    const sink = await client();
    await published.reload([sink.port]);
    const peers = await Promise.all(Array.from({ length: 20 }, () => client()));
    for (const peer of peers) peer.send("x", published.port);
    await waitFor(() => sink.received.length === 20, { what: "all datagrams" });
    expect(published.status.udp.openSessions).toBe(1);
  });

  test("works over IPv6, and from IPv6 to IPv4", async () => {
    const rules = { listenAddresses: ["::1"] };
    const published = await Published.start([{ address: "::1", port: (await task("6", "::1")).port }], rules);
    const peer = await client("::1");
    expect((await peer.ask("x", published.port, "::1")).data.toString()).toBe("6x");
    await published.reload([(await task("4")).port]);
    expect((await peer.ask("x", published.port, "::1")).data.toString()).toBe("4x");
  });

  test("on one socket for both families the one asked answers, and rules see IPv4 as IPv4", async () => {
    const rules = { listenAddresses: ["0.0.0.0", "::"], deny: ["127.0.0.3"] };
    const published = await Published.start([(await task()).port], rules);
    for (const [own, addresses] of [
      ["127.0.0.1", ["127.0.0.1", "127.0.0.2"]],
      ["::1", ["::1"]],
    ] as const) {
      const peer = await client(own);
      for (const address of addresses) {
        expect((await peer.ask("x", published.port, address)).from.address).toBe(address);
      }
    }
    const denied = await client("127.0.0.3");
    denied.send("x", published.port);
    await waitFor(() => published.refused("denied") === 1, { what: "the datagram to be denied" });
  });

  test.each([
    ["0.0.0.0", ["127.0.0.1", "127.0.0.2"], "127.0.0.1"],
    ["::", ["::1"], "::1"],
  ])("on the wildcard address %s the one asked answers", async (wildcard, addresses, own) => {
    const published = await Published.start([(await task()).port], { listenAddresses: [wildcard] });
    const peer = await client(own);
    for (const address of [...addresses, ...addresses]) {
      expect((await peer.ask("x", published.port, address)).from.address).toBe(address);
    }
    expect(published.status.udp.openSessions).toBe(addresses.length);
  });
});

describe("a session moves", () => {
  test("when its task has left the table, and goes on after the set was empty", async () => {
    const [a, b] = [await task("a"), await task("b")];
    const published = await Published.start([a.port]);
    const peer = await client();
    expect(await answer(peer, published)).toBe("ax");
    await published.reload([b.port]);
    expect(published.status.udp.openSessions).toBe(0);
    expect(published.refused("session-moved")).toBe(1);
    expect(await answer(peer, published)).toBe("bx");
    await published.reload([]);
    peer.send("lost", published.port);
    await waitFor(() => published.refused("no-task") === 1, { what: "a datagram without a task" });
    await published.reload([a.port]);
    expect(await answer(peer, published)).toBe("ax");
    expect(a.texts).toEqual(["x", "x"]);
  });

  test("not by a reload that leaves its task", async () => {
    const [a, b] = [await task("a"), await task("b")];
    const published = await Published.start([a.port]);
    const peer = await client();
    await answer(peer, published);
    await published.reload([b.port, a.port], udp({ maxSessions: 7 }));
    expect(await answer(peer, published)).toBe("ax");
    expect(new Set(a.received.map(({ from }) => from.port)).size).toBe(1);
  });

  test("when draining is over, not before", async () => {
    const [a, b] = [await task("a"), await task("b")];
    const published = await Published.start([a.port]);
    const peer = await client();
    await answer(peer, published);
    await published.reload([{ port: a.port, isDraining: true }, b.port], { drainTimeoutMs: 60_000 });
    expect(await answer(peer, published)).toBe("ax");
    expect(await answer(await client(), published)).toBe("bx");
    await published.reload([a.port, b.port]);
    await published.reload([{ port: a.port, isDraining: true }, b.port], { drainTimeoutMs: 150 });
    await waitFor(() => published.refused("session-moved") === 1, { what: "the end of draining" });
    expect(await answer(peer, published)).toBe("bx");
  });

  test("when its task refuses: the first datagram is sent again to another", async () => {
    const dead = await freeQuietPort();
    const b = await task("b");
    const published = await Published.start([dead, b.port]);
    const peers = [await client(), await client(), await client(), await client()];
    for (const peer of peers) expect(await answer(peer, published)).toBe("bx");
    expect(published.status.tasks[0]).toMatchObject({
      state: "failing",
      connectFailuresTotal: 1,
      lastError: { message: "connection refused" },
    });
    expect(published.status.udp.openSessions).toBe(4);
  });

  test("when its task dies, together with all others of that task", async () => {
    const [a, b] = [await task("a"), await task("b")];
    const published = await Published.start([a.port]);
    const peers = [await client(), await client(), await client()];
    for (const peer of peers) expect(await answer(peer, published)).toBe("ax");
    await published.reload([a.port, b.port]);
    a.close();
    peers[0]!.send("lost", published.port);
    await waitFor(() => published.status.tasks[0]!.state === "failing", { what: "the failure" });
    for (const peer of peers) expect(await answer(peer, published)).toBe("bx");
    expect(published.refused("session-moved")).toBe(3);
  });

  test("not when there is no other task; it is served again once the task is back", async () => {
    const a = await task("a");
    const published = await Published.start([a.port]);
    const peer = await client();
    const other = await client();
    expect(await answer(peer, published)).toBe("ax");
    const { port } = a;
    a.close();
    for (let i = 0; i < 3; i++) {
      peer.send("lost", published.port);
      other.send("lost", published.port);
    }
    await waitFor(() => published.refused("no-task") > 0, { what: "the failure" });
    const back = await UdpPeer.open("127.0.0.1", port);
    cleanUps.push(() => back.close());
    back.onDatagram = ({ data, from }) => back.send(`back ${data}`, from.port);
    await waitFor(() => published.status.udp.datagramsInTotal === 7, { what: "all datagrams" });
    expect(await answer(peer, published)).toBe("back x");
    expect(published.status.tasks[0]!.state).toBe("active");
  });
});

describe("packet mode", () => {
  test("spreads one client over the tasks, whose answers all come back", async () => {
    const tasks = [await task("a"), await task("b"), await task("c")];
    const published = await Published.start(
      tasks.map(({ port }) => port),
      udp({ mode: "packet" }),
    );
    const peer = await client();
    for (let i = 0; i < 30; i++) await answer(peer, published);
    for (const { received } of tasks) expect(received.length).toBe(10);
    expect(published.status.udp.openSessions).toBe(3);
  });

  test("passes over a task that refuses and loses nothing", async () => {
    const dead = await freeQuietPort();
    const tasks = [await task("a"), await task("b")];
    const published = await Published.start(
      [dead, ...tasks.map(({ port }) => port)],
      udp({ mode: "packet" }),
    );
    const peer = await client();
    for (let i = 0; i < 12; i++) await answer(peer, published);
    expect(published.status.refusedTotal["no-task"]).toBeUndefined();
    expect(tasks[0]!.received.length + tasks[1]!.received.length).toBe(12);
  });
});

describe("who is served", () => {
  test("deny and allow decide by client address", async () => {
    const published = await Published.start([(await task()).port], { deny: ["127.0.0.3/32"] });
    const denied = await client("127.0.0.3");
    denied.send("x", published.port);
    await waitFor(() => published.refused("denied") === 1, { what: "a denied datagram" });
    expect(await answer(await client("127.0.0.4"), published)).toBe("x");
    expect(denied.received).toEqual([]);
  });

  test("a reload's rules hold from the next datagram of an open session", async () => {
    const echo = await task();
    const published = await Published.start([echo.port]);
    const peer = await client();
    await answer(peer, published);
    await published.reload([echo.port], { deny: ["127.0.0.1/32"] });
    peer.send("y", published.port);
    await waitFor(() => published.refused("denied") === 1, { what: "a denied datagram" });
    await published.reload([echo.port]);
    expect(await answer(peer, published)).toBe("x");
    expect(published.status.udp.sessionsTotal).toBe(1);
  });
});

describe("PROXY headers", () => {
  /** What a task received, taken apart. */
  function parse(data: Buffer) {
    const header = decodeProxyHeader(data, 0, data.length, new ProxyHeader());
    expect(header.status).toBe("complete");
    return { header, payload: data.subarray(header.headerLength).toString() };
  }

  test.each([[["0.0.0.0"]], [["0.0.0.0", "::"]]])(
    "version 2 goes before every datagram (%p)",
    async (listenAddresses) => {
      const sink = await client();
      const published = await Published.start([sink.port], { sendProxy: "v2", listenAddresses });
      const peer = await client("127.0.0.9");
      for (let i = 0; i < 3; i++) peer.send(`${i}`, published.port, "127.0.0.7");
      await waitFor(() => sink.received.length === 3, { what: "all datagrams" });
      const parsed = sink.received.map(({ data }) => parse(data));
      expect(parsed.map(({ payload }) => payload)).toEqual(["0", "1", "2"]);
      for (const { header } of parsed) {
        expect(header).toMatchObject({ command: "proxy", transport: "udp" });
        expect(addressOf(header.source, 4)).toEqual([127, 0, 0, 9]);
        expect(addressOf(header.destination, 4)).toEqual([127, 0, 0, 7]);
        expect([header.source.port, header.destination.port]).toEqual([peer.port, published.port]);
      }
    },
  );

  test("the longest datagram does not fit behind a header and is counted", async () => {
    const published = await Published.start([(await task()).port], { sendProxy: "v2" });
    const peer = await client();
    peer.send(Buffer.alloc(65_507), published.port);
    await waitFor(() => published.refused("too-long") === 1, { what: "a datagram too long" });
    expect((await peer.ask(Buffer.alloc(65_507 - 28), published.port)).data.length).toBe(65_507);
  });

  test("what a trusted sender names is the client: handed on, and a session of its own", async () => {
    const sink = await client();
    const published = await Published.start([sink.port], {
      sendProxy: "v2",
      acceptProxy: ["127.0.0.1/32"],
    });
    const peer = await client();
    const clients = new Set<string>();
    await fc.assert(
      fc.asyncProperty(
        endpoint,
        endpoint,
        fc.uint8Array({ maxLength: 50 }),
        async (source, destination, payload) => {
          const header = new Uint8Array(52);
          const length = encodeProxyV2(source, destination, "udp", header, 0);
          const sent = Buffer.concat([header.subarray(0, length), payload]);
          clients.add(sent.toString("hex", 13, length));
          const before = sink.received.length;
          peer.send(sent, published.port);
          const { data } = await waitFor(() => sink.received[before], { what: "the datagram" });
          expect(data.toString("hex")).toBe(sent.toString("hex"));
        },
      ),
    );
    expect(published.status.udp.openSessions).toBe(clients.size);
  });

  test("the named client is the one that is denied; answers go to the sender, without a header", async () => {
    const echo = await task();
    const published = await Published.start([echo.port], {
      acceptProxy: ["127.0.0.1/32"],
      deny: ["192.0.2.0/24"],
    });
    const named = (lastByte: number, network: number) => {
      const header = new Uint8Array(28);
      const source = {
        family: 4,
        bytes: Uint8Array.of(192, 0, network, lastByte),
        offset: 0,
        port: 9,
      } as const;
      encodeProxyV2(source, source, "udp", header, 0);
      return Buffer.concat([header, Buffer.from("hello")]);
    };
    const peer = await client();
    peer.send(named(1, 2), published.port);
    await waitFor(() => published.refused("denied") === 1, { what: "a denied datagram" });
    expect((await peer.ask(named(1, 3), published.port)).data.toString()).toBe("hello");
    expect(echo.texts).toEqual(["hello"]);
  });

  test("LOCAL keeps the sender as the client; others than trusted senders send none", async () => {
    const echo = await task();
    const published = await Published.start([echo.port], { acceptProxy: ["127.0.0.1/32"] });
    const header = new Uint8Array(16);
    encodeProxyV2Local(header, 0);
    const peer = await client();
    expect((await peer.ask(Buffer.concat([header, Buffer.from("hi")]), published.port)).data.toString()).toBe(
      "hi",
    );
    expect(await answer(await client("127.0.0.2"), published, "plain")).toBe("plain");
  });

  test("a malformed, missing, version 1 or TCP header is dropped and counted", async () => {
    const echo = await task();
    const published = await Published.start([echo.port], { acceptProxy: ["127.0.0.0/8"] });
    const tcp = new Uint8Array(28);
    const anyone = { family: 4, bytes: new Uint8Array(4), offset: 0, port: 1 } as const;
    encodeProxyV2(anyone, anyone, "tcp", tcp, 0);
    const bad = ["", "hello", "PROXY UDP4 1.2.3.4 1.2.3.4 1 1\r\nx", "PROXY TCP4 1.2.3.4 1.2.3.4 1 1\r\nx"];
    const peer = await client();
    for (const data of [...bad, tcp, tcp.subarray(0, 20)]) peer.send(data, published.port);
    await waitFor(() => published.refused("bad-proxy-header") === 6, { what: "all dropped" });
    expect(echo.received).toEqual([]);
    expect(published.status.udp.openSessions).toBe(0);
  });
});

test("when descriptors run out the oldest sessions make room, and every datagram is delivered", async () => {
  const sink = await client();
  const port = await freeQuietPort();
  const table = JSON.stringify(tableOf({ protocol: "udp", published: port, tasks: [sink.port] }));
  const script = new URL("../support/proxy/proxy-process.ts", import.meta.url).pathname;
  const child = Bun.spawn(["sh", "-c", 'ulimit -n 300; exec "$0" "$@"', process.execPath, script, table], {
    stdin: "pipe",
    stdout: "pipe",
  });
  cleanUps.push(() => child.kill());
  const output = child.stdout.getReader();
  await output.read();
  const peers = await Promise.all(Array.from({ length: 400 }, () => client()));
  for (const peer of peers) peer.send("x", port);
  await waitFor(() => sink.received.length === peers.length, { what: "all datagrams" });
  child.stdin.end();
  const status: ServiceStatus = JSON.parse(new TextDecoder().decode((await output.read()).value));
  expect(status.udp.sessionsTotal).toBe(400);
  expect(status.udp.openSessions + status.refusedTotal["out-of-descriptors"]!).toBe(400);
  expect(Object.keys(status.refusedTotal)).toEqual(["out-of-descriptors"]);
});

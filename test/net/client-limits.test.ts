/** Limits of each client: connections and sessions open at a time, and how fast new ones come. */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { type ClientLimits, NO_CLIENT_LIMITS } from "../../src/model/index.ts";
import { createEndpoint, encodeProxyV1, parseIp } from "../../src/wire/index.ts";
import { UdpPeer } from "../support/load/udp-peer.ts";
import { freePort } from "../support/os/free-port.ts";
import { RawListener, RawSocket } from "../support/os/raw-socket.ts";
import { ProxyHarness } from "../support/proxy/proxy-harness.ts";
import type { TestService } from "../support/proxy/routing-table.ts";
import { waitFor } from "../support/time/wait-for.ts";
import { helloOf } from "../support/tls/client-hellos.ts";

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

function keep(socket: RawSocket): RawSocket {
  sockets.push(socket);
  return socket;
}

function limited(limits: Partial<ClientLimits>): Pick<TestService, "perClient"> {
  return { perClient: { ...NO_CLIENT_LIMITS, ...limits } };
}

function serve(limits: Partial<ClientLimits>, overrides: Partial<TestService> = {}): Promise<void> {
  const service = { protocol: "tcp", published, tasks: [task.port], ...limited(limits) } as const;
  return harness.apply({ ...service, ...overrides });
}

/** A connection that a task serves; null: it is reset. */
async function tryConnect(first: string | Uint8Array = "ping"): Promise<RawSocket | null> {
  try {
    const client = keep(await RawSocket.connect(published));
    await client.send(first);
    await client.receive(1);
    return client;
  } catch {
    return null;
  }
}

/** Every connection gets one byte. */
function answerAll(): void {
  void (async () => {
    try {
      for (;;) await keep(await task.accept()).send("x");
    } catch {
      // the test is over
    }
  })();
}

function status() {
  return harness.proxy.status().services[0]!;
}

test("max_connections_per_client holds exactly over all workers, and a closed connection makes room", async () => {
  answerAll();
  await serve({ maxConnections: 5 });
  const clients = await Promise.all(Array.from({ length: 20 }, () => tryConnect()));
  const open = clients.filter((client) => client !== null);
  expect(open).toHaveLength(5);
  await waitFor(() => status().refusedTotal["client-limit"] === 15, { what: "the refusals to be counted" });
  expect(status()).toMatchObject({
    topClients: [{ client: "127.0.0.1", protocol: "tcp", open: 5, refusedTotal: 15 }],
  });
  open[0]!.reset();
  await waitFor(() => harness.openConnections === 4, { what: "the connection to end" });
  expect(await tryConnect()).not.toBeNull();
  expect(await tryConnect()).toBeNull();
});

test("rate_per_client lets its number come at once, whichever worker accepts them", async () => {
  answerAll();
  await serve({ rate: { count: 6, perMs: 60_000 } });
  const clients = [];
  for (let times = 0; times < 12; times++) clients.push(await tryConnect());
  expect(clients.map((client) => client !== null)).toEqual(Array.from({ length: 12 }, (_, at) => at < 6));
  await waitFor(() => status().refusedTotal["client-rate"] === 6, { what: "the refusals to be counted" });
  await serve({ rate: { count: 6, perMs: 60_000 } }, { deny: ["127.0.0.0/8"] });
  expect(await tryConnect()).toBeNull();
  await waitFor(() => status().refusedTotal.denied === 1, { what: "the refusal to be counted" });
  await serve({});
  expect(await tryConnect()).not.toBeNull();
});

test("behind a trusted proxy the client is the one that the PROXY header names", async () => {
  answerAll();
  await serve({ maxConnections: 1, prefix: { ipv4: 24, ipv6: 64 } }, { acceptProxy: ["127.0.0.1"] });
  const from = (address: string) => tryConnect(headerOf(address));
  expect(await from("203.0.113.7")).not.toBeNull();
  expect(await from("203.0.113.200")).toBeNull();
  expect(await from("203.0.114.7")).not.toBeNull();
  await waitFor(() => status().refusedTotal["client-limit"] === 1, { what: "the refusal to be counted" });
  expect(status().topClients).toEqual([
    { client: "203.0.113.0/24", protocol: "tcp", open: 1, refusedTotal: 1 },
    { client: "203.0.114.0/24", protocol: "tcp", open: 1, refusedTotal: 0 },
  ]);
});

test("on a shared port the limits are those of the service that the server name leads to", async () => {
  answerAll();
  const port = { protocol: "tcp", published, target: published, mode: "ingress" } as const;
  const service = { protocol: "tcp", published, tasks: [task.port] } as const;
  await harness.apply(
    { ...service, ...limited({ maxConnections: 1 }), name: "a", ports: [{ ...port, sni: ["a.example"] }] },
    { ...service, name: "b", ports: [{ ...port, sni: ["b.example"] }] },
  );
  for (const [name, isServed] of [
    ["a.example", true],
    ["a.example", false],
    ["b.example", true],
    ["b.example", true],
  ] as const)
    expect([name, (await tryConnect(helloOf(name))) !== null]).toEqual([name, isServed]);
  await waitFor(() => status().refusedTotal["client-limit"] === 1, { what: "the refusal to be counted" });
});

/** Of these tasks, with so many sessions of a client. */
function serveUdp(tasks: readonly number[], limits: Partial<ClientLimits>, responses = 0): Promise<void> {
  return harness.apply({
    protocol: "udp",
    published,
    tasks,
    udp: { mode: "session", idleTimeoutMs: 90_000, maxSessions: 1000, responses },
    ...limited(limits),
  });
}

test("UDP: sessions of a client are limited; those it has go on, also with another task", async () => {
  await using udp = new UdpPeers();
  const [one, other] = [await udp.task("one"), await udp.task("other")];
  await serveUdp([one.port], { maxSessions: 2 });
  const [first, second, third] = [await udp.client(), await udp.client(), await udp.client()];
  expect([await answer(first), await answer(second)]).toEqual(["one", "one"]);
  third.send("x", published);
  await waitFor(() => status().refusedTotal["client-limit"] === 1, { what: "the datagram to be dropped" });
  await serveUdp([other.port], { maxSessions: 2 });
  expect([await answer(first), await answer(second)]).toEqual(["other", "other"]);
  expect(status().topClients).toEqual([{ client: "127.0.0.1", protocol: "udp", open: 2, refusedTotal: 1 }]);
  third.send("x", published);
  await waitFor(() => status().refusedTotal["client-limit"] === 2, { what: "the datagram to be dropped" });
});

test("UDP: a session that ends makes room, and new ones have their rate", async () => {
  await using udp = new UdpPeers();
  const task = await udp.task("one");
  await serveUdp([task.port], { maxSessions: 1, rate: { count: 4, perMs: 60_000 } }, 1);
  const clients: UdpPeer[] = [];
  for (let count = 0; count < 5; count++) clients.push(await udp.client());
  for (const client of clients.slice(0, 4)) {
    expect(await answer(client)).toBe("one");
    await waitFor(() => status().udp.openSessions === 0, { what: "the session to end with its answer" });
  }
  clients[4]!.send("x", published);
  await waitFor(() => status().refusedTotal["client-rate"] === 1, { what: "the datagram to be dropped" });
});

async function answer(client: UdpPeer): Promise<string> {
  return (await client.ask("x", published)).data.toString();
}

class UdpPeers implements AsyncDisposable {
  readonly #peers: UdpPeer[] = [];

  async client(): Promise<UdpPeer> {
    return this.#keep(await UdpPeer.open());
  }

  async task(name: string): Promise<UdpPeer> {
    return this.#keep(await UdpPeer.task(() => Buffer.from(name)));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const peer of this.#peers) peer.close();
  }

  #keep(peer: UdpPeer): UdpPeer {
    this.#peers.push(peer);
    return peer;
  }
}

function headerOf(address: string): Uint8Array {
  const bytes = new Uint8Array(107);
  return bytes.subarray(0, encodeProxyV1(endpoint(address), endpoint("198.51.100.1"), bytes, 0));
}

function endpoint(address: string) {
  const { family, bytes } = parseIp(address)!;
  return { ...createEndpoint(), family, bytes, port: 443 };
}

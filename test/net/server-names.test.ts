/** Services that share one TCP port by the server name of the TLS ClientHello: which gets which client, and how. */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { connect as connectTo } from "node:net";
import { createEndpoint, encodeProxyV1, parseIp } from "../../src/wire/index.ts";
import { freePort } from "../support/os/free-port.ts";
import { RawListener, RawSocket } from "../support/os/raw-socket.ts";
import { ProxyHarness } from "../support/proxy/proxy-harness.ts";
import type { TestService } from "../support/proxy/routing-table.ts";
import { waitFor } from "../support/time/wait-for.ts";
import {
  BORINGSSL,
  helloMessage,
  helloOf,
  inRecords,
  OPENSSL,
  OPENSSL_NO_NAME,
  OPENSSL_RECORDS,
  serverName,
} from "../support/tls/client-hellos.ts";

let harness: ProxyHarness;
let published: number;
/** Tasks by service. */
const tasks = new Map<string, RawListener>();
const sockets: RawSocket[] = [];

beforeEach(async () => {
  harness = await ProxyHarness.start(2);
  published = await freePort();
});

afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.close();
  for (const task of tasks.values()) task.close();
  tasks.clear();
  await harness.stop();
});

function taskOf(service: string): RawListener {
  let task = tasks.get(service);
  if (task === undefined) {
    task = RawListener.open();
    tasks.set(service, task);
  }
  return task;
}

/** Null: without names. */
function service(
  name: string,
  sni: readonly string[] | null,
  overrides: Partial<TestService> = {},
): TestService {
  const port = { protocol: "tcp", published, target: published, mode: "ingress" } as const;
  return {
    name,
    protocol: "tcp",
    published,
    tasks: [taskOf(name).port],
    ports: [sni === null ? port : { ...port, sni }],
    ...overrides,
  };
}

function keep(socket: RawSocket): RawSocket {
  sockets.push(socket);
  return socket;
}

async function connect(to = "127.0.0.1"): Promise<RawSocket> {
  return keep(await RawSocket.connect(published, { to }));
}

async function sendAll(client: RawSocket, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length; at += 4096) await client.send(bytes.subarray(at, at + 4096));
}

/** The client's bytes reach a task of the service, unchanged, and a reply comes back. */
async function expectServed(by: string, client: RawSocket, bytes: Uint8Array): Promise<RawSocket> {
  const served = keep(await taskOf(by).accept());
  expect(await served.receiveText(bytes.length)).toBe(Buffer.from(bytes).toString("latin1"));
  await served.send(`${by}\n`);
  expect(await client.receiveText(by.length + 1)).toBe(`${by}\n`);
  return served;
}

async function expectRoute(by: string, bytes: Uint8Array): Promise<void> {
  const client = await connect();
  await sendAll(client, bytes);
  await expectServed(by, client, bytes);
}

function refused(name: string): Readonly<Record<string, number>> {
  return harness.proxy.status().services.find((each) => each.name === name)!.refusedTotal;
}

async function expectRefused(bytes: Uint8Array): Promise<void> {
  const client = await connect();
  await sendAll(client, bytes);
  expect(await client.failure()).toBe("ECONNRESET");
}

const latin1 = (text: string) => new TextEncoder().encode(text);

test("the server name decides, and every other client gets the service without names", async () => {
  await harness.apply(
    service("any", null),
    service("a", ["a.example.org"]),
    service("b", ["*.b.example.org", "deep.a.example.org"]),
    service("c", ["*.c.b.example.org"]),
  );
  await expectRoute("a", OPENSSL);
  await expectRoute("a", OPENSSL_RECORDS);
  await expectRoute("b", BORINGSSL);
  await expectRoute("a", helloOf("A.EXAMPLE.org."));
  await expectRoute("b", helloOf("deep.a.example.org"));
  await expectRoute("b", helloOf("x.y.b.example.org"));
  await expectRoute("c", helloOf("y.c.b.example.org"));
  for (const bytes of [
    OPENSSL_NO_NAME,
    helloOf("b.example.org"),
    helloOf("xa.example.org"),
    helloOf("192.0.2.1"),
    latin1("GET / HTTP/1.1\r\n\r\n"),
    Uint8Array.of(22, 3, 1, 0, 0, 1, 2, 3),
  ])
    await expectRoute("any", bytes);
  const accepted = harness.proxy.status().services.map(({ name, tcp }) => [name, tcp.acceptedTotal]);
  expect(accepted).toEqual([
    ["any", 6],
    ["a", 3],
    ["b", 3],
    ["c", 1],
  ]);
});

test("without such a service other clients are refused and counted; resets and FINs leave nothing open", async () => {
  await harness.apply(service("a", ["a.example.org"]), service("b", ["*.b.example.org"]));
  await expectRefused(helloOf("c.example.org"));
  await expectRefused(latin1("GET / HTTP/1.1\r\n\r\n"));
  const ended = await connect();
  await ended.send(helloOf("a.example.org").subarray(0, 20));
  ended.finish();
  expect(await ended.failure()).toBe("ECONNRESET");
  await waitFor(() => refused("a")["unknown-server-name"] === 3, { what: "the refusals to be counted" });
  const reset = await connect();
  await reset.send(helloOf("a.example.org").subarray(0, 20));
  reset.reset();
  await expectRoute("a", helloOf("a.example.org"));
  await expectRoute("b", helloOf("x.b.example.org"));
  for (const socket of sockets.splice(0)) socket.close();
  await harness.allClosed(2);
});

test("a hello that comes byte by byte, in many records, with data behind it, arrives unchanged", async () => {
  await harness.apply(service("any", null), service("a", ["a.example.org"]));
  const message = helloMessage({ extensions: [[21, new Uint8Array(9000)], serverName("a.example.org")] });
  const hello = inRecords(message, [1, 2, 3, 500, 500, 500, 4000]);
  const client = await connect();
  for (let at = 0; at < 400; at++) await client.send(hello.subarray(at, at + 1));
  await sendAll(client, hello.subarray(400, 5000));
  await sendAll(client, hello.subarray(5000));
  const served = await expectServed("a", client, hello);
  // the socket is ready from the first byte on again
  await client.send("x");
  expect(await served.receiveText(1)).toBe("x");
  client.finish();
  expect(await served.receiveText(1)).toBe("");
  const together = Uint8Array.of(...OPENSSL, ...latin1("early data"));
  await expectRoute("a", together);
});

test("a client that is silent or slow gets the service without names after some seconds, else none", async () => {
  const alone = await freePort();
  const b = service("b", ["b.example.org"]);
  await harness.apply(service("any", null), service("a", ["a.example.org"]), {
    ...b,
    ports: b.ports!.map((port) => ({ ...port, published: alone })),
  });
  const late = keep(await RawSocket.connect(alone));
  await late.send(OPENSSL.subarray(0, 100));
  const silent = await connect();
  const slow = await connect();
  await slow.send(OPENSSL.subarray(0, 100));
  const served = keep(await taskOf("any").accept());
  const other = keep(await taskOf("any").accept());
  await Promise.all([served, other].map((socket) => socket.send("hi")));
  expect(await Promise.all([silent, slow].map((client) => client.receiveText(2)))).toEqual(["hi", "hi"]);
  expect(await late.failure()).toBe("ECONNRESET");
  await waitFor(() => refused("b")["late-client-hello"] === 1, { what: "the late client to be counted" });
}, 30_000);

test("a hello beyond 16 KiB is no hello", async () => {
  await harness.apply(service("any", null), service("a", ["a.example.org"]));
  const message = helloMessage({ extensions: [[21, new Uint8Array(17_000)], serverName("a.example.org")] });
  await expectRoute("any", inRecords(message, [8000, 8000]));
});

test("rules are those of the service that the name leads to", async () => {
  await harness.apply(
    service("any", null),
    service("a", ["a.example.org"], { maxConnections: 1 }),
    service("b", ["b.example.org"], { deny: ["127.0.0.0/8"] }),
  );
  await expectRoute("a", helloOf("a.example.org"));
  await expectRefused(helloOf("a.example.org"));
  await expectRefused(helloOf("b.example.org"));
  await expectRoute("any", latin1("GET /"));
  await waitFor(() => refused("a")["connection-limit"] === 1 && refused("b").denied === 1, {
    what: "the refusals to be counted",
  });
  expect(harness.openConnections).toBe(2);
});

test("clients without a name yet are limited when all services are", async () => {
  await harness.stop();
  harness = await ProxyHarness.start(1);
  await harness.apply(
    service("a", ["a.example.org"], { maxConnections: 1 }),
    service("b", ["b.example.org"], { maxConnections: 1 }),
  );
  const first = await connect();
  await connect();
  const third = connect().then((client) => client.failure());
  expect(await third.catch((error: { code: string }) => error.code)).toBe("ECONNRESET");
  await first.send(helloOf("a.example.org"));
  await expectServed("a", first, helloOf("a.example.org"));
  const next = await connect();
  await next.send(helloOf("b.example.org"));
  await expectServed("b", next, helloOf("b.example.org"));
});

test("a PROXY header comes first, from the addresses of the chosen service", async () => {
  const trusted = ["127.0.0.1"];
  await harness.apply(
    service("a", ["a.example.org"], { acceptProxy: trusted, allow: ["203.0.113.7/32"], sendProxy: "v1" }),
    service("b", ["b.example.org"]),
  );
  const header = new Uint8Array(107);
  const length = encodeProxyV1(endpoint("203.0.113.7", 4711), endpoint("198.51.100.1", 443), header, 0);
  const line = header.subarray(0, length);
  await expectRoute("a", Uint8Array.of(...line, ...helloOf("a.example.org")));
  await expectRoute("b", helloOf("b.example.org"));
  await expectRefused(helloOf("a.example.org"));
  await expectRefused(Uint8Array.of(...line, ...helloOf("b.example.org")));
  await waitFor(() => refused("a")["bad-proxy-header"] === 1 && refused("b")["bad-proxy-header"] === 1, {
    what: "the refusals to be counted",
  });
});

test("open connections and waiting clients stay when a reload adds, changes and removes services", async () => {
  await harness.apply(service("a", ["a.example.org"]));
  const client = await connect();
  await client.send(helloOf("a.example.org"));
  const served = await expectServed("a", client, helloOf("a.example.org"));
  const waiting = await connect();
  await waiting.send(helloOf("b.example.org").subarray(0, 30));
  await harness.apply(service("a", ["a.example.org"]), service("b", ["b.example.org"]));
  await waiting.send(helloOf("b.example.org").subarray(30));
  await expectServed("b", waiting, helloOf("b.example.org"));
  await harness.apply(service("b", ["b.example.org", "a.example.org"]));
  await expectRoute("b", helloOf("a.example.org"));
  await client.send("still");
  expect(await served.receiveText(5)).toBe("still");
  await harness.apply(service("b", null));
  await expectRoute("b", latin1("no TLS"));
});

test("a client of a closed service is refused, not given to the service without names", async () => {
  const closed = service("a", ["a.example.org"]);
  await harness.apply(service("any", null), {
    ...closed,
    ports: closed.ports!.map((port) => ({ ...port, isClosed: true })),
  });
  await expectRefused(helloOf("a.example.org"));
  await expectRoute("any", helloOf("c.example.org"));
  await waitFor(() => refused("a")["no-task"] === 1, { what: "the refusal to be counted" });
});

test("services at a wildcard and at one address share the port at that address", async () => {
  const all = ["0.0.0.0", "::"];
  await harness.apply(
    service("any", null, { listenAddresses: all }),
    service("a", ["a.example.org"], { listenAddresses: ["127.0.0.1"] }),
    service("b", ["b.example.org"], { listenAddresses: all }),
    service("v4", ["v4.example.org"], { listenAddresses: ["0.0.0.0"] }),
  );
  for (const name of ["a", "b", "v4"]) await expectRoute(name, helloOf(`${name}.example.org`));
  await expectRoute("any", latin1("no TLS"));
  const routes: [address: string, name: string, by: string][] = [
    ["127.0.0.2", "v4.example.org", "v4"],
    ["127.0.0.2", "a.example.org", "any"],
  ];
  for (const [address, name, by] of routes) {
    const client = await connect(address);
    await client.send(helloOf(name));
    await expectServed(by, client, helloOf(name));
  }
  await expectRoute6("b", helloOf("b.example.org"));
  await expectRoute6("any", helloOf("v4.example.org"));
});

/** As expectRoute, of a client at ::1. */
async function expectRoute6(by: string, bytes: Uint8Array): Promise<void> {
  const client = connectTo({ host: "::1", port: published });
  try {
    client.write(bytes);
    const served = keep(await taskOf(by).accept());
    expect(await served.receiveText(bytes.length)).toBe(Buffer.from(bytes).toString("latin1"));
  } finally {
    client.destroy();
  }
}

function endpoint(address: string, port: number) {
  const { family, bytes } = parseIp(address)!;
  return { ...createEndpoint(), family, bytes, port };
}

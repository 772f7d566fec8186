/** PROXY headers to tasks and from trusted clients, byte for byte. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { type AddressInfo, connect as connectTo, createServer, type Socket } from "node:net";
import {
  createEndpoint,
  decodeProxyHeader,
  type Endpoint,
  encodeProxyV1,
  encodeProxyV2,
  encodeProxyV2Local,
  formatIp,
  PROXY_V2_MAX_BYTES,
  ProxyHeader,
  parseIp,
} from "../../src/wire/index.ts";
import { freePort } from "../support/os/free-port.ts";
import { RawListener, RawSocket } from "../support/os/raw-socket.ts";
import { ProxyHarness } from "../support/proxy/proxy-harness.ts";
import type { TestService } from "../support/proxy/routing-table.ts";
import { waitFor } from "../support/time/wait-for.ts";

const SOURCE = endpoint("203.0.113.7", 4711);
const DESTINATION = endpoint("198.51.100.1", 443);

let harness: ProxyHarness;
let task: RawListener;
let published: number;
const sockets: RawSocket[] = [];
const onEnd: (() => unknown)[] = [];

beforeEach(async () => {
  harness = await ProxyHarness.start(1);
  task = RawListener.open();
  published = await freePort();
});

afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.close();
  for (const end of onEnd.splice(0)) end();
  task.close();
  await harness.stop();
});

function endpoint(address: string, port: number): Endpoint {
  const { family, bytes } = parseIp(address)!;
  return { ...createEndpoint(), family, bytes, port };
}

function text({ family, bytes, offset, port }: Endpoint): string {
  return `${formatIp(family, bytes, offset)} ${port}`;
}

function header(version: 1 | 2): Uint8Array {
  const bytes = new Uint8Array(256);
  const length =
    version === 1
      ? encodeProxyV1(SOURCE, DESTINATION, bytes, 0)
      : encodeProxyV2(SOURCE, DESTINATION, "tcp", bytes, 0);
  return bytes.subarray(0, length);
}

function serve(overrides: Partial<TestService>): Promise<void> {
  return harness.apply({ protocol: "tcp", published, tasks: [task.port], ...overrides });
}

function keep(socket: RawSocket): RawSocket {
  sockets.push(socket);
  return socket;
}

async function connect(): Promise<RawSocket> {
  return keep(await RawSocket.connect(published));
}

/** Reads the header that the task gets first. */
async function receiveHeader(served: RawSocket): Promise<ProxyHeader> {
  let bytes = Buffer.alloc(0);
  const decoded = new ProxyHeader();
  while (decodeProxyHeader(bytes, 0, bytes.length, decoded).status === "incomplete") {
    const more = await served.receive(1);
    if (more.length === 0) throw new Error(`the stream ended inside the header: ${bytes.toString("hex")}`);
    bytes = Buffer.concat([bytes, more]);
  }
  expect(decoded.status).toBe("complete");
  expect(decoded.headerLength).toBe(bytes.length);
  return decoded;
}

const refused = () => harness.proxy.status().services[0]!.refusedTotal;

for (const sendProxy of ["v1", "v2"] as const) {
  test(`send_proxy ${sendProxy}: the task learns the client's and the published address, then its bytes`, async () => {
    await serve({ sendProxy });
    const client = await connect();
    const served = keep(await task.accept());
    const decoded = await receiveHeader(served); // before the client has said a word
    expect(decoded.transport).toBe("tcp");
    expect(text(decoded.source)).toStartWith("127.0.0.1 ");
    expect(text(decoded.destination)).toBe(`127.0.0.1 ${published}`);
    await client.send("hello");
    expect(await served.receiveText(5)).toBe("hello");
  });
}

for (const version of [1, 2] as const) {
  test(`accept_proxy: version ${version} in one piece with the payload behind it`, async () => {
    await serve({ acceptProxy: ["127.0.0.0/8"], sendProxy: "v2" });
    const client = await connect();
    await client.send(Buffer.concat([header(version), Buffer.from("payload")]));
    const served = keep(await task.accept());
    const decoded = await receiveHeader(served);
    expect(text(decoded.source)).toBe(text(SOURCE));
    expect(text(decoded.destination)).toBe(text(DESTINATION));
    expect(await served.receiveText(7)).toBe("payload");
  });

  test(`accept_proxy: version ${version} byte by byte`, async () => {
    await serve({ acceptProxy: ["127.0.0.1"] });
    const client = await connect();
    for (const byte of header(version)) await client.send(Uint8Array.of(byte));
    const served = keep(await task.accept());
    await client.send("x");
    expect(await served.receiveText(1)).toBe("x");
    await served.send("y");
    expect(await client.receiveText(1)).toBe("y");
  });
}

test("accept_proxy: a header alone is enough for the task to be dialed", async () => {
  await serve({ acceptProxy: ["127.0.0.1"] });
  await (await connect()).send(header(2));
  const served = keep(await task.accept());
  await served.send("banner"); // a task that speaks first
  expect(await sockets[0]!.receiveText(6)).toBe("banner");
});

test("accept_proxy: payload and FIN right behind the header arrive whole", async () => {
  await serve({ acceptProxy: ["127.0.0.1"] });
  const payload = "payload ".repeat(400);
  const client = await connect();
  await client.send(Buffer.concat([header(1), Buffer.from(payload)]));
  client.finish();
  const served = keep(await task.accept());
  expect(await served.receiveRest()).toBe(payload);
  await served.send("answer");
  served.close();
  expect(await client.receiveRest()).toBe("answer");
});

for (const [from, to] of [
  ["v1", "v1"],
  ["v1", "v2"],
  ["v2", "v1"],
  ["v2", "v2"],
] as const) {
  test(`accept_proxy ${from} with send_proxy ${to} keeps the original client`, async () => {
    await serve({ acceptProxy: ["127.0.0.1"], sendProxy: to });
    await (await connect()).send(header(from === "v1" ? 1 : 2));
    const decoded = await receiveHeader(keep(await task.accept()));
    expect([text(decoded.source), text(decoded.destination)]).toEqual([text(SOURCE), text(DESTINATION)]);
  });
}

test("accept_proxy: a reload between connect and header brings the tasks of now", async () => {
  const next = RawListener.open();
  await serve({ acceptProxy: ["127.0.0.1"] });
  const client = await connect();
  await client.send(header(2).subarray(0, 5));
  await waitFor(() => harness.openConnections === 1, { what: "the connection to be accepted" });
  await serve({ acceptProxy: ["127.0.0.1"], tasks: [next.port] });
  await client.send(header(2).subarray(5));
  await client.send("x");
  expect(await keep(await next.accept()).receiveText(1)).toBe("x");
  next.close();
});

test("accept_proxy: LOCAL keeps the connection's own address", async () => {
  await serve({ acceptProxy: ["127.0.0.1"], sendProxy: "v2" });
  const bytes = new Uint8Array(64);
  const length = encodeProxyV2Local(bytes, 0);
  await (await connect()).send(bytes.subarray(0, length));
  const decoded = await receiveHeader(keep(await task.accept()));
  expect(text(decoded.source)).toStartWith("127.0.0.1 ");
});

test("accept_proxy: rules apply to the client that the header names", async () => {
  await serve({ acceptProxy: ["127.0.0.1"], deny: ["203.0.113.0/24"] });
  const client = await connect();
  await client.send(header(2));
  expect(await client.failure()).toBe("ECONNRESET");
  await waitFor(() => refused().denied === 1, { what: "the refusal to be counted" });
});

test.each([
  ["another protocol", "GET / HTTP/1.1\r\n\r\n"],
  ["version 1 with a wrong address", "PROXY TCP4 300.0.0.1 127.0.0.1 1 2\r\n"],
  ["version 1 that does not end", `PROXY TCP4 ${"1".repeat(120)}`],
  ["version 2 with a wrong version", "\r\n\r\n\0\r\nQUIT\n\x31\x11\0\x0c0123456789ab"],
  ["version 2 too short for its addresses", "\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x040123"],
])("accept_proxy: %s is reset and counted", async (_, bytes) => {
  await serve({ acceptProxy: ["127.0.0.1"] });
  const client = await connect();
  await client.send(bytes);
  expect(await client.failure()).toBe("ECONNRESET");
  await waitFor(() => refused()["bad-proxy-header"] === 1, { what: "the refusal to be counted" });
});

test.each([
  ["never finish their header", "PROXY TCP4 "],
  ["never say a word", ""],
])("accept_proxy: 2,000 clients that %s are gone 3 s later, and hold up nobody", async (_, words) => {
  const count = 2000;
  await serve({ acceptProxy: ["127.0.0.1"] });
  for (let i = 0; i < count; i++) {
    const client = await connect();
    if (words !== "") await client.send(words);
  }
  const honest = await connect();
  await honest.send(Buffer.concat([header(2), Buffer.from("x")]));
  expect(await keep(await task.accept()).receiveText(1)).toBe("x");
  await waitFor(() => refused()["bad-proxy-header"] === count, {
    what: "all to be refused",
  });
  expect(harness.openConnections).toBe(1);
});

test("accept_proxy: a client that ends inside its header is gone at the latest when its time is over", async () => {
  await serve({ acceptProxy: ["127.0.0.1"] });
  const [silent, partial] = [await connect(), await connect()];
  silent.finish();
  await partial.send(header(2).subarray(0, 20));
  partial.finish();
  await harness.allClosed(2);
  expect(await task.hasWaiting()).toBe(false);
});

test("accept_proxy: version 2 as long as it may be, in small pieces, and one byte longer", async () => {
  await serve({ acceptProxy: ["127.0.0.1"], sendProxy: "v1" });
  const long = Buffer.alloc(PROXY_V2_MAX_BYTES);
  long.set(header(2));
  long.writeUInt16BE(PROXY_V2_MAX_BYTES - 16, 14); // room behind the addresses is TLVs, which are not read
  const client = await connect();
  for (let at = 0; at < long.length; at += 500) await client.send(long.subarray(at, at + 500));
  await client.send("payload");
  const served = keep(await task.accept());
  expect(text((await receiveHeader(served)).source)).toBe(text(SOURCE));
  expect(await served.receiveText(7)).toBe("payload");
  long.writeUInt16BE(PROXY_V2_MAX_BYTES - 15, 14);
  const longer = await connect();
  await longer.send(long.subarray(0, 500));
  expect(await longer.failure()).toBe("ECONNRESET");
});

test("from elsewhere a header is payload like any other", async () => {
  await serve({ acceptProxy: ["192.0.2.0/24"] });
  const client = await connect();
  await client.send(header(1));
  const served = keep(await task.accept());
  expect(await served.receiveText(header(1).length)).toBe(Buffer.from(header(1)).toString());
});

describe("IPv6", () => {
  for (const sendProxy of ["v1", "v2"] as const) {
    test(`send_proxy ${sendProxy}: the addresses of the connection`, async () => {
      await serve({ sendProxy, listenAddresses: ["::1"] });
      const client = connectV6();
      const decoded = await receiveHeader(keep(await task.accept()));
      await waitFor(() => client.localPort, { what: "the client's port" });
      expect(text(decoded.source)).toBe(`::1 ${client.localPort}`);
      expect(text(decoded.destination)).toBe(`::1 ${published}`);
    });

    test(`accept_proxy with IPv6 addresses, send_proxy ${sendProxy}`, async () => {
      const [source, destination] = [endpoint("2001:db8::7", 4711), endpoint("2001:db8::1", 443)];
      await serve({ acceptProxy: ["::1"], sendProxy, listenAddresses: ["::1"] });
      const bytes = new Uint8Array(256);
      const length = encodeProxyV1(source, destination, bytes, 0);
      connectV6().write(Buffer.concat([bytes.subarray(0, length), Buffer.from("payload")]));
      const served = keep(await task.accept());
      const decoded = await receiveHeader(served);
      expect([text(decoded.source), text(decoded.destination)]).toEqual([text(source), text(destination)]);
      expect(await served.receiveText(7)).toBe("payload");
    });
  }

  test("a task with an IPv6 address is served and sees its IPv4 client as IPv4", async () => {
    const received = Promise.withResolvers<Buffer>();
    const server = createServer((socket) =>
      socket.once("data", (bytes) => received.resolve(Buffer.from(bytes))),
    );
    await new Promise<void>((done) => server.listen(0, "::1", done));
    const { port } = server.address() as AddressInfo;
    await serve({ sendProxy: "v1", tasks: [{ address: "::1", port }] });
    await connect();
    expect((await received.promise).toString()).toMatch(
      new RegExp(`^PROXY TCP4 127\\.0\\.0\\.1 127\\.0\\.0\\.1 \\d+ ${published}\r\n$`),
    );
    server.close();
  });

  function connectV6(): Socket {
    const socket = connectTo(published, "::1");
    socket.on("error", () => {});
    onEnd.push(() => socket.destroy());
    return socket;
  }
});

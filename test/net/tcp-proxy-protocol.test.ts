/** PROXY headers to tasks and from trusted clients, byte for byte. */
import { afterEach, beforeEach, expect, test } from "bun:test";
import {
  createEndpoint,
  decodeProxyHeader,
  type Endpoint,
  encodeProxyV1,
  encodeProxyV2,
  encodeProxyV2Local,
  formatIp,
  ProxyHeader,
  parseIp,
} from "../../src/wire/index.ts";
import { freePort } from "../support/free-port.ts";
import { ProxyHarness } from "../support/proxy-harness.ts";
import { RawListener, RawSocket } from "../support/raw-socket.ts";
import type { TestService } from "../support/routing-table.ts";
import { waitFor } from "../support/wait-for.ts";

const SOURCE = endpoint("203.0.113.7", 4711);
const DESTINATION = endpoint("198.51.100.1", 443);

let harness: ProxyHarness;
let task: RawListener;
let published: number;
const sockets: RawSocket[] = [];

beforeEach(async () => {
  harness = await ProxyHarness.start(1);
  task = RawListener.open();
  published = await freePort();
});

afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.close();
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

test("accept_proxy: what is no header is reset and counted", async () => {
  await serve({ acceptProxy: ["127.0.0.1"] });
  const client = await connect();
  await client.send("GET / HTTP/1.1\r\n\r\n");
  expect(await client.failure()).toBe("ECONNRESET");
  await waitFor(() => refused()["bad-proxy-header"] === 1, { what: "the refusal to be counted" });
});

test("accept_proxy: 200 clients that never finish their header are gone within 3 s", async () => {
  await serve({ acceptProxy: ["127.0.0.1"] });
  for (let i = 0; i < 200; i++) await (await connect()).send("PROXY TCP4 ");
  await waitFor(() => refused()["bad-proxy-header"] === 200, { what: "all to be refused", deadlineMs: 3000 });
  expect(harness.openConnections).toBe(0);
});

test("from elsewhere a header is payload like any other", async () => {
  await serve({ acceptProxy: ["192.0.2.0/24"] });
  const client = await connect();
  await client.send(header(1));
  const served = keep(await task.accept());
  expect(await served.receiveText(header(1).length)).toBe(Buffer.from(header(1)).toString());
});

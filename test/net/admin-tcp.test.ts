/**
 * The admin API on admin.listen: what it serves, and what it refuses.
 *
 *   curl, raw sockets ─> 127.0.0.1:ADMIN  portmesh  127.0.0.1:PORT ─> a task
 */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { join } from "node:path";
import { NodeProcess, portmesh } from "../support/node/node-process.ts";
import { freePort } from "../support/os/free-port.ts";
import { writeCertificate } from "../support/os/tls-files.ts";
import { waitFor } from "../support/time/wait-for.ts";

const READ = "monitoring-0123456789abcdefghij";
const WRITE = "deployment-0123456789abcdefghij";
const OTHER = "new-deployment-0123456789abcdef";
const DEADLINE_MS = 30_000;

let stack: AsyncDisposableStack;
let admin: number;

beforeEach(async () => {
  stack = new AsyncDisposableStack();
  admin = await freePort();
});
afterEach(() => stack.disposeAsync());

interface Answer {
  readonly status: number;
  readonly body: string;
}

async function curl(path: string, ...args: string[]): Promise<Answer> {
  const url = path.startsWith("http") ? path : `http://127.0.0.1:${admin}${path}`;
  const argv = ["curl", "-sS", "-m", "30", "-w", "\\n%{http_code}", ...args, url];
  const child = Bun.spawn(argv, { stdout: "pipe", stderr: "pipe", stdin: "ignore" });
  const [text, error] = await Promise.all([child.stdout.text(), child.stderr.text()]);
  const at = text.lastIndexOf("\n");
  const status = Number(text.slice(at + 1));
  return { status, body: status === 0 ? error : text.slice(0, at) };
}

const bearer = (token: string) => ["-H", `Authorization: Bearer ${token}`];

function file(lines: string, services = ""): string {
  return `[admin]\nlisten = "127.0.0.1:${admin}"\n${lines}\n${services}`;
}

function writeTokens(node: { readonly directory: string }, ...lines: string[]): void {
  writeFileSync(join(node.directory, "tokens"), `${lines.join("\n")}\n`, { mode: 0o600 });
}

async function start(
  text: string,
  prepare: (directory: string) => void = () => undefined,
): Promise<NodeProcess> {
  const directory = mkdtempSync("/tmp/portmesh-test-");
  stack.defer(() => rmSync(directory, { recursive: true, force: true }));
  prepare(directory);
  const node = NodeProcess.startIn(directory, text);
  stack.defer(() => node.kill());
  await node.serves();
  await until(async () => (await node.status()).admin?.error === null, "the API to listen");
  await until(() => node.log.includes("admin API: now listening"), "the API to listen");
  return node;
}

function startWithTokens(lines = ""): Promise<NodeProcess> {
  return start(file(`tokens_file = "tokens"\n${lines}`), (directory) =>
    writeTokens({ directory }, `read-only ${READ}`, `read-write ${WRITE}`),
  );
}

function until(condition: () => boolean | Promise<boolean>, what: string): Promise<unknown> {
  return waitFor(condition, { what, deadlineMs: DEADLINE_MS });
}

/** A client of its own; `text` is what came so far. */
function rawClient(port = admin): { readonly socket: Socket; text: string; isClosed: boolean } {
  const client = { socket: connect(port, "127.0.0.1"), text: "", isClosed: false };
  client.socket.on("data", (chunk) => {
    client.text += chunk.toString("latin1");
  });
  client.socket.on("error", () => undefined);
  client.socket.on("close", () => {
    client.isClosed = true;
  });
  stack.defer(() => void client.socket.destroy());
  return client;
}

const CREATE = JSON.stringify({
  name: "made",
  spec: {
    publish: [{ protocol: "tcp", published: 1, target: 1, mode: "ingress" }],
    ...{
      balance: "random",
      prefer: "any",
      sendProxy: "none",
      acceptProxy: [],
      allow: ["0.0.0.0/0"],
      deny: [],
    },
    ...{ bind: ["127.0.0.1"], nodes: {}, maxConnections: 0, idleTimeoutMs: 0, drainTimeoutMs: 1000 },
    udp: { mode: "session", idleTimeoutMs: 1000, maxSessions: 10, responses: 0 },
  },
  tasks: [],
});

describe("who may do what", () => {
  test("without tokens: loopback, probes and reading; nothing changes", async () => {
    const node = await start(file(""));
    expect(JSON.parse((await curl("/v1/status")).body)).toMatchObject({
      admin: { listen: `127.0.0.1:${admin}`, error: null },
    });
    expect((await curl("/v1/reload", "-X", "POST")).status).toBe(403);
    expect((await curl("/v1/services", "-d", CREATE)).body).toContain(
      "set admin.tokens_file, or use the Unix socket",
    );
    expect((await node.status()).config.lastReload).toBeNull();
  });

  test("read-only and read-write tokens; rotation by the file; no token is shown anywhere", async () => {
    const node = await startWithTokens();
    expect(await curl("/v1/status")).toEqual({
      status: 401,
      body: '{"error":"a token is required: Authorization: Bearer TOKEN"}',
    });
    expect((await curl("/v1/status", ...bearer(READ))).status).toBe(200);
    expect((await curl("/v1/services", ...bearer(READ), "-d", CREATE)).status).toBe(403);
    expect((await curl("/v1/services", ...bearer(WRITE), "-d", CREATE)).status).toBe(201);
    expect((await curl("/v1/services/made", ...bearer(WRITE), "-X", "DELETE")).status).toBe(200);
    expect((await curl("/v1/upgrade", ...bearer(WRITE), "-d", '{"file":"/bin/false"}')).status).toBe(403);
    for (const path of ["/livez", "/readyz"]) expect((await curl(path)).status).toBe(200);

    writeTokens(node, `read-write ${OTHER}`);
    await waitFor(async () => (await curl("/v1/status", ...bearer(OTHER))).status === 200, {
      what: "the new token",
      deadlineMs: DEADLINE_MS,
      pollMs: 1_000, // wrong ones are answered so many times a minute
    });
    expect((await curl("/v1/status", ...bearer(READ))).status).toBe(401);
    writeTokens(node, "nonsense");
    await until(() => node.log.includes("configuration refused"), "the wrong file to be refused");
    expect((await curl("/v1/status", ...bearer(OTHER))).status).toBe(200);

    const shown = await portmesh("config", "-c", node.file);
    const events = await portmesh("events", "--socket", node.socket);
    writeTokens(node, `read-write ${OTHER}`);
    const config = await portmesh("config", "-c", node.file);
    expect(config.stdout).toContain("tokens_file");
    const all = [
      node.log,
      JSON.stringify(await node.status()),
      shown.stderr,
      config.stdout,
      events.stdout,
    ].join();
    for (const token of [READ, WRITE, OTHER]) expect(all).not.toContain(token);
  });

  test("names and pages of others are refused", async () => {
    await start(file('hosts = ["pm.example.org"]'));
    const asked = async (...headers: string[]) =>
      (await curl("/v1/status", ...headers.flatMap((header) => ["-H", header]))).status;
    expect(await asked("Host: attacker.example")).toBe(421);
    expect(await asked("Host: pm.example.org:1")).toBe(200);
    expect(await asked("Origin: http://attacker.example")).toBe(403);
    expect(await asked(`Origin: http://127.0.0.1:${admin}`)).toBe(200);
    expect(await asked("Sec-Fetch-Site: cross-site")).toBe(403);
    expect((await curl("/v1/reload", "-X", "OPTIONS", "-H", "Origin: http://attacker.example")).status).toBe(
      403,
    );
    expect((await curl("/readyz", "-H", "Host: attacker.example")).status).toBe(200);
  });

  test("beyond loopback a file without tokens is refused, with the fix", async () => {
    await using directory = new AsyncDisposableStack();
    const path = mkdtempSync("/tmp/portmesh-test-");
    directory.defer(() => rmSync(path, { recursive: true, force: true }));
    writeFileSync(join(path, "pm.toml"), `services = []\n[admin]\nlisten = "0.0.0.0:${admin}"\n`);
    const { exitCode, stderr } = await portmesh("check", "-c", join(path, "pm.toml"));
    expect(exitCode).toBe(2);
    expect(stderr).toContain("set tokens_file to a file with lines like `read-write TOKEN`");
  });
});

describe("limits", () => {
  test("large bodies and heads are refused before they are read; a chunked body needs a length", async () => {
    const node = await startWithTokens();
    const path = join(node.directory, "zeros");
    writeFileSync(path, Buffer.alloc(10 * 1024 * 1024));
    const large = (...headers: string[]) =>
      curl(
        "/v1/services",
        ...bearer(WRITE),
        "--data-binary",
        `@${path}`,
        ...headers.flatMap((each) => ["-H", each]),
      );
    expect((await large()).status).toBe(413);
    expect((await large("Expect:")).status).toBe(413);
    expect((await large("Transfer-Encoding: chunked")).status).toBe(411);
    expect((await curl("/v1/services", "--data-binary", `@${path}`)).status).toBe(401);
    expect((await curl("/v1/status", "-H", `X-A: ${"a".repeat(20_000)}`)).status).toBe(431);
    expect((await curl("/v1/services", ...bearer(WRITE), "-d", "{")).body).toBe(
      '{"error":"the body is not JSON"}',
    );
    expect((await curl("/v1/nothing", ...bearer(WRITE))).status).toBe(404);
  });

  test("slow clients hold nothing for long, many connections of one address do not crowd out others for ever", async () => {
    await startWithTokens();
    const [slowHead, slowBody, silent] = [rawClient(), rawClient(), rawClient()];
    slowHead.socket.write("GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ");
    slowBody.socket.write(
      `POST /v1/services HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer ${WRITE}\r\nContent-Length: 1000\r\n\r\n`,
    );
    const drip = setInterval(
      () => [slowHead, slowBody].map(({ socket }) => socket.writable && socket.write("a")),
      300,
    );
    stack.defer(() => clearInterval(drip));
    const crowd = Array.from({ length: 100 }, () => rawClient());
    await until(
      () => crowd.filter(({ isClosed }) => isClosed).length >= 36,
      "clients over the limit to be closed",
    );
    for (const { socket } of crowd) socket.destroy();
    await until(async () => (await curl("/livez")).status === 200, "others to be served again");
    await until(
      () => [slowHead, slowBody, silent].every(({ isClosed }) => isClosed),
      "slow clients to be closed",
    );
    expect(slowHead.text).toStartWith("HTTP/1.1 408 ");
    expect(slowBody.text).toStartWith("HTTP/1.1 408 ");
    expect(silent.text).toBe("");
  });

  test("pipelined and kept connections are answered in order; garbage is refused", async () => {
    await startWithTokens();
    const client = rawClient();
    const request = (path: string) => `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n`;
    client.socket.write(request("/livez") + request("/ports/1/ready") + request("/readyz"));
    await until(() => client.text.split("HTTP/1.1 ").length === 4, "three answers");
    expect([...client.text.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, status]) => status)).toEqual([
      "200",
      "503",
      "200",
    ]);
    const garbage = rawClient();
    garbage.socket.write("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n");
    await until(() => garbage.isClosed, "garbage to be refused");
    expect(garbage.text).toStartWith("HTTP/1.1 400 ");
  });
});

test("a renewed certificate serves new connections; connections that are open stay", async () => {
  const node = await start(file('tls_cert = "a.pem"\ntls_key = "a.key"'), (directory) =>
    writeCertificate(directory, "a", "one"),
  );
  const subject = async () => {
    const child = Bun.spawn(["openssl", "s_client", "-connect", `127.0.0.1:${admin}`], {
      stdin: new Uint8Array(),
      stderr: "ignore",
    });
    return /subject=(.*)/.exec(await child.stdout.text())?.[1];
  };
  const url = `https://127.0.0.1:${admin}/v1/version`;
  expect((await curl(url, "--cacert", join(node.directory, "a.pem"))).status).toBe(200);
  expect(await subject()).toContain("one");
  expect((await curl(`http://127.0.0.1:${admin}/livez`)).status).toBe(0);
  writeCertificate(node.directory, "a", "two");
  await until(async () => (await subject())?.includes("two") === true, "the new certificate");
  expect((await curl(url, "--cacert", join(node.directory, "a.pem"))).status).toBe(200);
  expect(node.log).not.toContain("PRIVATE KEY");
});

describe("load balancers", () => {
  test("a port is ready while it is listened on and a task accepts; a draining node is not ready", async () => {
    const task = createServer((socket) => socket.on("error", () => undefined));
    await new Promise<void>((resolve) => task.listen(0, "127.0.0.1", resolve));
    stack.defer(() => void task.close());
    const { port: target } = task.address() as { port: number };
    const published = await freePort();
    const service = `[[services]]\nname = "web"\nbind = ["127.0.0.1"]\npublish = ["${published}:80"]\ntasks = ["127.0.0.1:${target}"]\n`;
    const node = await start(file("", service));
    const ready = async () => (await curl(`/ports/${published}/ready`)).status;
    expect(await ready()).toBe(200);
    expect((await curl(`/ports/${published}/ready?protocol=udp`)).body).toContain("no service publishes");
    expect((await curl("/ports/0/ready")).status).toBe(400);
    const client = rawClient(published);
    await until(
      async () => (await node.status()).proxy.services[0]?.tcp.openConnections === 1,
      "an open connection",
    );
    node.child.kill("SIGTERM");
    await until(async () => (await curl("/readyz")).status === 503, "the drain to be seen");
    expect((await curl("/readyz")).body).toContain("draining");
    expect(await ready()).toBe(503);
    expect((await curl("/livez")).status).toBe(200);
    client.socket.destroy();
    expect(await node.child.exited).toBe(0);
  });

  test("a port whose task is gone is not ready", async () => {
    const published = await freePort();
    const service = `[[services]]\nname = "web"\nbind = ["127.0.0.1"]\npublish = ["${published}:80"]\ntasks = ["127.0.0.1:${await freePort()}"]\n`;
    await start(file("", service));
    rawClient(published);
    await until(
      async () => (await curl(`/ports/${published}/ready`)).status === 503,
      "the port to be not ready",
    );
  });
});

test("a reload moves it, turns it off and on; a port that is taken is reported and tried again", async () => {
  const node = await start(file(""));
  const first = admin;
  const busy = createServer();
  await new Promise<void>((resolve) => busy.listen(0, "127.0.0.1", resolve));
  stack.defer(() => void busy.close());
  admin = (busy.address() as { port: number }).port;
  await node.reload(file(""));
  await until(
    () => node.log.includes("another program uses the port; trying again"),
    "the taken port to be reported",
  );
  expect((await node.status()).admin?.error).toContain("another program uses the port");
  expect((await curl(`http://127.0.0.1:${first}/livez`)).status).toBe(0);
  expect((await portmesh("events", "--socket", node.socket, "--kind", "bind-error")).stdout).toContain(
    "admin.listen",
  );
  busy.close();
  await until(async () => (await curl("/livez")).status === 200, "the port to be tried again");
  await node.reload("");
  await until(async () => (await curl("/livez")).status === 0, "it to be off");
});

test("an upgrade passes the socket on: no request is refused", async () => {
  const node = await startWithTokens();
  let isOver = false;
  let failed = 0;
  let answered = 0;
  const asking = Array.from({ length: 4 }, async () => {
    while (!isOver) {
      const { status } = await fetch(`http://127.0.0.1:${admin}/v1/version`, {
        headers: { authorization: `Bearer ${READ}`, connection: "close" },
      }).catch(() => ({ status: 0 }));
      if (status === 200) answered++;
      else failed++;
      await Bun.sleep(40); // under the rate of one address
    }
  });
  await until(() => answered > 10, "clients to be served");
  expect(await portmesh("upgrade", "--socket", node.socket)).toMatchObject({ exitCode: 0 });
  const { pid } = await node.status();
  stack.defer(() => void process.kill(pid, "SIGKILL"));
  expect(await node.child.exited).toBe(0);
  const atEnd = answered;
  await until(() => answered > atEnd + 10, "clients to be served by the successor");
  isOver = true;
  await Promise.all(asking);
  expect(failed).toBe(0);
});

test("events are streamed over TCP", async () => {
  const node = await startWithTokens();
  const client = rawClient();
  client.socket.write(
    `GET /v1/events/stream HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer ${READ}\r\n\r\n`,
  );
  await until(() => client.text.includes('"kind":"start"'), "the events so far");
  await node.reload("nonsense = 1");
  await until(() => client.text.includes('"kind":"reload-failed"'), "a new event");
  expect(client.text).toStartWith("HTTP/1.1 200 OK\r\n");
  expect(client.text).toContain("content-type: text/event-stream");
});

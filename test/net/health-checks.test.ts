/**
 * Health checks of the compiled node, with tasks that fail in every way: who gets clients, and what the operator is told.
 *
 *   clients -> node :PORT -> tasks "a", "b" of this node, probed at /healthz
 */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { createServer, type Server, type Socket } from "node:net";
import type { ServiceInfo, TaskInfo } from "../../src/admin/index.ts";
import { CheckedTask } from "../support/load/checked-task.ts";
import { request } from "../support/load/http-load.ts";
import { UdpPeer } from "../support/load/udp-peer.ts";
import { NodeProcess, portmesh } from "../support/node/node-process.ts";
import { freePort } from "../support/os/free-port.ts";
import { isTcpOpen } from "../support/os/port-state.ts";
import { waitFor } from "../support/time/wait-for.ts";

/** More than one round over all tasks from each worker. */
const ENOUGH = 12;
/** Patient: what is expected to succeed does so on a busy machine too. */
const HTTP = 'type = "http", path = "/healthz", interval = "100ms", timeout = "10s", rise = 1, fall = 1';

let opened: AsyncDisposableStack;
let a: CheckedTask;
let b: CheckedTask;
let published: number;
let node: NodeProcess;

beforeEach(async () => {
  opened = new AsyncDisposableStack();
  a = opened.adopt(new CheckedTask("a"), (task) => task.stop());
  b = opened.adopt(new CheckedTask("b"), (task) => task.stop());
  published = await freePort();
});

afterEach(() => opened.disposeAsync());

interface Wanted {
  /** Of the table `check`; null: none. */
  readonly check?: string | null;
  /** More lines of the service. */
  readonly extra?: string;
  readonly tasks?: string;
  readonly protocol?: "tcp" | "udp";
}

function file({ check = HTTP, extra = "", tasks, protocol = "tcp" }: Wanted = {}): string {
  return `[[services]]
name = "web"
publish = ["${published}:80/${protocol}"]
tasks = [${tasks ?? `"${a.address}", "${b.address}"`}]
${check === null ? "" : `check = { ${check} }`}
${extra}
`;
}

async function start(wanted?: Wanted): Promise<void> {
  node = opened.adopt(await NodeProcess.start(file(wanted)), (started) => started.kill());
}

async function service(): Promise<ServiceInfo> {
  const response = await fetch("http://portmesh/v1/services/web", { unix: node.socket });
  return (await response.json()) as ServiceInfo;
}

async function taskNamed(name: string): Promise<TaskInfo> {
  return (await service()).tasks.find((task) => task.name === name)!;
}

/** Resolves with its reason. */
async function becomes(name: string, state: string): Promise<string> {
  const found = await waitFor(
    async () => {
      const task = await taskNamed(name);
      return task.health?.state === state ? task : null;
    },
    { what: `task ${name} to become ${state}` },
  );
  return found.health!.reason;
}

/** Names of the tasks that answer so many clients; null: refused. */
async function served(): Promise<(string | null)[]> {
  const names = new Set<string | null>();
  for (let i = 0; i < ENOUGH; i++) names.add((await request("127.0.0.1", published)).body);
  return [...names].sort();
}

async function serves(...names: string[]): Promise<void> {
  const what = `clients to be served by ${names.join(" and ")}`;
  await waitFor(async () => (await served()).join() === names.join(), { what });
}

describe("http", () => {
  test("a new task gets clients after its first success; one that fails gets none", async () => {
    b.answer = { status: 503 };
    await start();
    expect(await becomes(b.address, "unhealthy")).toBe("status 503, expected 200-399");
    await becomes(a.address, "healthy");
    await serves("a");
    expect(await served()).toEqual(["a"]);
    b.answer = { status: 204 };
    expect(await becomes(b.address, "healthy")).toBe("status 204");
    await serves("a", "b");
    const { health } = await taskNamed(b.address);
    expect(health!.since).toBeGreaterThan(Date.now() - 60_000);
  });

  test("no clients before the first probe has an answer", async () => {
    a.answer = null;
    b.answer = null;
    await start({ extra: "panic = true" });
    await waitFor(() => a.probes > 0, { what: "the first probe" });
    expect((await taskNamed(a.address)).state).toBe("starting");
    expect(await isTcpOpen(published, "127.0.0.1")).toBe(false);
  });

  test.each<[string, () => unknown, RegExp]>([
    ["killed", () => a.stop(), /^connection (refused|reset|closed without an answer)$/],
    ["silent", () => (a.answer = null), /^no answer in 1 s$/],
  ])("a task that is %s", async (_, fail, reason) => {
    await start({ check: HTTP.replace('"10s"', '"1s"') });
    await serves("a", "b");
    await fail();
    expect(await becomes(a.address, "unhealthy")).toMatch(reason);
    await serves("b");
    a.answer = { status: 200 };
    a.start();
    await becomes(a.address, "healthy");
    await serves("a", "b");
  });

  test("the log and `service ps` say what happened", async () => {
    a.answer = { status: 500 };
    await start();
    await becomes(a.address, "unhealthy");
    await becomes(b.address, "healthy");
    expect(node.log).toContain(`task ${a.address} is unhealthy: status 500, expected 200-399`);
    const events = await portmesh("events", "--kind", "task-unhealthy", "--socket", node.socket);
    expect(events.stdout).toContain(`task ${a.address} is unhealthy: status 500, expected 200-399`);
    const { stdout } = await portmesh("service", "ps", "web", "--socket", node.socket);
    expect(stdout).toMatch(new RegExp(`${a.address}.* unhealthy .*status 500, expected 200-399`));
    const status = await portmesh("status", "--socket", node.socket);
    expect(status.stdout).toMatch(new RegExp(`${a.address}.* unhealthy .*status 500, expected 200-399`));
    const inspect = await portmesh("service", "inspect", "web", "--socket", node.socket);
    const [inspected] = JSON.parse(inspect.stdout);
    expect(inspected.Portmesh.Check).toMatchObject({ Type: "http", Path: "/healthz", Interval: "100ms" });
    const shown = inspected.Portmesh.Tasks.find(({ Name }: { Name: string }) => Name === a.address);
    expect(shown.Health).toMatchObject({ State: "unhealthy" });
  });

  test("the answer drain", async () => {
    await start();
    await serves("a", "b");
    a.answer = { status: 503, body: "drain: deploy\n" };
    expect(await becomes(a.address, "draining")).toBe('the task answers "drain": deploy');
    expect((await taskNamed(a.address)).state).toBe("draining");
    await serves("b");
    a.answer = { status: 200, body: "up\n" };
    await becomes(a.address, "healthy");
    await serves("a", "b");
  });
});

describe("when no task is healthy", () => {
  test("panic: the unhealthy ones are used, and the operator is told", async () => {
    await start();
    await serves("a", "b");
    [a.answer, b.answer] = [{ status: 500 }, { status: 500 }];
    await becomes(a.address, "unhealthy");
    await becomes(b.address, "unhealthy");
    await serves("a", "b");
    expect((await service()).isInPanic).toBe(true);
    expect((await node.status()).inPanic).toEqual(["web"]);
    const { stdout } = await portmesh("status", "--socket", node.socket);
    expect(stdout).toContain("PANIC no task of web is healthy");
    await waitFor(() => node.log.includes("no task is healthy: unhealthy ones get"), {
      what: "the log to say so",
    });
    a.answer = { status: 200 };
    await serves("a");
    expect((await service()).isInPanic).toBe(false);
  });

  test("panic = false: the port is closed", async () => {
    await start({ extra: "panic = false" });
    await serves("a", "b");
    [a.answer, b.answer] = [{ status: 500 }, { status: 500 }];
    const isOpen = () => isTcpOpen(published, "127.0.0.1");
    await waitFor(async () => !(await isOpen()), { what: "the port to be closed" });
    b.answer = { status: 200 };
    await serves("b");
  });

  test("a backup is used before that", async () => {
    await start({ tasks: `"${a.address}", { address = "${b.address}", backup = true }` });
    await becomes(b.address, "healthy");
    await serves("a");
    expect(await served()).toEqual(["a"]);
    a.answer = { status: 500 };
    await serves("b");
    a.answer = { status: 200 };
    await serves("a");
  });
});

describe("changes", () => {
  test("a check that is added to a running service takes no task out until it fails", async () => {
    await start({ check: null });
    await serves("a", "b");
    a.answer = null;
    b.answer = null;
    await node.reload(file());
    await waitFor(() => a.probes > 0 && b.probes > 0, { what: "the first probes" });
    expect(await served()).toEqual(["a", "b"]);
    a.answer = { status: 500 };
    await node.reload(file({ check: HTTP.replace('"10s"', '"9s"') }));
    await serves("b");
  });

  test("another check probes at once and keeps the states; the same file changes nothing", async () => {
    b.answer = { status: 500 };
    await start();
    await becomes(a.address, "healthy");
    await becomes(b.address, "unhealthy");
    const before = (await service()).tasks.map(({ health }) => health);
    a.answer = null;
    b.answer = null;
    const slow = file({ check: HTTP.replace('"100ms"', '"1h"').replace("/healthz", "/healthz?slow") });
    await node.reload(slow);
    expect((await service()).tasks.map(({ health }) => health)).toEqual(before);
    const slowProbes = () => a.queries.filter((query) => query === "?slow").length;
    await waitFor(() => slowProbes() === 1, { what: "the first probe of the new check" });
    await node.reload(`${slow}\n# the same\n`);
    expect(slowProbes()).toBe(1);
    const { changes } = await node.reload(file({ check: HTTP.replace("/healthz", "/other") }));
    expect(changes.services.changed[0]!.changes).toContain("check.path /healthz?slow -> /other");
    await becomes(b.address, "healthy");
  });

  test("removing the check ends it: every task has clients", async () => {
    b.answer = { status: 500 };
    await start();
    await serves("a");
    await node.reload(file({ check: null }));
    await serves("a", "b");
    expect((await taskNamed(b.address)).health).toBeNull();
  });

  test("by command: made, changed, removed", async () => {
    const other = await freePort();
    await start();
    const run = (...args: string[]) => portmesh("service", ...args, "--socket", node.socket);
    const options = ["--health-type", "http", "--health-path", "/healthz", "--health-interval", "100ms"];
    const create = ["create", "--name", "api", "-p", `${other}:80`, "--task", `${a.address},backup`];
    expect((await run(...create, ...options)).exitCode).toBe(0);
    const inspect = async () => JSON.parse((await run("inspect", "api")).stdout)[0].Portmesh;
    await waitFor(async () => (await inspect()).Tasks[0].Health.State === "healthy", {
      what: "the task to serve",
    });
    expect((await request("127.0.0.1", other)).body).toBe("a");
    expect(await inspect()).toMatchObject({ Check: { Path: "/healthz" }, Tasks: [{ Backup: true }] });
    expect((await run("update", "api", "--health-status", "418", "--health-retries", "1")).exitCode).toBe(0);
    await waitFor(async () => (await inspect()).Tasks[0].Health.State === "unhealthy", {
      what: "it to fail",
    });
    expect((await run("update", "api", "--no-healthcheck")).exitCode).toBe(0);
    expect(await inspect()).toMatchObject({ Check: null, Tasks: [{ Health: null }] });
  });
});

/** A task that speaks TCP as the test says. */
async function startTcpTask(onClient: (socket: Socket) => void): Promise<Server & { readonly port: number }> {
  const server = createServer((socket) => {
    socket.on("error", () => undefined);
    onClient(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  opened.defer(() => void server.close());
  return Object.assign(server, { port: (server.address() as { port: number }).port });
}

describe("send-expect", () => {
  const check = (rest: string) => `type = "send-expect", interval = "100ms", fall = 1, rise = 1, ${rest}`;

  test.each<[string, string, (socket: Socket) => unknown, string, string]>([
    [
      "a banner",
      'timeout = "10s", expect = "220 "',
      (s) => s.write("220 here\r\n"),
      "healthy",
      "answered as expected",
    ],
    [
      "an answer in two parts",
      'timeout = "10s", send = "PING\\r\\n", expect = "+PONG"',
      (s) => s.on("data", () => s.write("+PO", () => s.write("NG\r\n"))),
      "healthy",
      "answered as expected",
    ],
    [
      "bytes",
      'timeout = "10s", send = "hex:00ff", expect = "hex:ff00"',
      (s) => s.on("data", (bytes) => s.write(Buffer.from(bytes).reverse())),
      "healthy",
      "answered as expected",
    ],
    [
      "another answer",
      'timeout = "10s", expect = "220"',
      (s) => s.end("554 no\r\n"),
      "unhealthy",
      'answered "554 no", expected "220"',
    ],
    [
      "a close",
      'timeout = "10s", expect = "220"',
      (s) => s.end(),
      "unhealthy",
      "connection closed without an answer",
    ],
    ["silence", 'timeout = "300ms", expect = "220"', () => undefined, "unhealthy", "no answer in 300 ms"],
    [
      "drain",
      'timeout = "10s", expect = "up"',
      (s) => s.end("drain\n"),
      "draining",
      'the task answers "drain"',
    ],
  ])("%s", async (_, rest, onClient, state, reason) => {
    const { port } = await startTcpTask(onClient);
    await start({ check: check(rest), tasks: `"127.0.0.1:${port}"` });
    expect(await becomes(`127.0.0.1:${port}`, state)).toBe(reason);
  });

  test("an answer without end is read up to a limit", async () => {
    const { port } = await startTcpTask((socket) => {
      const write = () => {
        while (socket.writable && socket.write("x".repeat(10_000)));
      };
      socket.on("drain", write);
      write();
    });
    await start({ check: check('timeout = "10s", expect = "220"'), tasks: `"127.0.0.1:${port}"` });
    expect(await becomes(`127.0.0.1:${port}`, "unhealthy")).toMatch(/^answered "x+…", expected "220"$/);
  });
});

test("http: what is no HTTP", async () => {
  const { port } = await startTcpTask((socket) => socket.end("SSH-2.0-OpenSSH_9.2\r\n"));
  await start({ tasks: `"127.0.0.1:${port}"` });
  expect(await becomes(`127.0.0.1:${port}`, "unhealthy")).toBe("the answer is not HTTP");
});

test("tcp: a port that opens and closes", async () => {
  const check = 'type = "tcp", interval = "100ms", timeout = "10s", rise = 1, fall = 1';
  await start({ check });
  expect(await becomes(a.address, "healthy")).toBe("connected");
  await a.stop();
  expect(await becomes(a.address, "unhealthy")).toBe("connection refused");
  await serves("b");
  a.start();
  await serves("a", "b");
});

test("udp: an answer, another answer, and a refusal; sessions move", async () => {
  const check =
    'type = "udp", send = "ping", expect = "pong", interval = "100ms", timeout = "10s", rise = 1, fall = 1';
  const answers = ["pong", "pong"];
  const peers = await Promise.all(
    answers.map((_, index) =>
      UdpPeer.task((data) => Buffer.from(`${data}` === "ping" ? answers[index]! : `${index}`)),
    ),
  );
  const names = peers.map(({ port }) => `127.0.0.1:${port}`);
  for (const peer of peers) opened.defer(() => peer.close());
  await start({ check, tasks: names.map((name) => `"${name}"`).join(", "), protocol: "udp" });
  for (const name of names) expect(await becomes(name, "healthy")).toBe("answered as expected");
  const client = opened.adopt(await UdpPeer.open("127.0.0.1"), (peer) => peer.close());
  let latest = "";
  client.onDatagram = ({ data }) => {
    latest = `${data}`;
  };
  const answeredBy = (wanted: string) =>
    waitFor(
      () => {
        client.send(Buffer.from("who"), published, "127.0.0.1");
        return latest === wanted;
      },
      { what: `the session to be with ${wanted}` },
    );
  await waitFor(
    () => {
      client.send(Buffer.from("who"), published, "127.0.0.1");
      return latest !== "";
    },
    { what: "the session to begin" },
  );
  const first = Number(latest);
  answers[first] = "nope";
  expect(await becomes(names[first]!, "unhealthy")).toBe('answered "nope", expected "pong"');
  await answeredBy(`${1 - first}`);
  await peers[1 - first]!.close();
  expect(await becomes(names[1 - first]!, "unhealthy")).toBe("connection refused");
});

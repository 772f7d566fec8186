/** The compiled node under a service manager: what it says while it starts, reloads, hangs and stops. */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { connect } from "node:net";
import { request } from "../support/load/http-load.ts";
import { lacksNamespaces, Namespaces } from "../support/network/namespaces.ts";
import { portmesh } from "../support/node/node-process.ts";
import { WebNode } from "../support/node/web-node.ts";
import { freePort } from "../support/os/free-port.ts";
import { stopThread } from "../support/os/stopped-thread.ts";
import { waitFor } from "../support/time/wait-for.ts";

/** Half of it is the time between two messages. */
const WATCHDOG_USEC = "400000";

const KEY = Buffer.alloc(32, 5).toString("base64");

const isFed = ({ WATCHDOG }: { WATCHDOG?: string }) => WATCHDOG === "1";

let web: WebNode;

beforeEach(async () => {
  web = await WebNode.create();
});

afterEach(() => web[Symbol.asyncDispose]());

function start(env: Record<string, string> = {}): void {
  web.start({ env: { NOTIFY_SOCKET: web.systemd.address, ...env } });
}

test("READY=1 once the ports answer, with the process id; a reload; STOPPING=1 before the connections end", async () => {
  start();
  const ready = await web.systemd.hears("READY=1", ({ READY }) => READY === "1");
  expect(ready).toEqual({ READY: "1", MAINPID: `${web.process.child.pid}`, STATUS: "serving 1 service" });
  const held = connect(web.published, "127.0.0.1");
  held.on("error", () => undefined);
  await new Promise((resolve) => held.once("connect", resolve));
  await waitFor(async () => (await web.process.status()).proxy.services[0]?.tcp.openConnections === 1);

  web.systemd.notices.length = 0;
  const second = await freePort();
  web.process.write(web.serviceAt(web.published) + web.serviceAt(second, "more"));
  web.process.child.kill("SIGHUP");
  await web.systemd.hears("the end of the reload", ({ STATUS }) => STATUS === "serving 2 services");
  const began = web.systemd.notices.findIndex(({ RELOADING }) => RELOADING === "1");
  const ended = web.systemd.notices.findLastIndex(({ READY }) => READY === "1");
  expect(began).toBeGreaterThanOrEqual(0);
  expect(ended).toBeGreaterThan(began);
  const [uptime] = (await Bun.file("/proc/uptime").text()).split(" ");
  expect(Number(web.systemd.notices[began]!.MONOTONIC_USEC)).toBeLessThanOrEqual(Number(uptime) * 1e6 + 1e4);

  web.process.child.kill("SIGTERM");
  await web.systemd.hears("STOPPING=1", ({ STOPPING }) => STOPPING === "1");
  await web.systemd.hears("more time", ({ EXTEND_TIMEOUT_USEC }) => Number(EXTEND_TIMEOUT_USEC) > 5e6);
  await web.systemd.hears("the connection", ({ STATUS }) => STATUS === "draining: 1 connection open");
  held.destroy();
  expect(await web.process.child.exited).toBe(0);
});

test("the watchdog is fed as long as every worker turns, and no longer", async () => {
  start({ WATCHDOG_USEC });
  await waitFor(() => web.systemd.count(isFed) >= 3, { what: "three messages to the watchdog" });
  using _hung = stopThread(web.process.child.pid, "Worker");
  await waitFor(() => web.process.log.includes("a worker thread does not respond"), {
    what: "the hung worker in the log",
  });
  const fed = web.systemd.count(isFed);
  const { now } = await web.process.status(); // the main thread goes on
  await waitFor(async () => (await web.process.status()).now > now + 1_000);
  expect(web.systemd.count(isFed)).toBe(fed);
});

test.skipIf(lacksNamespaces())("the watchdog is not fed while the overlay's worker hangs", async () => {
  const network = Namespaces.create(1);
  const [machine] = network.nodes;
  const text = `[proxy]\nworkers = 1\n[cluster]\nkeys = ["${KEY}"]\n[overlay]\ndriver = "userspace"\n`;
  const env = { PATH: process.env.PATH!, NOTIFY_SOCKET: web.systemd.address, WATCHDOG_USEC };
  web.start({ text, env, wrapper: machine!.wrapper });
  try {
    await waitFor(() => web.systemd.count(isFed) >= 3, { what: "three messages to the watchdog" });
    expect((await web.process.status()).overlay?.driver).toBe("userspace");
    using _hung = stopThread(web.process.child.pid, "Worker", "last");
    await waitFor(() => web.process.log.includes("a worker thread does not respond"), {
      what: "the hung worker in the log",
    });
    const fed = web.systemd.count(isFed);
    const { now } = await web.process.status();
    await waitFor(async () => (await web.process.status()).now > now + 1_000);
    expect(web.systemd.count(isFed)).toBe(fed);
  } finally {
    await web.process.kill();
    network.close();
  }
});

test("a successor becomes the main process: it is watched, and the store has its sockets", async () => {
  start({ WATCHDOG_USEC });
  await web.systemd.hears("READY=1", ({ READY }) => READY === "1");
  const first = web.process.child.pid;
  web.systemd.receive();
  const stored = new Set(web.systemd.stored.keys());
  expect(stored.size).toBeGreaterThan(0);
  web.systemd.notices.length = 0;
  expect(await portmesh("upgrade", "--socket", web.process.socket)).toMatchObject({
    exitCode: 0,
    stderr: "",
  });
  const { pid } = await web.process.status();
  expect(pid).not.toBe(first);
  try {
    await web.systemd.hears("MAINPID", ({ MAINPID, READY }) => MAINPID === `${pid}` && READY === "1");
    expect(await web.process.child.exited).toBe(0);
    web.systemd.notices.length = 0;
    await waitFor(() => web.systemd.count(isFed) >= 3, { what: "the successor to feed the watchdog" });
    expect(
      web.systemd.notices.some(({ STOPPING, MAINPID }) => STOPPING === "1" || MAINPID === `${first}`),
    ).toBe(false);
    expect(new Set(web.systemd.stored.keys())).toEqual(stored);
  } finally {
    process.kill(pid, "SIGKILL");
  }
  // it crashes: the manager starts another one, with the sockets that the successor has left in the store
  const waiting = request("127.0.0.1", web.published);
  await web.startManaged();
  expect((await waiting).body).toBe("task");
});

test("without a service manager, or with one that is gone, the node serves", async () => {
  start({ NOTIFY_SOCKET: web.directory.file("nobody") });
  await web.process.serves();
  await waitFor(() => web.process.log.includes("cannot notify the service manager"), { what: "the warning" });
});

test("an upgrade starts a process that is not this one's child; one that fails is reported", async () => {
  start();
  await web.systemd.hears("READY=1", ({ READY }) => READY === "1");
  const upgrade = async (...file: string[]) => portmesh("upgrade", ...file, "--socket", web.process.socket);
  expect((await upgrade("/bin/false")).stderr).toContain("failed, process");
  expect((await upgrade(web.directory.file("nothing"))).stderr).toContain("cannot start");
  expect((await web.process.status()).pid).toBe(web.process.child.pid);
  expect(await upgrade()).toMatchObject({ exitCode: 0 });
  const { pid } = await web.process.status();
  try {
    const [, parent] = /^PPid:\t(\d+)$/m.exec(await Bun.file(`/proc/${pid}/status`).text())!;
    expect([pid, Number(parent)]).not.toContain(web.process.child.pid);
    expect(await web.process.child.exited).toBe(0);
  } finally {
    process.kill(pid, "SIGKILL");
  }
});

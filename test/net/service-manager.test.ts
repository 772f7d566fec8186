/** The compiled node under a service manager: what it says while it starts, reloads, hangs and stops. */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { connect } from "node:net";
import { request } from "../support/load/http-load.ts";
import { type HttpTask, startNamedTask } from "../support/load/http-task.ts";
import { lacksNamespaces, Namespaces } from "../support/network/namespaces.ts";
import { NodeProcess, portmesh } from "../support/node/node-process.ts";
import { freePort } from "../support/os/free-port.ts";
import { FakeServiceManager } from "../support/os/service-manager.ts";
import { stopThread } from "../support/os/stopped-thread.ts";
import { type TempDir, tempDir } from "../support/os/temp-dir.ts";
import { waitFor } from "../support/time/wait-for.ts";

/** Half of it is the time between two messages. */
const WATCHDOG_USEC = "400000";

const KEY = Buffer.alloc(32, 5).toString("base64");

const isFed = ({ WATCHDOG }: { WATCHDOG?: string }) => WATCHDOG === "1";

let directory: TempDir;
let systemd: FakeServiceManager;
let task: HttpTask;
let services: string;
let published: number;
let node: NodeProcess;

beforeEach(async () => {
  directory = tempDir();
  systemd = new FakeServiceManager(directory.file("notify"));
  task = startNamedTask("task");
  published = await freePort();
  services = `[[services]]\nname = "web"\npublish = ["${published}:${task.port}"]\ntasks = ["127.0.0.1"]\n`;
});

afterEach(async () => {
  await node.kill();
  await task.stop();
  systemd[Symbol.dispose]();
  directory[Symbol.dispose]();
});

function start(env: Record<string, string> = {}): void {
  node = NodeProcess.startIn(directory.path, services, [], { NOTIFY_SOCKET: systemd.address, ...env });
}

test("READY=1 once the ports answer, with the process id; a reload; STOPPING=1 before the connections end", async () => {
  start();
  const ready = await systemd.hears("READY=1", ({ READY }) => READY === "1");
  expect(ready).toEqual({ READY: "1", MAINPID: `${node.child.pid}`, STATUS: "serving 1 service" });
  const held = connect(published, "127.0.0.1");
  held.on("error", () => undefined);
  await new Promise((resolve) => held.once("connect", resolve));
  await waitFor(async () => (await node.status()).proxy.services[0]?.tcp.openConnections === 1);

  systemd.notices.length = 0;
  const second = await freePort();
  const more = `[[services]]\nname = "more"\npublish = ["${second}:${task.port}"]\ntasks = ["127.0.0.1"]\n`;
  node.write(services + more);
  node.child.kill("SIGHUP");
  await systemd.hears("the end of the reload", ({ STATUS }) => STATUS === "serving 2 services");
  const began = systemd.notices.findIndex(({ RELOADING }) => RELOADING === "1");
  const ended = systemd.notices.findLastIndex(({ READY }) => READY === "1");
  expect(began).toBeGreaterThanOrEqual(0);
  expect(ended).toBeGreaterThan(began);
  const [uptime] = (await Bun.file("/proc/uptime").text()).split(" ");
  expect(Number(systemd.notices[began]!.MONOTONIC_USEC)).toBeLessThanOrEqual(Number(uptime) * 1e6 + 1e4);

  node.child.kill("SIGTERM");
  await systemd.hears("STOPPING=1", ({ STOPPING }) => STOPPING === "1");
  await systemd.hears("more time", ({ EXTEND_TIMEOUT_USEC }) => Number(EXTEND_TIMEOUT_USEC) > 5e6);
  await systemd.hears("the connection", ({ STATUS }) => STATUS === "draining: 1 connection open");
  held.destroy();
  expect(await node.child.exited).toBe(0);
});

test("the watchdog is fed as long as every worker turns, and no longer", async () => {
  start({ WATCHDOG_USEC });
  await waitFor(() => systemd.count(isFed) >= 3, { what: "three messages to the watchdog" });
  using _hung = stopThread(node.child.pid, "Worker");
  await waitFor(() => node.log.includes("a worker thread does not respond"), {
    what: "the hung worker in the log",
  });
  const fed = systemd.count(isFed);
  const { now } = await node.status(); // the main thread goes on
  await waitFor(async () => (await node.status()).now > now + 1_000);
  expect(systemd.count(isFed)).toBe(fed);
});

test.skipIf(lacksNamespaces())("the watchdog is not fed while the overlay's worker hangs", async () => {
  const network = Namespaces.create(1);
  const [machine] = network.nodes;
  services = `[proxy]\nworkers = 1\n[cluster]\nkeys = ["${KEY}"]\n[overlay]\ndriver = "userspace"\n`;
  const env = { PATH: process.env.PATH!, NOTIFY_SOCKET: systemd.address, WATCHDOG_USEC };
  node = NodeProcess.startIn(directory.path, services, machine!.wrapper, env);
  try {
    await waitFor(() => systemd.count(isFed) >= 3, { what: "three messages to the watchdog" });
    expect((await node.status()).overlay?.driver).toBe("userspace");
    using _hung = stopThread(node.child.pid, "Worker", "last");
    await waitFor(() => node.log.includes("a worker thread does not respond"), {
      what: "the hung worker in the log",
    });
    const fed = systemd.count(isFed);
    const { now } = await node.status();
    await waitFor(async () => (await node.status()).now > now + 1_000);
    expect(systemd.count(isFed)).toBe(fed);
  } finally {
    await node.kill();
    network.close();
  }
});

test("a successor becomes the main process: it is watched, and the store has its sockets", async () => {
  start({ WATCHDOG_USEC });
  await systemd.hears("READY=1", ({ READY }) => READY === "1");
  const first = node.child.pid;
  systemd.receive();
  const stored = new Set(systemd.stored.keys());
  expect(stored.size).toBeGreaterThan(0);
  systemd.notices.length = 0;
  expect(await portmesh("upgrade", "--socket", node.socket)).toMatchObject({ exitCode: 0, stderr: "" });
  const { pid } = await node.status();
  expect(pid).not.toBe(first);
  try {
    await systemd.hears("MAINPID", ({ MAINPID, READY }) => MAINPID === `${pid}` && READY === "1");
    expect(await node.child.exited).toBe(0);
    systemd.notices.length = 0;
    await waitFor(() => systemd.count(isFed) >= 3, { what: "the successor to feed the watchdog" });
    expect(systemd.notices.some(({ STOPPING, MAINPID }) => STOPPING === "1" || MAINPID === `${first}`)).toBe(
      false,
    );
    expect(new Set(systemd.stored.keys())).toEqual(stored);
  } finally {
    process.kill(pid, "SIGKILL");
  }
  // it crashes: the manager starts another one, with the sockets that the successor has left in the store
  const { fds, env, wrapper } = systemd.passed;
  const waiting = request("127.0.0.1", published);
  node = NodeProcess.startIn(directory.path, services, wrapper, env, fds);
  expect((await waiting).body).toBe("task");
});

test("without a service manager, or with one that is gone, the node serves", async () => {
  start({ NOTIFY_SOCKET: directory.file("nobody") });
  await node.serves();
  await waitFor(() => node.log.includes("cannot notify the service manager"), { what: "the warning" });
});

test("an upgrade starts a process that is not this one's child; one that fails is reported", async () => {
  start();
  await systemd.hears("READY=1", ({ READY }) => READY === "1");
  const upgrade = async (...file: string[]) => portmesh("upgrade", ...file, "--socket", node.socket);
  expect((await upgrade("/bin/false")).stderr).toContain("failed, process");
  expect((await upgrade(directory.file("nothing"))).stderr).toContain("cannot start");
  expect((await node.status()).pid).toBe(node.child.pid);
  expect(await upgrade()).toMatchObject({ exitCode: 0 });
  const { pid } = await node.status();
  try {
    const [, parent] = /^PPid:\t(\d+)$/m.exec(await Bun.file(`/proc/${pid}/status`).text())!;
    expect([pid, Number(parent)]).not.toContain(node.child.pid);
    expect(await node.child.exited).toBe(0);
  } finally {
    process.kill(pid, "SIGKILL");
  }
});

/** `portmesh health` and /readyz of the compiled node: the same answer while it starts, serves, drains, hangs and is gone. */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { askReady } from "../../src/sys/ask-ready.ts";
import { type HttpTask, startNamedTask } from "../support/load/http-task.ts";
import { EXECUTABLE, NodeProcess, portmesh } from "../support/node/node-process.ts";
import { freePort } from "../support/os/free-port.ts";
import { type TempDir, tempDir } from "../support/os/temp-dir.ts";
import { waitFor } from "../support/time/wait-for.ts";

let directory: TempDir;
let task: HttpTask;
let services: string;
let published: number;
let node: NodeProcess;

beforeEach(async () => {
  directory = tempDir();
  task = startNamedTask("task");
  published = await freePort();
  services = `[[services]]\nname = "web"\npublish = ["${published}:${task.port}"]\ntasks = ["127.0.0.1"]\n`;
});

afterEach(async () => {
  await node.kill();
  await task.stop();
  directory[Symbol.dispose]();
});

async function readyz(): Promise<number> {
  return (await fetch("http://portmesh/readyz", { unix: node.socket })).status;
}

async function healthWith(args: readonly string[], env: Record<string, string>): Promise<[number, string]> {
  const child = Bun.spawn([EXECUTABLE, "health", ...args], {
    env,
    cwd: tmpdir(),
    stdin: "ignore",
    stderr: "pipe",
  });
  const [stderr, code] = await Promise.all([child.stderr.text(), child.exited]);
  expect(await child.stdout.text()).toBe("");
  return [code, stderr];
}

test("ready while it serves, whichever option names the node, with the file's socket too", async () => {
  node = NodeProcess.startIn(directory.path, services);
  await node.serves();
  expect(await readyz()).toBe(200);
  const { socket, file } = node;
  const calls: [string[], Record<string, string>][] = [
    [["--socket", socket], {}],
    [[`--socket=${socket}`], {}],
    [["-c", file], {}],
    [[], { PORTMESH_SOCKET: socket }],
    [[], { PORTMESH_CONFIG: file }],
  ];
  for (const [args, env] of calls) expect(await healthWith(args, env)).toEqual([0, ""]);
});

test("not ready as soon as draining begins, with the reason", async () => {
  node = NodeProcess.startIn(directory.path, services);
  await node.serves();
  const held = connect(published, "127.0.0.1");
  held.on("error", () => undefined);
  await new Promise((resolve) => held.once("connect", resolve));
  await waitFor(async () => (await node.status()).proxy.services[0]?.tcp.openConnections === 1);
  node.child.kill("SIGTERM");
  await waitFor(async () => (await readyz()) === 503, { what: "503 of /readyz" });
  expect(await healthWith(["--socket", node.socket], {})).toEqual([
    1,
    "not ready: the node is draining: it will stop\n",
  ]);
  held.destroy();
  expect(await node.child.exited).toBe(0);
  const [code, reason] = await healthWith(["--socket", node.socket], {});
  expect(code).toBe(1);
  expect(reason).toContain(node.socket);
});

test("a node that hangs is not ready", async () => {
  node = NodeProcess.startIn(directory.path, services);
  await node.serves();
  node.child.kill("SIGSTOP");
  const readiness = await askReady(node.socket, 200);
  expect(readiness).toEqual({
    isReady: false,
    isThere: true,
    reason: `${node.socket}: no reply within 0.2 s`,
  });
  node.child.kill("SIGCONT");
});

test("wrong usage is told as by other commands", async () => {
  node = NodeProcess.startIn(directory.path, services);
  const wrong = await portmesh("health", "--sokcet", "/x");
  expect(wrong.exitCode).toBe(2);
  expect(wrong.stderr).toContain("--socket");
});

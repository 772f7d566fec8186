/** `portmesh health` and /readyz of the compiled node: the same answer while it starts, serves, drains, hangs and is gone. */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { askReady } from "../../src/sys/ask-ready.ts";
import { EXECUTABLE, portmesh } from "../support/node/node-process.ts";
import { WebNode } from "../support/node/web-node.ts";
import { waitFor } from "../support/time/wait-for.ts";

let web: WebNode;

beforeEach(async () => {
  web = await WebNode.create();
});

afterEach(() => web[Symbol.asyncDispose]());

async function readyz(): Promise<number> {
  return (await fetch("http://portmesh/readyz", { unix: web.process.socket })).status;
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
  web.start();
  await web.process.serves();
  expect(await readyz()).toBe(200);
  const { socket, file } = web.process;
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
  web.start();
  await web.process.serves();
  const held = connect(web.published, "127.0.0.1");
  held.on("error", () => undefined);
  await new Promise((resolve) => held.once("connect", resolve));
  await waitFor(async () => (await web.process.status()).proxy.services[0]?.tcp.openConnections === 1);
  web.process.child.kill("SIGTERM");
  await waitFor(async () => (await readyz()) === 503, { what: "503 of /readyz" });
  expect(await healthWith(["--socket", web.process.socket], {})).toEqual([
    1,
    "not ready: the node is draining: it will stop\n",
  ]);
  held.destroy();
  expect(await web.process.child.exited).toBe(0);
  const [code, reason] = await healthWith(["--socket", web.process.socket], {});
  expect(code).toBe(1);
  expect(reason).toContain(web.process.socket);
});

test("a node that hangs is not ready", async () => {
  web.start();
  await web.process.serves();
  web.process.child.kill("SIGSTOP");
  const readiness = await askReady(web.process.socket, 200);
  expect(readiness).toEqual({
    isReady: false,
    isThere: true,
    reason: `${web.process.socket}: no reply within 0.2 s`,
  });
  web.process.child.kill("SIGCONT");
});

test("wrong usage is told as by other commands", async () => {
  web.start();
  const wrong = await portmesh("health", "--sokcet", "/x");
  expect(wrong.exitCode).toBe(2);
  expect(wrong.stderr).toContain("--socket");
});

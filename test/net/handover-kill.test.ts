/**
 * Either process of a handover is killed at a random moment of it. SEED repeats the moments.
 */
import { afterEach, expect, test } from "bun:test";
import { HttpLoad, request } from "../support/load/http-load.ts";
import { startWebTask } from "../support/load/web-task.ts";
import { NodeProcess, portmesh } from "../support/node/node-process.ts";
import { freePorts } from "../support/os/free-port.ts";
import { Seeded } from "../support/random/seed.ts";
import { waitFor } from "../support/time/wait-for.ts";

const { random } = Seeded.fromEnvironment();
const KILLS = Number(process.env.KILLS ?? 6);
/** About what a handover takes. */
const LONGEST_MS = 400;

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

async function start(): Promise<{ node: NodeProcess; published: number }> {
  const [published, target] = (await freePorts(2)) as [number, number];
  const task = await startWebTask("task", target);
  closers.push(() => task.kill());
  const node = await NodeProcess.start(`[[services]]
name = "web"
publish = ["${published}:${target}"]
bind = ["127.0.0.1"]
tasks = ["127.0.0.1"]
`);
  closers.push(async () => {
    for (const pid of successorsOf(node)) kill(pid);
    await node.kill();
  });
  return { node, published };
}

/** Of this node, whichever process has started them; they log where it does. */
function successorsOf(node: NodeProcess): number[] {
  return [...node.log.matchAll(/started process (\d+) to take over/g)].map(([, pid]) => Number(pid));
}

function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // it has ended
  }
}

/** Starts an upgrade and resolves with the successor at a random moment of it. */
async function midway(
  node: NodeProcess,
): Promise<{ successor: number; command: ReturnType<typeof portmesh> }> {
  const before = successorsOf(node).length;
  const command = portmesh("upgrade", "--socket", node.socket);
  await waitFor(() => successorsOf(node).length > before, { what: "the successor to be started" });
  await Bun.sleep(random() * LONGEST_MS);
  return { successor: successorsOf(node).at(-1)!, command };
}

test(`the successor is killed ${KILLS} times: until it serves, the node serves on as before`, async () => {
  for (let kills = 0; kills < KILLS; kills++) {
    const { node, published } = await start();
    const load = new HttpLoad("127.0.0.1", published, 2, { pauseMs: 1 });
    closers.push(() => load.stop());
    const { successor, command } = await midway(node);
    const before = load.records.length;
    kill(successor);
    if ((await command).exitCode === 0) continue; // it served already: the node has crashed
    expect((await node.status()).pid).toBe(node.child.pid);
    await waitFor(() => load.records.length > before + 10, { what: "load after the kill" });
    await load.stop();
    expect(load.failures).toEqual([]);
  }
});

test(`the predecessor is killed ${KILLS} times: the successor serves, or ends and says why`, async () => {
  for (let kills = 0; kills < KILLS; kills++) {
    const { node, published } = await start();
    const { successor, command } = await midway(node);
    kill(node.child.pid);
    await command;
    const isNode = async () => (await node.status().catch(() => null))?.pid === successor;
    await waitFor(async () => !isRunning(successor) || (await isNode()), {
      what: "the successor to serve or to end",
    });
    if (isRunning(successor)) expect((await request("127.0.0.1", published)).error).toBeNull();
  }
});

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

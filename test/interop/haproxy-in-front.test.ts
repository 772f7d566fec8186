/**
 * An external load balancer with the configuration of Docker's documentation ("Using an external load balancer with
 * swarm"): HAProxy checks port 8080 of three nodes and balances over them. Nothing in it changes while tasks move and
 * a node dies.
 *
 *   clients -> HAProxy 127.0.0.1:FRONT -> portmesh 127.0.0.11, .12, .13 :PORT -> tasks
 */
import { afterEach, expect, test } from "bun:test";
import { HttpLoad, request } from "../support/load/http-load.ts";
import { startWebTask, type WebTask } from "../support/load/web-task.ts";
import { NodeProcess } from "../support/node/node-process.ts";
import { freePorts } from "../support/os/free-port.ts";
import { lacks } from "../support/os/require-program.ts";
import { startProgram } from "../support/os/start-program.ts";
import { haproxyFrontConfig } from "../support/proxy/haproxy-front.ts";
import { waitFor } from "../support/time/wait-for.ts";

const NODES = ["127.0.0.11", "127.0.0.12", "127.0.0.13"] as const;

const cleanUps: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

function nodeConfig(address: string, published: number, tasks: readonly WebTask[]): string {
  return `[[services]]
name = "my-web"
publish = ["${published}:80"]
bind = ["${address}"]
tasks = [${tasks.map((task) => `"127.0.0.1:${task.port}"`).join(", ")}]
`;
}

function startHaproxy(front: number, published: number): void {
  const files = {
    "haproxy.cfg": haproxyFrontConfig(
      front,
      NODES.map((address) => `${address}:${published}`),
    ),
  };
  const haproxy = startProgram("haproxy", files, (directory) => ["-f", `${directory}/haproxy.cfg`]);
  cleanUps.push(() => haproxy.stop());
}

test.skipIf(lacks("haproxy"))("HAProxy in front keeps serving while tasks move and a node dies", async () => {
  const [front, published, ...ports] = (await freePorts(5)) as [number, number, ...number[]];
  const tasks: WebTask[] = [];
  for (const [index, port] of ports.entries()) {
    const task = await startWebTask(`task-${index}`, port);
    tasks.push(task);
    cleanUps.push(() => task.kill());
  }
  const nodes: NodeProcess[] = [];
  for (const address of NODES) {
    const node = await NodeProcess.start(nodeConfig(address, published, tasks));
    nodes.push(node);
    cleanUps.push(() => node.kill());
  }
  startHaproxy(front, published);
  await waitFor(async () => (await request("127.0.0.1", front)).error === null, { what: "HAProxy to serve" });
  const load = new HttpLoad("127.0.0.1", front, 4);
  cleanUps.push(() => load.stop());
  const more = async (what: string) => {
    const enough = load.records.length + 100;
    await waitFor(() => load.records.length > enough, { what });
  };
  await more("load");
  for (const [index, node] of nodes.entries()) {
    await node.reload(nodeConfig(NODES[index]!, published, tasks.slice(1))); // the first task moves away
  }
  const movedMs = performance.now();
  await tasks[0]!.kill();
  await more("load while tasks move");
  await nodes[2]!.stop();
  await more("load after a node has gone");
  await load.stop();
  expect(load.failures).toEqual([]);
  const after = load.records.filter((record) => record.startedMs > movedMs);
  expect(new Set(after.map((record) => record.body)).has("task-0")).toBe(false);
});

/**
 * Health checks in a cluster: each node probes its own tasks, and all nodes route by what it finds.
 *
 *   clients -> n1 (task "a"), n2 (task "b"), each node on a loopback address of its own
 */
import { afterEach, beforeEach, expect, test } from "bun:test";
import type { ServiceInfo } from "../../src/admin/index.ts";
import { loopbackPlaces, MeshCluster } from "../support/cluster/mesh-cluster.ts";
import { serviceFile } from "../support/cluster/mesh-config.ts";
import type { MeshNode } from "../support/cluster/mesh-node.ts";
import { CheckedTask } from "../support/load/checked-task.ts";
import { HttpLoad, request } from "../support/load/http-load.ts";
import { isTcpOpen } from "../support/os/port-state.ts";
import { waitFor } from "../support/time/wait-for.ts";

const PORT = 8080;
const ENOUGH = 12;
const CHECK =
  'check = { type = "http", path = "/healthz", interval = "100ms", timeout = "10s", rise = 1, fall = 1 }';

let opened: AsyncDisposableStack;
let a: CheckedTask;
let b: CheckedTask;
let n1: MeshNode;
let n2: MeshNode;

beforeEach(() => {
  opened = new AsyncDisposableStack();
  a = opened.adopt(new CheckedTask("a"), (task) => task.stop());
  b = opened.adopt(new CheckedTask("b"), (task) => task.stop());
});

afterEach(() => opened.disposeAsync());

async function start(extra: string): Promise<void> {
  const cluster = await MeshCluster.start({
    label: "mesh-health",
    places: loopbackPlaces(2),
    settings: { profile: "local" },
    services: (_, index) =>
      serviceFile({ name: "web", publish: [`${PORT}:80`], tasks: [[a, b][index]!.address], extra }),
  });
  opened.defer(() => cluster.close());
  [n1, n2] = cluster.nodes as [MeshNode, MeshNode];
}

async function servedAt({ address }: MeshNode): Promise<string> {
  const names = new Set<string | null>();
  for (let i = 0; i < ENOUGH; i++) names.add((await request(address, PORT)).body);
  return [...names].sort().join();
}

async function serve(wanted: string): Promise<void> {
  for (const node of [n1, n2])
    await waitFor(async () => (await servedAt(node)) === wanted, { what: `${node.name} to serve ${wanted}` });
}

async function serviceAt({ socket }: MeshNode): Promise<ServiceInfo> {
  const response = await fetch("http://portmesh/v1/services/web", { unix: socket });
  return (await response.json()) as ServiceInfo;
}

async function stateAt(node: MeshNode, task: CheckedTask): Promise<string> {
  const found = (await serviceAt(node)).tasks.find(({ name }) => name === task.address);
  return `${found?.state}: ${found?.health?.reason}`;
}

test("a task that fails gets no clients from any node, and each node says why", async () => {
  await start(CHECK);
  await serve("a,b");
  b.answer = { status: 503 };
  await serve("a");
  for (const node of [n1, n2]) expect(await stateAt(node, b)).toBe("unhealthy: status 503, expected 200-399");
  b.answer = { status: 200 };
  await serve("a,b");
  b.answer = { status: 200, body: "drain" };
  await serve("a");
  expect(await stateAt(n1, b)).toBe('draining: the task answers "drain"');
});

test("no client fails while one task after the other fails and comes back", async () => {
  await start(CHECK);
  await serve("a,b");
  const load = opened.adopt(new HttpLoad(n1.address, PORT, 2), (running) => running.stop());
  for (const task of [a, b]) {
    task.answer = { status: 500 };
    await serve(task === a ? "b" : "a");
    task.answer = { status: 200 };
    await serve("a,b");
  }
  await load.stop();
  expect(load.failures).toEqual([]);
  expect(load.records.length).toBeGreaterThan(0);
});

test("none is healthy: panic on both nodes, or closed ports on both", async () => {
  await start(CHECK);
  await serve("a,b");
  [a.answer, b.answer] = [{ status: 500 }, { status: 500 }];
  const isInPanic = async (node: MeshNode) => (await serviceAt(node)).isInPanic;
  for (const node of [n1, n2]) await waitFor(() => isInPanic(node), { what: `${node.name} to panic` });
  await serve("a,b");
  for (const node of [n1, n2]) await node.reload(node.file.replace(CHECK, `${CHECK}\npanic = false`));
  for (const { name, address } of [n1, n2])
    await waitFor(async () => !(await isTcpOpen(PORT, address)), { what: `${name} to close its port` });
  a.answer = { status: 200 };
  await serve("a");
});

test("an upgrade keeps the states: no task goes through starting", async () => {
  await start(CHECK);
  b.answer = { status: 503 };
  await serve("a");
  const health = async () => (await serviceAt(n1)).tasks.map((task) => task.health);
  const before = await health();
  const load = opened.adopt(new HttpLoad(n1.address, PORT, 2), (running) => running.stop());
  const { pid } = await n2.status();
  const { exitCode, stderr } = await n2.command("upgrade");
  expect([exitCode, stderr]).toEqual([0, ""]);
  const successor = (await n2.status()).pid;
  opened.defer(() => void process.kill(successor, "SIGKILL"));
  expect(successor).not.toBe(pid);
  const probes = b.probes;
  await waitFor(() => b.probes > probes + 1, { what: "the new process to probe" });
  expect(await health()).toEqual(before);
  await load.stop();
  expect(load.failures).toEqual([]);
  expect(n2.log).not.toContain("is starting");
  b.answer = { status: 200 };
  await serve("a,b");
});

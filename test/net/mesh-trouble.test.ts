/**
 * What a node cannot have, as it and the others tell it: ports that another program uses, a place to keep its state.
 * Nodes on loopback addresses of their own; the other program is this one.
 */
import { afterEach, expect, test } from "bun:test";
import { createSocket } from "node:dgram";
import { createServer } from "node:net";
import { loopbackPlaces, MeshCluster } from "../support/cluster/mesh-cluster.ts";
import { GOSSIP_PORT, RELAY_PORT, serviceFile } from "../support/cluster/mesh-config.ts";
import type { MeshNode } from "../support/cluster/mesh-node.ts";
import { request } from "../support/load/http-load.ts";
import { startNamedTask } from "../support/load/http-task.ts";

const PORT = 8080;
const OTHER_PORT = 8090;
/** A port without any task is not opened. */
const TASKS = ["127.0.0.1:7"];

let cluster: MeshCluster;
const squatters: (() => Promise<void>)[] = [];

afterEach(async () => {
  await Promise.all(squatters.splice(0).map((leave) => leave()));
  await cluster.close();
});

function prepare(count: number): [MeshNode, ...MeshNode[]] {
  const service = serviceFile({ name: "web", publish: [`${PORT}:80`], tasks: TASKS });
  cluster = MeshCluster.prepare({
    label: "mesh-trouble",
    places: loopbackPlaces(count),
    settings: { profile: "local" },
    services: () => service,
  });
  return cluster.nodes as [MeshNode, ...MeshNode[]];
}

async function start(count: number): Promise<MeshNode[]> {
  const nodes = prepare(count);
  await Promise.all(nodes.map((node) => node.start()));
  await cluster.allAlive();
  return nodes;
}

/** Returns what gives the port back. */
async function takeTcp(address: string, port: number): Promise<() => Promise<void>> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(port, address, resolve));
  const leave = () => new Promise<void>((resolve) => void server.close(() => resolve()));
  squatters.push(leave);
  return leave;
}

async function takeUdp(address: string, port: number): Promise<() => Promise<void>> {
  const socket = createSocket("udp4");
  await new Promise<void>((resolve) => socket.bind(port, address, resolve));
  let isOpen = true;
  const leave = async () => {
    if (isOpen) socket.close();
    isOpen = false;
  };
  squatters.push(leave);
  return leave;
}

/** Waits until each node shows exactly this wrong with the listeners of `owner`. */
async function sees(owner: MeshNode, wanted: readonly string[]): Promise<void> {
  for (const node of cluster.running) {
    await cluster.waitFor(
      async () => {
        const nodes = (await node.ask("node", "ls")) as {
          name: string;
          bindErrors: { listener: string }[];
        }[];
        const errors = nodes.find(({ name }) => name === owner.name)?.bindErrors ?? [];
        return errors.map(({ listener }) => listener).join() === wanted.join();
      },
      { what: `${node.name} to see [${wanted.join()}] of ${owner.name}` },
    );
  }
}

test("a port one node cannot open is seen from all: from the start, after a reload, and that it is over", async () => {
  const [n1, n2] = prepare(2) as [MeshNode, MeshNode];
  const leave = await takeTcp(n2.address, PORT);
  await Promise.all([n1.start(), n2.start()]);
  await cluster.allAlive();
  await sees(n2, [`tcp ${n2.address}:${PORT}`]);
  expect((await n1.command("status")).stdout.replace(/\s+/g, " ")).toContain("another program uses it");
  await leave();
  await sees(n2, []);

  const leaveOther = await takeTcp(n1.address, OTHER_PORT);
  const services = serviceFile({ name: "more", publish: [`${OTHER_PORT}:80`], tasks: TASKS });
  const report = await n1.reload(cluster.fileOf(n1, {}, services));
  expect(report.bindErrors).toHaveLength(1);
  await sees(n1, [`tcp ${n1.address}:${OTHER_PORT}`]);
  await leaveOther();
  await sees(n1, []);
  await takeUdp(n1.address, OTHER_PORT);
  await n1.reload(cluster.fileOf(n1, {}, services.replace(`${OTHER_PORT}:80`, `${OTHER_PORT}:80/udp`)));
  await sees(n1, [`udp ${n1.address}:${OTHER_PORT}`]);
  await n1.reload(cluster.fileOf(n1, {}, "")); // nobody wants it any more
  await sees(n1, []);
});

test("a relay port that another program uses is logged by all, with what to do", async () => {
  const [n1, n2] = prepare(2) as [MeshNode, MeshNode];
  const leave = await takeUdp(n2.address, RELAY_PORT);
  await Promise.all([n1.start(), n2.start()]);
  await sees(n2, [`udp ${n2.address}:${RELAY_PORT}`]);
  for (const node of [n1, n2]) expect((await node.command("status")).stdout).toContain("overlay.port");
  await leave();
  await sees(n2, []);
});

test("a service on the relay's port is logged, and the relay continues", async () => {
  const task = startNamedTask("task");
  const [n1, n2] = (await start(2)) as [MeshNode, MeshNode];
  const onRelay = ["-p", `${RELAY_PORT}:80`, "-p", `${OTHER_PORT}:80`];
  const created = await n1.command(
    "service",
    "create",
    "--name",
    "rival",
    ...onRelay,
    "--task",
    `127.0.0.1:${task.port}`,
  );
  expect(created.exitCode).toBe(0);
  for (const node of [n1, n2]) await sees(node, [`tcp ${node.address}:${RELAY_PORT}`]);
  expect((await n2.command("status")).stdout).toContain("the relay of this node uses it");
  await cluster.waitFor(async () => (await request(n2.address, OTHER_PORT)).body === "task", {
    what: "n2 to reach the task of n1",
  });
  await task.stop();
});

for (const [protocol, take] of [
  ["TCP", takeTcp],
  ["UDP", takeUdp],
] as const) {
  test(`a gossip port that another program uses over ${protocol} is a start refused with the reason`, async () => {
    const [node] = prepare(1);
    await take(node.address, GOSSIP_PORT);
    const { exitCode, log } = await node.failToStart();
    expect(exitCode).toBe(1);
    expect(log).toContain(`cannot gossip on ${node.address}:${GOSSIP_PORT}: another program uses it`);
    expect(log).toContain("cluster.bind");
  });
}

test("a node that cannot keep its state serves and says so; what it would have to keep is refused", async () => {
  const [n1, n2] = prepare(2) as [MeshNode, MeshNode];
  n1.file = n1.file.replace(/data_dir = .*/, 'data_dir = "/dev/null/state"');
  await Promise.all([n1.start(), n2.start()]);
  await cluster.allAlive();
  const create = ["service", "create", "--name", "kept", "-p", `${OTHER_PORT}:80`];
  const unkept = expect.stringContaining("nothing was changed, because it would not survive a restart");
  expect(await n1.command(...create)).toEqual({ exitCode: 1, stdout: "", stderr: unkept });
  expect(await n1.command("task", "add", "web", "127.0.0.1:9")).toMatchObject({
    exitCode: 1,
    stderr: unkept,
  });
  expect((await n1.command("status")).stdout).toContain("WARNING cannot write /dev/null/state/state");
  expect((await n2.command(...create)).exitCode).toBe(0); // there it can be kept
  await cluster.agree((services) => services.some(({ name }) => name === "kept"));
  const update = ["service", "update", "--publish-add", "8091:81", "kept"];
  expect(await n1.command(...update)).toMatchObject({ exitCode: 1, stderr: unkept });
  expect(await n1.command("service", "rm", "kept")).toMatchObject({ exitCode: 1, stderr: unkept });
  expect((await n1.command("node", "drain", "n1")).exitCode).toBe(0);
  await n1.kill();
  await n1.start(); // the other has it
  await cluster.agree((services) => services.some(({ name }) => name === "kept"));
});

test("a data_dir is one node's: a second one does not start; kill -9 leaves nothing in the way", async () => {
  const [n1, n2] = prepare(2) as [MeshNode, MeshNode];
  await n1.start();
  await n1.command("service", "create", "--name", "kept", "-p", `${OTHER_PORT}:80`);
  const file = n2.file;
  n2.file = file.replace(/data_dir = .*/, `data_dir = "${n1.directory}/data"`);
  const { exitCode, log } = await n2.failToStart();
  expect(exitCode).toBe(1);
  expect(log).toContain(
    `cannot use ${n1.directory}/data: the node with process id ${n1.pid} keeps its state`,
  );
  expect(log).toContain("node.data_dir");
  await n1.kill();
  await n1.start();
  expect((await n1.services()).map(({ name }) => name)).toEqual(["kept", "web"]);
  n2.file = file;
  await n2.start();
  await cluster.allAlive();
});

test("a damaged state file is set aside, and the others tell what it held", async () => {
  const [n1] = (await start(2)) as [MeshNode];
  await n1.command("service", "create", "--name", "kept", "-p", `${OTHER_PORT}:80`, "--task", "127.0.0.1:9");
  await cluster.agree((services) => services.some(({ name }) => name === "kept"));
  await n1.stop();
  await Bun.write(`${n1.directory}/data/state`, "{ damaged");
  await n1.start();
  await cluster.allAlive();
  await cluster.agree((services) => services.some(({ name }) => name === "kept"));
  expect(n1.log).toContain("cannot restore the catalog");
  expect(await Bun.file(`${n1.directory}/data/state.damaged`).text()).toBe("{ damaged");
});

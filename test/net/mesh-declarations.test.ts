/**
 * Services in the files of several nodes: who declares one, whose definition is in force, and when it is gone.
 *
 *   n1.toml ─> n1 ── n2 <─ n2.toml      loopback addresses; `web` is in both files, tasks are two HTTP servers
 */
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "bun:test";
import { accepts, request } from "../support/http-load.ts";
import { type HttpTask, startNamedTask } from "../support/http-task.ts";
import { loopbackPlaces, MeshCluster } from "../support/mesh-cluster.ts";
import { serviceFile } from "../support/mesh-config.ts";
import type { MeshNode } from "../support/mesh-node.ts";

const PORT = 8080;
const OTHER_PORT = 8090;

let task: HttpTask;
let cluster: MeshCluster;
let n1: MeshNode;
let n2: MeshNode;

beforeAll(() => {
  task = startNamedTask("task");
});

afterAll(() => task.stop());

beforeEach(async () => {
  cluster = await MeshCluster.start({
    label: "mesh-declarations",
    places: loopbackPlaces(2),
    settings: { profile: "local" },
    services: () => web(PORT),
  });
  [n1, n2] = cluster.nodes as [MeshNode, MeshNode];
  await serves(PORT);
});

afterEach(() => cluster.close());

function web(port: number, extra = ""): string {
  return serviceFile({ name: "web", publish: [`${port}:80`], tasks: [`127.0.0.1:${task.port}`], extra });
}

function load(node: MeshNode, services: string) {
  return node.reload(cluster.fileOf(node, {}, services));
}

async function serves(port: number, nodes = cluster.running): Promise<void> {
  for (const node of nodes) {
    await cluster.waitFor(async () => (await request(node.address, port)).body === "task", {
      what: `${node.name}:${port} to serve`,
    });
  }
}

async function isClosed(port: number, nodes = cluster.running): Promise<void> {
  for (const node of nodes) {
    await cluster.waitFor(async () => !(await accepts(node.address, port)), {
      what: `${node.name}:${port} to be closed`,
    });
  }
}

interface Inspected {
  readonly Portmesh: {
    readonly Origin: string;
    readonly Definitions: readonly {
      readonly Node: string;
      readonly File: string | null;
      readonly NodeAlive: boolean;
      readonly Differences: readonly string[];
    }[];
  };
}

/** As "NODE: DIFFERENCES", the one in force first. */
async function definitions(node: MeshNode): Promise<string[]> {
  const { stdout } = await node.command("service", "inspect", "web");
  const [service] = JSON.parse(stdout) as Inspected[];
  return service!.Portmesh.Definitions.map((one) => `${one.Node}: ${one.Differences.join("; ")}`);
}

async function areDefined(wanted: readonly string[], nodes = cluster.running): Promise<void> {
  for (const node of nodes) {
    await cluster.waitFor(async () => (await definitions(node)).join("\n") === wanted.join("\n"), {
      what: `${node.name} to have web as ${wanted.join(" | ")}`,
    });
  }
}

test("what one file drops stays as long as the other declares it, and is back with a file that does", async () => {
  await load(n1, "");
  await areDefined(["n2: "]);
  await serves(PORT);
  await n2.stop();
  await n2.start();
  await cluster.allAlive();
  await serves(PORT); // declared by n2 all the time
  await load(n2, "");
  await isClosed(PORT);
  expect((await n1.services()).length + (await n2.services()).length).toBe(0);
  await load(n1, web(PORT));
  await serves(PORT);
  await areDefined(["n1: "]);
});

test("of differing definitions the newest is in force: status, inspect and reload show the other", async () => {
  const report = await load(n2, web(OTHER_PORT, 'balance = "random"'));
  const differences = [
    "publish removed 8090:80/tcp",
    "publish added 8080:80/tcp",
    "balance random -> round-robin",
  ];
  expect(report.differing).toMatchObject([
    { service: "web", inForce: { node: "n2" }, others: [{ node: "n1", differences }] },
  ]);
  await serves(OTHER_PORT);
  await isClosed(PORT);
  await areDefined(["n2: ", `n1: ${differences.join("; ")}`]);
  for (const node of cluster.nodes) {
    const { stdout } = await node.command("status");
    expect(stdout).toContain(`IN FORCE n2:${n2.directory}`);
    expect(stdout).toContain(`DIFFERS n1:${n1.directory}`);
    expect((await node.command("service", "inspect", "--pretty", "web")).stdout).toContain("DIFFERS n1:");
  }
  const unchanged = await n1.command("reload");
  expect(unchanged.stdout).toContain("no change");
  expect(unchanged.stdout).toContain("service web is defined differently elsewhere; in force: n2:");
  expect(n1.log).toContain("the file of n2");

  await n1.stop();
  await n1.start(); // the same file, older than n2's edit, also where its state is lost
  await cluster.allAlive();
  await serves(OTHER_PORT);
  await n1.kill();
  await Bun.$`rm -r ${n1.directory}/data`;
  await n1.start();
  await cluster.allAlive();
  await areDefined(["n2: ", `n1: ${differences.join("; ")}`]);
  await serves(OTHER_PORT);
  await load(n1, web(PORT, "max_connections = 9")); // and now it is edited
  await serves(PORT);
  await isClosed(OTHER_PORT);
});

test("rm and update of a declared service name the files and change nothing", async () => {
  await areDefined(await definitions(n1));
  for (const args of [
    ["rm", "web"],
    ["update", "--publish-add", "99:99", "web"],
  ]) {
    const { exitCode, stderr } = await n1.command("service", ...args);
    expect(exitCode).toBe(1);
    for (const { name, directory } of cluster.nodes) expect(stderr).toContain(`${name}:${directory}`);
  }
  await serves(PORT);
});

test("what a failed node declares stays until it is forgotten; back with the same file it declares it again", async () => {
  await load(n1, "");
  await areDefined(["n2: "]);
  await n2.kill();
  await cluster.seenAs("n2", ["failed"], [n1]);
  await n1.stop();
  await n1.start(); // it has kept what n2 declares
  expect(await definitions(n1)).toEqual(["n2: "]);
  const { exitCode, stderr } = await n1.command("service", "rm", "web");
  expect([exitCode, stderr]).toEqual([1, expect.stringContaining("portmesh node forget n2")]);
  await n1.command("node", "forget", "n2");
  await cluster.waitFor(async () => (await n1.services()).length === 0, { what: "web to be gone" });
  await n2.start();
  await cluster.allAlive();
  await serves(PORT);
  await areDefined(["n2: "]);
});

test("a node that comes back from a pause with an old catalog does not bring a removed service back", async () => {
  await n2.pause();
  await cluster.seenAs("n2", ["failed"], [n1]);
  await load(n1, "");
  n2.resume();
  await cluster.allAlive();
  await areDefined(["n2: "]);
  await load(n2, "");
  await isClosed(PORT);
  expect((await n1.services()).length + (await n2.services()).length).toBe(0);
});

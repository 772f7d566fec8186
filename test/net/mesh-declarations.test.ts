/**
 * Services in the files of several nodes: who declares one, whose definition is in force, and when it is gone.
 *
 *   n1.toml ─> n1 ── n2 <─ n2.toml      loopback addresses; `web` is in both files, tasks are two HTTP servers
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { loopbackPlaces, MeshCluster } from "../support/cluster/mesh-cluster.ts";
import { serviceFile } from "../support/cluster/mesh-config.ts";
import type { MeshNode } from "../support/cluster/mesh-node.ts";
import { accepts, request } from "../support/load/http-load.ts";
import { type HttpTask, startNamedTask } from "../support/load/http-task.ts";
import { portmesh } from "../support/node/node-process.ts";

const PORT = 8080;
const OTHER_PORT = 8090;

let task: HttpTask;
beforeAll(() => {
  task = startNamedTask("task");
});

afterAll(() => task.stop());

function web(port: number, extra = ""): string {
  return serviceFile({ name: "web", publish: [`${port}:80`], tasks: [`127.0.0.1:${task.port}`], extra });
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

/** n1 and n2, which both have the service when it resolves. */
class Declared implements AsyncDisposable {
  readonly n1: MeshNode;
  readonly n2: MeshNode;

  private constructor(readonly cluster: MeshCluster) {
    [this.n1, this.n2] = cluster.nodes as [MeshNode, MeshNode];
  }

  static async start(): Promise<Declared> {
    const cluster = await MeshCluster.start({
      label: "mesh-declarations",
      places: loopbackPlaces(2),
      settings: { profile: "local" },
      services: () => web(PORT),
    });
    const declared = new Declared(cluster);
    await declared.serves(PORT);
    return declared;
  }

  load(node: MeshNode, services: string) {
    return node.reload(this.cluster.fileOf(node, {}, services));
  }

  async serves(port: number, nodes = this.cluster.running): Promise<void> {
    for (const node of nodes) {
      await this.cluster.waitFor(async () => (await request(node.address, port)).body === "task", {
        what: `${node.name}:${port} to serve`,
      });
    }
  }

  async isClosed(port: number, nodes = this.cluster.running): Promise<void> {
    for (const node of nodes) {
      await this.cluster.waitFor(async () => !(await accepts(node.address, port)), {
        what: `${node.name}:${port} to be closed`,
      });
    }
  }

  async areDefined(wanted: readonly string[], nodes = this.cluster.running): Promise<void> {
    for (const node of nodes) {
      await this.cluster.waitFor(async () => (await definitions(node)).join("\n") === wanted.join("\n"), {
        what: `${node.name} to have web as ${wanted.join(" | ")}`,
      });
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.cluster.close();
  }
}

test.concurrent("what one file drops stays as long as the other declares it, and is back with a file that does", async () => {
  await using mesh = await Declared.start();
  const { cluster, n1, n2 } = mesh;
  const { outcome, kept } = await mesh.load(n1, "");
  // the watch may have been quicker; then nothing was left to report
  if (outcome === "applied") expect(kept).toMatchObject([{ service: "web", definitions: [{ node: "n2" }] }]);
  await mesh.areDefined(["n2: "]);
  await mesh.serves(PORT);
  await n2.stop();
  await n2.start();
  await cluster.allAlive();
  await mesh.serves(PORT); // declared by n2 all the time
  expect((await mesh.load(n2, "")).kept).toEqual([]);
  await mesh.isClosed(PORT);
  expect((await n1.services()).length + (await n2.services()).length).toBe(0);
  await mesh.load(n1, web(PORT));
  await mesh.serves(PORT);
  await mesh.areDefined(["n1: "]);
});

test.concurrent("of differing definitions the newest is in force: status, inspect and reload show the other", async () => {
  await using mesh = await Declared.start();
  const { cluster, n1, n2 } = mesh;
  const report = await mesh.load(n2, web(OTHER_PORT, 'balance = "random"'));
  const differences = [
    "publish removed 8090:80/tcp",
    "publish added 8080:80/tcp",
    "balance random -> round-robin",
  ];
  expect(report.differing).toMatchObject([
    { service: "web", inForce: { node: "n2" }, others: [{ node: "n1", differences }] },
  ]);
  await mesh.serves(OTHER_PORT);
  await mesh.isClosed(PORT);
  await mesh.areDefined(["n2: ", `n1: ${differences.join("; ")}`]);
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
  await mesh.serves(OTHER_PORT);
  await n1.kill();
  await Bun.$`rm -r ${n1.directory}/data`;
  await n1.start();
  await cluster.allAlive();
  await mesh.areDefined(["n2: ", `n1: ${differences.join("; ")}`]);
  await mesh.serves(OTHER_PORT);
  await mesh.load(n1, web(PORT, "max_connections = 9")); // and now it is edited
  await mesh.serves(PORT);
  await mesh.isClosed(OTHER_PORT);
});

test.concurrent("rm and update of a declared service name the files and change nothing", async () => {
  await using mesh = await Declared.start();
  const { cluster, n1 } = mesh;
  await mesh.areDefined(await definitions(n1));
  for (const args of [
    ["rm", "web"],
    ["update", "--publish-add", "99:99", "web"],
  ]) {
    const { exitCode, stderr } = await n1.command("service", ...args);
    expect(exitCode).toBe(1);
    for (const { name, directory } of cluster.nodes) expect(stderr).toContain(`${name}:${directory}`);
  }
  await mesh.serves(PORT);
});

test.concurrent("what a failed node declares stays until it is forgotten; back with the same file it declares it again", async () => {
  await using mesh = await Declared.start();
  const { cluster, n1, n2 } = mesh;
  await mesh.load(n1, "");
  await mesh.areDefined(["n2: "]);
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
  await mesh.serves(PORT);
  await mesh.areDefined(["n2: "]);
});

test.concurrent("a node that comes back from a pause with an old catalog does not bring a removed service back", async () => {
  await using mesh = await Declared.start();
  const { cluster, n1, n2 } = mesh;
  await n2.pause();
  await cluster.seenAs("n2", ["failed"], [n1]);
  await mesh.load(n1, "");
  n2.resume();
  await cluster.allAlive();
  await mesh.areDefined(["n2: "]);
  await mesh.load(n2, "");
  await mesh.isClosed(PORT);
  expect((await n1.services()).length + (await n2.services()).length).toBe(0);
});

test.concurrent("more than the cluster holds is refused by check and reload, and nothing else is touched", async () => {
  await using mesh = await Declared.start();
  const { cluster, n1 } = mesh;
  const deny = Array.from({ length: 1_100 }, (_, index) => `"10.${index >> 8}.${index & 255}.0/24"`);
  const labels = Array.from({ length: 70 }, (_, index) => `label-${index} = "x"`);
  const wrong = [
    ["services[1].deny", `deny = [${deny.join(", ")}]`],
    ["services[1].nodes", `nodes = { ${labels.join(", ")} }`],
    ["services[1].publish", "", ["20000-37000"]],
  ] as const;
  for (const [key, extra, publish = ["9999:80"]] of wrong) {
    const file = cluster.fileOf(n1, {}, web(PORT) + serviceFile({ name: "large", publish, extra }));
    const path = `${n1.directory}/other.toml`;
    await Bun.write(path, file);
    const checked = await portmesh("check", "-c", path);
    expect([checked.exitCode, checked.stderr]).toEqual([2, expect.stringContaining(`${key}: `)]);
    const report = await n1.reload(file);
    expect(report).toMatchObject({ outcome: "refused", problems: [{ key }] });
  }
  await mesh.serves(PORT);
});

test.concurrent("a service that the cluster refuses is named by reload and status, and hides no other", async () => {
  await using mesh = await Declared.start();
  const { cluster, n1, n2 } = mesh;
  await n1.command("service", "create", "--name", "full", "-p", "7000:80");
  const [full] = (await n1.services()).filter(({ name }) => name === "full") as unknown as {
    stamp: object;
  }[];
  const tasks = Array.from({ length: 9_999 }, (_, index) => `10.${index >> 8}.1.${index & 255}`);
  const addTasks = tasks.map((name) => ({ name, host: name, port: null, weight: 1 }));
  const body = JSON.stringify({ expected: full!.stamp, spec: null, addTasks, removeTasks: [] });
  const headers = { "content-type": "application/json" };
  const url = "http://portmesh/v1/services/full/update";
  const answer = await fetch(url, { unix: n1.socket, method: "POST", body, headers });
  expect(answer.status).toBe(200);

  const more = serviceFile({ name: "more", publish: [`${OTHER_PORT}:80`], tasks: ["127.0.0.1:9"] });
  const other = serviceFile({ name: "other", publish: ["7001:80"] });
  const report = await mesh.load(n1, web(PORT) + more + other);
  const reason = "10001 tasks on this node: at most 10000 are allowed";
  expect(report.outcome).toBeOneOf(["applied", "unchanged"]); // the watch may have been quicker
  expect(report).toMatchObject({
    unpublished: [{ service: "more", reason: expect.stringContaining(reason) }],
  });
  const again = await n1.command("reload");
  expect(again.exitCode).toBe(1);
  expect(again.stdout).toContain("service more is not published to the cluster");
  expect((await n1.command("status")).stdout).toContain("WARNING service more is not published");
  expect(n1.log).toContain('cannot publish service \\"more\\"');
  await cluster.waitFor(async () => (await n2.services()).some(({ name }) => name === "other"), {
    what: "n2 to have the service that is not refused",
  });
  expect((await n2.services()).map(({ name }) => name)).not.toContain("more");
  await n1.command("service", "rm", "full");
  expect((await n1.command("reload")).exitCode).toBe(0); // offered again
  await cluster.waitFor(async () => (await n2.services()).some(({ name }) => name === "more"), {
    what: "n2 to have the service that was refused",
  });
});

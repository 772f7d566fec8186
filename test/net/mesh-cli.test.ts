/**
 * Services, tasks and nodes by command: told to any node, known to all, and kept.
 *
 *   portmesh … --socket n1.sock ─> n1 ── n2 ── n3     loopback addresses, nothing in the files but [cluster]
 */
import { expect, test } from "bun:test";
import { loopbackPlaces, MeshCluster } from "../support/cluster/mesh-cluster.ts";
import { serviceFile } from "../support/cluster/mesh-config.ts";
import type { MeshNode } from "../support/cluster/mesh-node.ts";
import { accepts, request } from "../support/load/http-load.ts";
import { type HttpTask, startNamedTask } from "../support/load/http-task.ts";

const PORT = 8080;
const OTHER_PORT = 8090;
const FILE_PORT = 8100;
/** More than one round over all tasks. */
const ENOUGH = 12;

async function run(node: MeshNode, ...args: string[]): Promise<string> {
  const { exitCode, stdout, stderr } = await node.command(...args);
  if (exitCode !== 0) throw new Error(`portmesh ${args.join(" ")} ended with ${exitCode}: ${stderr}`);
  return stdout;
}

async function names(node: MeshNode): Promise<string[]> {
  return (await node.services()).map(({ name }) => name);
}

/** Three nodes without services but that of n1's file, and two tasks that may be given to one. */
class Mesh implements AsyncDisposable {
  readonly n1: MeshNode;
  readonly n2: MeshNode;
  readonly n3: MeshNode;

  private constructor(
    readonly cluster: MeshCluster,
    readonly first: HttpTask,
    readonly second: HttpTask,
  ) {
    [this.n1, this.n2, this.n3] = cluster.nodes as [MeshNode, MeshNode, MeshNode];
  }

  static async start(): Promise<Mesh> {
    const [first, second] = [startNamedTask("first"), startNamedTask("second")];
    const fromFile = serviceFile({
      name: "from-file",
      publish: [`${FILE_PORT}:80`],
      tasks: [`127.0.0.1:${first.port}`],
    });
    const cluster = await MeshCluster.start({
      label: "mesh-cli",
      places: loopbackPlaces(3),
      settings: { profile: "local" },
      services: (_, index) => (index === 0 ? fromFile : ""),
    });
    return new Mesh(cluster, first, second);
  }

  /** "web" on PORT with the first task, declared on n1; served everywhere on return. */
  async createWeb(): Promise<void> {
    const task = `127.0.0.1:${this.first.port}`;
    const stdout = await run(
      this.n1,
      "service",
      "create",
      "--name",
      "web",
      "-p",
      `${PORT}:80`,
      "--task",
      task,
    );
    expect(stdout).toBe("web\n");
    await this.isServed(PORT, ["first"]);
  }

  /** Waits until exactly these tasks answer at every one of the nodes, and no request fails on the way. */
  async isServed(port: number, tasks: readonly string[], nodes = this.cluster.running): Promise<void> {
    for (const node of nodes) {
      await this.cluster.waitFor(
        async () => {
          const records = await Promise.all(
            Array.from({ length: ENOUGH }, () => request(node.address, port)),
          );
          return [...new Set(records.map(({ body }) => body))].sort().join() === tasks.join();
        },
        { what: `${tasks.join()} to serve at ${node.name}:${port}` },
      );
    }
  }

  async isClosed(port: number): Promise<void> {
    for (const node of this.cluster.running) {
      await this.cluster.waitFor(async () => !(await accepts(node.address, port)), {
        what: `${node.name}:${port} to be closed`,
      });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.cluster.close();
    await Promise.all([this.first.stop(), this.second.stop()]);
  }
}

test.concurrent("a service created on one node is everywhere, and survives it and the whole cluster", async () => {
  await using mesh = await Mesh.start();
  const { cluster, n1, n3, first } = mesh;
  await mesh.createWeb();
  for (const node of cluster.nodes) {
    expect(await names(node)).toEqual(["from-file", "web"]);
    const [inspected] = JSON.parse(await run(node, "service", "inspect", "web"));
    expect(JSON.stringify(inspected)).toContain(String(PORT));
    expect(await run(node, "service", "ls")).toContain("web");
    expect(await run(node, "service", "ps", "web")).toContain(`127.0.0.1:${first.port}`);
  }
  const ports = await run(n3, "service", "inspect", "--format={{json .Endpoint.Spec.Ports}}", "web");
  expect(ports.trim()).toBe(`[{"Protocol":"tcp","TargetPort":80,"PublishedPort":${PORT}}]`);

  expect(await n1.stop()).toBe(0);
  await n1.start();
  await cluster.allAlive();
  await mesh.isServed(PORT, ["first"]);

  await Promise.all(cluster.nodes.map((node) => node.stop()));
  await Promise.all(cluster.nodes.map((node) => node.start()));
  await cluster.allAlive();
  await mesh.isServed(PORT, ["first"]);
  await mesh.isServed(FILE_PORT, ["first"]);

  await Promise.all(cluster.nodes.map((node) => node.kill()));
  await Promise.all(cluster.nodes.map((node) => node.start()));
  await cluster.allAlive();
  await mesh.isServed(PORT, ["first"]);
});

test.concurrent("update opens and closes ports on every node, rm closes them all", async () => {
  await using mesh = await Mesh.start();
  const { cluster, n1, n2, n3 } = mesh;
  await mesh.createWeb();
  await run(n2, "service", "update", "--publish-add", `${OTHER_PORT}:80`, "web");
  await mesh.isServed(OTHER_PORT, ["first"]);
  await run(n3, "service", "update", "--publish-rm", `${PORT}:80`, "web");
  await mesh.isClosed(PORT);
  await mesh.isServed(OTHER_PORT, ["first"]);
  await run(n2, "service", "rm", "web");
  await mesh.isClosed(OTHER_PORT);
  await cluster.agree((services) => services.every(({ name }) => name !== "web"));
  await n1.kill();
  await n1.start();
  await cluster.allAlive();
  // a removal may be half a second away from n1's disk when it dies: then the others tell it; it never comes back to them
  await cluster.agree((services) => services.map(({ name }) => name).join() === "from-file");
});

test.concurrent("commands on one node after the other build on each other", async () => {
  await using mesh = await Mesh.start();
  const { cluster } = mesh;
  await mesh.createWeb();
  const ports = Array.from({ length: 9 }, (_, index) => 8200 + index);
  for (const [index, port] of ports.entries())
    await run(cluster.nodes[index % 3]!, "service", "update", "--publish-add", `${port}:80`, "web");
  for (const port of ports) await mesh.isServed(port, ["first"]);
});

test.concurrent("what clashes is refused with the reason, on whichever node, and nothing changes", async () => {
  await using mesh = await Mesh.start();
  const { cluster, n2, first } = mesh;
  await mesh.createWeb();
  const refusals = [
    [["service", "create", "--name", "rival", "-p", `${PORT}:81`], `port ${PORT}/tcp`, "web"],
    [["service", "create", "--name", "web", "-p", `${OTHER_PORT}:80`], "web", "exists"],
    [["service", "update", "--publish-add", `${FILE_PORT}:80`, "web"], `port ${FILE_PORT}/tcp`, "from-file"],
    [["service", "update", "--publish-add", `${OTHER_PORT}:80`, "from-file"], "declared in n1:", "from-file"],
    [["service", "rm", "from-file"], "declared in n1:", "from-file"],
    [["service", "rm", "nothing"], "nothing", "nothing"],
    [["task", "rm", "web", `127.0.0.1:${first.port}`], "belongs to n1", "n1"],
  ] as const;
  const before = await cluster.agree();
  for (const [args, ...words] of refusals) {
    const { exitCode, stderr } = await n2.command(...args);
    for (const word of words) expect(stderr).toContain(word);
    expect(exitCode).toBe(1);
  }
  expect(await cluster.agree()).toEqual(before);
});

test.concurrent("tasks are added, drained and removed where they run", async () => {
  await using mesh = await Mesh.start();
  const { n2, second } = mesh;
  await mesh.createWeb();
  const address = `127.0.0.1:${second.port}`;
  await run(n2, "task", "add", "web", address);
  await mesh.isServed(PORT, ["first", "second"]);
  await run(n2, "task", "drain", "web", address);
  await mesh.isServed(PORT, ["first"]);
  await run(n2, "task", "resume", "web", address);
  await mesh.isServed(PORT, ["first", "second"]);
  await run(n2, "task", "rm", "web", address);
  await mesh.isServed(PORT, ["first"]);
});

test.concurrent("a drained node gets no new connection for its tasks until it is resumed, by a command to any node", async () => {
  await using mesh = await Mesh.start();
  const { cluster, n1, n2, n3, second } = mesh;
  await mesh.createWeb();
  await run(n2, "task", "add", "web", `127.0.0.1:${second.port}`);
  await mesh.isServed(PORT, ["first", "second"]);
  await run(n3, "node", "drain", "n1");
  await mesh.isServed(PORT, ["second"]);
  await n1.kill(); // the directive is the cluster's, not the process's
  await n1.start();
  await cluster.allAlive();
  await mesh.isServed(PORT, ["second"]);
  await run(n1, "node", "resume", "n1");
  await mesh.isServed(PORT, ["first", "second"]);
});

test.concurrent("others send clients to a node that starts when it listens, not before", async () => {
  await using mesh = await Mesh.start();
  const { cluster, n1, n2 } = mesh;
  await mesh.isServed(FILE_PORT, ["first"]);
  for (let round = 0; round < 3; round++) {
    await n1.stop();
    const starting = n1.start();
    const isOffered = async () =>
      (await n2.services()).some(({ tasks }) => tasks.some(({ state }) => state === "active"));
    await cluster.waitFor(isOffered, { what: "n2 to know the task" });
    expect((await request(n2.address, FILE_PORT)).body).toBe("first");
    await starting;
  }
});

test.concurrent("a node is forgotten with its tasks, but only when it is gone", async () => {
  await using mesh = await Mesh.start();
  const { cluster, n1, n2, n3, second } = mesh;
  await mesh.createWeb();
  await run(n3, "task", "add", "web", `127.0.0.1:${second.port}`);
  await mesh.isServed(PORT, ["first", "second"]);
  const refusal = await n1.command("node", "forget", "n3");
  expect(refusal).toMatchObject({ exitCode: 1 });
  expect(refusal.stderr).toContain("alive");
  await n3.kill();
  await mesh.isServed(PORT, ["first"], [n1, n2]);
  await cluster.seenAs("n3", ["failed"]);
  await run(n1, "node", "forget", "n3");
  await cluster.seenAs("n3", ["gone"]);
  await cluster.agree((services) => services.every(({ tasks }) => tasks.every(({ node }) => node !== "n3")));
  expect(await run(n2, "node", "ls")).not.toContain("n3");
  await n3.start(); // back again, as a new one
  await cluster.allAlive();
});

test.concurrent("trace shows the task a client would get, from any node, and the client gets it", async () => {
  await using mesh = await Mesh.start();
  const { cluster, n2, first } = mesh;
  await mesh.createWeb();
  for (const node of cluster.nodes) {
    const trace = (await node.ask("trace", `${PORT}/tcp`)) as { services: { pick: unknown }[] };
    expect(trace.services[0]!.pick).toEqual({ node: "n1", task: `127.0.0.1:${first.port}` });
  }
  expect((await n2.command("trace", "9999/tcp")).exitCode).toBe(1);
});

test.concurrent("a service outlives the node whose file declares it, as long as a task elsewhere serves it", async () => {
  await using mesh = await Mesh.start();
  const { n1, n2, second } = mesh;
  await mesh.isServed(FILE_PORT, ["first"]);
  await run(n2, "task", "add", "from-file", `127.0.0.1:${second.port}`);
  await mesh.isServed(FILE_PORT, ["first", "second"]);
  await n1.stop();
  await mesh.isServed(FILE_PORT, ["second"]);
  await n2.kill();
  await n2.start();
  await mesh.isServed(FILE_PORT, ["second"]);
});

test.concurrent("a file's service follows its file, for all, and an old file on a restarted node undoes nothing", async () => {
  await using mesh = await Mesh.start();
  const { cluster, n1, n2, second } = mesh;
  const declared = (port: number, task: HttpTask) =>
    serviceFile({ name: "from-file", publish: [`${port}:80`], tasks: [`127.0.0.1:${task.port}`] });
  await mesh.isServed(FILE_PORT, ["first"]);
  await n2.reload(cluster.fileOf(n2, {}, declared(FILE_PORT, second))); // n2 has a part of it too
  await mesh.isServed(FILE_PORT, ["first", "second"]);
  await n2.reload(cluster.fileOf(n2, {}, declared(OTHER_PORT, second))); // the port moves, whoever says so
  await mesh.isServed(OTHER_PORT, ["first", "second"]);
  await mesh.isClosed(FILE_PORT);

  await n1.stop();
  await n1.start(); // its file still says FILE_PORT, but has not changed since
  await cluster.allAlive();
  await mesh.isServed(OTHER_PORT, ["first", "second"]);
  await mesh.isClosed(FILE_PORT);
  await Promise.all(cluster.nodes.map((node) => node.stop()));
  await Promise.all(cluster.nodes.map((node) => node.start()));
  await cluster.allAlive();
  await mesh.isServed(OTHER_PORT, ["first", "second"]);

  await n2.reload(
    cluster.fileOf(n2, {}, declared(OTHER_PORT, second).replaceAll(/tasks = .*/g, "tasks = []")),
  );
  await mesh.isServed(OTHER_PORT, ["first"]);
  const report = await n2.reload(cluster.fileOf(n2, {}, `${declared(FILE_PORT, second)}\nwrong = 1`));
  expect(report.outcome).toBe("refused");
  await mesh.isServed(OTHER_PORT, ["first"]);
});

test.concurrent("changed on both sides of a split: logs and inspect of all tell what was lost, to which node, and when", async () => {
  await using mesh = await Mesh.start();
  const { cluster, n1, n2, n3 } = mesh;
  await mesh.createWeb();
  await n3.stop();
  await n2.kill();
  await run(n1, "service", "update", "--balance", "random", "web");
  await n1.stop();
  await n2.start(); // n2 has not heard of it
  await run(n2, "service", "update", "--max-connections", "7", "web");
  await run(n2, "service", "update", "--max-connections", "8", "web");
  await Promise.all([n1.start(), n3.start()]);
  await cluster.allAlive();
  await cluster.agree();
  for (const node of [n1, n2, n3]) {
    const [change] = await cluster.waitFor(
      async () => {
        const [web] = JSON.parse(await run(node, "service", "inspect", "web"));
        return web.Portmesh.Overwritten.length > 0 && web.Portmesh.Overwritten;
      },
      { what: `${node.name} to know what was lost` },
    );
    expect(change).toEqual({
      Node: "n1",
      At: expect.stringMatching(/^20.*Z$/),
      ByNode: "n2",
      ByAt: expect.stringMatching(/^20.*Z$/),
      Differences: ["balance random -> round-robin", "max_connections 0 -> 8"],
    });
    expect(await run(node, "service", "inspect", "--pretty", "web")).toContain(
      "OVERWRITTEN the change on n1 at",
    );
    await cluster.waitFor(() => node.log.includes("was overwritten by the change made on n2"), {
      what: `${node.name} to log it`,
    });
  }
});

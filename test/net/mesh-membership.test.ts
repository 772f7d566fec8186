/**
 * Who is in the cluster: names, keys, cluster names, leaving and coming back. Nodes on loopback addresses of their own.
 */
import { expect, test } from "bun:test";
import {
  loopbackPlaces,
  loopbackSubnet,
  MeshCluster,
  type MeshOptions,
  newKey,
} from "../support/cluster/mesh-cluster.ts";
import { meshFile, serviceFile } from "../support/cluster/mesh-config.ts";
import { MeshNode } from "../support/cluster/mesh-node.ts";
import { recordScenario } from "../support/cluster/mesh-report.ts";
import { HttpLoad, request } from "../support/load/http-load.ts";
import { startNamedTask } from "../support/load/http-task.ts";
import { portmesh } from "../support/node/node-process.ts";
import { tempDir } from "../support/os/temp-dir.ts";
import { waitFor } from "../support/time/wait-for.ts";

const LABEL = "mesh-membership";
const PORT = 8080;
const BAD_START = 1;

async function start(
  opened: AsyncDisposableStack,
  count: number,
  options: Partial<MeshOptions> = {},
): Promise<MeshCluster> {
  const cluster = await MeshCluster.start({
    label: LABEL,
    places: loopbackPlaces(count),
    ...options,
    settings: { profile: "local", ...options.settings },
  });
  return opened.adopt(cluster, (started) => started.close());
}

/** A node that wants to join `cluster` under this name, from an address of its own. */
function stray(
  opened: AsyncDisposableStack,
  cluster: MeshCluster,
  name: string,
  settings: Partial<MeshCluster["settings"]> = {},
): MeshNode {
  const node = new MeshNode({ name, address: `${loopbackSubnet()}.1`, wrapper: [] }, "");
  node.file = meshFile({
    ...cluster.settings,
    ...settings,
    name,
    address: node.address,
    labels: {},
    dataDirectory: `${node.directory}/data`,
    join: [cluster.nodes[0]!.address],
    bind: [node.address],
    services: "",
  });
  return opened.adopt(node, (started) => started.remove(LABEL));
}

async function membersOf(node: MeshNode): Promise<string[]> {
  return (await node.status()).cluster.members.map(({ name }) => name);
}

/** Waits for a line of the log that warns, or worse, and names this. */
async function complains(cluster: MeshCluster, node: MeshNode, about: RegExp): Promise<void> {
  const lines = () => node.log.split("\n").filter((line) => /"level":"(warn|error)"/.test(line));
  await cluster.waitFor(() => lines().some((line) => about.test(line)), {
    what: `${node.name} to complain about ${about}`,
  });
}

test.concurrent("a name that is taken is refused at the start, and the one who has it stays", async () => {
  await using opened = new AsyncDisposableStack();
  const cluster = await start(opened, 2);
  const impostor = stray(opened, cluster, "n2");
  const { exitCode, log } = await impostor.failToStart();
  expect(exitCode).toBe(BAD_START);
  expect(log).toContain("n2");
  expect(log).toContain(cluster.node("n2").address);
  await cluster.allAlive();
});

for (const [what, settings, atStray, inside] of [
  ["key", { keys: [newKey()] }, /key/i, /key/i],
  ["cluster name", { clusterName: "west" }, /east/, /west/],
] as const) {
  test.concurrent(`another ${what}: they never merge, and both logs name what differs`, async () => {
    await using opened = new AsyncDisposableStack();
    const cluster = await start(opened, 2, { settings: { clusterName: "east" } });
    const other = stray(opened, cluster, "n9", settings);
    await other.start();
    await complains(cluster, other, atStray);
    await complains(cluster, cluster.nodes[0]!, inside);
    expect(await membersOf(other)).toEqual(["n9"]);
    for (const node of cluster.nodes) expect(await membersOf(node)).toEqual(["n1", "n2"]);
    await cluster.allAlive();
  });
}

test.concurrent("without keys only loopback, unless the file says insecure", async () => {
  using directory = tempDir();
  const file = directory.file("portmesh.toml");
  const check = async (cluster: string) => {
    await Bun.write(file, `[cluster]\nname = "open"\n${cluster}\n`);
    return portmesh("check", "-c", file);
  };
  const refused = await check('bind = "0.0.0.0:7946"');
  expect(refused.exitCode).toBe(2);
  expect(refused.stderr + refused.stdout).toContain("insecure");
  expect((await portmesh("run", "-c", file)).exitCode).toBe(2);
  expect((await check('bind = "0.0.0.0:7946"\ninsecure = true')).exitCode).toBe(0);
  expect((await check('bind = "127.0.0.1:7946"')).exitCode).toBe(0);
  expect((await check(`bind = "0.0.0.0:7946"\nkeys = ["${newKey()}"]`)).exitCode).toBe(0);
});

test.concurrent("keys are rotated by reloads, one node after the other, and no node is lost or refused", async () => {
  await using opened = new AsyncDisposableStack();
  const running = opened.adopt(startNamedTask("task"), (task) => task.stop());
  const service = (index: number) =>
    serviceFile({
      name: "web",
      publish: [`${PORT}:80`],
      tasks: index === 0 ? [`127.0.0.1:${running.port}`] : [],
    });
  const cluster = await start(opened, 3, { services: (_, index) => service(index) });
  await cluster.agree((services) => services[0]?.tasks.length === 1);
  const [before, after] = [cluster.settings.keys[0]!, newKey()];
  const { address } = cluster.nodes[2]!;
  await waitFor(async () => (await request(address, PORT)).error === null, { what: "n3 to route" });
  const load = new HttpLoad(address, PORT, 2, { pauseMs: 5 });
  opened.defer(() => load.stop());
  for (const keys of [[before, after], [after, before], [after]]) {
    for (const node of cluster.nodes) {
      const report = await node.reload(cluster.fileOf(node, { keys }));
      expect(report.problems).toEqual([]);
      for (const each of cluster.nodes) expect((await each.status()).config.needsRestart).toEqual([]);
    }
    await cluster.allAlive();
  }
  const newcomer = stray(opened, cluster, "n4", { keys: [after] });
  await newcomer.start();
  await cluster.allAlive([...cluster.nodes, newcomer]);
  await load.stop();
  expect(load.failures).toEqual([]);
  expect(load.records.length).toBeGreaterThan(0);
  const old = stray(opened, cluster, "n5", { keys: [before] });
  await old.start();
  await complains(cluster, old, /key/i);
  expect(await membersOf(old)).toEqual(["n5"]);
});

test.concurrent("killed and started again within seconds, same name and address: alive again", async () => {
  await using opened = new AsyncDisposableStack();
  const cluster = await start(opened, 3);
  const [, , n3] = cluster.nodes;
  const startMs = performance.now();
  for (let round = 0; round < 3; round++) {
    await n3!.kill();
    await n3!.start();
    await cluster.allAlive();
  }
  recordScenario("3 restarts of a killed node", { "ms until all agree again": performance.now() - startMs });
});

test.concurrent("the seed itself is killed and comes back: found again without an operator", async () => {
  await using opened = new AsyncDisposableStack();
  const cluster = await start(opened, 3);
  const [seed] = cluster.nodes;
  await seed!.kill();
  await cluster.seenAs("n1", ["failed"]);
  await seed!.start();
  await cluster.allAlive();
});

test.concurrent("SIGTERM is a leave: exit 0, seen as left, never as failed", async () => {
  await using opened = new AsyncDisposableStack();
  const cluster = await start(opened, 3);
  const [n1, , n3] = cluster.nodes;
  const seen = new Set<string>();
  let isOver = false;
  const watch = (async () => {
    while (!isOver) {
      const { members } = (await n1!.status()).cluster;
      seen.add(members.find(({ name }) => name === "n3")?.state ?? "gone");
      await Bun.sleep(20);
    }
  })();
  expect(await n3!.stop()).toBe(0);
  await cluster.seenAs("n3", ["left", "gone"]);
  isOver = true;
  await watch;
  expect(seen).not.toContain("failed");
  await n3!.start();
  await cluster.allAlive();
});

test.concurrent("seeds that are not there yet are tried until they are", async () => {
  await using opened = new AsyncDisposableStack();
  const cluster = MeshCluster.prepare({
    label: LABEL,
    places: loopbackPlaces(3),
    settings: { profile: "local" },
  });
  opened.defer(() => cluster.close());
  const [seed, ...others] = cluster.nodes as [MeshNode, MeshNode, MeshNode];
  await Promise.all(others.map((node) => node.start()));
  for (const node of others) expect((await node.status()).state).toBe("serving");
  await seed.start();
  await cluster.allAlive();
});

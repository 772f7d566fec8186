/**
 * An external load balancer with the configuration of Docker's documentation ("Using an external load balancer with
 * swarm"): HAProxy checks the published port of three nodes and balances over them. Nothing in it changes while tasks
 * move from node to node and a node dies.
 *
 *   clients -> HAProxy 127.0.0.1:FRONT -> n1, n2, n3 :8080 -> tasks, on whichever node
 */
import { afterEach, expect, test } from "bun:test";
import { loopbackPlaces, MeshCluster } from "../support/cluster/mesh-cluster.ts";
import { serviceFile } from "../support/cluster/mesh-config.ts";
import type { MeshNode } from "../support/cluster/mesh-node.ts";
import { HttpLoad, type RequestRecord, request } from "../support/load/http-load.ts";
import { startNamedTask } from "../support/load/http-task.ts";
import { freePort } from "../support/os/free-port.ts";
import { lacks } from "../support/os/require-program.ts";
import { startProgram } from "../support/os/start-program.ts";
import { haproxyFrontConfig } from "../support/proxy/haproxy-front.ts";
import { waitFor } from "../support/time/wait-for.ts";

const PUBLISHED = 8080;
const ENOUGH = 100;

const cleanUps: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

function service(tasks: readonly number[]): string {
  return serviceFile({
    name: "my-web",
    publish: [`${PUBLISHED}:80`],
    tasks: tasks.map((port) => `127.0.0.1:${port}`),
  });
}

async function startMesh(firstTask: number): Promise<MeshCluster> {
  const cluster = await MeshCluster.start({
    label: "haproxy-in-front-of-mesh",
    places: loopbackPlaces(3),
    settings: { profile: "local" },
    services: (_, index) => service(index === 0 ? [firstTask] : []),
  });
  cleanUps.push(() => cluster.close());
  await cluster.agree((services) => services[0]?.tasks.length === 1);
  return cluster;
}

test.skipIf(lacks("haproxy"))("HAProxy in front keeps serving while tasks move and a node dies", async () => {
  const tasks = [startNamedTask("old"), startNamedTask("new"), startNamedTask("third")];
  for (const task of tasks) cleanUps.push(() => task.stop());
  const [old, young, third] = tasks.map((task) => task.port) as [number, number, number];
  const cluster = await startMesh(old);
  const [n1, n2] = cluster.nodes as [MeshNode, MeshNode, MeshNode];
  const front = await freePort();
  const haproxy = startProgram(
    "haproxy",
    {
      "haproxy.cfg": haproxyFrontConfig(
        front,
        cluster.nodes.map(({ address }) => `${address}:${PUBLISHED}`),
      ),
    },
    (directory) => ["-f", `${directory}/haproxy.cfg`],
  );
  cleanUps.push(() => haproxy.stop());
  await waitFor(async () => (await request("127.0.0.1", front)).error === null, { what: "HAProxy to serve" });
  const load = new HttpLoad("127.0.0.1", front, 4, { pauseMs: 2 });
  cleanUps.push(() => load.stop());
  const more = async (what: string) => {
    const enough = load.records.length + ENOUGH;
    await waitFor(() => load.records.length > enough, { what });
  };
  await more("load");

  await n2.reload(cluster.fileOf(n2, {}, service([young]))); // the task moves from n1 to n2
  await n1.reload(cluster.fileOf(n1, {}, service([])));
  await cluster.agree((services) => services[0]?.tasks.map(({ node }) => node).join() === "n2");
  await waitFor(() => load.records.slice(-ENOUGH).every((record) => record.body === "new"), {
    what: "nothing to go to the old task",
  });
  const movedMs = performance.now();
  await tasks[0]!.stop();
  await more("load after the move");
  expect(new Set(load.since(movedMs).map((record) => record.body))).toEqual(new Set(["new"]));

  await n1.reload(cluster.fileOf(n1, {}, service([third])));
  await cluster.agree((services) => services[0]?.tasks.length === 2);
  // entry of a third of the connections and exit of half of them; HAProxy takes 6 s to find out
  const beforeMs = performance.now();
  await n2.kill();
  const kill = { beforeMs, afterMs: performance.now() };
  await more("load after a node has died");
  await load.stop();
  expect(load.failures.filter((record) => !wasOpenAt(kill, record))).toEqual([]);
  expect(new Set(load.since(kill.afterMs).map((record) => record.body))).toEqual(new Set(["third"]));
});

interface Kill {
  readonly beforeMs: number;
  readonly afterMs: number;
}

/** What a node held open dies with it. */
function wasOpenAt({ beforeMs, afterMs }: Kill, { startedMs, endedMs }: RequestRecord): boolean {
  return startedMs <= afterMs && endedMs >= beforeMs;
}

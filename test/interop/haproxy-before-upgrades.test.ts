/**
 * HAProxy in front of three nodes that are upgraded one after the other under load, as an operator rolls out a new
 * version: no request fails, and no node is lost to the others.
 */
import { afterEach, expect, test } from "bun:test";
import { loopbackPlaces, MeshCluster } from "../support/cluster/mesh-cluster.ts";
import { serviceFile } from "../support/cluster/mesh-config.ts";
import { HttpLoad, request } from "../support/load/http-load.ts";
import { startNamedTask } from "../support/load/http-task.ts";
import { portmesh } from "../support/node/node-process.ts";
import { freePort } from "../support/os/free-port.ts";
import { lacks } from "../support/os/require-program.ts";
import { startProgram } from "../support/os/start-program.ts";
import { haproxyFrontConfig } from "../support/proxy/haproxy-front.ts";
import { waitFor } from "../support/time/wait-for.ts";

const PUBLISHED = 8080;
const CLIENTS = 4;
const ENOUGH = 100;

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

async function startMesh(): Promise<MeshCluster> {
  const tasks = [startNamedTask("n1"), startNamedTask("n2"), startNamedTask("n3")];
  for (const task of tasks) closers.push(() => task.stop());
  const mesh = await MeshCluster.start({
    label: "haproxy-before-upgrades",
    places: loopbackPlaces(3),
    services: (_, index) =>
      serviceFile({
        name: "web",
        publish: [`${PUBLISHED}:80`],
        tasks: [`127.0.0.1:${tasks[index]!.port}`],
      }),
  });
  closers.push(async () => {
    const successors = await Promise.all(
      mesh.nodes.map(async (node) => [node.pid, (await node.status().catch(() => node)).pid]),
    );
    for (const [first, now] of successors) if (now !== first) process.kill(now!, "SIGKILL");
    await mesh.close();
  });
  await mesh.agree((services) => services[0]?.tasks.length === 3);
  return mesh;
}

test.skipIf(lacks("haproxy"))(
  "three nodes are upgraded one after the other, and no request fails",
  async () => {
    const mesh = await startMesh();
    const front = await freePort();
    const config = haproxyFrontConfig(
      front,
      mesh.nodes.map(({ address }) => `${address}:${PUBLISHED}`),
      { "retries 3": "retries 0", "option redispatch": "" },
    );
    const haproxy = startProgram("haproxy", { "haproxy.cfg": config }, (directory) => [
      "-f",
      `${directory}/haproxy.cfg`,
    ]);
    closers.push(() => haproxy.stop());
    await waitFor(async () => (await request("127.0.0.1", front)).error === null, {
      what: "HAProxy to serve",
    });
    const load = new HttpLoad("127.0.0.1", front, CLIENTS, { pauseMs: 2 });
    closers.push(() => load.stop());
    const pids = new Set<number>();
    for (const node of mesh.nodes) {
      const enough = load.records.length + ENOUGH;
      await waitFor(() => load.records.length > enough, { what: "load before an upgrade" });
      expect(await portmesh("upgrade", "--socket", node.socket)).toMatchObject({ exitCode: 0, stderr: "" });
      pids.add((await node.status()).pid).add(node.pid!);
    }
    const enough = load.records.length + ENOUGH;
    await waitFor(() => load.records.length > enough, { what: "load after the upgrades" });
    await load.stop();
    expect(load.failures).toEqual([]);
    expect(new Set(load.records.map(({ body }) => body))).toEqual(new Set(["n1", "n2", "n3"]));
    expect(pids.size).toBe(2 * mesh.nodes.length);
    for (const { log } of mesh.nodes) expect(log).not.toMatch(/\b(failed|left|suspect)\b/);
  },
);

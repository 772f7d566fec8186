/**
 * A node that is cut off from the only task refuses connections, so HAProxy, with retries and redispatch as in Docker's
 * documentation, sends every request to the other node: none fails.
 *
 *   clients -> HAProxy (test process's namespace) -> n1, n2 :8080 -> task on n2
 *                                                     n1 -x- n2: cut
 */
import { afterEach, describe, expect, test } from "bun:test";
import { MeshCluster, namespacePlaces } from "../support/cluster/mesh-cluster.ts";
import { serviceFile } from "../support/cluster/mesh-config.ts";
import type { MeshNode } from "../support/cluster/mesh-node.ts";
import { HttpLoad, request } from "../support/load/http-load.ts";
import { startWebTask } from "../support/load/web-task.ts";
import { lacksNamespaces, Namespaces } from "../support/network/namespaces.ts";
import { freePort } from "../support/os/free-port.ts";
import { isTcpOpen } from "../support/os/port-state.ts";
import { lacks } from "../support/os/require-program.ts";
import { startProgram } from "../support/os/start-program.ts";
import { haproxyFrontConfig } from "../support/proxy/haproxy-front.ts";
import { waitFor } from "../support/time/wait-for.ts";

const PUBLISHED = 8080;
const TASK_PORT = 9100;
const ENOUGH = 200;

const cleanUps: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
  expect(Namespaces.leftovers()).toEqual([]);
});

/** `retryOn`: what is retried besides refused connections. */
function haproxyConfig(front: number, nodes: readonly MeshNode[], retryOn = ""): string {
  const servers = nodes.map(({ address }) => `${address}:${PUBLISHED}`);
  return haproxyFrontConfig(front, servers, {
    "timeout client 10s": "timeout client 20s",
    "timeout server 10s": "timeout server 20s",
    "option redispatch": `option redispatch 1\n        ${retryOn}`,
  });
}

async function startHaproxy(nodes: readonly MeshNode[], retryOn?: string): Promise<number> {
  const front = await freePort();
  const haproxy = startProgram(
    "haproxy",
    { "haproxy.cfg": haproxyConfig(front, nodes, retryOn) },
    (directory) => ["-f", `${directory}/haproxy.cfg`],
  );
  cleanUps.push(() => haproxy.stop());
  await waitFor(async () => (await request("127.0.0.1", front)).error === null, { what: "HAProxy to serve" });
  return front;
}

function startLoad(front: number): HttpLoad {
  const load = new HttpLoad("127.0.0.1", front, 4, { pauseMs: 2 });
  cleanUps.push(() => load.stop());
  return load;
}

async function more(load: HttpLoad, what: string): Promise<void> {
  const enough = load.records.length + ENOUGH;
  await waitFor(() => load.records.length > enough, { what });
}

describe.skipIf(lacksNamespaces() || lacks("haproxy"))("HAProxy before a node that is cut off", () => {
  test("fails no request while the node is cut off, nor when it is back", async () => {
    const network = Namespaces.create(2);
    cleanUps.push(() => network.close());
    const [machine1, machine2] = network.nodes as [(typeof network.nodes)[0], (typeof network.nodes)[0]];
    const task = await startWebTask("here", TASK_PORT, {
      address: machine2.address,
      wrapper: machine2.wrapper,
    });
    cleanUps.push(() => task.kill());
    const cluster = await MeshCluster.start({
      label: "haproxy-cut-off",
      places: namespacePlaces(network),
      services: (_, index) =>
        serviceFile({
          name: "my-web",
          publish: [`${PUBLISHED}:${TASK_PORT}`],
          tasks: index === 1 ? [machine2.address] : [],
        }),
    });
    cleanUps.push(() => cluster.close());
    const [n1] = cluster.nodes as [MeshNode, MeshNode];
    const isOpen = (wanted: boolean) =>
      waitFor(async () => (await isTcpOpen(PUBLISHED, n1.address)) === wanted, {
        what: `n1 to be ${wanted ? "open" : "closed"}`,
      });
    await isOpen(true);

    // what was accepted before the port is closed is answered with a reset, which HAProxy retries when told to
    const careful = startLoad(await startHaproxy(cluster.nodes, "retry-on all-retryable-errors"));
    await more(careful, "load");
    await machine1.cut("both", [machine2.address]);
    const cutMs = performance.now(); // answers that were under way are lost with the cut
    await isOpen(false);
    await more(careful, "load at the other node");
    await careful.stop();

    const load = startLoad(await startHaproxy(cluster.nodes));
    await more(load, "load while n1 is cut off");
    await machine1.heal();
    await isOpen(true);
    await more(load, "load when n1 is back");
    await load.stop();
    expect(careful.failures.filter(({ startedMs }) => startedMs >= cutMs)).toEqual([]);
    expect(load.failures).toEqual([]);
    expect(new Set(load.records.map(({ body }) => body))).toEqual(new Set(["here"]));
  });
});

/**
 * Tasks that lead back to their own published port: two nodes whose tasks are each other's port would pass one client
 * round and round.
 *
 *   test process .254 ── bridge ──┬── n1 .1
 *                                 └── n2 .2
 */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { MeshCluster, namespacePlaces, newKey } from "../support/cluster/mesh-cluster.ts";
import { serviceFile } from "../support/cluster/mesh-config.ts";
import type { MeshNode } from "../support/cluster/mesh-node.ts";
import { UdpPeer } from "../support/load/udp-peer.ts";
import { startWebTask, type WebTask } from "../support/load/web-task.ts";
import { lacksNamespaces, Namespaces } from "../support/network/namespaces.ts";
import { descriptorsOf } from "../support/os/process-stats.ts";

const PORT = 8080;
const TASK_PORT = 9000;
const DATAGRAMS = 20;
/** More than a few connections, and far less than a client that goes round opens. */
const FEW_DESCRIPTORS = 100;

describe.skipIf(lacksNamespaces())("two nodes", () => {
  let network: Namespaces;
  let cluster: MeshCluster;
  let n1: MeshNode;
  let n2: MeshNode;
  const tasks: WebTask[] = [];

  beforeEach(() => {
    network = Namespaces.create(2);
  });

  afterEach(async () => {
    await Promise.all(tasks.splice(0).map((task) => task.kill()));
    await cluster.close();
    for (const node of network.nodes)
      rmSync(`/etc/netns/${node.namespace}`, { recursive: true, force: true });
    network.close();
  });

  /** @param services of n1 and n2 */
  async function start(...services: string[]): Promise<void> {
    cluster = await MeshCluster.start({
      label: "forwarding-loops",
      places: namespacePlaces(network),
      settings: { profile: "local", keys: [newKey()] },
      services: (_, index) => services[index]!,
    });
    [n1, n2] = cluster.nodes as [MeshNode, MeshNode];
  }

  const addressOf = (index: number) => network.nodes[index]!.address;

  /** "a/192.0.2.1:80=loop", as every node lists them. */
  async function seenEverywhere(wanted: readonly string[]): Promise<void> {
    for (const node of cluster.nodes) {
      await cluster.waitFor(
        async () => {
          const services = await node.services();
          const states = services.flatMap(({ name, tasks }) =>
            tasks.map((task) => `${name}/${task.name}=${task.state}`),
          );
          return states.join(" ") === wanted.join(" ");
        },
        { what: `${node.name} to see ${wanted.join(" ")}` },
      );
    }
  }

  /** Sends some datagrams and waits until n1 has thrown all of them away, or has closed the port: it leads nowhere. */
  async function isDropped(address: string): Promise<void> {
    const client = await UdpPeer.open("0.0.0.0");
    for (let i = 0; i < DATAGRAMS; i++) client.send("hello", PORT, address);
    await cluster.waitFor(
      async () => {
        const [service] = (await n1.status()).proxy.services;
        const dropped = Object.values(service!.refusedTotal).reduce((sum, count) => sum + count, 0);
        return dropped === DATAGRAMS || service!.ports.every(({ isClosed }) => isClosed === true);
      },
      { what: "the datagrams to be dropped" },
    );
    client.close();
  }

  test.each(["tcp", "udp"] as const)("do not forward %s to each other's port", async (protocol) => {
    const publish = [`${PORT}/${protocol}`];
    const [one, two] = [addressOf(0), addressOf(1)];
    await start(
      serviceFile({ name: "web", publish, tasks: [two] }),
      serviceFile({ name: "web", publish, tasks: [one] }),
    );
    await seenEverywhere([`web/${two}=loop`, `web/${one}=loop`]);
    const before = cluster.nodes.map((node) => descriptorsOf(node.pid));
    if (protocol === "tcp") await expect(fetch(`http://${one}:${PORT}/`)).rejects.toThrow();
    else await isDropped(one);
    cluster.nodes.forEach((node, index) => {
      expect(descriptorsOf(node.pid)).toBeLessThan(before[index]! + FEW_DESCRIPTORS);
    });
    const path = `${PORT}/${protocol} -> ${two}:${PORT} (web on n2)`;
    for (const [command, ...args] of [
      ["status"],
      ["service", "ps", "web"],
      ["service", "inspect", "--pretty", "web"],
    ]) {
      expect(words((await n1.command(command!, ...args)).stdout)).toContain(path);
    }
    expect(words((await n2.command("trace", `${PORT}/${protocol}`)).stdout)).toContain(
      "every task loops back to this port",
    );
    expect(cluster.nodes.every((node) => node.log.includes("loops back to its own published port"))).toBe(
      true,
    );
  });

  test("do not forward to each other by name either, over two services", async () => {
    for (const [index, node] of network.nodes.entries()) {
      const directory = `/etc/netns/${node.namespace}`;
      mkdirSync(directory, { recursive: true });
      writeFileSync(`${directory}/hosts`, `127.0.0.1 localhost\n${addressOf(1 - index)} other.test\n`);
    }
    await start(
      serviceFile({ name: "a", publish: ["81"], tasks: ["other.test:82"] }),
      serviceFile({ name: "b", publish: ["82"], tasks: ["other.test:81"] }),
    );
    await seenEverywhere(["a/other.test:82=loop", "b/other.test:81=loop"]);
    await expect(fetch(`http://${addressOf(0)}:81/`)).rejects.toThrow();
  });

  test("refuse what would make them forward to each other", async () => {
    const [one, two] = [addressOf(0), addressOf(1)];
    const web = serviceFile({ name: "web", publish: [`${PORT}`], tasks: [`${two}:81`] });
    const other = (task: string) => serviceFile({ name: "other", publish: ["81"], tasks: [task] });
    await start(web, serviceFile({ name: "other", publish: ["81"] }));
    await cluster.agree((services) => services.length === 2);
    await seenEverywhere([`web/${two}:81=active`]);
    const path = `81/tcp -> ${one}:${PORT} (web on n1) -> ${two}:81 (other on n2)`;
    const looping = `${one}:${PORT}`;

    const reload = await n2.reload(cluster.fileOf(n2, {}, other(looping)));
    expect(reload.outcome).toBe("refused");
    expect(reload.problems.map(({ key, message }) => `${key} ${message}`)).toContainEqual(
      expect.stringContaining(
        `services[0].tasks[0] task ${looping} loops back to its own published port: ${path}`,
      ),
    );
    const added = await n2.command("task", "add", "other", looping);
    expect([added.exitCode, words(added.stderr)]).toEqual([1, expect.stringContaining(path)]);
    const args = ["--name", "third", "--publish", "82:82", "--task", `${one}:82`];
    const created = await n2.command("service", "create", ...args);
    expect([created.exitCode, words(created.stderr)]).toEqual([
      1,
      expect.stringContaining(`82/tcp -> ${one}:82 (third on n1)`),
    ]);
    await seenEverywhere([`web/${two}:81=active`]);
  });

  test("may forward along a chain that ends at a task", async () => {
    tasks.push(
      await startWebTask("real", TASK_PORT, { address: addressOf(1), wrapper: network.nodes[1]!.wrapper }),
    );
    await start(
      serviceFile({ name: "a", publish: [`${PORT}`], tasks: [`${addressOf(1)}:81`] }),
      serviceFile({
        name: "b",
        publish: ["81"],
        tasks: [`${addressOf(1)}:${TASK_PORT}`, `${addressOf(0)}:${PORT}`],
      }),
    );
    // the task of b that is a's port is the one that leads back; a is left with its way to b
    await seenEverywhere([
      `a/${addressOf(1)}:81=active`,
      `b/${addressOf(0)}:${PORT}=loop`,
      `b/${addressOf(1)}:${TASK_PORT}=active`,
    ]);
    for (let i = 0; i < 4; i++) {
      expect(await (await fetch(`http://${addressOf(0)}:${PORT}/`, { keepalive: false })).text()).toBe(
        "real",
      );
    }
  });
});

/** In one line. */
function words(text: string): string {
  return text.replace(/\s+/g, " ");
}

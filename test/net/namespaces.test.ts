/**
 * The network that the mesh is tested on: what is cut is cut and nothing else, what heals heals, and nothing is left.
 *
 *   clients .254 ── bridge ── n1 .1   portmesh, published 8080 -> tasks on n2, n3
 *                          ├─ n2 .2   task
 *                          └─ n3 .3   task
 */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { serviceFile } from "../support/cluster/mesh-config.ts";
import { MeshLoad } from "../support/cluster/mesh-load.ts";
import { request } from "../support/load/http-load.ts";
import { startWebTask, type WebTask } from "../support/load/web-task.ts";
import { formatName, parseName } from "../support/network/namespace-names.ts";
import { lacksNamespaces, Namespaces } from "../support/network/namespaces.ts";
import type { NetworkNode } from "../support/network/network-node.ts";
import { NodeProcess } from "../support/node/node-process.ts";
import { waitFor } from "../support/time/wait-for.ts";

const PORT = 8080;
const TASK_PORT = 9000;
/** Enough for a handshake on this machine, not for a repeated SYN. */
const SHORT = { timeoutMs: 700 };

describe.skipIf(lacksNamespaces())("network namespaces", () => {
  let network: Namespaces;
  let nodes: [NetworkNode, NetworkNode, NetworkNode];
  const tasks: WebTask[] = [];

  beforeEach(async () => {
    network = Namespaces.create(3);
    nodes = network.nodes as typeof nodes;
    for (const { name, address, wrapper } of nodes) {
      tasks.push(await startWebTask(name, TASK_PORT, { address, wrapper }));
    }
  });

  afterEach(async () => {
    network.close();
    await Promise.all(tasks.splice(0).map((task) => task.kill()));
    expect(Namespaces.leftovers()).toEqual([]);
  });

  async function answersFrom(node: NetworkNode): Promise<boolean> {
    return (await request(node.address, TASK_PORT, SHORT)).body === node.name;
  }

  /** Whether a program on `from` gets an answer of the task on `to`. */
  async function reaches(from: NetworkNode, to: NetworkNode): Promise<boolean> {
    const curl = ["curl", "-s", "-m", "0.7", `http://${to.address}:${TASK_PORT}/`];
    return from.run(...curl).then(
      (body) => body === to.name,
      () => false,
    );
  }

  test("nodes and the test reach each other; what runs in them is killed on close", async () => {
    const [n1, n2] = nodes;
    expect(await reaches(n1, n2)).toBe(true);
    expect(await answersFrom(n1)).toBe(true);
    const forgotten = Bun.spawn([...n1.wrapper, "sleep", "1000"], { stdio: ["ignore", "ignore", "ignore"] });
    const commandOf = () => readFileSync(`/proc/${forgotten.pid}/comm`, "utf8").trim();
    await waitFor(() => commandOf() === "sleep", { what: "it to run" });
    network.close();
    await forgotten.exited;
    expect(forgotten.signalCode).toBe("SIGKILL");
  });

  for (const direction of ["in", "out", "both"] as const) {
    test(`cut ${direction}: silent to those named, alive to the others, whole after heal`, async () => {
      const [n1, n2, n3] = nodes;
      await n1.cut(direction, [n2.address]);
      expect(await reaches(n2, n1)).toBe(false);
      expect(await reaches(n1, n2)).toBe(false);
      expect(await reaches(n3, n1)).toBe(true);
      expect(await reaches(n1, n1)).toBe(true);
      await n1.cut(direction);
      expect(await answersFrom(n1)).toBe(false);
      expect(await reaches(n1, n1)).toBe(true);
      await n1.heal();
      expect(await reaches(n2, n1)).toBe(true);
      expect(await answersFrom(n1)).toBe(true);
    });
  }

  test("one way is one way: datagrams still pass the other", async () => {
    const [n1, n2] = nodes;
    const tell = (from: NetworkNode, to: NetworkNode) =>
      from.run("bash", "-c", `echo x > /dev/udp/${to.address}/7000`);
    await n1.cut("in", [n2.address]);
    await n2.run("nft", "add table inet seen; add chain inet seen in { type filter hook input priority 0; }");
    await n2.run("nft", "add rule inet seen in udp dport 7000 counter");
    await n1.run(
      "nft",
      "add table inet seen; add chain inet seen in { type filter hook input priority 10; }",
    );
    await n1.run("nft", "add rule inet seen in udp dport 7000 counter");
    await tell(n1, n2);
    await tell(n2, n1);
    expect(await n2.run("nft", "list", "table", "inet", "seen")).toContain("packets 1 ");
    expect(await n1.run("nft", "list", "table", "inet", "seen")).toContain("packets 0 ");
    await n1.heal();
    await n1.cut("out");
    await tell(n1, n2); // and is not told that nobody will hear it
    expect(await n2.run("nft", "list", "table", "inet", "seen")).toContain("packets 1 ");
  });

  test("a cut of UDP leaves TCP alone", async () => {
    const [n1, n2] = nodes;
    await n1.cut("both", [n2.address], { protocol: "udp" });
    expect(await n1.run("nft", "list", "ruleset")).toContain("meta l4proto udp drop");
    expect(await reaches(n2, n1)).toBe(true);
    expect(await reaches(n1, n2)).toBe(true);
  });

  test("a pulled plug is out for all, and goes in again", async () => {
    const [n1, n2] = nodes;
    await n1.setLink("down");
    expect(await answersFrom(n1)).toBe(false);
    expect(await reaches(n2, n1)).toBe(false);
    await n1.setLink("up");
    await waitFor(() => answersFrom(n1), { what: "the link to be up" });
  });

  test("loss loses some and not all", async () => {
    const [n1, n2] = nodes;
    await n1.lose(50, [n2.address]);
    const listed = await n1.run("nft", "list", "ruleset");
    expect(listed).toContain("numgen random mod 100 < 50 drop");
    const isThrough = async () => reaches(n2, n1);
    await waitFor(isThrough, { what: "a request to pass" });
    await waitFor(async () => !(await isThrough()), { what: "a request to be lost" });
  });

  test("portmesh in a namespace serves under load while its tasks' links are cut", async () => {
    const [n1, n2, n3] = nodes;
    const addresses = [n2, n3].map((node) => `${node.address}:${TASK_PORT}`);
    const service = serviceFile({ name: "web", publish: [`${PORT}:80`], tasks: addresses });
    const node = await NodeProcess.start(service, n1.wrapper);
    const load = new MeshLoad([n1], PORT);
    try {
      await load.more(50);
      await n2.cut("in");
      const cutMs = performance.now();
      await load.more(50);
      await n2.heal();
      await load.stop();
      const [summary] = load.summary(cutMs);
      expect(summary).toMatchObject({ node: "n1", failed: 0, reasons: {} });
      expect(load.since(cutMs).some((record) => record.body === "n3")).toBe(true);
    } finally {
      await load.stop();
      await node.kill();
    }
  });
});

describe.skipIf(lacksNamespaces())("of a run that ends without closing nothing is left", () => {
  for (const end of ['process.kill(process.pid, "SIGKILL")', 'throw new Error("on purpose")']) {
    test(`after ${end}`, async () => {
      const script = `
        import { Namespaces } from ${JSON.stringify(resolve("test/support/network/namespaces.ts"))};
        const [node] = Namespaces.create(1).nodes;
        const child = Bun.spawn([...node.wrapper, "sleep", "1000"]);
        console.log(child.pid, Namespaces.leftovers().length);
        ${end};`;
      const run = Bun.spawn([process.execPath, "-e", script], { stdio: ["ignore", "pipe", "ignore"] });
      const [orphan, made] = (await run.stdout.text()).split(" ").map(Number) as [number, number];
      expect(made).toBe(3);
      await run.exited;
      await waitFor(() => Namespaces.leftovers((pid) => pid === run.pid).length === 0, {
        what: "the namespaces to go",
      });
      await waitFor(() => !isAlive(orphan), { what: "the orphan to end" });
    });
  }

  test("after its guard was killed, too: with the next run", async () => {
    const name = formatName({ pid: 2 ** 22 + 1, startTicks: 1, network: 0, node: "n1" }); // above every real pid
    await Bun.$`ip netns add ${name}`;
    const orphan = Bun.spawn(["ip", "netns", "exec", name, "sleep", "1000"]);
    await waitFor(async () => (await Bun.$`ip netns pids ${name}`.text()).includes(String(orphan.pid)), {
      what: "the orphan to run",
    });
    Namespaces.create(1).close();
    expect(await Bun.$`ip netns list`.text()).not.toContain(name);
    await orphan.exited;
    expect(orphan.signalCode).toBe("SIGKILL");
  });
});

test("other people's namespaces are not ours", () => {
  for (const name of ["portmesh", "portmesh-1-2-n1", "portmesh-1-2-0-n1-x", "xportmesh-1-2-0-n1", "web"]) {
    expect(parseName(name)).toBeNull();
  }
  expect(parseName("portmesh-1-2-0-n1")).toEqual({ pid: 1, startTicks: 2, network: 0, node: "n1" });
});

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

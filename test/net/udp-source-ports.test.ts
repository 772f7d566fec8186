/**
 * The executable in a namespace with few local ports: more UDP clients than ports.
 *
 *   namespace n1: clients 127.x.y.z ──▶ node ──▶ tasks on 127.0.0.1, ip_local_port_range = 1,024 ports
 */
import { afterEach, expect, test } from "bun:test";
import { resolve } from "node:path";
import { lacksNamespaces, Namespaces } from "../support/network/namespaces.ts";
import type { NetworkNode } from "../support/network/network-node.ts";
import { NodeProcess } from "../support/node/node-process.ts";
import { waitFor } from "../support/time/wait-for.ts";

const CLIENTS = resolve("test/support/load/udp-clients.ts");
const LOW = 40_000;
const PORTS = 1_024;
const [PUBLISHED, FIRST_TASK] = [5_300, 6_000];

const cleanUps: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

async function namespace(): Promise<NetworkNode> {
  const namespaces = Namespaces.create(1);
  cleanUps.push(() => namespaces.close());
  const [node] = namespaces.nodes as [NetworkNode];
  await node.run("sysctl", "-qw", `net.ipv4.ip_local_port_range=${LOW} ${LOW + PORTS - 1}`);
  return node;
}

async function startNode(
  network: NetworkNode,
  tasks: number,
  udp = "",
  published = PUBLISHED,
): Promise<NodeProcess> {
  const list = Array.from({ length: tasks }, (_, index) => `"127.0.0.1:${FIRST_TASK + index}"`);
  const node = await NodeProcess.start(
    `[[services]]
name = "dns"
publish = ["${published}:53/udp"]
bind = ["127.0.0.1"]
tasks = [${list.join(", ")}]
balance = "round-robin"
${udp}
`,
    network.wrapper,
  );
  cleanUps.push(() => node.kill());
  return node;
}

interface Outcome {
  /** Clients that were answered. */
  readonly answered: number;
  /** Source ports the tasks have seen, by task. */
  readonly ports: readonly (readonly number[])[];
  /** Of clients that stay and ask again after every hundred others. */
  readonly regulars: readonly boolean[];
  /** Another program could have a port of the kernel's choice. */
  readonly freePorts: number;
}

/** `count` clients, each with one question from a source of its own, in the namespace. */
async function ask(
  network: NetworkNode,
  tasks: number,
  count: number,
  regulars = 0,
  nodes = 1,
): Promise<Outcome> {
  const args = [PUBLISHED, FIRST_TASK, tasks, count, regulars, nodes].map(String);
  return JSON.parse(await network.run(process.execPath, CLIENTS, ...args)) as Outcome;
}

async function service(node: NodeProcess) {
  return (await node.status()).proxy.services[0]!;
}

test.skipIf(lacksNamespaces())(
  "more clients than ports are all answered, and those that stay keep their session",
  async () => {
    const network = await namespace();
    const node = await startNode(network, 1);
    const outcome = await ask(network, 1, 3_000, 20);
    expect(outcome.answered).toBe(3_000);
    expect(outcome.regulars).toEqual(Array(20).fill(true));
    // the host has a reserve, and other programs get a port
    expect(outcome.freePorts).toBeGreaterThanOrEqual(100);
    expect(Math.max(...outcome.ports[0]!)).toBeLessThan(LOW + PORTS - PORTS / 8);
    const { refusedTotal, tasks, udp } = await service(node);
    expect(refusedTotal["out-of-ports"]).toBeGreaterThanOrEqual(3_000 - PORTS);
    expect(udp.openSessions).toBeLessThanOrEqual(PORTS);
    expect(tasks[0]).toMatchObject({ state: "active", connectFailuresTotal: 0, lastError: null });
    const shown = await network.run(resolve("dist/portmesh"), "status", "--socket", node.socket);
    expect(shown).toContain("out-of-ports");
    expect(shown).toContain("ip_local_port_range is 40000-41023");
    await waitFor(() => node.log.includes("no local port was free"), { what: "the log to say so" });
  },
  60_000,
);

test.skipIf(lacksNamespaces())(
  "one port serves a session with each task at the same time",
  async () => {
    const network = await namespace();
    const node = await startNode(network, 3);
    const outcome = await ask(network, 3, 2_000);
    expect(outcome.answered).toBe(2_000);
    const { refusedTotal, udp } = await service(node);
    expect(refusedTotal["out-of-ports"]).toBeUndefined();
    expect(udp.openSessions).toBe(2_000);
    const ports = outcome.ports.map((seen) => new Set(seen));
    // none twice towards one task, and many towards several
    for (const [task, seen] of outcome.ports.entries()) expect(ports[task]!.size).toBe(seen.length);
    expect(ports[0]!.intersection(ports[1]!).size).toBeGreaterThan(100);
  },
  60_000,
);

test.skipIf(lacksNamespaces())(
  "sessions that end with their answer leave no port taken",
  async () => {
    const network = await namespace();
    const node = await startNode(network, 1, "udp = { responses = 1 }");
    const outcome = await ask(network, 1, 3_000);
    expect(outcome.answered).toBe(3_000);
    const { refusedTotal, udp } = await service(node);
    expect(refusedTotal).toEqual({});
    expect(udp).toMatchObject({ openSessions: 0, sessionsTotal: 3_000, datagramsOutTotal: 3_000 });
  },
  60_000,
);

test.skipIf(lacksNamespaces())(
  "a TCP task is not blamed for local ports that are used up, and another task takes over",
  async () => {
    const network = await namespace();
    await network.run("sysctl", "-qw", `net.ipv4.ip_local_port_range=${LOW} ${LOW + 31}`);
    const node = await NodeProcess.start(
      ["one", "two"]
        .map(
          (name, index) => `[[services]]
name = "${name}"
publish = ["${PUBLISHED + index}:80"]
bind = ["127.0.0.1"]
tasks = [${Array.from({ length: index + 1 }, (_, task) => `"127.0.0.1:${FIRST_TASK + 2 * index + task}"`)}]
`,
        )
        .join("\n"),
      network.wrapper,
    );
    cleanUps.push(() => node.kill());
    // 40 clients of each, from ports of their own
    const script = `
      import { connect, createServer } from "node:net";
      for (const port of [${FIRST_TASK}, ${FIRST_TASK + 2}, ${FIRST_TASK + 3}])
        await new Promise((done) => createServer((socket) => socket.pipe(socket)).listen(port, "127.0.0.1", done));
      const echoed = [0, 0];
      await Promise.all([0, 1].flatMap((service) => Array.from({ length: 40 }, (_, index) => new Promise((done) => {
        const from = { localAddress: "127.5." + service + "." + (index + 1), localPort: 20000 };
        const socket = connect({ host: "127.0.0.1", port: ${PUBLISHED} + service, ...from }, () => socket.write("x"));
        socket.on("data", () => { echoed[service]++; done(); });
        socket.on("error", () => done());
        socket.on("close", () => done());
      }))));
      console.log(JSON.stringify(echoed));
      process.exit(0);`;
    const [alone, pair] = JSON.parse(await network.run(process.execPath, "-e", script)) as [number, number];
    expect(alone).toBeGreaterThan(0);
    expect(alone).toBeLessThan(40);
    expect(pair).toBe(40);
    const [one, two] = (await node.status()).proxy.services;
    expect(one!.refusedTotal).toEqual({ "out-of-ports": 40 - alone });
    expect(two!.refusedTotal).toEqual({});
    for (const { tasks } of [one!, two!])
      for (const task of tasks) expect(task).toMatchObject({ connectFailuresTotal: 0, lastError: null });
  },
  60_000,
);

test.skipIf(lacksNamespaces())(
  "two nodes on one machine never leave from one port for the same task",
  async () => {
    const network = await namespace();
    const nodes = [await startNode(network, 1), await startNode(network, 1, "", PUBLISHED + 1)];
    const outcome = await ask(network, 1, 400, 0, 2);
    expect(outcome.answered).toBe(400);
    const open = await Promise.all(nodes.map(async (node) => (await service(node)).udp.openSessions));
    expect(open).toEqual([200, 200]);
    expect(new Set(outcome.ports[0]).size).toBe(400);
  },
  60_000,
);

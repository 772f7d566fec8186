/**
 * What continues when another process takes over from a running node: UDP sessions with their source ports, totals, and
 * its place in the cluster.
 */
import { afterEach, describe, expect, test } from "bun:test";
import type { NodeStatus } from "../../src/node/index.ts";
import { loopbackPlaces, MeshCluster, type MeshOptions } from "../support/cluster/mesh-cluster.ts";
import { serviceFile } from "../support/cluster/mesh-config.ts";
import type { MeshNode } from "../support/cluster/mesh-node.ts";
import { UdpPeer } from "../support/load/udp-peer.ts";
import { takeOverFrom } from "../support/node/fake-successor.ts";
import { NodeProcess, portmesh } from "../support/node/node-process.ts";
import { freePorts } from "../support/os/free-port.ts";
import { waitFor } from "../support/time/wait-for.ts";

const UPGRADES = 3;
const CLIENTS = 8;

const closers: (() => unknown)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

async function start(file: string): Promise<NodeProcess> {
  const node = await NodeProcess.start(file);
  closers.push(async () => {
    const pid = await pidOf(node).catch(() => null);
    if (pid !== null && pid !== node.child.pid) process.kill(pid, "SIGKILL");
    await node.kill();
  });
  return node;
}

async function pidOf(node: NodeProcess): Promise<number> {
  return (await node.status()).pid;
}

async function openPeer(): Promise<UdpPeer> {
  const peer = await UdpPeer.open();
  closers.push(() => peer.close());
  return peer;
}

async function echoTask(): Promise<UdpPeer> {
  const task = await UdpPeer.task();
  closers.push(() => task.close());
  return task;
}

async function upgrade(node: NodeProcess): Promise<void> {
  expect(await portmesh("upgrade", "--socket", node.socket)).toMatchObject({ exitCode: 0, stderr: "" });
  await waitFor(async () => (await node.status()).predecessor === null, { what: "the predecessor to end" });
}

function dns(published: number, tasks: readonly UdpPeer[], workers = 2): string {
  const addresses = tasks.map(({ port }) => `"127.0.0.1:${port}"`);
  return `[proxy]
workers = ${workers}
[[services]]
name = "dns"
publish = ["${published}:53/udp"]
bind = ["127.0.0.1"]
tasks = [${addresses.join(", ")}]
`;
}

/** Asks all the time, as resolvers do: each client one question after the other, each as soon as the last is answered. */
class Questions {
  readonly lost: string[] = [];
  asked = 0;
  longestMs = 0;
  #isStopped = false;
  readonly #running: Promise<unknown>;

  constructor(
    readonly clients: readonly UdpPeer[],
    readonly port: number,
  ) {
    closers.push(() => this.stop());
    this.#running = Promise.all(clients.map((client, index) => this.#askAll(client, index)));
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#running;
  }

  async #askAll(client: UdpPeer, index: number): Promise<void> {
    for (let number = 0; !this.#isStopped; number++) {
      const text = `${index} ${number}`;
      const startedMs = performance.now();
      this.asked++;
      client.send(text, this.port);
      const isAnswered = () => client.received.at(-1)?.data.toString() === text;
      await waitFor(isAnswered, { what: text, deadlineMs: 5_000 }).catch(() => this.lost.push(text));
      this.longestMs = Math.max(this.longestMs, performance.now() - startedMs);
    }
  }
}

/** The source ports that tasks have seen of each client: the first word is its number. */
function portsOf(tasks: readonly UdpPeer[]): Map<string, Set<string>> {
  const ports = new Map<string, Set<string>>();
  for (const task of tasks)
    for (const { data, from } of task.received) {
      const client = data.toString().split(" ", 1)[0]!;
      ports.set(client, (ports.get(client) ?? new Set()).add(`${task.port} ${from.port}`));
    }
  return ports;
}

describe("UDP", () => {
  test("clients that ask all the time lose nothing, and keep task and source port", async () => {
    const tasks = [await echoTask(), await echoTask()];
    const [published] = (await freePorts(1)) as [number];
    const node = await start(dns(published, tasks));
    const clients = await Promise.all(Array.from({ length: CLIENTS }, openPeer));
    const questions = new Questions(clients, published);
    let total = 0;
    for (let number = 0; number < UPGRADES; number++) {
      await waitFor(() => questions.asked > total + 10 * CLIENTS, { what: "questions" });
      await upgrade(node);
      const { udp } = (await node.status()).proxy.services[0]!;
      expect(udp.datagramsInTotal).toBeGreaterThan(total);
      expect([udp.openSessions, udp.sessionsTotal]).toEqual([CLIENTS, CLIENTS]);
      total = udp.datagramsInTotal;
    }
    await questions.stop();
    if (process.env.HANDOVERS) console.log(`${questions.asked} questions, longest ${questions.longestMs} ms`);
    expect(questions.lost).toEqual([]);
    for (const [client, ports] of portsOf(tasks)) expect([client, ports.size]).toEqual([client, 1]);
  });

  test("with fewer workers clients keep task and source port too", async () => {
    const tasks = [await echoTask(), await echoTask()];
    const [published] = (await freePorts(1)) as [number];
    const node = await start(dns(published, tasks, 3));
    const clients = await Promise.all(Array.from({ length: CLIENTS }, openPeer));
    for (const [index, client] of clients.entries()) await client.ask(`${index}`, published);
    node.write(dns(published, tasks, 1));
    await upgrade(node);
    expect((await node.status()).proxy.workers).toBe(1);
    for (const [index, client] of clients.entries()) await client.ask(`${index}`, published);
    for (const [client, ports] of portsOf(tasks)) expect([client, ports.size]).toEqual([client, 1]);
  });

  test("a successor that ends before it serves changes nothing", async () => {
    const tasks = [await echoTask(), await echoTask()];
    const [published] = (await freePorts(1)) as [number];
    const node = await start(dns(published, tasks));
    const clients = await Promise.all(Array.from({ length: CLIENTS }, openPeer));
    const questions = new Questions(clients, published);
    const takeover = await takeOverFrom(node);
    await takeover.begin();
    await takeover.fail("it was a test");
    const { asked } = questions;
    await waitFor(() => questions.asked > asked + 10 * CLIENTS, { what: "questions after it" });
    await questions.stop();
    expect(questions.lost).toEqual([]);
    expect(await pidOf(node)).toBe(node.child.pid);
    for (const [client, ports] of portsOf(tasks)) expect([client, ports.size]).toEqual([client, 1]);
  });
});

/** What a log says of members: nothing of the kind may be said of a node that is upgraded. */
const TROUBLE = /\b(failed|left|suspect|unreachable)/i;

async function cluster(options: Partial<MeshOptions> = {}): Promise<MeshCluster> {
  const started = await MeshCluster.start({
    label: "handover-state",
    places: loopbackPlaces(3),
    settings: { workers: 2 },
    ...options,
  });
  closers.push(async () => {
    for (const node of started.nodes) {
      const pid = await node
        .status()
        .then((status) => status.pid)
        .catch(() => null);
      if (pid !== null && pid !== node.pid) process.kill(pid, "SIGKILL");
    }
    await started.close();
  });
  return started;
}

async function upgradeMember(node: MeshNode): Promise<void> {
  expect(await portmesh("upgrade", "--socket", node.socket)).toMatchObject({ exitCode: 0, stderr: "" });
  await waitFor(async () => ((await node.status()) as unknown as NodeStatus).predecessor === null, {
    what: "the predecessor to end",
  });
}

describe("a member of a cluster", () => {
  test("is upgraded five times, and nobody calls it failed, left or suspect", async () => {
    const mesh = await cluster();
    const [node, ...others] = mesh.nodes as [MeshNode, MeshNode, MeshNode];
    const before = others.map(({ log }) => log.length);
    for (let upgrades = 0; upgrades < 5; upgrades++) await upgradeMember(node);
    await mesh.allAlive();
    for (const [index, other] of others.entries()) {
      const said = other.log.slice(before[index]).split("\n");
      expect(said.filter((line) => TROUBLE.test(line))).toEqual([]);
    }
  });

  test("is not given up when a successor takes its place and ends before it serves", async () => {
    const mesh = await cluster();
    const [node, ...others] = mesh.nodes as [MeshNode, MeshNode, MeshNode];
    const before = others.map(({ log }) => log.length);
    const { pid } = await node.status();
    const takeover = await takeOverFrom(node);
    await takeover.begin();
    await takeover.fail("it was a test");
    await portmesh("service", "create", "--name", "later", "--publish", "9:9", "--socket", node.socket);
    await waitFor(async () => (await others[0]!.services()).some(({ name }) => name === "later"), {
      what: "another node to know what was declared afterwards",
      deadlineMs: 20_000,
    });
    await mesh.allAlive();
    expect((await node.status()).pid).toBe(pid);
    for (const [index, other] of others.entries()) {
      const said = other.log.slice(before[index]).split("\n");
      expect(said.filter((line) => TROUBLE.test(line))).toEqual([]);
    }
  });

  test("relays UDP on, whichever end is upgraded", async () => {
    const task = await echoTask();
    const published = 5300;
    const services = (_: unknown, index: number) =>
      serviceFile({
        name: "dns",
        publish: [`${published}:53/udp`],
        tasks: index === 0 ? [`127.0.0.1:${task.port}`] : [],
      });
    const mesh = await cluster({ services });
    const [exit, entry] = mesh.nodes as [MeshNode, MeshNode, MeshNode];
    const client = await openPeer();
    const ask = async (text: string) => {
      await waitFor(
        () => {
          client.send(text, published, entry.address);
          return client.received.some(({ data }) => data.toString() === text);
        },
        { what: `the answer to ${text}` },
      );
    };
    await ask("first");
    await upgradeMember(exit);
    await ask("after the exit node");
    await upgradeMember(entry);
    await ask("after the entry node");
  });
});

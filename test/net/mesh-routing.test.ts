/**
 * What the mesh is for: every node serves every published port, whichever node runs the tasks.
 *
 *   clients ──┬─> n1 (zone z1)  tasks "a"            each node on a loopback address of its own,
 *             ├─> n2 (zone z1)  tasks "b"            relays between them over port 4789
 *             └─> n3 (zone z2)  none but one of its own zone's
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { loopbackPlaces, MeshCluster } from "../support/cluster/mesh-cluster.ts";
import { serviceFile } from "../support/cluster/mesh-config.ts";
import type { MeshNode } from "../support/cluster/mesh-node.ts";
import { accepts, request } from "../support/load/http-load.ts";
import {
  describeHeader,
  type HttpTask,
  startNamedTask,
  startProxyHeaderTask,
} from "../support/load/http-task.ts";
import { Pattern } from "../support/load/pattern.ts";
import { UdpPeer } from "../support/load/udp-peer.ts";
import { runWrk } from "../support/load/wrk-load.ts";
import { RawListener, RawSocket } from "../support/os/raw-socket.ts";
import { findProgram, lacks } from "../support/os/require-program.ts";
import { waitFor } from "../support/time/wait-for.ts";

const ZONES = ["z1", "z1", "z2"] as const;
const CLIENT = "127.0.0.77";
/** More than one round over all tasks from each worker. */
const ENOUGH = 12;
const MEBIBYTE = 1024 * 1024;

const PORTS = {
  web: 8080,
  who: 8081,
  zoned: 8082,
  host: 8083,
  local: 8084,
  near: 8085,
  bulk: 8086,
  fragile: 8087,
  dns: 5300,
  whoUdp: 5301,
} as const;

let cluster: MeshCluster;
let n1: MeshNode;
let n2: MeshNode;
let n3: MeshNode;
const tasks = new Map<string, HttpTask>();
const closers: (() => unknown)[] = [];
let bulk: RawListener;
let echo: UdpPeer;
let whoUdp: UdpPeer;

async function startTasks(): Promise<void> {
  for (const name of ["a", "b", "c", "fragile-a", "fragile-b"]) tasks.set(name, startNamedTask(name));
  tasks.set("who", await startProxyHeaderTask());
  bulk = RawListener.open();
  echo = await UdpPeer.task();
  whoUdp = await UdpPeer.task((data) => Buffer.from(describeHeader(data)));
  for (const task of tasks.values()) closers.push(() => task.stop());
  closers.push(
    () => bulk.close(),
    () => echo.close(),
    () => whoUdp.close(),
  );
}

function at(task: string): string {
  return `127.0.0.1:${tasks.get(task)!.port}`;
}

/** The same services on each node, each with its own tasks. */
function services(node: number): string {
  const only = (wanted: number, ...addresses: string[]) => (node === wanted ? addresses : []);
  const ab = [...only(0, at("a")), ...only(1, at("b"))];
  const host = `{ published = ${PORTS.host}, target = 80, mode = "host" }`;
  return [
    serviceFile({ name: "web", publish: [`${PORTS.web}:80`], tasks: ab }),
    serviceFile({
      name: "who",
      publish: [`${PORTS.who}:80`],
      tasks: only(0, at("who")),
      extra: 'send_proxy = "v2"',
    }),
    serviceFile({
      name: "zoned",
      publish: [`${PORTS.zoned}:80`],
      tasks: only(2, at("c")),
      extra: 'nodes = { zone = "z1" }',
    }),
    serviceFile({ name: "host", publish: [host], tasks: ab }),
    serviceFile({ name: "local", publish: [`${PORTS.local}:80`], tasks: ab, extra: 'prefer = "local"' }),
    serviceFile({
      name: "near",
      publish: [`${PORTS.near}:80`],
      tasks: [...only(0, at("a")), ...only(2, at("c"))],
      extra: 'prefer = "zone"',
    }),
    serviceFile({
      name: "bulk",
      publish: [`${PORTS.bulk}:80`],
      tasks: only(0, `127.0.0.1:${bulk.port}`),
    }),
    serviceFile({
      name: "fragile",
      publish: [`${PORTS.fragile}:80`],
      tasks: [...only(0, at("fragile-a")), ...only(1, at("fragile-b"))],
    }),
    serviceFile({
      name: "dns",
      publish: [`${PORTS.dns}:53/udp`],
      tasks: only(1, `127.0.0.1:${echo.port}`),
    }),
    serviceFile({
      name: "who-udp",
      publish: [`${PORTS.whoUdp}:53/udp`],
      tasks: only(1, `127.0.0.1:${whoUdp.port}`),
      extra: 'send_proxy = "v2"',
    }),
  ].join("");
}

/** Which tasks answer at a node, sorted; every request has to succeed. */
async function answering(node: MeshNode, port: number): Promise<string[]> {
  const records = await Promise.all(Array.from({ length: ENOUGH }, () => request(node.address, port)));
  expect(records.filter((record) => record.error !== null)).toEqual([]);
  return [...new Set(records.map((record) => record.body!))].sort();
}

/** Waits until exactly these tasks serve: a peer that a busy machine holds up is passed over for a moment. */
async function isServedBy(node: MeshNode, port: number, tasks: readonly string[]): Promise<void> {
  await waitFor(async () => (await answering(node, port)).join() === tasks.join(), {
    what: `${tasks.join(" and ")} to serve at ${node.name}:${port}, and no other`,
  });
}

function client(): Promise<UdpPeer> {
  return UdpPeer.open(CLIENT).then((peer) => {
    closers.push(() => peer.close());
    return peer;
  });
}

beforeAll(async () => {
  await startTasks();
  cluster = await MeshCluster.start({
    label: "mesh-routing",
    places: loopbackPlaces(3),
    settings: { profile: "local" },
    labels: (_, index) => ({ zone: ZONES[index]! }),
    services: (_, index) => services(index),
  });
  [n1, n2, n3] = cluster.nodes as [MeshNode, MeshNode, MeshNode];
  const taskCount = 15;
  await cluster.agree((list) => list.flatMap((service) => service.tasks).length === taskCount);
  for (const node of cluster.nodes) {
    await waitFor(async () => (await request(node.address, PORTS.web)).error === null, {
      what: `${node.name} to route`,
    });
    // a node that had not opened its relay yet is passed over until its heart has been heard
    await waitFor(async () => (await node.status()).proxy.peers.every(({ isReachable }) => isReachable), {
      what: `${node.name} to hear the others`,
    });
    await waitFor(async () => (await answering(node, PORTS.web)).length === 2, {
      what: "the pause to be over",
    });
  }
});

afterAll(async () => {
  await cluster?.close();
  for (const close of closers.reverse()) await close();
});

describe("TCP", () => {
  test("every node serves the tasks of every node, also one that runs none", async () => {
    for (const node of cluster.nodes) await isServedBy(node, PORTS.web, ["a", "b"]);
  });

  test("the task learns the client's and the published address, whichever node accepted", async () => {
    for (const node of cluster.nodes) {
      const { body } = await request(node.address, PORTS.who, { localAddress: CLIENT });
      expect(body).toBe(`${CLIENT} ${node.address}:${PORTS.who}`);
    }
  });

  test("nodes: only those with the labels listen, a task of any other node serves", async () => {
    await isServedBy(n1, PORTS.zoned, ["c"]);
    await isServedBy(n2, PORTS.zoned, ["c"]);
    expect(await accepts(n3.address, PORTS.zoned)).toBe(false);
  });

  test("mode = host: only where a task runs, and only to it", async () => {
    await isServedBy(n1, PORTS.host, ["a"]);
    await isServedBy(n2, PORTS.host, ["b"]);
    expect(
      (await n3.status()).proxy.services.find(({ name }) => name === "host")?.ports[0]?.listeners,
    ).toEqual([]);
    expect(await accepts(n3.address, PORTS.host)).toBe(false);
  });

  test("prefer = local: the node's own tasks, or else the others'", async () => {
    await isServedBy(n1, PORTS.local, ["a"]);
    await isServedBy(n2, PORTS.local, ["b"]);
    await isServedBy(n3, PORTS.local, ["a", "b"]);
  });

  test("prefer = zone: the zone's tasks", async () => {
    await isServedBy(n1, PORTS.near, ["a"]);
    await isServedBy(n2, PORTS.near, ["a"]);
    await isServedBy(n3, PORTS.near, ["c"]);
  });

  for (const mebibytes of [0, 1, 64]) {
    test(`${mebibytes} MiB pass entry and exit node exactly, both ways, with half-close`, async () => {
      const client = await RawSocket.connect(PORTS.bulk, { to: n3.address });
      const task = await bulk.accept();
      const request = new Pattern(1);
      const answer = new Pattern(2);
      try {
        const bytes = mebibytes * MEBIBYTE + 17;
        const send = async (pattern: Pattern, socket: RawSocket) => {
          await pattern.send(socket, bytes);
          socket.finish();
        };
        const [atTask, atClient] = await Promise.all([
          request.receiveToEnd(task),
          answer.receiveToEnd(client),
          send(request, client),
          send(answer, task),
        ]);
        expect(atTask).toEqual({ bytes, how: "end" });
        expect(atClient).toEqual({ bytes, how: "end" });
      } finally {
        client.close();
        task.close();
      }
    });
  }

  test("an answer comes after the client has closed its half", async () => {
    const client = await RawSocket.connect(PORTS.bulk, { to: n2.address });
    const task = await bulk.accept();
    try {
      await client.send("question");
      client.finish();
      expect(await task.receiveRest()).toBe("question");
      await task.send("answer");
      task.finish();
      expect(await client.receiveRest()).toBe("answer");
    } finally {
      client.close();
      task.close();
    }
  });

  test("a task that resets resets the client, through both nodes", async () => {
    const client = await RawSocket.connect(PORTS.bulk, { to: n3.address });
    const task = await bulk.accept();
    try {
      await client.send("x");
      expect(await task.receiveText(1)).toBe("x");
      task.reset();
      expect(await client.failure()).toBe("ECONNRESET");
    } finally {
      client.close();
      task.close();
    }
  });

  test("a task that is gone costs no request: the other node's task takes over", async () => {
    await isServedBy(n3, PORTS.fragile, ["fragile-a", "fragile-b"]);
    await tasks.get("fragile-a")!.stop();
    for (const node of cluster.nodes) await isServedBy(node, PORTS.fragile, ["fragile-b"]);
  });

  test.skipIf(lacks("wrk"))("a connection per request at every node at once, none fails", async () => {
    const load = { connections: 8, seconds: 2 };
    const counts = await Promise.all(
      cluster.nodes.map(({ address }) => runWrk(`http://${address}:${PORTS.web}/`, load)),
    );
    for (const count of counts) {
      expect(count.failed).toBe(0);
      expect(count.requests).toBeGreaterThan(100);
    }
  });
});

describe("UDP", () => {
  test("every node answers, from the address that was asked", async () => {
    for (const node of cluster.nodes) {
      const peer = await client();
      const { data, from } = await peer.ask("hello", PORTS.dns, node.address);
      expect(data.toString()).toBe("hello");
      expect(`${from.address}:${from.port}`).toBe(`${node.address}:${PORTS.dns}`);
    }
  });

  test("clients of one node do not get each other's answers", async () => {
    const peers = await Promise.all(Array.from({ length: 20 }, client));
    for (let round = 0; round < 5; round++) {
      const answers = await Promise.all(
        peers.map((peer, index) => peer.ask(`${index}/${round}`, PORTS.dns, n3.address)),
      );
      expect(answers.map(({ data }) => data.toString())).toEqual(
        peers.map((_, index) => `${index}/${round}`),
      );
    }
  });

  for (const bytes of [0, 1, 1200, 1473, 9000, 60_000]) {
    test(`${bytes} bytes pass the relay and come back`, async () => {
      const peer = await client();
      const sent = Buffer.alloc(bytes, "0123456789abcdef");
      const { data } = await peer.ask(sent, PORTS.dns, n1.address);
      expect(data.equals(sent)).toBe(true);
    });
  }

  test("the task learns the client's address from whichever node", async () => {
    for (const node of cluster.nodes) {
      const peer = await client();
      const { data } = await peer.ask("who", PORTS.whoUdp, node.address);
      expect(data.toString()).toBe(`${CLIENT} ${node.address}:${PORTS.whoUdp}`);
    }
  });

  test.skipIf(lacks("dig"))("dig gets what the task sends, through a node without tasks", async () => {
    const query = [findProgram("dig")!, "+tries=1", "+time=3", "+norecurse", "-p", `${PORTS.dns}`];
    const dig = Bun.spawn([...query, `@${n3.address}`, "example.org"], { stdout: "pipe" });
    const text = await dig.stdout.text();
    expect(await dig.exited).toBe(0); // 9: no answer at all
    expect(text).toContain("example.org");
  });
});

test("status names the tasks of the other nodes, and counts what went to them", async () => {
  const before = await answering(n3, PORTS.web);
  const { proxy } = await n3.status();
  const web = proxy.services.find((service) => service.name === "web")!;
  expect(web.tasks).toHaveLength(before.length);
  expect(web.tasks.every((task) => task.connectionsTotal > 0)).toBe(true);
  await waitFor(
    async () => (await n3.status()).proxy.services.every((service) => service.tcp.openConnections === 0),
    { what: "every connection to be closed" },
  );
});

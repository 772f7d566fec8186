/**
 * What a stranger can send to the ports of a node without keys, and nothing comes of it: the node stays up, its members
 * alive, its service served, its memory as it was, and what was thrown away is counted.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createSocket, type Socket } from "node:dgram";
import { createConnection } from "node:net";
import { type AliveMessage, encodeMessage, framePacket } from "../../src/wire/gossip/index.ts";
import { loopbackPlaces, MeshCluster } from "../support/cluster/mesh-cluster.ts";
import { GOSSIP_PORT, RELAY_PORT, serviceFile } from "../support/cluster/mesh-config.ts";
import type { MeshNode } from "../support/cluster/mesh-node.ts";
import { GossipSamples } from "../support/gossip/gossip-samples.ts";
import { request } from "../support/load/http-load.ts";
import { type HttpTask, startNamedTask } from "../support/load/http-task.ts";
import { memoryBytesOf } from "../support/os/process-stats.ts";
import { ByteMutator } from "../support/random/byte-mutator.ts";
import { Seeded } from "../support/random/seed.ts";
import { waitFor } from "../support/time/wait-for.ts";

const PORT = 8080;
const DATAGRAMS = 20_000;
const STREAMS = 300;
/** So many datagrams are sent before the node is given a turn. */
const BURST = 200;
const MEBIBYTE = 1024 * 1024;
const MAX_INCARNATION = 0xffff_ffff;
const VERSIONS = Uint8Array.of(1, 5, 2, 2, 5, 5);

let cluster: MeshCluster;
let n1: MeshNode;
let task: HttpTask;
let socket: Socket;
const seeded = Seeded.fromEnvironment();
const samples = new GossipSamples(seeded);
const mutator = new ByteMutator(seeded);

beforeAll(async () => {
  const places = loopbackPlaces(2);
  task = startNamedTask("well");
  cluster = await MeshCluster.start({
    label: "mesh-poison",
    places,
    settings: { keys: [], profile: "local" },
    services: (_, index) =>
      serviceFile({
        name: "web",
        publish: [`${PORT}:80`],
        tasks: index === 0 ? [`127.0.0.1:${task.port}`] : [],
      }),
  });
  n1 = cluster.nodes[0]!;
  socket = createSocket("udp4");
});

afterAll(async () => {
  socket.close();
  await cluster.close();
  await task.stop();
});

/** Both see both alive, whoever else a stranger has made up, and both serve. */
async function expectWell(): Promise<void> {
  for (const node of cluster.nodes) {
    const both = async () => {
      const { members } = (await node.status()).cluster;
      return ["n1", "n2"].every((name) => members.find((member) => member.name === name)?.state === "alive");
    };
    await cluster.waitFor(both, { what: `${node.name} to see both alive` });
    const { body, error } = await request(node.address, PORT);
    expect([body, error]).toEqual(["well", null]);
  }
}

async function droppedTotal(): Promise<Readonly<Record<string, number>>> {
  return (await n1.status()).cluster.gossip.droppedTotal;
}

async function sendAll(port: number, datagrams: Iterable<Uint8Array>): Promise<void> {
  let count = 0;
  for (const datagram of datagrams) {
    socket.send(datagram, port, n1.address);
    if (++count % BURST === 0) await new Promise((resolve) => setImmediate(resolve));
  }
}

function packet(...messages: Uint8Array[]): Uint8Array {
  return framePacket(messages, {
    keyring: null,
    nonce: () => new Uint8Array(12),
    withCrc: false,
  });
}

function alive(changes: Partial<AliveMessage>): Uint8Array {
  const address = Uint8Array.from(n1.address.split("."), Number);
  const message = {
    type: "alive",
    incarnation: 1,
    node: "poison",
    address,
    port: 1,
    meta: new Uint8Array(),
    versions: VERSIONS,
  };
  return packet(encodeMessage({ ...message, ...changes } as AliveMessage));
}

/** Sends it and waits until the node has closed, or read all. */
function stream(port: number, bytes: Uint8Array): Promise<void> {
  return new Promise((resolve) => {
    const connection = createConnection({ host: n1.address, port });
    connection.on("error", () => resolve());
    connection.on("close", () => resolve());
    connection.on("data", () => {});
    connection.end(bytes);
  });
}

describe("gossip over UDP", () => {
  const accusation = (type: "suspect" | "dead", incarnation: number, node = "n1", from = "poison") =>
    packet(encodeMessage({ type, incarnation, node, from }));

  test.each([
    ["versions of 3 bytes, which kill an old agent", () => alive({ versions: Uint8Array.of(1, 5, 2) })],
    ["versions of another delegate", () => alive({ versions: Uint8Array.of(1, 5, 2, 0, 0, 0) })],
    ["no versions", () => alive({ versions: new Uint8Array() })],
    ["incarnation 0", () => alive({ incarnation: 0 })],
    ["the last incarnation", () => alive({ incarnation: MAX_INCARNATION })],
    ["an address of 3 bytes", () => alive({ address: Uint8Array.of(1, 2, 3) })],
    ["no name", () => alive({ node: "" })],
    ["a suspicion with the last incarnation", () => accusation("suspect", MAX_INCARNATION)],
    ["a death with the last incarnation", () => accusation("dead", MAX_INCARNATION)],
    ["a death with the last but one", () => accusation("dead", MAX_INCARNATION - 1)],
    ["and a suspicion then", () => accusation("suspect", MAX_INCARNATION)],
    ["a death half way round", () => accusation("dead", 2 ** 31)],
    ["a death of another, half way round", () => accusation("dead", 2 ** 31, "n2")],
    ["a suspicion of another, as far ahead as is believed", () => accusation("suspect", 2 ** 16, "n2")],
    ["a goodbye in its name", () => accusation("dead", 2 ** 15, "n2", "n2")],
    ["a compound that ends in the middle", () => Uint8Array.of(7, 9, 0, 200, 0, 200, 1, 2, 3)],
    ["a compound of itself, nested deeper than anybody nests", () => nested(50)],
    ["nothing", () => new Uint8Array()],
  ])("%s: nobody falls, nobody appears", async (_, poison) => {
    for (let i = 0; i < 5; i++) socket.send(poison(), GOSSIP_PORT, n1.address);
    await expectWell();
  });

  test("a death of a member that is alive is refuted", async () => {
    socket.send(
      packet(encodeMessage({ type: "dead", incarnation: 1, node: "n2", from: "poison" })),
      GOSSIP_PORT,
      n1.address,
    );
    await expectWell();
  });

  test("damaged messages in tens of thousands are counted, and nothing grows", async () => {
    const before = memoryBytesOf(n1.pid);
    await sendAll(
      GOSSIP_PORT,
      Iterator.from({ next: () => ({ value: damaged(), done: false }) as const }).take(DATAGRAMS),
    );
    await waitFor(async () => Object.keys(await droppedTotal()).length > 0, {
      what: "something to be counted",
    });
    await expectWell();
    expect(memoryBytesOf(n1.pid) - before).toBeLessThan(96 * MEBIBYTE);
  });
});

/** Noise, or a message that was right: never about the members there are. */
function damaged(): Uint8Array {
  return seeded.below(2) === 0 ? samples.noise(1400) : mutator.mutate(samples.message(), samples.message());
}

function nested(depth: number): Uint8Array {
  let inner = encodeMessage({ type: "ping", seq: 1, node: "", source: null });
  for (let i = 0; i < depth; i++) inner = Uint8Array.of(7, 1, inner.length >> 8, inner.length, ...inner);
  return inner;
}

describe("streams", () => {
  test.each([
    ["gossip", GOSSIP_PORT],
    ["the relay", RELAY_PORT],
  ])("%s: damaged frames, half frames and silence by the hundred", async (_, port) => {
    const before = memoryBytesOf(n1.pid);
    for (let sent = 0; sent < STREAMS; sent += 30) {
      await Promise.all(
        Array.from({ length: 30 }, () =>
          stream(port, mutator.mutate(samples.streamMessage(), samples.noise(200))),
        ),
      );
    }
    await expectWell();
    expect(memoryBytesOf(n1.pid) - before).toBeLessThan(96 * MEBIBYTE);
  });

  test("lengths of gigabytes promise nothing", async () => {
    const huge = [0xff, 0xff, 0xff, 0xff];
    for (const head of [
      [10, ...huge],
      [6, 0x83, 0xa5, ...Buffer.from("Nodes"), 0xce, ...huge],
      [8, 0x81, 0xac, ...Buffer.from("UserMsgLen"), 0xce, ...huge],
    ])
      await stream(GOSSIP_PORT, Uint8Array.from(head));
    await expectWell();
  });
});

test("datagrams to the relay in tens of thousands are dropped and counted", async () => {
  await sendAll(
    RELAY_PORT,
    Iterator.from({ next: () => ({ value: samples.noise(1400), done: false }) as const }).take(DATAGRAMS),
  );
  await waitFor(async () => ((await n1.status()).proxy.relay.datagramsDroppedTotal.malformed ?? 0) > 100, {
    what: "the drops to be counted",
  });
  await expectWell();
});

/**
 * Strangers at the gossip port who hold what they can: connections, bytes, time. Nodes with and without keys stay as
 * small as they were, hear each other, and new nodes come in.
 */
import { afterEach, describe, expect, test } from "bun:test";
import { encodeStreamUser } from "../../src/wire/gossip/index.ts";
import { loopbackPlaces, MeshCluster, newKey } from "../support/cluster/mesh-cluster.ts";
import { GOSSIP_PORT } from "../support/cluster/mesh-config.ts";
import type { MeshNode } from "../support/cluster/mesh-node.ts";
import { GossipStranger } from "../support/gossip/gossip-stranger.ts";
import { lzwCompress } from "../support/gossip/lzw-encoder.ts";
import { descriptorsOf, memoryBytesOf } from "../support/os/process-stats.ts";
import { waitFor } from "../support/time/wait-for.ts";

const MEBIBYTE = 2 ** 20;
/** The budget of 16 MiB, and the garbage of connections that are opened and closed a hundred times a second. */
const MAX_GROWTH_BYTES = 256 * MEBIBYTE;
const MAX_LEFT_BYTES = 48 * MEBIBYTE;
const ATTACK_MS = 2_000;

const clusters: MeshCluster[] = [];

afterEach(async () => {
  await Promise.all(clusters.splice(0).map((cluster) => cluster.close()));
});

/** n1 and n2 run, n3 does not yet. */
async function startTwo(keys: readonly string[]): Promise<MeshCluster> {
  const cluster = MeshCluster.prepare({
    label: "gossip-strangers",
    places: loopbackPlaces(3),
    settings: { keys, profile: "lan" },
  });
  clusters.push(cluster);
  const two = cluster.nodes.slice(0, 2);
  await Promise.all(two.map((node) => node.start()));
  await cluster.allAlive(two);
  return cluster;
}

async function dropped(node: MeshNode, reason: string): Promise<number> {
  return (await node.status()).cluster.gossip.droppedTotal[reason] ?? 0;
}

/** Lines of the log that say so. */
function telling(node: MeshNode, text: string): string[] {
  return node.log.split("\n").filter((line) => line.includes(text));
}

/** Such lines are repeated once a minute, and a busy machine may take more than one. */
function mostTellings(sinceMs: number): number {
  return 1 + Math.floor((performance.now() - sinceMs) / 60_000);
}

/** An encrypted frame of `bytes` in all, which lacks its last byte. */
function almostWhole(bytes: number): Uint8Array {
  const frame = new Uint8Array(bytes - 1);
  frame[0] = 10;
  new DataView(frame.buffer).setUint32(1, bytes - 5);
  frame[5] = 1;
  return frame;
}

/** A plain user message of `bytes`, which lacks its last byte. */
function almostWholeUser(bytes: number): Uint8Array {
  return encodeStreamUser(new Uint8Array(bytes)).slice(0, -1);
}

/** `bytes` of nothing, in a few. */
function bomb(bytes: number): Uint8Array {
  const lzw = lzwCompress(encodeStreamUser(new Uint8Array(bytes)));
  const head = [9, 0x82, 0xa4, ...Buffer.from("Algo"), 0, 0xa3, ...Buffer.from("Buf"), 0xdb];
  const length = new Uint8Array(4);
  new DataView(length.buffer).setUint32(0, lzw.length);
  return Buffer.concat([Uint8Array.from(head), length, lzw]);
}

describe.each([
  ["with keys", [newKey()]],
  ["without keys", []],
] as const)("%s", (_, keys) => {
  const isKeyed = keys.length > 0;

  test.each([
    ["20 MiB announced", isKeyed ? almostWhole(20 * MEBIBYTE) : almostWholeUser(20 * MEBIBYTE)],
    ["as much as there may be", isKeyed ? almostWhole(8 * MEBIBYTE) : almostWholeUser(280 * 1024)],
    ["compressed bombs", bomb(30 * MEBIBYTE)],
  ])("100 connections, all but one byte sent, %s: no memory, nobody suspected", async (_what, bytes) => {
    const cluster = await startTwo(keys);
    const [n1] = cluster.nodes as [MeshNode];
    const before = memoryBytesOf(n1.pid);
    const stranger = new GossipStranger({ host: n1.address, port: GOSSIP_PORT, connections: 100, bytes });
    const endMs = performance.now() + ATTACK_MS;
    let most = before;
    await waitFor(
      () => {
        most = Math.max(most, memoryBytesOf(n1.pid));
        return performance.now() > endMs;
      },
      { what: "the attack to last a while" },
    );
    stranger[Symbol.dispose]();
    expect(stranger.opened).toBeGreaterThanOrEqual(100);
    expect(most - before).toBeLessThan(MAX_GROWTH_BYTES);
    for (const node of cluster.running) expect(telling(node, "does not answer")).toEqual([]);
    await cluster.allAlive(cluster.nodes.slice(0, 2));
    await waitFor(() => memoryBytesOf(n1.pid) - before < MAX_LEFT_BYTES, {
      what: "the memory to be given back",
    });
  });

  test.each([
    ["from one address", undefined],
    ["from an address each", (index: number) => `127.8.${index >> 8}.${index & 255}`],
  ])("500 silent connections %s: a new node comes in all the same", async (_what, localAddress) => {
    const cluster = await startTwo(keys);
    const [n1, , n3] = cluster.nodes as [MeshNode, MeshNode, MeshNode];
    const startMs = performance.now();
    using stranger = new GossipStranger({
      host: n1.address,
      port: GOSSIP_PORT,
      connections: 500,
      ...(localAddress && { localAddress }),
    });
    await waitFor(async () => (await dropped(n1, "too-many-connections")) > 300, {
      what: "connections to be closed for others",
    });
    await n3.start();
    await cluster.allAlive();
    expect(stranger.open).toBeLessThanOrEqual(500);
    expect(descriptorsOf(n1.pid)).toBeLessThan(300);
    const told = telling(n1, "closed the connection that was idle longest").length;
    expect(told).toBeGreaterThanOrEqual(1);
    expect(told).toBeLessThanOrEqual(mostTellings(startMs));
  });
});

test("a connection that trickles is closed, one that is silent too", async () => {
  const cluster = await startTwo([newKey()]);
  const [n1] = cluster.nodes as [MeshNode];
  const target = { host: n1.address, port: GOSSIP_PORT };
  const startMs = performance.now();
  using slow = new GossipStranger({
    ...target,
    connections: 20,
    bytes: almostWhole(8 * MEBIBYTE).slice(0, 64),
    trickleMs: 50,
  });
  using silent = new GossipStranger({ ...target, connections: 20 });
  await waitFor(() => slow.closedByPeer >= 20 && silent.closedByPeer >= 20, {
    what: "all to be closed",
  });
  expect(await dropped(n1, "too-slow")).toBeGreaterThanOrEqual(40);
  const told = telling(n1, "sends less than 16 KiB/s").length;
  expect(told).toBeGreaterThanOrEqual(1);
  expect(told).toBeLessThanOrEqual(mostTellings(startMs));
});

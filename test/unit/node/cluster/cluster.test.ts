/** Two nodes of this process on loopback, with real sockets and real time. */
import { afterEach, describe, expect, test } from "bun:test";
import type { ClusterConfig } from "../../../../src/config/index.ts";
import { Cluster } from "../../../../src/node/cluster/cluster.ts";
import { ClusterLog } from "../../../../src/node/cluster/cluster-log.ts";
import { KnownAddresses } from "../../../../src/node/cluster/known-addresses.ts";
import type { NodeError } from "../../../../src/node/node-error.ts";
import { systemClock } from "../../../../src/sys/clock.ts";
import { recordingLog } from "../../../support/node/recording-log.ts";
import { freeQuietPort } from "../../../support/os/free-port.ts";
import { waitFor } from "../../../support/time/wait-for.ts";

const KEY = Buffer.alloc(32, 7).toString("base64");
const OTHER_KEY = Buffer.alloc(32, 8).toString("base64");

const CONFIG: ClusterConfig = {
  name: "prod",
  keys: [KEY],
  join: [],
  bind: { host: "127.0.0.1", port: 1 },
  profile: "local",
  isInsecure: false,
};

interface Started {
  readonly cluster: Cluster;
  readonly lines: string[];
  readonly fatal: NodeError[];
  readonly user: string[];
  readonly known: KnownAddresses;
}

let started: Started[] = [];

afterEach(() => {
  for (const { cluster } of started) cluster.close();
  started = [];
});

async function enter(name: string, port: number, rest: Partial<ClusterConfig> = {}): Promise<Started> {
  const { log, lines } = recordingLog();
  const [fatal, user]: [NodeError[], string[]] = [[], []];
  const known = new KnownAddresses();
  const config = { ...CONFIG, bind: { host: "127.0.0.1", port }, ...rest };
  const cluster = await Cluster.enter({
    config,
    name,
    address: "127.0.0.1",
    source: () => null,
    clock: systemClock,
    lookup: async (host) => ({ addresses: [host] }),
    random: Math.random,
    log: new ClusterLog(log, systemClock),
    known,
    broadcasts: { draw: () => [] },
    localState: () => new Uint8Array(),
    onUserMessage: (payload) => user.push(Buffer.from(payload).toString("latin1")),
    onRemoteState: () => undefined,
    onPortTest: () => null,
    onMembers: () => undefined,
    onFatal: (error) => fatal.push(error),
  });
  const node = { cluster, lines, fatal, user, known };
  started.push(node);
  return node;
}

function seed(port: number) {
  return [{ host: "127.0.0.1", port }];
}

/** Lines that say so. */
function telling({ lines }: Started, text: string): string[] {
  return lines.filter((line) => line.includes(text));
}

/** For TCP and UDP, and none that a client of another test may get meanwhile. */
async function gossipPorts(count: number): Promise<number[]> {
  const ports = new Set<number>();
  while (ports.size < count) ports.add(await freeQuietPort());
  return [...ports];
}

test("who joins knows the other when it has entered, and both can speak", async () => {
  const [first, second] = await gossipPorts(2);
  const one = await enter("one", first!);
  const two = await enter("two", second!, { join: seed(first!) });
  expect(two.cluster.peers()).toEqual(["one"]);
  await waitFor(() => one.cluster.peers().includes("two"));
  expect(
    one.cluster
      .members()
      .map(({ name }) => name)
      .sort(),
  ).toEqual(["one", "two"]);
  expect(one.known.without(new Set())).toEqual(seed(second!));
  two.cluster.send([
    { kind: "send", to: "one", payload: Buffer.from("\x20datagram"), reliable: false },
    { kind: "send", to: "one", payload: Buffer.from("\x20stream"), reliable: true },
    { kind: "send", to: "nobody", payload: Buffer.from("\x20"), reliable: true },
  ]);
  await waitFor(() => one.user.length >= 2);
  expect(one.user.sort()).toEqual(["\x20datagram", "\x20stream"]);
});

test("who leaves is known to have left, and is not asked any more", async () => {
  const [first, second] = await gossipPorts(2);
  const one = await enter("one", first!);
  const two = await enter("two", second!, { join: seed(first!) });
  await waitFor(() => one.cluster.peers().length === 1);
  await two.cluster.leave();
  two.cluster.close();
  await waitFor(() => telling(one, "node two has left").length === 1);
  expect([one.cluster.peers(), one.known.has("two")]).toEqual([[], false]);
});

test("a goodbye that is hurried ends at once", async () => {
  const [first, second] = await gossipPorts(2);
  await enter("one", first!);
  const two = await enter("two", second!, { join: seed(first!) });
  const left = two.cluster.leave();
  two.cluster.hurry();
  await left;
  two.cluster.close();
  await two.cluster.leave(); // nobody is left to say it to
});

test("a node that is its own only seed has nobody to wait for", async () => {
  const [port] = await gossipPorts(1);
  const { cluster } = await enter("one", port!, { join: seed(port!) });
  expect(cluster.peers()).toEqual([]);
  expect(cluster.members().map(({ name }) => name)).toEqual(["one"]);
});

test("another key: both are told why, once", async () => {
  const [first, second] = await gossipPorts(2);
  const one = await enter("one", first!);
  const two = await enter("two", second!, { keys: [OTHER_KEY], join: seed(first!) });
  const sentence = "cannot understand what 127.0.0.1 sends: it uses a key that this node does not have";
  await waitFor(() => telling(one, sentence).length > 0 && telling(two, sentence).length > 0);
  const before = one.cluster.stats.droppedTotal["cannot-decrypt"]!;
  two.cluster.change({ ...CONFIG, keys: [OTHER_KEY], join: seed(first!) }); // asks again
  await waitFor(() => one.cluster.stats.droppedTotal["cannot-decrypt"]! > before);
  expect([telling(one, sentence).length, telling(two, sentence).length]).toEqual([1, 1]);
  expect([one.cluster.peers(), two.cluster.peers()]).toEqual([[], []]);
});

test("keys are rotated without losing each other", async () => {
  const [first, second] = await gossipPorts(2);
  const one = await enter("one", first!);
  const two = await enter("two", second!, { join: seed(first!) });
  await waitFor(() => one.cluster.peers().length === 1);
  const both = [one, two];
  for (const keys of [[KEY, OTHER_KEY], [OTHER_KEY, KEY], [OTHER_KEY]]) {
    for (const { cluster } of both) cluster.change({ ...CONFIG, keys });
    one.user.length = 0;
    two.cluster.send([{ kind: "send", to: "one", payload: Buffer.from("\x20x"), reliable: true }]);
    await waitFor(() => one.user.length === 1);
  }
  expect(one.cluster.stats.droppedTotal["cannot-decrypt"]).toBeUndefined();
});

test("another cluster's name: both are told, once", async () => {
  const [first, second] = await gossipPorts(2);
  const one = await enter("one", first!);
  const two = await enter("two", second!, { name: "test", join: seed(first!) });
  const [atOne, atTwo] = ['belongs to cluster "test": refused', 'belongs to cluster "prod": refused'];
  await waitFor(() => telling(one, atOne).length > 0 && telling(two, atTwo).length > 0);
  const before = one.cluster.stats.droppedTotal["other-cluster"]!;
  two.cluster.change({ ...CONFIG, join: seed(first!) });
  await waitFor(() => one.cluster.stats.droppedTotal["other-cluster"]! > before);
  expect([telling(one, atOne).length, telling(two, atTwo).length]).toEqual([1, 1]);
  expect([one.cluster.peers(), two.cluster.peers()]).toEqual([[], []]);
});

describe("a name that is taken", () => {
  test("who comes is refused with the place of the other, who stays", async () => {
    const [first, second] = (await gossipPorts(2)).sort((a, b) => b - a); // the greater address was there first
    const one = await enter("one", first!);
    await expect(enter("one", second!, { join: seed(first!) })).rejects.toMatchObject({
      code: "name-taken",
      message: `the name "one" is taken: a node of this name is alive at 127.0.0.1:${first}; set node.name to another`,
    });
    await waitFor(() => telling(one, "two nodes are named one").length === 1);
    expect([one.fatal, one.cluster.members().length]).toEqual([[], 1]);
  });

  test("without keys nobody is refused for what others claim: both stay, and both logs say so", async () => {
    const [first, second] = (await gossipPorts(2)).sort((a, b) => b - a);
    const one = await enter("one", first!, { keys: [] });
    const rival = await enter("one", second!, { keys: [], join: seed(first!) });
    for (const node of [one, rival])
      await waitFor(() => telling(node, "two nodes are named one").length === 1);
    expect([one.fatal, rival.fatal]).toEqual([[], []]);
  });

  test("it is free again when its owner has gone", async () => {
    const [first, second, third] = await gossipPorts(3);
    await enter("seed", first!);
    const old = await enter("one", second!, { join: seed(first!) });
    old.cluster.close(); // without a word
    const { cluster } = await enter("one", third!, { join: seed(first!) });
    expect(cluster.members().map(({ name }) => name)).toContain("seed");
  });
});

test("a port that is taken: the error says whose it may be and what to set", async () => {
  const [port] = await gossipPorts(1);
  await enter("one", port!);
  await expect(enter("two", port!)).rejects.toMatchObject({
    code: "cannot-bind",
    message: `cannot gossip on 127.0.0.1:${port}: another program uses it, perhaps serf, Docker Swarm or another portmesh (find it with: ss -lnp 'sport = :${port}'): set cluster.bind`,
  });
});

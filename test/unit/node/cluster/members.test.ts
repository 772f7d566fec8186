/** Some members that gossip in memory, in virtual time. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import type { ClusterConfig } from "../../../../src/config/index.ts";
import { ClusterLog } from "../../../../src/node/cluster/cluster-log.ts";
import { KnownAddresses } from "../../../../src/node/cluster/known-addresses.ts";
import { Members } from "../../../../src/node/cluster/members.ts";
import type { NodeError } from "../../../../src/node/node-error.ts";
import { inTime, MemoryGossip, until } from "../../../support/gossip/memory-gossip.ts";
import { recordingLog } from "../../../support/node/recording-log.ts";
import { seededRandom } from "../../../support/random/seeded-random.ts";
import { ManualClock } from "../../../support/time/manual-clock.ts";

const KEY = Buffer.alloc(32, 7).toString("base64");
const OTHER_KEY = Buffer.alloc(32, 8).toString("base64");

const CONFIG: ClusterConfig = {
  name: "prod",
  keys: [KEY],
  keysFile: null,
  join: [],
  bind: { host: "127.0.0.1", port: 1 },
  profile: "local",
  isInsecure: false,
};

const FOLLOWED = { address: "127.0.0.1", source: null, join: [] };

interface Started {
  readonly members: Members;
  readonly lines: string[];
  readonly fatal: NodeError[];
  readonly user: string[];
  readonly known: KnownAddresses;
}

let started: Started[] = [];
let clock: ManualClock;
let gossip: MemoryGossip;

beforeEach(() => {
  clock = new ManualClock();
  gossip = new MemoryGossip(clock);
});

afterEach(() => {
  for (const { members } of started) members.close();
  started = [];
});

async function join(name: string, port: number, rest: Partial<ClusterConfig> = {}): Promise<Started> {
  const { log, lines } = recordingLog();
  const [fatal, user]: [NodeError[], string[]] = [[], []];
  const known = new KnownAddresses();
  const config = { ...CONFIG, bind: { host: "127.0.0.1", port }, ...rest };
  const members = Members.join({
    config,
    name,
    address: "127.0.0.1",
    source: null,
    clock,
    transport: gossip.transport,
    lookup: async (host) => ({ addresses: [host] }),
    random: seededRandom(port),
    log: new ClusterLog(log, clock),
    known,
    broadcasts: { draw: () => [] },
    localState: () => new Uint8Array(),
    onUserMessage: (payload) => {
      user.push(Buffer.from(payload).toString("latin1"));
      return [];
    },
    onRemoteState: () => [],
    onPortTest: () => null,
    onEventsAsked: () => null,
    onMembers: () => undefined,
    onFatal: (error) => fatal.push(error),
  });
  const node = { members: await inTime(clock, members), lines, fatal, user, known };
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

/** Each lower than the next. */
function gossipPorts(count: number): number[] {
  return Array.from({ length: count }, (_, index) => 7_000 + index);
}

test("who joins knows the other when it has entered, and both can speak", async () => {
  const [first, second] = gossipPorts(2);
  const one = await join("one", first!);
  const two = await join("two", second!, { join: seed(first!) });
  expect(two.members.peers()).toEqual(["one"]);
  await until(clock, () => one.members.peers().includes("two"));
  expect(
    one.members
      .members()
      .map(({ name }) => name)
      .sort(),
  ).toEqual(["one", "two"]);
  expect(one.known.without(new Set())).toEqual(seed(second!));
  two.members.send([
    { kind: "send", to: "one", payload: Buffer.from("\x20datagram"), reliable: false },
    { kind: "send", to: "one", payload: Buffer.from("\x20stream"), reliable: true },
    { kind: "send", to: "nobody", payload: Buffer.from("\x20"), reliable: true },
  ]);
  await until(clock, () => one.user.length >= 2);
  expect(one.user.sort()).toEqual(["\x20datagram", "\x20stream"]);
});

test("a node that leaves is known to have left, and is no longer asked", async () => {
  const [first, second] = gossipPorts(2);
  const one = await join("one", first!);
  const two = await join("two", second!, { join: seed(first!) });
  await until(clock, () => one.members.peers().length === 1);
  await inTime(clock, two.members.leave());
  two.members.close();
  await until(clock, () => telling(one, "node two has left").length === 1);
  expect([one.members.peers(), one.known.has("two")]).toEqual([[], false]);
});

test("a goodbye that is hurried ends at once", async () => {
  const [first, second] = gossipPorts(2);
  await join("one", first!);
  const two = await join("two", second!, { join: seed(first!) });
  const left = two.members.leave();
  two.members.hurry();
  await left;
  two.members.close();
  await two.members.leave(); // nobody is left to say it to
});

test("a node that is its own only seed does not wait", async () => {
  const [port] = gossipPorts(1);
  const { members } = await join("one", port!, { join: seed(port!) });
  expect(members.peers()).toEqual([]);
  expect(members.members().map(({ name }) => name)).toEqual(["one"]);
});

test("another key: both nodes log the reason, once", async () => {
  const [first, second] = gossipPorts(2);
  const one = await join("one", first!);
  const two = await join("two", second!, { keys: [OTHER_KEY], join: seed(first!) });
  const sentence =
    "cannot decode gossip from 127.0.0.1: it is encrypted with a key that this node does not have";
  await until(clock, () => telling(one, sentence).length > 0 && telling(two, sentence).length > 0);
  const before = one.members.stats.droppedTotal["cannot-decrypt"]!;
  await until(clock, () => one.members.stats.droppedTotal["cannot-decrypt"]! > before);
  expect([telling(one, sentence).length, telling(two, sentence).length]).toEqual([1, 1]);
  expect([one.members.peers(), two.members.peers()]).toEqual([[], []]);
});

test("keys are rotated without losing each other", async () => {
  const [first, second] = gossipPorts(2);
  const one = await join("one", first!);
  const two = await join("two", second!, { join: seed(first!) });
  await until(clock, () => one.members.peers().length === 1);
  const both = [one, two];
  for (const keys of [[KEY, OTHER_KEY], [OTHER_KEY, KEY], [OTHER_KEY]]) {
    for (const { members } of both) members.follow({ ...FOLLOWED, keys });
    one.user.length = 0;
    two.members.send([{ kind: "send", to: "one", payload: Buffer.from("\x20x"), reliable: true }]);
    await until(clock, () => one.user.length === 1);
  }
  expect(one.members.stats.droppedTotal["cannot-decrypt"]).toBeUndefined();
});

test("another cluster's name: both nodes log it, once", async () => {
  const [first, second] = gossipPorts(2);
  const one = await join("one", first!);
  const two = await join("two", second!, { name: "test", join: seed(first!) });
  const [atOne, atTwo] = ['belongs to cluster "test"', 'belongs to cluster "prod"'];
  await until(clock, () => telling(one, atOne).length > 0 && telling(two, atTwo).length > 0);
  const before = one.members.stats.droppedTotal["other-cluster"]!;
  await until(clock, () => one.members.stats.droppedTotal["other-cluster"]! > before);
  expect([telling(one, atOne).length, telling(two, atTwo).length]).toEqual([1, 1]);
  expect([one.members.peers(), two.members.peers()]).toEqual([[], []]);
});

describe("a name that is taken", () => {
  test("the new node is refused with the address of the other, which stays", async () => {
    const [first, second] = gossipPorts(2).sort((a, b) => b - a); // the greater address was there first
    const one = await join("one", first!);
    await expect(join("one", second!, { join: seed(first!) })).rejects.toMatchObject({
      code: "name-taken",
      message: `node name "one" is taken: a live node at 127.0.0.1:${first} uses it; set node.name to another name`,
    });
    await until(clock, () => telling(one, "two nodes are named one").length === 1);
    expect([one.fatal, one.members.members().length]).toEqual([[], 1]);
  });

  test("without keys no node is refused for what others claim: both stay, and both logs say so", async () => {
    const [first, second] = gossipPorts(2).sort((a, b) => b - a);
    const one = await join("one", first!, { keys: [] });
    const rival = await join("one", second!, { keys: [], join: seed(first!) });
    for (const node of [one, rival])
      await until(clock, () => telling(node, "two nodes are named one").length === 1);
    expect([one.fatal, rival.fatal]).toEqual([[], []]);
  });

  test("it is free again when its owner has gone", async () => {
    const [first, second, third] = gossipPorts(3);
    await join("seed", first!);
    const old = await join("one", second!, { join: seed(first!) });
    old.members.close(); // without a word
    const { members } = await join("one", third!, { join: seed(first!) });
    expect(members.members().map(({ name }) => name)).toContain("seed");
  });
});

test("a port that is taken: the error says whose it may be and what to set", async () => {
  const [port] = gossipPorts(1);
  await join("one", port!);
  await expect(join("two", port!)).rejects.toMatchObject({
    code: "cannot-bind",
    message: `cannot gossip on 127.0.0.1:${port}: another program uses it, perhaps serf, Docker Swarm or another portmesh (find it with: ss -lnp 'sport = :${port}'): set cluster.bind`,
  });
});

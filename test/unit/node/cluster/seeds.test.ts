import { beforeEach, describe, expect, test } from "bun:test";
import { Seeds } from "../../../../src/node/cluster/seeds.ts";
import type { HostAnswer } from "../../../../src/sys/lookup-host.ts";
import { formatHostPort } from "../../../../src/wire/index.ts";
import { ManualClock } from "../../../support/time/manual-clock.ts";

let clock: ManualClock;
let names: Map<string, HostAnswer>;
let live: Set<string>;
let lost: { host: string; port: number }[];
let joined: string[];
let unresolved: string[];
let silent: string[];
let random: number;
/** Lookups wait for it. */
let gate: Promise<void>;

beforeEach(() => {
  clock = new ManualClock();
  names = new Map();
  live = new Set();
  [lost, joined, unresolved, silent] = [[], [], [], []];
  random = 1; // the pause is all of it
  gate = Promise.resolve();
});

function seeds(...hosts: string[]): Seeds {
  return new Seeds(
    hosts.map((host) => ({ host, port: 7946 })),
    {
      clock,
      async lookup(host) {
        await gate;
        return names.get(host) ?? { addresses: [host] };
      },
      random: () => random,
      ownAddress: () => ({ host: "10.0.0.1", port: 7946 }),
      liveAddresses: () => live,
      lostAddresses: () => lost,
      join: (address) => joined.push(formatHostPort(address.host, address.port)),
      onUnresolved: (host, error) => unresolved.push(`${host}: ${error}`),
      onSilent: (seeds) => silent.push(seeds.join(" ")),
    },
  );
}

/** How long after the start it asks again, within `ms`. */
async function asksWithin(ms: number): Promise<number[]> {
  const startMs = clock.nowMs();
  const times: number[] = [];
  for (let count = joined.length; clock.nowMs() < startMs + ms; ) {
    await clock.advance(250);
    if (joined.length > count) times.push(clock.nowMs() - startMs);
    count = joined.length;
  }
  return times;
}

test("the seed itself, back again, asks those it remembers, and says that it has asked", async () => {
  expect(await seeds("10.0.0.1").ask()).toBe(false);
  lost = [{ host: "10.0.0.2", port: 7946 }];
  random = 0;
  expect(await seeds("10.0.0.1").ask()).toBe(true);
  expect(joined).toEqual(["10.0.0.2:7946"]);
});

test("a seed that does not answer is asked ever more rarely, without end", async () => {
  expect(await seeds("10.0.0.2").ask()).toBe(true);
  expect(joined).toEqual(["10.0.0.2:7946"]);
  expect(await asksWithin(130_000)).toEqual([1_000, 3_000, 7_000, 15_000, 31_000, 61_000, 91_000, 121_000]);
});

test("the pause is between half and all of it", async () => {
  random = 0;
  await seeds("10.0.0.2").ask();
  expect(await asksWithin(4_000)).toEqual([500, 1_500, 3_500]);
});

test("while the cluster is whole no seed is asked; when the seed is lost it is, from the first pause on", async () => {
  live.add("10.0.0.2:7946");
  expect(await seeds("10.0.0.2").ask()).toBe(false);
  expect(await asksWithin(45_000)).toEqual([]);
  live.clear();
  expect(await asksWithin(18_000)).toEqual([15_000, 16_000, 18_000]);
});

test("a member at the seed's address but another port is not the seed", async () => {
  live.add("10.0.0.2:7000");
  await seeds("10.0.0.2").ask();
  expect(joined).toEqual(["10.0.0.2:7946"]);
});

test("a name is resolved each time: the seed may have moved", async () => {
  names.set("seed.test", { addresses: ["10.0.0.2"] });
  await seeds("seed.test").ask();
  names.set("seed.test", { addresses: ["10.0.0.3", "fd00::3"] });
  await clock.advance(1_000);
  expect(joined).toEqual(["10.0.0.2:7946", "10.0.0.3:7946", "[fd00::3]:7946"]);
});

test("of a name with several addresses one live member is enough", async () => {
  names.set("seed.test", { addresses: ["10.0.0.2", "10.0.0.3"] });
  live.add("10.0.0.3:7946");
  expect(await seeds("seed.test").ask()).toBe(false);
  expect(joined).toEqual([]);
});

test("this node is never asked, and it alone makes no cluster", async () => {
  names.set("all.test", { addresses: ["10.0.0.1", "10.0.0.2"] });
  expect(await seeds("10.0.0.1").ask()).toBe(false);
  expect(await seeds("all.test").ask()).toBe(true);
  expect(joined).toEqual(["10.0.0.2:7946"]);
});

describe("a name without address", () => {
  test("is logged once until it has had one", async () => {
    names.set("seed.test", { error: "name not found", isAnswered: true });
    await seeds("seed.test").ask();
    await clock.advance(10_000);
    expect(unresolved).toEqual(["seed.test: name not found"]);
    names.set("seed.test", { addresses: ["10.0.0.2"] });
    await clock.advance(30_000);
    names.set("seed.test", { error: "no name server answered", isAnswered: true });
    await clock.advance(60_000);
    expect(unresolved).toEqual(["seed.test: name not found", "seed.test: no name server answered"]);
  });

  test("does not keep the others from being asked", async () => {
    names.set("seed.test", { error: "name not found", isAnswered: true });
    await seeds("seed.test", "10.0.0.2").ask();
    expect(joined).toEqual(["10.0.0.2:7946"]);
  });
});

test("one lost member is asked each time, also without seeds", async () => {
  lost = [
    { host: "10.0.0.8", port: 7946 },
    { host: "10.0.0.9", port: 7947 },
  ];
  random = 0.6;
  await seeds().ask();
  random = 0;
  await clock.advance(1_600);
  expect(joined).toEqual(["10.0.0.9:7947", "10.0.0.8:7946"]);
});

describe("while a member is lost", () => {
  /** Times at which a node that sees so many others asks; all seeds are alive, or one never answers. */
  async function asksWithLive(count: number, seed: string): Promise<number[]> {
    for (let host = 2; host < count + 2; host++) live.add(`10.0.0.${host}:7946`);
    lost = [{ host: "10.0.1.1", port: 7946 }];
    random = 1 - Number.EPSILON; // nearly all of the pause, and the last of the lost
    const asking = seeds(seed);
    await asking.ask();
    const times = await asksWithin(15_000);
    asking.close();
    return times;
  }

  test("one of two asks every two seconds, with or without a live seed", async () => {
    const times = [2_000, 4_000, 6_000, 8_000, 10_000, 12_000, 14_000];
    expect(await asksWithLive(1, "10.0.0.2")).toEqual(times);
    live.clear();
    expect((await asksWithLive(0, "10.0.1.1")).slice(-3)).toEqual([11_000, 13_000, 15_000]);
  });

  test("of many each asks more rarely, but as often as they look at a cluster that is whole", async () => {
    expect(await asksWithLive(9, "10.0.0.2")).toEqual([5_000, 10_000, 15_000]);
    expect(await asksWithLive(99, "10.0.0.2")).toEqual([15_000]);
  });
});

test("change: the new seeds are asked at once, and there is still one loop", async () => {
  const asking = Promise.withResolvers<void>();
  gate = asking.promise;
  const changing = seeds("10.0.0.2");
  void changing.ask();
  changing.change([{ host: "10.0.0.3", port: 7946 }]);
  asking.resolve();
  await clock.advance(0);
  expect(joined).toContain("10.0.0.3:7946");
  expect(clock.timerCount).toBe(1);
  joined = [];
  expect(await asksWithin(3_000)).toEqual([1_000, 3_000]);
  expect(new Set(joined)).toEqual(new Set(["10.0.0.3:7946"]));
});

test("close: no timer is left, and what was being looked up is not asked", async () => {
  const asking = Promise.withResolvers<void>();
  gate = asking.promise;
  const closing = seeds("10.0.0.2");
  const asked = closing.ask();
  closing.close();
  asking.resolve();
  await asked;
  expect([joined, clock.timerCount]).toEqual([[], 0]);
});

test("that no seed answers is reported once, and once more when it happens again", async () => {
  const asked = seeds("10.0.0.1", "10.0.0.2");
  await asked.ask();
  await asksWithin(10_000);
  expect(silent).toEqual([]);
  await asksWithin(60_000);
  expect(silent).toEqual(["10.0.0.1:7946 10.0.0.2:7946"]);
  expect(asked.silent).toEqual(["10.0.0.1:7946", "10.0.0.2:7946"]);
  live.add("10.0.0.2:7946");
  expect(asked.silent).toEqual([]);
  await asksWithin(60_000);
  live.clear();
  await asksWithin(120_000);
  expect(silent).toHaveLength(2);
});

test("a seed that answers from another address, as behind NAT, leaves no node alone", async () => {
  const asked = seeds("10.0.0.2");
  live.add("192.168.0.2:7946");
  await asked.ask();
  await asksWithin(120_000);
  expect(silent).toEqual([]);
});

/**
 * Whole clusters in a virtual network (test/support/gossip/membership-network.ts): whatever is lost, late, doubled, cut off,
 * stopped or restarted, all end with the same view and the right one. SIM_SEED repeats a run.
 */
import { expect, test } from "bun:test";
import { type Membership, PROFILES } from "../../src/membership/index.ts";
import {
  isLive,
  liveNames,
  MembershipNetwork,
  type NetworkOptions,
  type SimMember,
} from "../support/gossip/membership-network.ts";
import type { Seeded } from "../support/random/seed.ts";
import { simSeeds } from "../support/random/sim-seeds.ts";

const forSeeds = simSeeds();
const LIMIT_MS = 180_000;

function joined(random: Seeded, count: number, options: NetworkOptions = {}): MembershipNetwork {
  const network = new MembershipNetwork(random, { maxDelayMs: 20, ...options });
  const first = network.start();
  for (let index = 1; index < count; index++) network.join(network.start(), first);
  network.runUntil(() => network.hasConverged(), LIMIT_MS);
  return network;
}

/** Members given up although they run; to be asked of a network at peace. */
function countFalseDeaths(network: MembershipNetwork): () => number {
  let count = 0;
  network.onEvent = (_observer, event) => {
    if (event.type === "failed" && network.running.some(({ name }) => name === event.name)) count++;
  };
  return () => count;
}

/** Throws when the incarnation that somebody knows of a living member falls; whoever was dead may begin anew. */
function incarnationWatch(network: MembershipNetwork): () => void {
  let known = new Map<string, number>();
  return () => {
    const next = new Map<string, number>();
    for (const observer of network.running) {
      for (const { name, incarnation, state } of observer.machine.members()) {
        const key = `${observer.index} ${observer.life} ${name}`;
        const isAlive = state === "alive" || state === "suspect";
        if (isAlive) expect(incarnation).toBeGreaterThanOrEqual(known.get(key) ?? 0);
        if (isAlive) next.set(key, incarnation);
      }
    }
    known = next;
  };
}

function expectQuiet(machines: readonly Membership[]): void {
  for (const { stats } of machines) expect(stats.queueLengths).toEqual({ membership: 0, serf: 0 });
}

test("8 to 64 members find each other and stay together on a bad network", () => {
  forSeeds(3, (random) => {
    for (const count of [8, 16, 64]) {
      const network = joined(random, count, { loss: 0.05, duplication: 0.05, maxDelayMs: 100 });
      const falseDeaths = countFalseDeaths(network);
      network.run(60_000);
      expect(falseDeaths()).toBe(0);
      expect(network.hasConverged()).toBe(true);
      expect(network.sent.largestBytes).toBeLessThanOrEqual(1400);
    }
  });
});

test.each(["lan", "wan"] as const)(
  "members 1,200 ms apart do not suspect each other: profile %s",
  (profile) => {
    forSeeds(2, (random) => {
      const apart = { profile: PROFILES[profile], minDelayMs: 590, maxDelayMs: 620 };
      const network = joined(random, 8, apart);
      network.run(60_000); // each has been probed
      let suspicions = 0;
      network.onEvent = (_observer, event) => {
        if (event.type === "suspected" || event.type === "failed") suspicions++;
      };
      network.run(120_000);
      expect(suspicions).toBe(0);
      for (const { machine } of network.running) expect(machine.stats.healthScore).toBe(0);
    });
  },
);

test("partitions, pauses, crashes and restarts in any order end in one view, without false deaths afterwards", () => {
  forSeeds(4, (random) => {
    const network = joined(random, 8 + random.below(17), { loss: 0.1, duplication: 0.1, maxDelayMs: 200 });
    const watch = incarnationWatch(network);
    for (let step = 0; step < 60; step++) {
      disturb(network, random);
      network.run(1_000 * random.below(8));
      watch();
      for (const { machine } of network.running) {
        expect(machine.stats.queueLengths.membership).toBeLessThanOrEqual(network.members.length);
      }
    }
    network.heal();
    network.run(30_000); // pauses and late timers are over
    network.runUntil(() => network.hasConverged(), LIMIT_MS);
    const falseDeaths = countFalseDeaths(network);
    network.run(30_000);
    expect(falseDeaths()).toBe(0);
    expect(network.hasConverged()).toBe(true);
  });
});

/** One thing that goes wrong, or right again. */
function disturb(network: MembershipNetwork, random: Seeded): void {
  const victim = random.pick(network.members);
  const [helper] = network.running.filter((member) => member !== victim);
  const events = [
    () => network.cut((from, to) => (from === victim) === (to === victim)),
    () => network.cut((from) => from !== victim), // it hears, and is not heard
    () => network.cut((from, to) => (from.index & 1) === (to.index & 1)),
    () => network.heal(),
    () => victim.isRunning && network.pause(victim, random.below(20_000)),
    () => victim.isRunning && network.block(victim, random.below(20_000)),
    () => network.delayTicks(victim, random.below(10_000)),
    () => network.running.length > 3 && network.crash(victim),
    () => helper !== undefined && network.restart(victim, helper),
  ];
  random.pick(events)();
}

test("a member that crashes is given up by all, one that restarts is back everywhere soon", () => {
  forSeeds(3, (random) => {
    const network = joined(random, 16);
    const victim = network.members[5]!;
    network.crash(victim);
    network.runUntil(() => network.running.every(({ machine }) => !isLive(machine, victim.name)), 40_000);
    network.restart(victim, network.members[0]!);
    expect(victim.machine.member(victim.name)?.incarnation).toBe(1);
    network.runUntil(() => network.hasConverged(), 10_000);
  });
});

test("a node that leaves is known by all to have left, and not taken for failed", () => {
  forSeeds(3, (random) => {
    const network = joined(random, 16, { loss: 0.05 });
    const leaver = network.members[3]!;
    const failures: string[] = [];
    network.onEvent = (_observer, event) => event.type === "failed" && failures.push(event.name);
    network.leave(leaver);
    network.runUntil(() => !leaver.isRunning, 20_000);
    const hasLeft = ({ machine }: SimMember) => machine.member(leaver.name)?.state === "left";
    network.runUntil(() => network.running.every(hasLeft), 20_000); // gossip may miss one for a while
    network.run(20_000);
    expect(failures).toEqual([]);
  });
});

test("two halves that have forgotten each other find back together", () => {
  forSeeds(2, (random) => {
    const network = joined(random, 12);
    network.cut((from, to) => from.index % 2 === to.index % 2);
    network.run(120_000);
    expect(liveNames(network.members[0]!.machine).length).toBe(6);
    network.heal();
    network.runUntil(() => network.hasConverged(), LIMIT_MS);
    network.run(20_000);
    expectQuiet(network.members.map(({ machine }) => machine));
  });
});

test("500 members: a crash is known everywhere within seconds of the least suspicion", () => {
  forSeeds(1, (random) => {
    const network = new MembershipNetwork(random, { size: 500, hasReconnect: false, maxDelayMs: 5 });
    network.run(2_000);
    const victim = network.members[7]!;
    network.crash(victim);
    const knowsDeath = ({ machine }: { machine: Membership }) => !isLive(machine, victim.name);
    const tookMs = network.runUntil(() => network.running.every(knowsDeath), 60_000);
    expect(tookMs).toBeGreaterThan(10_000);
    expect(tookMs).toBeLessThan(40_000);
    expect(network.sent.largestBytes).toBeLessThanOrEqual(1400);
  });
});

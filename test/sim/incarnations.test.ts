/**
 * An insider claims what he likes about members, with any incarnation. When he stops, all see all alive again, nothing
 * goes round any more, and crashes, restarts and leaves are noticed as before.
 */
import { expect, test } from "bun:test";
import { OUR_VERSIONS } from "../../src/membership/versions.ts";
import { encodeTags, type GossipMessage, type RemoteMember } from "../../src/wire/gossip/index.ts";
import {
  addressOf,
  isLive,
  MembershipNetwork,
  type SimMember,
} from "../support/gossip/membership-network.ts";
import type { Seeded } from "../support/random/seed.ts";
import { simSeeds } from "../support/random/sim-seeds.ts";

const forSeeds = simSeeds();
const MAX = 0xffff_ffff;
const LEAP = 2 ** 16;
const NUMBERS = [
  0,
  1,
  2,
  3,
  LEAP,
  LEAP + 1,
  LEAP + 2,
  2 ** 31 - 1,
  2 ** 31,
  2 ** 31 + 1,
  MAX - LEAP,
  MAX - 1,
  MAX,
];
const META = encodeTags({ pm: "1", cluster: "sim" });
const RECOVERY_MS = 60_000;
const CALM_MS = 120_000;

type Claim = "alive" | "suspect" | "dead" | "left";
const CLAIMS: readonly Claim[] = ["alive", "suspect", "dead", "left"];

function claimOf(claim: Claim, about: SimMember, incarnation: number, by: string): GossipMessage {
  const { name: node } = about;
  if (claim === "alive") {
    const { ip: address, port } = addressOf(about.index);
    return { type: "alive", node, incarnation, address, port, meta: META, versions: OUR_VERSIONS };
  }
  const type = claim === "suspect" ? "suspect" : "dead";
  return { type, node, incarnation, from: claim === "left" ? node : by };
}

function remote(state: Claim, about: SimMember, incarnation: number): RemoteMember {
  const { ip: address, port } = addressOf(about.index);
  return { name: about.name, address, port, meta: META, incarnation, state, versions: OUR_VERSIONS };
}

function joined(seeded: Seeded, count: number): MembershipNetwork {
  const network = new MembershipNetwork(seeded, { loss: 0.02, maxDelayMs: 20 });
  for (let i = 0; i < count; i++) network.start();
  for (const member of network.members.slice(1)) network.join(member, network.members[0]!);
  network.runUntil(() => network.hasConverged(), RECOVERY_MS);
  return network;
}

/** All alive for all, and so it stays; news ends. */
function expectRecovery(network: MembershipNetwork): void {
  network.runUntil(() => network.hasConverged(), RECOVERY_MS);
  let failures = 0;
  network.onEvent = (_observer, event) => {
    if (event.type === "failed" || event.type === "left") failures++;
  };
  network.run(CALM_MS);
  expect(failures).toBe(0);
  expect(network.hasConverged()).toBe(true);
  // Suspicions of the bad network come and go; a rumor that feeds itself would be in every queue.
  network.runUntil(() => network.running.every(({ machine }) => queued(machine) === 0), CALM_MS);
}

function queued({ stats }: SimMember["machine"]): number {
  return stats.queueLengths.membership ?? 0;
}

test.each(CLAIMS)("%s with any number, sent to one or to all: refuted everywhere", (claim) => {
  forSeeds(1, (seeded) => {
    const network = joined(seeded, 8);
    for (const number of NUMBERS) {
      const victim = seeded.pick(network.members);
      const message = claimOf(claim, victim, number, seeded.pick(network.members).name);
      network.hear(seeded.pick(network.members), [message]);
      network.run(seeded.below(3_000));
      for (const member of network.members) network.hear(member, [message]);
      network.run(seeded.below(10_000));
      const exchange = {
        isJoin: false,
        members: [remote(claim, victim, number)],
        userState: new Uint8Array(),
      };
      for (const member of network.members) network.receive(member, exchange);
      network.runUntil(() => network.hasConverged(), RECOVERY_MS);
    }
    expectRecovery(network);
  });
});

test("2^32 - 2, and then a suspicion", () => {
  forSeeds(2, (seeded) => {
    const network = joined(seeded, 5);
    const [victim, ...others] = network.members as [SimMember, ...SimMember[]];
    for (const claim of CLAIMS) {
      for (const other of network.members)
        network.hear(other, [
          claimOf("alive", victim, MAX - 1, other.name),
          claimOf(claim, victim, MAX - 1, "m4"),
        ]);
      network.run(1_000);
      for (const other of others) network.hear(other, [claimOf("suspect", victim, MAX, "m3")]);
      network.run(5_000);
    }
    expectRecovery(network);
  });
});

test("hundreds of claims of all kinds about all, with numbers around the whole circle", () => {
  forSeeds(3, (seeded) => {
    const network = joined(seeded, 10);
    for (let i = 0; i < 600; i++) {
      const about = seeded.pick(network.members);
      const current = about.machine.member(about.name)!.incarnation;
      const numbers = [
        seeded.pick(NUMBERS),
        Math.floor(seeded.random() * 2 ** 32),
        current + 1,
        current + LEAP,
      ];
      const number = seeded.pick(numbers) >>> 0;
      const claim = seeded.pick(CLAIMS);
      const hearers = seeded.below(3) === 0 ? network.members : [seeded.pick(network.members)];
      for (const hearer of hearers) {
        if (seeded.below(2) === 0) network.hear(hearer, [claimOf(claim, about, number, "m1")]);
        else {
          const members = [remote(claim, about, number)];
          network.receive(hearer, { isJoin: false, members, userState: new Uint8Array() });
        }
      }
      network.run(seeded.below(200));
    }
    expectRecovery(network);
  });
});

test("a new node that hears invented numbers first sees all alive, then crashes, returns and leaves", () => {
  forSeeds(3, (seeded) => {
    const network = joined(seeded, 6);
    const lied = network.start();
    const claims = network.members.slice(0, 6).flatMap((about, i) => {
      const number = NUMBERS[(i * 5 + seeded.below(5)) % NUMBERS.length]! || 7;
      return [claimOf("alive", about, number, "m1"), claimOf(seeded.pick(CLAIMS), about, number, "m1")];
    });
    network.hear(lied, claims);
    network.join(lied, network.members[0]!);
    expectRecovery(network);

    const victim = network.members[3]!;
    network.crash(victim);
    network.runUntil(
      () => network.running.every(({ machine }) => !isLive(machine, victim.name)),
      RECOVERY_MS,
    );
    network.restart(victim, network.members[1]!);
    expectRecovery(network);
    network.leave(victim);
    network.runUntil(
      () => network.running.every(({ machine }) => !isLive(machine, victim.name)),
      RECOVERY_MS,
    );
  });
});

test("thousands of deaths, each as far ahead as is believed, around the whole circle", () => {
  forSeeds(1, (seeded) => {
    const network = joined(seeded, 6);
    const victim = network.members[2]!;
    let number = 1;
    for (let round = 0; round < 2_000; round++) {
      number = (number + LEAP) >>> 0;
      for (const member of network.members) network.hear(member, [claimOf("dead", victim, number, "m1")]);
      network.run(20);
    }
    expectRecovery(network);
  });
});

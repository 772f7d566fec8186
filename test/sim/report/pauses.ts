/**
 * The experiment of [LIFEGUARD §V]: the messages of some of 128 members stand still for a while, in both directions,
 * while their timers run; then they go on, and stand still again. Nobody has
 * crashed, so everybody given up is a mistake. Counted: each time that a member takes another one for dead; apart from that
 * those where the other one never stood still.
 */
import { PROFILES, type Profile } from "../../../src/membership/index.ts";
import { MembershipNetwork, type SimMember } from "../../support/gossip/membership-network.ts";
import { Seeded } from "../../support/random/seed.ts";

export const PAUSE_MEMBERS = 128;
const SETTLE_MS = 3_000;
const RUN_MS = 60_000;
/** Between two pauses of a member: at random, too short for a refutation to arrive or long enough. */
const MIN_GAP_MS = 16;
const MAX_GAP_MS = 512;

export type Variant = "swim" | "lifeguard";

const VARIANTS: Readonly<Record<Variant, Profile>> = {
  swim: { ...PROFILES.lan, hasAwareness: false, hasDynamicSuspicion: false, hasBuddy: false },
  lifeguard: PROFILES.lan,
};

export interface PauseResult {
  readonly variant: Variant;
  readonly paused: number;
  readonly pauseMs: number;
  /** Of all runs: verdicts about members that are well, counted at each member that comes to hear of it. */
  readonly falseDeaths: number;
  /** Of these, about members that never stood still. */
  readonly falseDeathsOfHealthy: number;
  readonly packetsPerMemberSecond: number;
}

export function runPauses(variant: Variant, paused: number, pauseMs: number, seed: number): PauseResult {
  const seeded = new Seeded(seed);
  const network = new MembershipNetwork(seeded, {
    size: PAUSE_MEMBERS,
    profile: VARIANTS[variant],
    hasReconnect: true,
  });
  network.run(SETTLE_MS);
  const slow = new Set<SimMember>();
  while (slow.size < paused) slow.add(seeded.pick(network.members));
  for (const member of slow) pauseAgain(network, member, pauseMs, seeded);
  const slowNames = new Set([...slow].map(({ name }) => name));
  let [falseDeaths, falseDeathsOfHealthy] = [0, 0];
  network.onEvent = (_observer, event) => {
    if (event.type !== "failed") return;
    falseDeaths++;
    if (!slowNames.has(event.name)) falseDeathsOfHealthy++;
  };
  network.sent.packets = 0;
  network.run(RUN_MS);
  const packetsPerMemberSecond = network.sent.packets / PAUSE_MEMBERS / (RUN_MS / 1000);
  return { variant, paused, pauseMs, falseDeaths, falseDeathsOfHealthy, packetsPerMemberSecond };
}

function pauseAgain(network: MembershipNetwork, member: SimMember, pauseMs: number, seeded: Seeded): void {
  const gapMs = MIN_GAP_MS + (MAX_GAP_MS - MIN_GAP_MS) * seeded.random();
  network.block(member, pauseMs);
  network.at(network.nowMs + pauseMs + gapMs, () => pauseAgain(network, member, pauseMs, seeded));
}

export function addPauses(results: readonly PauseResult[]): PauseResult {
  const sum = (figureOf: (result: PauseResult) => number) =>
    results.reduce((total, result) => total + figureOf(result), 0);
  return {
    ...results[0]!,
    falseDeaths: sum((result) => result.falseDeaths),
    falseDeathsOfHealthy: sum((result) => result.falseDeathsOfHealthy),
    packetsPerMemberSecond: sum((result) => result.packetsPerMemberSecond) / results.length,
  };
}

/** One member of a whole cluster crashes: how soon the first suspects it, the first gives it up, all know; and the cost. */
import { PROFILES } from "../../../src/membership/index.ts";
import { MembershipNetwork } from "../../support/gossip/membership-network.ts";
import { Seeded } from "../../support/random/seed.ts";
import { type Percentiles, percentilesOf } from "./percentiles.ts";

/** Every member has its own rhythm by then. */
const SETTLE_MS = 3_000;
const LIMIT_MS = 120_000;
const IDLE_MS = 10_000;
/** Larger clusters exchange tables so rarely, and at such a price here, that the crash is measured without it. */
const MOST_WITH_PUSH_PULL = 256;
const NEVER_MS = 1e9;

export interface CrashRun {
  readonly firstSuspectMs: number;
  readonly firstDeadMs: number;
  readonly allKnowMs: number;
  readonly packetsPerMemberSecond: number;
  readonly idlePacketsPerMemberSecond: number;
}

export interface CrashResult {
  readonly members: number;
  readonly runs: number;
  readonly firstSuspectMs: Percentiles;
  readonly firstDeadMs: Percentiles;
  readonly allKnowMs: Percentiles;
  readonly spreadMs: Percentiles;
  readonly packetsPerMemberSecond: number;
  readonly idlePacketsPerMemberSecond: number;
}

export function runCrash(members: number, seed: number): CrashRun {
  const hasPushPull = members <= MOST_WITH_PUSH_PULL;
  const profile = hasPushPull ? PROFILES.lan : { ...PROFILES.lan, pushPullIntervalMs: NEVER_MS };
  const seeded = new Seeded(seed);
  const network = new MembershipNetwork(seeded, { size: members, profile, hasReconnect: false });
  network.run(SETTLE_MS + 1_000 * seeded.random());
  network.sent.packets = 0;
  const idleMs = members > 1_000 ? SETTLE_MS : IDLE_MS;
  network.run(idleMs);
  const idlePackets = network.sent.packets;
  network.sent.packets = 0;
  const victim = seeded.pick(network.members);
  network.crash(victim);
  const crashMs = network.nowMs;
  let [suspectMs, deadMs, knowing] = [Number.NaN, Number.NaN, 0];
  network.onEvent = (_observer, event) => {
    if (!("name" in event) || event.name !== victim.name) return;
    if (event.type === "suspected" && Number.isNaN(suspectMs)) suspectMs = network.nowMs;
    if (event.type !== "failed") return;
    if (Number.isNaN(deadMs)) deadMs = network.nowMs;
    knowing++;
  };
  const tookMs = network.runUntil(() => knowing >= members - 1, LIMIT_MS, 10);
  return {
    firstSuspectMs: suspectMs - crashMs,
    firstDeadMs: deadMs - crashMs,
    allKnowMs: tookMs,
    packetsPerMemberSecond: perMemberSecond(network.sent.packets, members - 1, tookMs),
    idlePacketsPerMemberSecond: perMemberSecond(idlePackets, members, idleMs),
  };
}

export function sumUpCrashes(members: number, runs: readonly CrashRun[]): CrashResult {
  const mean = (figureOf: (run: CrashRun) => number) =>
    runs.reduce((sum, run) => sum + figureOf(run), 0) / runs.length;
  return {
    members,
    runs: runs.length,
    firstSuspectMs: percentilesOf(runs.map((run) => run.firstSuspectMs)),
    firstDeadMs: percentilesOf(runs.map((run) => run.firstDeadMs)),
    allKnowMs: percentilesOf(runs.map((run) => run.allKnowMs)),
    spreadMs: percentilesOf(runs.map((run) => run.allKnowMs - run.firstDeadMs)),
    packetsPerMemberSecond: mean((run) => run.packetsPerMemberSecond),
    idlePacketsPerMemberSecond: mean((run) => run.idlePacketsPerMemberSecond),
  };
}

function perMemberSecond(packets: number, members: number, ms: number): number {
  return packets / members / (ms / 1000);
}

/** The formulas of memberlist's util.go and suspicion.go. `members` counts this node and the dead not yet forgotten. */
import type { Profile } from "./profile.ts";

/** How often a message is sent before it is dropped. */
export function retransmitLimit(profile: Profile, members: number): number {
  return profile.retransmitMult * Math.ceil(Math.log10(members + 1));
}

/** The shortest time a suspect has. */
export function minSuspicionMs(profile: Profile, members: number): number {
  const thousandths = Math.trunc(Math.max(1, Math.log10(Math.max(1, members))) * 1000);
  return Math.trunc((profile.suspicionMult * thousandths * profile.probeIntervalMs) / 1000);
}

/** Confirmations that shorten a suspicion to its least; 0 when there are too few members to confirm. */
export function expectedConfirmations(profile: Profile, members: number): number {
  const wanted = profile.suspicionMult - 2;
  return !profile.hasDynamicSuspicion || members - 2 < wanted ? 0 : wanted;
}

/** [LIFEGUARD §IV-B] from the suspicion's start; `confirmations` counts others than the first accuser. */
export function suspicionTimeoutMs(
  minMs: number,
  maxMs: number,
  confirmations: number,
  expected: number,
): number {
  if (expected === 0) return minMs;
  const share = Math.log(confirmations + 1) / Math.log(expected + 1);
  return Math.max(minMs, Math.floor(maxMs - share * (maxMs - minMs)));
}

/** Push/pull happens more rarely in large clusters: its cost grows with the members. */
export function pushPullFactor(members: number): number {
  return members <= 32 ? 1 : Math.ceil(Math.log2(members) - Math.log2(32)) + 1;
}

/**
 * How fast a cluster finds out and how much delay it forgives. Values of memberlist's config.go: DefaultLANConfig,
 * DefaultWANConfig, DefaultLocalConfig; times in milliseconds.
 */
export interface Profile {
  /** One member is probed per interval; a node that is slow itself stretches it. */
  readonly probeIntervalMs: number;
  /** A direct probe gets this long before others are asked to help. Longer than the round trip of nearly all. */
  readonly probeTimeoutMs: number;
  /** Helpers of an indirect probe. */
  readonly indirectChecks: number;
  /** A suspect has suspicionMult × log10(n) × probeInterval to refute when others confirm it… */
  readonly suspicionMult: number;
  /** …and this many times that when none does. */
  readonly suspicionMaxTimeoutMult: number;
  /** A message is sent retransmitMult × ⌈log10(n + 1)⌉ times. */
  readonly retransmitMult: number;
  readonly gossipIntervalMs: number;
  /** Members gossiped to per interval. */
  readonly gossipNodes: number;
  /** Dead members hear of their death for so long, so that they can refute. */
  readonly gossipToTheDeadMs: number;
  /** Everything is exchanged with one member; stretched as the cluster grows. */
  readonly pushPullIntervalMs: number;
  readonly exchangeTimeoutMs: number;
  /** The health score stays below it. */
  readonly awarenessMaxMultiplier: number;
  /** Switches of [LIFEGUARD], off only to measure what they are worth. */
  readonly hasAwareness: boolean;
  readonly hasDynamicSuspicion: boolean;
  readonly hasBuddy: boolean;
}

const LAN: Profile = {
  probeIntervalMs: 1_000,
  probeTimeoutMs: 500,
  indirectChecks: 3,
  suspicionMult: 4,
  suspicionMaxTimeoutMult: 6,
  retransmitMult: 4,
  gossipIntervalMs: 200,
  gossipNodes: 3,
  gossipToTheDeadMs: 30_000,
  pushPullIntervalMs: 30_000,
  exchangeTimeoutMs: 10_000,
  awarenessMaxMultiplier: 8,
  hasAwareness: true,
  hasDynamicSuspicion: true,
  hasBuddy: true,
};

export const PROFILES: Readonly<Record<"lan" | "wan" | "local", Profile>> = {
  lan: LAN,
  wan: {
    ...LAN,
    probeIntervalMs: 5_000,
    probeTimeoutMs: 3_000,
    suspicionMult: 6,
    gossipIntervalMs: 500,
    gossipNodes: 4,
    gossipToTheDeadMs: 60_000,
    pushPullIntervalMs: 60_000,
    exchangeTimeoutMs: 30_000,
  },
  local: {
    ...LAN,
    probeTimeoutMs: 200,
    indirectChecks: 1,
    suspicionMult: 3,
    retransmitMult: 2,
    gossipIntervalMs: 100,
    gossipToTheDeadMs: 15_000,
    pushPullIntervalMs: 15_000,
    exchangeTimeoutMs: 1_000,
  },
};

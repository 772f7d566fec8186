/** What is known of a member. */
import { RttEstimator, type TimeoutBounds } from "../sys/rtt-estimator.ts";
import { decodeTags } from "../wire/gossip/index.ts";
import { type Address, isSameAddress } from "./address.ts";
import type { ProbeTimeout } from "./probe.ts";
import type { Suspicion } from "./suspicion.ts";

export type MemberState = "alive" | "suspect" | "dead" | "left";

/** For readers: it does not change under them, ask again. */
export interface Member {
  readonly name: string;
  readonly address: Address;
  readonly tags: Readonly<Record<string, string>>;
  readonly state: MemberState;
  readonly incarnation: number;
  readonly stateChangedMs: number;
  /** Of probes, smoothed; null: never measured. */
  readonly rttMs: number | null;
  /** Understands our user messages. */
  readonly isPortmesh: boolean;
}

/** Its tag says which cluster a portmesh member belongs to, and that it is one. */
export const CLUSTER_TAG = "cluster";
export const PROTOCOL_TAG = "pm";

const RTT_WEIGHT = 0.2;
/** Above the round trip: a member has other things to do as well. */
const PROBE_MARGIN_MS = 200;
/** What a member may need whose round trip is not known, or is a long one. memberlist's ProbeTimeout of a WAN. */
const LONGEST_PROBE_TIMEOUT_MS = 3_000;
export const PROBE_TIME: TimeoutBounds = {
  firstMs: LONGEST_PROBE_TIMEOUT_MS,
  floorMs: 0,
  ceilingMs: Number.POSITIVE_INFINITY,
  marginMs: PROBE_MARGIN_MS,
};

/** The record itself, which only the table changes. */
export class MemberRecord implements Member {
  address: Address;
  /** Where it was before it moved; null: it has not. */
  formerAddress: Address | null = null;
  meta: Uint8Array;
  tags: Readonly<Record<string, string>>;
  versions: Uint8Array;
  incarnation = 0;
  /** A new member is dead with incarnation 0 until something greater says that it lives. */
  state: MemberState = "dead";
  stateChangedMs: number;
  suspicion: Suspicion | null = null;
  rttMs: number | null = null;
  #probeTime: RttEstimator | null = null;

  constructor(
    readonly name: string,
    address: Address,
    meta: Uint8Array,
    versions: Uint8Array,
    nowMs: number,
    /** What `meta` says. */
    tags: Readonly<Record<string, string>> = decodeTags(meta),
  ) {
    this.address = address;
    this.meta = meta;
    this.tags = tags;
    this.versions = versions;
    this.stateChangedMs = nowMs;
  }

  get isPortmesh(): boolean {
    return this.tags[PROTOCOL_TAG] !== undefined;
  }

  get isLive(): boolean {
    return this.state === "alive" || this.state === "suspect";
  }

  describe(meta: Uint8Array, versions: Uint8Array): void {
    if (meta !== this.meta) this.tags = decodeTags(meta);
    this.meta = meta;
    this.versions = versions;
  }

  moveTo(address: Address): void {
    if (isSameAddress(this.address, address)) return;
    this.formerAddress = this.address;
    this.address = address;
  }

  /** Entering a state always ends a suspicion. */
  enter(state: MemberState, nowMs: number): void {
    this.suspicion = null;
    this.state = state;
    this.stateChangedMs = nowMs;
  }

  measured(rttMs: number, nowMs: number): void {
    this.rttMs = this.rttMs === null ? rttMs : this.rttMs + RTT_WEIGHT * (rttMs - this.rttMs);
    this.#probeTime ??= new RttEstimator(PROBE_TIME);
    this.#probeTime.add(rttMs, nowMs);
  }

  /** How long it may take to answer a probe; one that has not been measured, as long as others. */
  probeTimeout(usualMs: number, others: RttEstimator): ProbeTimeout {
    const longestMs = Math.max(usualMs, LONGEST_PROBE_TIMEOUT_MS);
    const { timeoutMs } = this.#probeTime ?? others;
    const answerWithinMs = Math.min(Math.max(timeoutMs, usualMs), longestMs);
    return { helpAfterMs: this.#probeTime === null ? usualMs : answerWithinMs, answerWithinMs };
  }
}

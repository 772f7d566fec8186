/** What is known of a member. */
import { decodeTags } from "../wire/gossip/index.ts";
import { type Address, isSameAddress } from "./address.ts";
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

  measured(rttMs: number): void {
    this.rttMs = this.rttMs === null ? rttMs : this.rttMs + RTT_WEIGHT * (rttMs - this.rttMs);
  }
}

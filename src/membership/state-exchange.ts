/**
 * Push/pull: everything two members know, each to the other. The state received is rejected as a whole when its versions
 * exclude ours or its cluster is another; else its entries are merged one by one, like gossiped updates. memberlist: state.go, pushPullNode.
 *
 * Deviates: a large one is taken in slices, so that nothing else of the node waits for it, and a large answer is the
 * same for a while: requests may come from strangers.
 */
import {
  decodeSerfState,
  decodeTags,
  encodePushPull,
  encodeSerfState,
  type PushPullReader,
  type RemoteMember,
} from "../wire/gossip/index.ts";
import { type Address, isSameBytes } from "./address.ts";
import type { Effects, MemberEvent } from "./effect.ts";
import { CLUSTER_TAG, PROTOCOL_TAG } from "./member.ts";
import type { MemberTable } from "./member-table.ts";
import type { MemberUpdates } from "./member-updates.ts";
import type { SerfDelegate } from "./serf-delegate.ts";
import { findIncompatibility } from "./versions.ts";

export interface StateExchangeHost {
  readonly cluster: string;
  readonly table: MemberTable;
  readonly updates: MemberUpdates;
  readonly serf: SerfDelegate;
  /** Of our own tables; goes along. */
  readonly localState: () => Uint8Array;
  readonly effects: Effects;
}

/** Members in a slice: some milliseconds of work. */
export const SLICE_MEMBERS = 128;
/** An answer with more members is used again for as long. */
const REUSED_ABOVE_MEMBERS = 1_024;
const REUSED_FOR_MS = 2_000;

export class StateExchange {
  readonly #host: StateExchangeHost;
  #reused: { readonly bytes: Uint8Array; readonly isJoin: boolean; readonly untilMs: number } | null = null;

  constructor(host: StateExchangeHost) {
    this.#host = host;
  }

  /** Everything this node knows. */
  encode(isJoin: boolean, nowMs: number): Uint8Array {
    if (this.#host.table.size <= REUSED_ABOVE_MEMBERS) return this.#encode(isJoin);
    if (this.#reused === null || this.#reused.isJoin !== isJoin || nowMs >= this.#reused.untilMs)
      this.#reused = { bytes: this.#encode(isJoin), isJoin, untilMs: nowMs + REUSED_FOR_MS };
    return this.#reused.bytes;
  }

  #encode(isJoin: boolean): Uint8Array {
    const all = [...this.#host.table.values()];
    const left = all.filter((member) => member.state === "left").map((member) => member.name);
    const digest = this.#host.localState();
    const names = all.map((member) => member.name);
    return encodePushPull({
      isJoin,
      members: all.map(({ name, address, meta, incarnation, state, versions }) => {
        return { name, address: address.ip, port: address.port, meta, incarnation, versions, state };
      }),
      userState: encodeSerfState(this.#host.serf.state(names, left, digest)),
    });
  }

  /**
   * Takes in what `reader` has, a slice of work at each step; the generator's result is whether anything of it was
   * believed, null when it was damaged. @param source who has said it, if that is known @param now asked for at each step
   */
  *merge(reader: PushPullReader, source: Address | null, now: () => number): Generator<void, boolean | null> {
    const members: RemoteMember[] = [];
    while (reader.membersLeft > 0) {
      const some = reader.readMembers(SLICE_MEMBERS);
      if (some === null) return null;
      members.push(...some);
      if (reader.membersLeft > 0) yield;
    }
    const userState = reader.readUserState();
    if (userState === null) return null;
    const refusal = this.#findRefusal(members);
    if (refusal !== null) {
      this.#host.effects.drop(refusal.type);
      this.#host.effects.notify(refusal);
      return false;
    }
    for (let at = 0; at < members.length; at += SLICE_MEMBERS) {
      if (at > 0) yield;
      const nowMs = now();
      for (const member of members.slice(at, at + SLICE_MEMBERS))
        this.#host.updates.onRemoteMember(member, nowMs, source);
    }
    if (members.length > SLICE_MEMBERS) yield;
    this.#mergeUserState(userState);
    return true;
  }

  #mergeUserState(userState: Uint8Array): void {
    const state = userState.length === 0 ? null : decodeSerfState(userState);
    if (state === null) return;
    this.#host.serf.mergeState(state);
    if (state.digest.length > 0) this.#host.effects.add({ kind: "remote-state", digest: state.digest });
  }

  /** Versions that exclude each other, or a whole cluster of another name. */
  #findRefusal(
    members: readonly RemoteMember[],
  ): Extract<MemberEvent, { type: "other-cluster" | "incompatible" }> | null {
    const tagged = members.map((member) => ({ member, tags: this.#tagsOf(member) }));
    const portmesh = tagged.filter(({ tags }) => tags[PROTOCOL_TAG] !== undefined);
    const foreign = portmesh.find(({ tags }) => (tags[CLUSTER_TAG] ?? "") !== this.#host.cluster);
    const isAllForeign = portmesh.every(({ tags }) => (tags[CLUSTER_TAG] ?? "") !== this.#host.cluster);
    if (foreign !== undefined && isAllForeign) {
      const { name, address, port } = foreign.member;
      const cluster = foreign.tags[CLUSTER_TAG] ?? "";
      return { type: "other-cluster", name, cluster, address: { ip: address, port } };
    }
    const reason = findIncompatibility([
      ...[...this.#host.table.values()].map(({ versions, state }) => ({
        versions,
        isAlive: state === "alive",
      })),
      ...members.map(({ versions, state }) => ({ versions, isAlive: state === "alive" })),
    ]);
    return reason === null ? null : { type: "incompatible", name: members[0]?.name ?? "", reason };
  }

  /** Mostly those known: reading them again for each member of each exchange would be the larger part of it. */
  #tagsOf({ name, meta }: RemoteMember): Readonly<Record<string, string>> {
    const known = this.#host.table.get(name);
    return known !== undefined && isSameBytes(known.meta, meta) ? known.tags : decodeTags(meta);
  }
}

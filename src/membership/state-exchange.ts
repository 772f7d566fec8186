/**
 * Push/pull: everything two members know, each to the other. What comes is refused as a whole when its versions exclude
 * ours or when it is another cluster; else it is taken in one by one, like rumors. memberlist: state.go, pushPullNode.
 */
import {
  decodeSerfState,
  decodeTags,
  encodePushPull,
  encodeSerfState,
  type PushPull,
  type RemoteMember,
} from "../wire/gossip/index.ts";
import { isSameBytes } from "./address.ts";
import type { MemberEvent } from "./effect.ts";
import { CLUSTER_TAG, PROTOCOL_TAG } from "./member.ts";
import type { MemberTable } from "./member-table.ts";
import type { Rumors } from "./rumors.ts";
import type { SerfDelegate } from "./serf-delegate.ts";
import { findIncompatibility } from "./versions.ts";

export interface StateExchangeHost {
  readonly cluster: string;
  readonly table: MemberTable;
  readonly rumors: Rumors;
  readonly serf: SerfDelegate;
  /** Of our own tables; goes along. */
  readonly localState: () => Uint8Array;
  readonly onDigest: (digest: Uint8Array) => void;
  readonly tell: (event: MemberEvent) => void;
  readonly drop: (reason: string) => void;
}

export class StateExchange {
  readonly #host: StateExchangeHost;

  constructor(host: StateExchangeHost) {
    this.#host = host;
  }

  /** Everything this node knows. */
  encode(isJoin: boolean): Uint8Array {
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

  /** False when nothing of it was believed. */
  merge(theirs: PushPull, nowMs: number): boolean {
    const refusal = this.#findRefusal(theirs);
    if (refusal !== null) {
      this.#host.drop(refusal.type);
      this.#host.tell(refusal);
      return false;
    }
    for (const member of theirs.members) this.#host.rumors.onRemoteMember(member, nowMs);
    const state = theirs.userState.length === 0 ? null : decodeSerfState(theirs.userState);
    if (state !== null) this.#host.serf.mergeState(state);
    if (state !== null && state.digest.length > 0) this.#host.onDigest(state.digest);
    return true;
  }

  /** Versions that exclude each other, or a whole cluster of another name. */
  #findRefusal({
    members,
  }: PushPull): Extract<MemberEvent, { type: "other-cluster" | "incompatible" }> | null {
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

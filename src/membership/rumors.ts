/**
 * What is said about members, and what becomes of it: alive, suspect and dead, by incarnation. Only a member itself
 * raises its incarnation; whoever is called dead and is not, says so with a higher one. [SWIM §4.2], memberlist: state.go
 *
 * Deviates: a death with a higher incarnation than the one known is remembered, and a stale word of life about a dead
 * member is answered with its death, so that no old packet raises the dead; an accusation that could not be refuted is
 * not believed; a dead member may come back at another address at once.
 */
import { type AliveMessage, decodeTags, encodeMessage, type RemoteMember } from "../wire/gossip/index.ts";
import { type Address, isSameAddress, isSameBytes } from "./address.ts";
import type { Awareness } from "./awareness.ts";
import type { MemberEvent } from "./effect.ts";
import { CLUSTER_TAG, MemberRecord, PROTOCOL_TAG } from "./member.ts";
import type { MemberTable } from "./member-table.ts";
import type { Profile } from "./profile.ts";
import { Suspicion } from "./suspicion.ts";
import { isUsable } from "./versions.ts";

const MAX_INCARNATION = 0xffff_ffff;
/** Of a DNS name and more; members keep each name in several places. */
export const MAX_NAME_BYTES = 255;
/** [memberlist memberlist.go, "MetaMaxSize"] */
export const MAX_META_BYTES = 512;

export interface RumorHost {
  readonly profile: Profile;
  readonly table: MemberTable;
  readonly awareness: Awareness;
  readonly self: string;
  readonly cluster: string;
  readonly isLeaving: () => boolean;
  /** Replaces what is queued about the member. */
  readonly broadcast: (about: string, message: Uint8Array) => void;
  readonly tell: (event: MemberEvent) => void;
  /** Input that is not believed, by reason. */
  readonly drop: (reason: string) => void;
}

export class Rumors {
  readonly #host: RumorHost;

  constructor(host: RumorHost) {
    this.#host = host;
  }

  onAlive(said: AliveMessage, nowMs: number): void {
    const { table, self, isLeaving, drop } = this.#host;
    const isSelf = said.node === self;
    if (isSelf && isLeaving()) return;
    if (said.incarnation === 0) return drop("incarnation-0");
    if (said.incarnation === MAX_INCARNATION) return drop("last-incarnation");
    if (said.address.length !== 4 && said.address.length !== 16) return drop("bad-address");
    if (said.meta.length > MAX_META_BYTES) return drop("too-much-meta");
    if (!isUsable(said.versions)) return this.#refuseVersions(said);
    const known = table.get(said.node);
    const record = known ?? this.#insert(said, nowMs);
    if (record === null || this.#isOfOtherCluster(record, said)) return;
    if (isSelf) return this.#onAliveSelf(record, said);
    const address = { ip: said.address, port: said.port };
    const hasMoved = known !== undefined && !isSameAddress(record.address, address);
    if (hasMoved && record.isLive) {
      return this.#host.tell({ type: "conflict", name: said.node, known: record.address, other: address });
    }
    if (!hasMoved && said.incarnation <= record.incarnation)
      return this.#onStaleAlive(record, said.incarnation);
    this.#comesAlive(record, said, address, nowMs);
  }

  onSuspect(name: string, incarnation: number, from: string, nowMs: number): void {
    const { table, self, profile, tell } = this.#host;
    const record = table.get(name);
    if (record === undefined || incarnation < record.incarnation) return;
    if (name === self) return this.#refute(incarnation, from);
    if (incarnation === MAX_INCARNATION && from !== self) return this.#host.drop("unrefutable");
    if (record.suspicion !== null) {
      if (record.suspicion.confirm(from)) {
        table.suspicions.add(record);
        this.#broadcastAccusation("suspect", name, incarnation, from);
      }
      return;
    }
    if (record.state !== "alive") return;
    record.incarnation = incarnation;
    record.enter("suspect", nowMs);
    record.suspicion = new Suspicion(profile, table.size, from, nowMs);
    table.suspicions.add(record);
    this.#broadcastAccusation("suspect", name, incarnation, from);
    tell({ type: "suspected", name });
  }

  onDead(name: string, incarnation: number, from: string, nowMs: number): void {
    const { table, self, isLeaving, tell } = this.#host;
    const record = table.get(name);
    if (record === undefined || incarnation < record.incarnation) return;
    if (name === self && !isLeaving()) return this.#refute(incarnation, from);
    if (name !== self && from !== self && incarnation === MAX_INCARNATION)
      return this.#host.drop("unrefutable");
    const wasLive = record.isLive;
    record.incarnation = incarnation;
    if (!wasLive) return;
    record.enter(from === name ? "left" : "dead", nowMs);
    this.#broadcastAccusation("dead", name, incarnation, from);
    tell({ type: from === name ? "left" : "failed", name });
  }

  /** The time of a suspect is over: acts as if somebody had said that it is dead. */
  expire(record: MemberRecord, nowMs: number): void {
    this.onDead(record.name, record.incarnation, this.#host.self, nowMs);
  }

  /** A death that others know of is only a suspicion here, so that whoever lives can still say so. */
  onRemoteMember(member: RemoteMember, nowMs: number): void {
    const { name: node, incarnation } = member;
    if (incarnation === MAX_INCARNATION) return this.#host.drop("last-incarnation");
    switch (member.state) {
      case "alive":
        this.onAlive({ ...member, type: "alive", node }, nowMs);
        break;
      case "left":
        this.onDead(node, incarnation, node, nowMs);
        break;
      case "dead":
      case "suspect":
        this.onSuspect(node, incarnation, this.#host.self, nowMs);
    }
  }

  /** This node has changed: everybody hears of it, and believes it rather than what they have. */
  renewSelf(): void {
    const record = this.#host.table.get(this.#host.self)!;
    record.incarnation = Math.min(record.incarnation + 1, MAX_INCARNATION);
    this.announceSelf();
  }

  /** This node as it is now, for everybody. */
  announceSelf(): void {
    const record = this.#host.table.get(this.#host.self)!;
    const { incarnation, address, meta, versions } = record;
    const alive: AliveMessage = {
      type: "alive",
      incarnation,
      node: record.name,
      address: address.ip,
      port: address.port,
      meta,
      versions,
    };
    this.#host.broadcast(record.name, encodeMessage(alive));
  }

  #insert(said: AliveMessage, nowMs: number): MemberRecord | null {
    const { table, drop, self, tell } = this.#host;
    if (said.node === "" || said.node === self || said.node.length > MAX_NAME_BYTES) {
      drop("bad-name");
      return null;
    }
    const record = new MemberRecord(
      said.node,
      { ip: said.address, port: said.port },
      said.meta,
      said.versions,
      nowMs,
    );
    if (this.#isOfOtherCluster(record, said)) return null;
    if (table.isFull) {
      drop("too-many-members");
      tell({ type: "too-many", name: said.node, members: table.size });
      return null;
    }
    table.insert(record);
    return record;
  }

  #isOfOtherCluster(record: MemberRecord, said: AliveMessage): boolean {
    const tags = isSameBytes(said.meta, record.meta) ? record.tags : decodeTags(said.meta);
    const cluster = tags[CLUSTER_TAG] ?? "";
    if (tags[PROTOCOL_TAG] === undefined || cluster === this.#host.cluster) return false;
    const address = { ip: said.address, port: said.port };
    this.#host.tell({ type: "other-cluster", name: said.node, cluster, address });
    return true;
  }

  #refuseVersions({ node, versions }: AliveMessage): void {
    this.#host.drop("incompatible");
    const reason = `its versions are [${[...versions].join(" ")}]`;
    this.#host.tell({ type: "incompatible", name: node, reason });
  }

  /** An echo of an earlier life, or somebody else under this node's name. */
  #onAliveSelf(record: MemberRecord, said: AliveMessage): void {
    const address = { ip: said.address, port: said.port };
    if (!isSameAddress(record.address, address)) {
      return this.#host.tell({ type: "conflict", name: said.node, known: record.address, other: address });
    }
    if (said.incarnation < record.incarnation) return;
    const isEcho = isSameBytes(said.meta, record.meta) && isSameBytes(said.versions, record.versions);
    if (said.incarnation === record.incarnation && isEcho) return;
    this.#refute(said.incarnation, said.node);
  }

  #onStaleAlive(record: MemberRecord, incarnation: number): void {
    if (record.isLive || incarnation > record.incarnation) return;
    const from = record.state === "left" ? record.name : this.#host.self;
    this.#broadcastAccusation("dead", record.name, record.incarnation, from);
  }

  #comesAlive(record: MemberRecord, said: AliveMessage, address: Address, nowMs: number): void {
    const { tell, broadcast } = this.#host;
    const before = record.state;
    const hasOtherMeta = !isSameBytes(record.meta, said.meta);
    record.incarnation = said.incarnation;
    record.address = address;
    record.describe(hasOtherMeta ? said.meta : record.meta, said.versions);
    if (before === "alive") record.suspicion = null;
    else record.enter("alive", nowMs);
    broadcast(record.name, encodeMessage(said));
    if (before === "dead" || before === "left") tell({ type: "joined", name: record.name });
    else if (before === "suspect") tell({ type: "cleared", name: record.name });
    if ((before === "alive" || before === "suspect") && hasOtherMeta)
      tell({ type: "updated", name: record.name });
  }

  #refute(accusedIncarnation: number, by: string): void {
    const { table, self, awareness, isLeaving, tell, drop } = this.#host;
    if (isLeaving()) return;
    if (accusedIncarnation === MAX_INCARNATION) return drop("unrefutable");
    const record = table.get(self)!;
    record.incarnation = Math.min(Math.max(record.incarnation, accusedIncarnation) + 1, MAX_INCARNATION);
    awareness.add(1);
    this.announceSelf();
    tell({ type: "refuted", by });
  }

  #broadcastAccusation(type: "suspect" | "dead", node: string, incarnation: number, from: string): void {
    this.#host.broadcast(node, encodeMessage({ type, incarnation, node, from }));
  }
}

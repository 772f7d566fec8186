/**
 * Applies updates about members: alive, suspect and dead, by incarnation. Only a member itself
 * raises its incarnation; a live member that is called dead refutes it with a higher one. [SWIM §4.2], memberlist: state.go
 *
 * Deviates: a death with a higher incarnation than the one known is remembered, and a stale word of life about a dead
 * member is answered with its death, so that no old packet raises the dead; a dead member may come back at another
 * address at once; incarnations that are far from what is known (incarnation.ts) are believed only about this node, which
 * refutes them, and of a member that says them itself; a suspicion takes over the newer incarnation of a later suspect
 * message.
 */
import {
  type AliveMessage,
  type DeadMessage,
  decodeTags,
  encodeMessage,
  type RemoteMember,
} from "../wire/gossip/index.ts";
import { type Address, isSameAddress, isSameBytes } from "./address.ts";
import type { Awareness } from "./awareness.ts";
import type { Conflicts } from "./conflicts.ts";
import type { Effects } from "./effect.ts";
import { compareIncarnations, type IncarnationOrder, nextIncarnation } from "./incarnation.ts";
import { CLUSTER_TAG, MemberRecord, PROTOCOL_TAG } from "./member.ts";
import type { MemberTable } from "./member-table.ts";
import type { Packets } from "./packets.ts";
import type { Profile } from "./profile.ts";
import { Suspicion } from "./suspicion.ts";
import { isUsable } from "./versions.ts";

/** Of a DNS name and more; members keep each name in several places. */
export const MAX_NAME_BYTES = 255;
/** [memberlist memberlist.go, "MetaMaxSize"] */
export const MAX_META_BYTES = 512;

/** That a member is suspected or dead, and who says so: itself when it leaves. */
type Accusation = Pick<DeadMessage, "node" | "incarnation" | "from">;

export interface MemberUpdatesHost {
  readonly profile: Profile;
  readonly table: MemberTable;
  readonly awareness: Awareness;
  readonly self: string;
  readonly cluster: string;
  readonly isLeaving: () => boolean;
  readonly packets: Packets;
  readonly effects: Effects;
  /** Of other members' names. */
  readonly conflicts: Conflicts;
}

export class MemberUpdates {
  readonly #host: MemberUpdatesHost;

  constructor(host: MemberUpdatesHost) {
    this.#host = host;
  }

  /** @param source whose packet or answer it came with; null: not known */
  onAlive(said: AliveMessage, nowMs: number, source: Address | null = null): void {
    const { table, self, isLeaving, effects } = this.#host;
    const isSelf = said.node === self;
    if (isSelf && isLeaving()) return;
    if (said.address.length !== 4 && said.address.length !== 16) return effects.drop("bad-address");
    if (said.meta.length > MAX_META_BYTES) return effects.drop("too-much-meta");
    if (!isUsable(said.versions)) return this.#refuseVersions(said);
    const known = table.get(said.node);
    if (known === undefined && said.incarnation === 0) return effects.drop("incarnation-0");
    const record = known ?? this.#insert(said, nowMs);
    if (record === null || this.#isOfOtherCluster(record, said)) return;
    if (isSelf) return this.#onAliveSelf(record, said);
    const address = addressIn(said);
    const hasMoved = known !== undefined && !isSameAddress(record.address, address);
    if (hasMoved && isEchoOfFormerAddress(record, said)) return;
    if (hasMoved && record.isLive)
      return this.#host.conflicts.note(record.name, record.address, address, nowMs);
    if (hasMoved || known === undefined) return this.#comesAlive(record, said, address, nowMs);
    const order = compareIncarnations(said.incarnation, record.incarnation);
    if (order === "newer") return this.#comesAlive(record, said, address, nowMs);
    if (order !== "far") return this.#onStaleAlive(record, order);
    effects.drop("implausible-incarnation");
    const isFromItself = source !== null && isSameAddress(source, record.address);
    if (isFromItself) this.#comesAlive(record, said, address, nowMs, false);
    else this.#onStaleAlive(record, order);
  }

  /** @param source as of onAlive */
  onSuspect(said: Accusation, nowMs: number, source: Address | null = null): void {
    const { table, self, profile, effects } = this.#host;
    const record = table.get(said.node);
    if (record === undefined) return;
    if (said.node === self) return this.#onAccused(record, said, source);
    if (record.state === "left") return this.#onLeftSuspected(record, said, source);
    if (!this.#isPlausible(record, said.incarnation) || !record.isLive) return;
    record.incarnation = said.incarnation; // of the death that may follow: members that know it would not believe an older one
    const isNew = record.state === "alive";
    if (isNew) {
      record.enter("suspect", nowMs);
      record.suspicion = new Suspicion(profile, table.size, said.from, nowMs);
    } else if (record.suspicion?.confirm(said.from) !== true) return;
    table.suspicions.add(record);
    this.#broadcastAccusation("suspect", said);
    if (isNew) effects.notify({ type: "suspected", name: said.node });
  }

  /** @param source as of onAlive */
  onDead(said: Accusation, nowMs: number, source: Address | null = null): void {
    const { table, self, isLeaving, effects } = this.#host;
    const { node, incarnation, from } = said;
    const record = table.get(node);
    if (record === undefined) return;
    if (node === self && !isLeaving()) return this.#onAccused(record, said, source);
    if (!this.#isPlausible(record, incarnation)) return;
    const wasLive = record.isLive;
    record.incarnation = incarnation;
    if (!wasLive) return;
    record.enter(from === node ? "left" : "dead", nowMs);
    this.#broadcastAccusation("dead", said);
    effects.notify({ type: from === node ? "left" : "failed", name: node });
  }

  /**
   * A goodbye and a newer sign of life in one packet: the member has another address. Members of memberlist see it leave
   * and come back; for ours it stays alive all the time.
   */
  onMove(left: DeadMessage, said: AliveMessage, nowMs: number, source: Address | null): void {
    const record = this.#host.table.get(said.node);
    const address = addressIn(said);
    const isMove =
      record !== undefined &&
      said.node !== this.#host.self &&
      record.isLive &&
      !isSameAddress(record.address, address) &&
      compareIncarnations(left.incarnation, record.incarnation) !== "older" &&
      this.#isPlausible(record, said.incarnation) &&
      isSameBytes(said.meta, record.meta);
    const isSound = (said.address.length === 4 || said.address.length === 16) && isUsable(said.versions);
    if (!isMove || !isSound) {
      this.onDead(left, nowMs, source);
      return this.onAlive(said, nowMs, source);
    }
    this.#comesAlive(record, said, address, nowMs);
    this.#host.effects.notify({ type: "moved", name: said.node });
  }

  /** The time of a suspect is over: acts as on a dead message. */
  expire({ name: node, incarnation }: MemberRecord, nowMs: number): void {
    this.onDead({ node, incarnation, from: this.#host.self }, nowMs);
  }

  /** A death that others know of is only a suspicion here, so that a live member can still refute it. */
  onRemoteMember(member: RemoteMember, nowMs: number, source: Address | null): void {
    const { name: node, incarnation } = member;
    switch (member.state) {
      case "alive":
        this.onAlive({ ...member, type: "alive", node }, nowMs, source);
        break;
      case "left":
        this.onDead({ node, incarnation, from: node }, nowMs, source);
        break;
      case "dead":
      case "suspect":
        this.onSuspect({ node, incarnation, from: this.#host.self }, nowMs, source);
    }
  }

  /** This node has changed: broadcasts it under a new incarnation. */
  renewSelf(): void {
    const record = this.#host.table.get(this.#host.self)!;
    record.incarnation = nextIncarnation(record.incarnation);
    this.announceSelf();
  }

  /**
   * This node has another address. Other members would not accept that from a live member, so it says goodbye first, as memberlist
   * demands. Gives both messages, in order, for one packet to each member.
   */
  moveSelf(address: Address): readonly [left: Uint8Array, alive: Uint8Array] {
    const record = this.#host.table.get(this.#host.self)!;
    const { name } = record;
    record.incarnation = nextIncarnation(record.incarnation);
    const left = encodeMessage({ type: "dead", incarnation: record.incarnation, node: name, from: name });
    record.moveTo(address);
    this.renewSelf();
    return [left, this.#aliveSelf()];
  }

  /** Broadcasts this node as it is now. */
  announceSelf(): void {
    this.#host.packets.broadcast(this.#host.self, this.#aliveSelf());
  }

  #aliveSelf(): Uint8Array {
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
    return encodeMessage(alive);
  }

  #insert(said: AliveMessage, nowMs: number): MemberRecord | null {
    const { table, self, effects } = this.#host;
    if (!isUsableName(said.node) || said.node === self) {
      effects.drop("bad-name");
      return null;
    }
    const record = new MemberRecord(said.node, addressIn(said), said.meta, said.versions, nowMs);
    if (this.#isOfOtherCluster(record, said)) return null;
    if (table.isFull) {
      effects.drop("too-many-members");
      effects.notify({ type: "too-many", name: said.node, members: table.size });
      return null;
    }
    table.insert(record);
    return record;
  }

  #isOfOtherCluster(record: MemberRecord, said: AliveMessage): boolean {
    const tags = isSameBytes(said.meta, record.meta) ? record.tags : decodeTags(said.meta);
    const cluster = tags[CLUSTER_TAG] ?? "";
    if (tags[PROTOCOL_TAG] === undefined || cluster === this.#host.cluster) return false;
    const address = addressIn(said);
    this.#host.effects.notify({ type: "other-cluster", name: said.node, cluster, address });
    return true;
  }

  #refuseVersions({ node, versions }: AliveMessage): void {
    this.#host.effects.drop("incompatible");
    const reason = `its versions are [${[...versions].join(" ")}]`;
    this.#host.effects.notify({ type: "incompatible", name: node, reason });
  }

  /** An echo of an earlier life, or another node under this node's name. */
  #onAliveSelf(record: MemberRecord, said: AliveMessage): void {
    const { effects } = this.#host;
    const address = addressIn(said);
    if (!isSameAddress(record.address, address)) {
      if (isEchoOfFormerAddress(record, said)) return;
      return effects.notify({ type: "conflict", name: record.name, known: record.address, other: address });
    }
    const order = compareIncarnations(said.incarnation, record.incarnation);
    if (order === "older") return;
    const isEcho = isSameBytes(said.meta, record.meta) && isSameBytes(said.versions, record.versions);
    if (order === "same" && isEcho) return;
    // They know it by another number, as alive: what it says next must be newer than that, more is not needed.
    if (order === "far" && isEcho) record.incarnation = said.incarnation;
    else this.#refute(said.incarnation, said.node, null);
  }

  /** Alive again is who says so with a newer number; who has said so with an older one hears of the death. */
  #onStaleAlive(record: MemberRecord, order: IncarnationOrder): void {
    if (record.isLive || order === "newer") return;
    const from = record.state === "left" ? record.name : this.#host.self;
    this.#broadcastAccusation("dead", { node: record.name, incarnation: record.incarnation, from });
  }

  /** Only a member that missed the goodbye hands on such a suspicion: it would report a failure. */
  #onLeftSuspected({ name, incarnation }: MemberRecord, said: Accusation, source: Address | null): void {
    const order = compareIncarnations(said.incarnation, incarnation);
    if (source === null || order === "newer" || order === "far") return;
    const left = encodeMessage({ type: "dead", incarnation, node: name, from: name });
    this.#host.packets.send(source, [left], false);
  }

  /** Of a claim that another member is not alive: not older than what is known, and not far from it. */
  #isPlausible(record: MemberRecord, incarnation: number): boolean {
    const order = compareIncarnations(incarnation, record.incarnation);
    if (order === "far") this.#host.effects.drop("implausible-incarnation");
    return order === "same" || order === "newer";
  }

  /** An old accusation is answered at its source only: no other member needs to hear it. */
  #onAccused(record: MemberRecord, { incarnation, from }: Accusation, source: Address | null): void {
    const order = compareIncarnations(incarnation, record.incarnation);
    if (order !== "older") return this.#refute(incarnation, from, order === "far" ? source : null);
    if (source !== null && !this.#host.isLeaving())
      this.#host.packets.send(source, [this.#aliveSelf()], false);
  }

  /** @param isHandedOn false: others who know it by another number would not believe it */
  #comesAlive(
    record: MemberRecord,
    said: AliveMessage,
    address: Address,
    nowMs: number,
    isHandedOn = true,
  ): void {
    const { effects, packets } = this.#host;
    const before = record.state;
    const hasOtherMeta = !isSameBytes(record.meta, said.meta);
    record.incarnation = said.incarnation;
    record.moveTo(address);
    record.describe(hasOtherMeta ? said.meta : record.meta, said.versions);
    if (before === "alive") record.suspicion = null;
    else record.enter("alive", nowMs);
    if (isHandedOn) packets.broadcast(record.name, encodeMessage(said));
    if (before === "dead" || before === "left") effects.notify({ type: "joined", name: record.name });
    else if (before === "suspect") effects.notify({ type: "cleared", name: record.name });
    if ((before === "alive" || before === "suspect") && hasOtherMeta)
      effects.notify({ type: "updated", name: record.name });
  }

  /** @param source hears of it at once: others may not believe what it said, and so not hand on the answer */
  #refute(accusedIncarnation: number, by: string, source: Address | null): void {
    const { table, self, awareness, isLeaving, effects, packets } = this.#host;
    if (isLeaving()) return;
    table.get(self)!.incarnation = nextIncarnation(accusedIncarnation);
    awareness.add(1);
    this.announceSelf();
    if (source !== null) packets.send(source, [this.#aliveSelf()], false);
    effects.notify({ type: "refuted", by });
  }

  #broadcastAccusation(type: "suspect" | "dead", { node, incarnation, from }: Accusation): void {
    this.#host.packets.broadcast(node, encodeMessage({ type, incarnation, node, from }));
  }
}

/** Other members may use any bytes; control characters are refused, because names are logged and printed. */
function isUsableName(name: string): boolean {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are the ones
  return name !== "" && name.length <= MAX_NAME_BYTES && !/[\x00-\x1f\x7f]/.test(name);
}

/** From a member that has not yet heard of the move. */
function isEchoOfFormerAddress({ formerAddress, incarnation }: MemberRecord, said: AliveMessage): boolean {
  if (formerAddress === null) return false;
  const isThere = isSameAddress(formerAddress, addressIn(said));
  return isThere && compareIncarnations(said.incarnation, incarnation) === "older";
}

function addressIn({ address, port }: AliveMessage): Address {
  return { ip: address, port };
}

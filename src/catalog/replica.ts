/**
 * This node's copy of the table and the rules for changing it: what may be written here, and what is taken over from
 * others. Merging is a join of versions (entry.ts): any order, any repetition of the same entries ends in one table.
 *
 * Of its own rows a node is the only authority. Whatever others still hold of an earlier life of it is superseded by
 * what it has now: equal content keeps the newer stamp, anything else gets a newer one yet, unknown rows a tombstone.
 */

import type { Stamp } from "../model/index.ts";
import { areSpecsEqual } from "../model/index.ts";
import { BroadcastQueue } from "./broadcast-queue.ts";
import { UNKNOWN_COUNTER } from "./definitions.ts";
import {
  compareStamps,
  compareVersions,
  type Entry,
  type EntryHead,
  haveSameContent,
  isTombstone,
  ownerPartition,
  recordBytes,
} from "./entry.ts";
import { buried, makeEntry, openEntry, restamped, type WireEntry } from "./entry-codec.ts";
import { isKnown, isShared, type RowKind } from "./kinds.ts";
import {
  MAX_COUNTER,
  MAX_COUNTER_STEP,
  MAX_OWNED_HELD,
  MAX_OWNERS,
  MAX_REPLACED,
  MAX_SHARED_HELD,
  OWNED_TOMBSTONE_LIFE_MS,
  SERVICE_TOMBSTONE_LIFE_MS,
} from "./limits.ts";
import { isOverwritten, lostEntry, OverwrittenChanges } from "./overwritten.ts";
import { Owners } from "./owners.ts";
import { type EncodedRecord, prepareRecord } from "./record-codec.ts";
import type { DeclarationRecord, NodeDirective, TaskRecord } from "./records.ts";
import { SharedSpecs } from "./shared-specs.ts";
import { SteadyTime } from "./steady-time.ts";
import { sharedGroup, Table } from "./table.ts";

/** Why an entry was not taken. `value`: its record or names are not valid; `limit`: there are too many already. */
export type WriteError = "value" | "counter" | "limit" | "forgotten";
/** `learned`: the table has changed; `known`: we have this version or a newer one. */
export type Outcome = "learned" | "known" | WriteError;

/** Lives are hours and days. */
const REAP_INTERVAL_MS = 10_000;

/** Of a newer version, or damaged by its writer: kept and relayed, and not used. */
export interface UnreadableRecord {
  readonly kind: RowKind;
  readonly key: string;
  /** Its writer. */
  readonly node: string;
}

export interface Write {
  readonly kind: RowKind;
  readonly key: string;
  /** null: remove it. */
  readonly encoded: EncodedRecord | null;
  /** Where it is the first version here it is the oldest: what others remember of an earlier life is newer. */
  readonly isPending?: boolean;
}

const OLDEST_COUNTER = 1;
const MAX_NEWER_NODES = 16;

export class Replica {
  readonly time = new SteadyTime();
  readonly table = new Table();
  readonly broadcasts = new BroadcastQueue();
  readonly overwritten = new OverwrittenChanges();
  readonly #specs = new SharedSpecs();
  readonly owners: Owners;
  /** Entries from others that were not taken. */
  readonly refused: Record<WriteError, number> = { value: 0, counter: 0, limit: 0, forgotten: 0 };
  /** Something was written that no packet can carry: do not wait with the next anti-entropy. */
  hasLargeNews = false;
  /** Writers of records that this version cannot read; at most MAX_NEWER_NODES. */
  readonly #newerNodes = new Set<string>();
  #unreadable: UnreadableRecord[] = [];
  #reapedAtMs = 0;
  #counter = 0;
  #revision = 0;

  constructor(readonly self: string) {
    this.owners = new Owners(self);
  }

  /** Lamport counter of the last write seen. */
  get counter(): number {
    return this.#counter;
  }

  /** Rises when what readers see may have changed. */
  get revision(): number {
    return this.#revision;
  }

  /** Another's counter: our next write is later than everything it has seen. Absurd ones are passed over. */
  witness(counter: number): boolean {
    if (counter > MAX_COUNTER || counter > this.#counter + MAX_COUNTER_STEP) return false;
    if (counter > this.#counter) this.#counter = counter;
    return true;
  }

  /** One of this node's writes; the record has been checked. Equal content is not written again. */
  write({ kind, key, encoded, isPending = false }: Write): void {
    const previous = this.table.get(kind, key, this.self);
    if (saysAlready(previous, encoded)) return;
    const isOldest = isPending && previous === undefined && this.witness(OLDEST_COUNTER);
    const stamp = isOldest ? { counter: OLDEST_COUNTER, node: this.self } : this.#nextStamp();
    const replaces = kind === "service" ? versionsUpTo(previous) : [];
    const entry = makeEntry(kind, key, stamp, encoded, this.time.nowMs, replaces);
    if ("problem" in entry) throw new Error(`cannot write ${kind} ${key}: ${entry.problem}`); // was checked before
    this.#putOwn(entry);
  }

  /** An entry from another node. `isBroadcast`: it came by gossip and goes on by gossip. */
  receive(wire: WireEntry, isBroadcast: boolean): Outcome {
    const outcome = this.#merge(wire, isBroadcast);
    if (outcome !== "learned" && outcome !== "known") this.refused[outcome]++;
    return outcome;
  }

  /** An entry that the snapshot kept. @param name of this node then: its tasks and its file are still its own. */
  restore(entry: Entry, name: string): void {
    this.witness(entry.stamp.counter);
    if (!isShared(entry.kind) && entry.stamp.node === name && name !== this.self) {
      const { kind, key, record } = entry;
      return this.write({
        kind,
        key,
        encoded: isTombstone(entry) ? null : { record, value: recordBytes(entry) },
      });
    }
    if (this.#isForgotten(entry)) return;
    const current = this.table.getLike(entry);
    if (current === undefined || compareVersions(current, entry) < 0) this.#put(entry);
  }

  /** Services with versions that were lost and that other nodes may not have heard of, each before what was lost to it. */
  recentlyLost(): Entry[] {
    const services = new Set(this.overwritten.recent(this.time.nowMs).map(({ service }) => service));
    return [...services].flatMap((service) => {
      const entry = this.table.get("service", service, this.self);
      return entry === undefined ? [] : [entry, ...this.lostTo(entry)];
    });
  }

  /** For a node that gets this entry first: what was lost to it. */
  lostTo({ kind, key }: EntryHead): Entry[] {
    return kind === "service" ? this.overwritten.of(key).map((change) => lostEntry(change, this.time)) : [];
  }

  /** The first record of each node that this version cannot read, if it was seen since it was asked last. */
  takeUnreadable(): readonly UnreadableRecord[] {
    const unreadable = this.#unreadable;
    this.#unreadable = [];
    return unreadable;
  }

  setLive(names: Iterable<string>): void {
    const withRows = [...this.table.partitions.values()].flatMap(({ owner }) => owner ?? []);
    const changed = this.owners.setLive(names, withRows, this.time.nowMs);
    if (changed.length > 0) this.#revision++;
    for (const owner of changed) this.#obeyForgetDirective(owner);
  }

  /** Drops a row of another node because that node has said it is none of its own. */
  disown(owner: string, entry: Entry): void {
    if (isShared(entry.kind) || entry.stamp.node !== owner || owner === this.self) return;
    this.#drop(entry);
  }

  /** A dead owner of whom nothing older is to be learned again. */
  hasForgotten(owner: string): boolean {
    return !this.owners.isLive(owner) && this.owners.forgottenCounter(owner, this.time.nowMs) > 0;
  }

  /** Removes what is past its time. Called often, it looks every now and then. */
  reap(): void {
    const nowMs = this.time.nowMs;
    if (nowMs - this.#reapedAtMs < REAP_INTERVAL_MS) return;
    this.#reapedAtMs = nowMs;
    this.table.removeTombstones(nowMs - SERVICE_TOMBSTONE_LIFE_MS, nowMs - OWNED_TOMBSTONE_LIFE_MS);
    for (const owner of this.owners.expired(nowMs)) this.#forget(owner, Number.POSITIVE_INFINITY);
    this.broadcasts.expire(nowMs);
  }

  #merge(wire: WireEntry, isBroadcast: boolean): Outcome {
    const current = this.table.getLike(wire);
    if (current !== undefined && compareVersions(wire, current) <= 0) return this.#keep(current, wire);
    if (!this.#canWitness(wire.stamp.counter)) return "counter";
    if (this.#isForgotten(wire)) return "forgotten";
    if (this.#isExpired(wire)) return "known";
    if (this.#isTooMany(wire, current)) return "limit";
    const entry = openEntry(wire);
    if ("problem" in entry) return "value";
    this.witness(entry.stamp.counter);
    const isOurs = !isShared(entry.kind) && entry.stamp.node === this.self;
    if (isOurs) return this.#resolveOwn(entry, current);
    if (isBroadcast) this.broadcasts.add(entry, false, this.time.nowMs);
    this.#put(entry);
    if (current !== undefined && isOverwritten(entry, current)) this.#noteOverwritten(entry, current);
    return "learned";
  }

  /** Nothing new, but of equal tombstones the older age is the right one. */
  #keep(current: Entry, wire: WireEntry): Outcome {
    if (isTombstone(wire) && compareVersions(current, wire) === 0) {
      current.bornAtMs = Math.min(current.bornAtMs, wire.bornAtMs);
    }
    if (wire.kind === "service" && isOverwritten(current, wire)) {
      const lost = openEntry(wire);
      if (!("problem" in lost)) this.#noteOverwritten(current, lost);
    }
    return "known";
  }

  /** Other nodes with the winner have not seen what was lost: they learn it by gossip, or later by anti-entropy. */
  #noteOverwritten(winner: Entry, loser: Entry): void {
    if (isUnreadable(winner) || isUnreadable(loser)) return;
    if (!this.overwritten.note(winner, loser, this.time)) return;
    this.broadcasts.addLost(loser, this.time.nowMs);
    this.#revision++;
  }

  /** A version of our own row that is newer than ours: we wrote it before we lost our memory. */
  #resolveOwn(entry: Entry, current: Entry | undefined): Outcome {
    if (current !== undefined && !haveSameContent(current, entry)) this.#putOwn(this.#merged(current, entry));
    else if (current !== undefined || isTombstone(entry) || !isKnown(entry.kind)) this.#put(entry);
    else this.#putOwn(buried(entry, this.#nextStamp(), this.time.nowMs));
    return "learned";
  }

  /** What we have, newer than the version of an earlier life; a declaration is as old as both know. */
  #merged(current: Entry, earlier: Entry): Entry {
    const stamp = this.#nextStamp();
    if (current.kind !== "declaration" || current.record === null || earlier.record === null) {
      return restamped(current, stamp);
    }
    const record = mergedDeclaration(
      current.record as DeclarationRecord,
      earlier.record as DeclarationRecord,
      stamp,
    );
    const encoded = prepareRecord("declaration", current.key, record);
    if ("problem" in encoded) return restamped(current, stamp);
    const merged = makeEntry("declaration", current.key, stamp, encoded, this.time.nowMs);
    return "problem" in merged ? restamped(current, stamp) : merged;
  }

  #putOwn(entry: Entry): void {
    if (!this.broadcasts.add(entry, true, this.time.nowMs)) this.hasLargeNews = true;
    this.#put(entry);
  }

  /** May write further rows, and this one again: whatever is to be gossiped of the entry is in the queue before. */
  #put(written: Entry): void {
    const entry = this.#specs.share(written);
    const previous = this.table.getLike(entry);
    this.table.put(entry);
    if (!isShared(entry.kind)) this.owners.noticeRows(entry.stamp.node, this.time.nowMs);
    if (isUnreadable(entry)) this.#noteUnreadable(entry);
    if (previous === undefined ? !isTombstone(entry) : !haveSameContent(previous, entry))
      this.#noteChange(entry);
    if (entry.kind === "service" && isTombstone(entry)) this.#removeTasksOf(entry);
    if (entry.kind === "directive") this.#obeyForgetDirective(entry.key);
  }

  #noteUnreadable({ kind, key, stamp }: Entry): void {
    const { node } = stamp;
    if (this.#newerNodes.has(node) || this.#newerNodes.size >= MAX_NEWER_NODES) return;
    this.#newerNodes.add(node);
    this.#unreadable.push({ kind, key, node });
  }

  /** Readers may see it. */
  #noteChange(entry: EntryHead): void {
    const isVisible = isShared(entry.kind) || entry.kind === "declaration";
    if (isVisible || this.owners.isLive(entry.stamp.node)) this.#revision++;
  }

  #drop(entry: Entry): void {
    this.table.remove(entry);
    if (!isTombstone(entry)) this.#noteChange(entry);
  }

  /** Tasks made by command go with their service; those of the file stay as long as the file says so. */
  #removeTasksOf(service: Entry): void {
    if (this.#isDeclared(service.key)) return;
    const prefix = `${service.key}\0`;
    for (const entry of [...(this.table.rowsOf(this.self)?.values() ?? [])]) {
      if (entry.kind !== "task" || entry.record === null || !entry.key.startsWith(prefix)) continue;
      const isOlder = entry.stamp.counter < service.stamp.counter;
      if (isOlder && (entry.record as TaskRecord).origin === "api") {
        this.write({ kind: "task", key: entry.key, encoded: null });
      }
    }
  }

  #isDeclared(service: string): boolean {
    const owners = [...this.table.partitions.values()].flatMap(({ owner }) => owner ?? []);
    return owners.some((owner) => {
      const declaration = this.table.get("declaration", service, owner);
      return declaration !== undefined && !isTombstone(declaration);
    });
  }

  /**
   * A directive to forget drops what a dead node wrote before the directive. Live nodes keep their rows; the node itself,
   * if it is alive after all, writes its rows again, for nodes that had dropped them, and withdraws the directive.
   */
  #obeyForgetDirective(node: string): void {
    const counter = this.#forgetDirectiveCounter(node);
    if (counter === 0) return;
    if (!this.owners.isLive(node)) this.#forget(node, counter);
    if (node !== this.self) return;
    for (const entry of [...(this.table.rowsOf(node)?.values() ?? [])]) {
      if (!isTombstone(entry)) this.#putOwn(restamped(entry, this.#nextStamp()));
    }
    this.write({ kind: "directive", key: node, encoded: null });
  }

  #forgetDirectiveCounter(node: string): number {
    const entry = this.table.get("directive", node, node);
    return (entry?.record as NodeDirective | null | undefined)?.directive === "forget"
      ? entry!.stamp.counter
      : 0;
  }

  /** Drops rows of a dead owner written before `counter`. */
  #forget(owner: string, counter: number): void {
    const nowMs = this.time.nowMs;
    let last = this.owners.forgottenCounter(owner, nowMs);
    let hadDeclarations = false;
    for (const entry of [...(this.table.rowsOf(owner)?.values() ?? [])]) {
      if (entry.stamp.counter >= counter) continue;
      last = Math.max(last, entry.stamp.counter);
      if (entry.kind === "declaration") hadDeclarations = true;
      this.#drop(entry);
    }
    if (!this.table.partition(ownerPartition(owner))) this.owners.forget(owner, last, hadDeclarations, nowMs);
  }

  #isForgotten({ kind, stamp }: EntryHead): boolean {
    if (isShared(kind) || this.owners.isLive(stamp.node)) return false;
    return (
      stamp.counter <= this.owners.forgottenCounter(stamp.node, this.time.nowMs) ||
      stamp.counter < this.#forgetDirectiveCounter(stamp.node)
    );
  }

  #isExpired(entry: EntryHead): boolean {
    const { kind, bornAtMs } = entry;
    const isOfService = isShared(kind) || kind === "declaration";
    const lifeMs = isOfService ? SERVICE_TOMBSTONE_LIFE_MS : OWNED_TOMBSTONE_LIFE_MS;
    return isTombstone(entry) && this.time.nowMs - bornAtMs >= lifeMs;
  }

  #isTooMany(entry: EntryHead, current: Entry | undefined): boolean {
    const { kind, stamp } = entry;
    if (isTombstone(entry) || (current !== undefined && !isTombstone(current))) {
      return isShared(kind) ? false : this.#isOwnerTooMany(stamp.node);
    }
    if (isShared(kind)) {
      const group = sharedGroup(kind);
      return this.table.liveSharedCount(group) >= MAX_SHARED_HELD[group];
    }
    const partition = this.table.partition(ownerPartition(stamp.node));
    return (partition?.liveCount ?? 0) > MAX_OWNED_HELD || this.#isOwnerTooMany(stamp.node);
  }

  #isOwnerTooMany(owner: string): boolean {
    return this.table.ownerCount >= MAX_OWNERS && this.table.rowsOf(owner) === undefined;
  }

  #canWitness(counter: number): boolean {
    return counter <= MAX_COUNTER && counter <= this.#counter + MAX_COUNTER_STEP;
  }

  #nextStamp(): { counter: number; node: string } {
    this.#counter++;
    return { counter: this.#counter, node: this.self };
  }
}

function saysAlready(previous: Entry | undefined, encoded: EncodedRecord | null): boolean {
  if (previous === undefined || isTombstone(previous) || encoded === null) {
    return (previous === undefined || isTombstone(previous)) && encoded === null;
  }
  const { body, valueAt, valueEnd } = previous;
  const { value } = encoded;
  return value.length === valueEnd - valueAt && value.every((byte, index) => byte === body[valueAt + index]);
}

function isUnreadable(entry: Entry): boolean {
  return entry.record === null && !isTombstone(entry);
}

/** What the next version replaces. */
function versionsUpTo(entry: Entry | undefined): Stamp[] {
  return entry === undefined ? [] : [entry.stamp, ...entry.replaces].slice(0, MAX_REPLACED);
}

/**
 * A declaration and what others remember of it: this node has lost what it knew of its file. An equal one is as old as
 * it ever was; of another one it is known only that the file has changed since.
 */
function mergedDeclaration(
  current: DeclarationRecord,
  earlier: DeclarationRecord,
  stamp: { readonly counter: number; readonly node: string },
): DeclarationRecord {
  const isOlder = compareStamps(earlier.created, current.created) < 0;
  const { created, createdAtMs } = isOlder ? earlier : current;
  const merged = { ...current, created, createdAtMs };
  if (compareStamps(current.changed, earlier.changed) >= 0) return merged;
  if (areSpecsEqual(current.spec, earlier.spec)) {
    return { ...merged, changed: earlier.changed, updatedAtMs: earlier.updatedAtMs };
  }
  return current.changed.counter === UNKNOWN_COUNTER ? merged : { ...merged, changed: stamp };
}

/**
 * The rows, in partitions with a digest each. It stores what it is given: who may write what is decided before
 * (replica.ts). Two tables with equal root digests hold the same rows.
 */
import {
  type Entry,
  type EntryHash,
  type EntryHead,
  isTombstone,
  ownerOf,
  ownerPartition,
  partitionOf,
} from "./entry.ts";
import { isShared, type RowKind, rowId } from "./kinds.ts";
import { MAX_DECLARATION_TOMBSTONES, MAX_OWNED_TOMBSTONES, MAX_SHARED_TOMBSTONES } from "./limits.ts";
import { Tombstones } from "./tombstones.ts";

export interface Partition {
  readonly id: string;
  /** null: shared rows. */
  readonly owner: string | null;
  /** By rowId. */
  readonly rows: ReadonlyMap<string, Entry>;
  readonly hash: EntryHash;
  /** Rows that are no tombstones. */
  readonly liveCount: number;
}

/** Shared rows are limited by kind; those of all unknown kinds together. */
export type SharedGroup = "service" | "directive" | "unknown";

export function sharedGroup(kind: RowKind): SharedGroup {
  return kind === "service" || kind === "directive" ? kind : "unknown";
}

class Rows implements Partition {
  readonly rows = new Map<string, Entry>();
  readonly hash = { high: 0, low: 0 };
  liveCount = 0;

  constructor(
    readonly id: string,
    readonly owner: string | null,
    readonly tombstones: Tombstones,
    /** Of declarations; those of shared rows are one list. */
    readonly serviceTombstones: Tombstones,
  ) {}

  tombstonesFor(kind: RowKind): Tombstones {
    return kind === "declaration" ? this.serviceTombstones : this.tombstones;
  }
}

export class Table {
  /** Empty ones are removed. Bounded by what replica.ts lets in: the buckets and MAX_OWNERS. */
  readonly #partitions = new Map<string, Rows>();
  readonly #sharedTombstones = new Tombstones(MAX_SHARED_TOMBSTONES);
  readonly #rootHash = { high: 0, low: 0 };
  readonly #liveShared: Record<SharedGroup, number> = { service: 0, directive: 0, unknown: 0 };
  #ownerCount = 0;
  #version = 0;

  /** Rises with every change. */
  get version(): number {
    return this.#version;
  }

  get rootHash(): EntryHash {
    return this.#rootHash;
  }

  get partitions(): ReadonlyMap<string, Partition> {
    return this.#partitions;
  }

  /** Owners with rows. */
  get ownerCount(): number {
    return this.#ownerCount;
  }

  liveSharedCount(group: SharedGroup): number {
    return this.#liveShared[group];
  }

  partition(id: string): Partition | undefined {
    return this.#partitions.get(id);
  }

  rowsOf(owner: string): ReadonlyMap<string, Entry> | undefined {
    return this.#partitions.get(ownerPartition(owner))?.rows;
  }

  /** `node` counts for owned rows only. */
  get(kind: RowKind, key: string, node: string): Entry | undefined {
    return this.#partitions.get(partitionOf(kind, key, node))?.rows.get(rowId(kind, key));
  }

  /** The row's other version. */
  getLike(head: EntryHead): Entry | undefined {
    return this.get(head.kind, head.key, head.stamp.node);
  }

  /** Instead of whatever version there was. A tombstone too many makes the oldest one go, which may be this one. */
  put(entry: Entry): void {
    const partition = this.#partitionFor(entry);
    const id = rowId(entry.kind, entry.key);
    const previous = partition.rows.get(id);
    if (previous !== undefined) this.#count(partition, previous, -1);
    partition.rows.set(id, entry);
    this.#count(partition, entry, 1);
    const tombstones = partition.tombstonesFor(entry.kind);
    if (previous !== undefined && isTombstone(previous)) tombstones.remove(previous);
    const surplus = isTombstone(entry) ? tombstones.add(entry) : null;
    if (surplus !== null) this.remove(surplus);
  }

  /** Without a trace. Only this very version: a newer one stays. */
  remove(entry: Entry): void {
    const partition = this.#partitions.get(partitionOf(entry.kind, entry.key, entry.stamp.node));
    const id = rowId(entry.kind, entry.key);
    if (partition?.rows.get(id) !== entry) return;
    partition.rows.delete(id);
    this.#count(partition, entry, -1);
    if (isTombstone(entry)) partition.tombstonesFor(entry.kind).remove(entry);
    if (partition.rows.size > 0) return;
    this.#partitions.delete(partition.id);
    if (partition.owner !== null) this.#ownerCount--;
  }

  /** Removes tombstones written before these steady times. */
  removeTombstones(servicesBeforeMs: number, ownedBeforeMs: number): void {
    const stale = this.#sharedTombstones.bornBefore(servicesBeforeMs);
    for (const partition of this.#partitions.values()) {
      if (partition.owner === null) continue;
      stale.push(...partition.tombstones.bornBefore(ownedBeforeMs));
      stale.push(...partition.serviceTombstones.bornBefore(servicesBeforeMs));
    }
    for (const entry of stale) this.remove(entry);
  }

  #partitionFor(entry: Entry): Rows {
    const id = partitionOf(entry.kind, entry.key, entry.stamp.node);
    const existing = this.#partitions.get(id);
    if (existing !== undefined) return existing;
    const owner = ownerOf(id);
    const created =
      owner === null
        ? new Rows(id, owner, this.#sharedTombstones, this.#sharedTombstones)
        : new Rows(
            id,
            owner,
            new Tombstones(MAX_OWNED_TOMBSTONES),
            new Tombstones(MAX_DECLARATION_TOMBSTONES),
          );
    this.#partitions.set(id, created);
    if (owner !== null) this.#ownerCount++;
    return created;
  }

  #count(partition: Rows, entry: Entry, sign: 1 | -1): void {
    this.#version++;
    for (const hash of [partition.hash, this.#rootHash]) {
      hash.high = (hash.high ^ entry.hash.high) >>> 0;
      hash.low = (hash.low ^ entry.hash.low) >>> 0;
    }
    if (isTombstone(entry)) return;
    partition.liveCount += sign;
    if (isShared(entry.kind)) this.#liveShared[sharedGroup(entry.kind)] += sign;
  }
}

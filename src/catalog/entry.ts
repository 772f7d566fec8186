/**
 * One row of the table: a record or its tombstone, with the stamp of the write, and the order in which two versions
 * of a row supersede each other. The order is total, so it does not matter who hears of which version first.
 */
import type { Stamp } from "../model/index.ts";
import type { AnyRecord, EntryKind } from "./record-codec.ts";

export type { EntryKind } from "./record-codec.ts";

/** What identifies a row, and which version of it this is. */
export interface EntryHead {
  readonly kind: EntryKind;
  /**
   * Service name, also of a declaration, name of the node a wish is about, `service NUL name` of a task, "" of a node.
   * Owned rows (declarations, tasks, nodes) belong to `stamp.node`: there is no way to even write down another's.
   */
  readonly key: string;
  readonly stamp: Stamp;
  /** Of services: the versions before this one, newest first, at most MAX_REPLACED. */
  readonly replaces: readonly Stamp[];
  /** The encoded record; null: a tombstone. */
  readonly text: string | null;
  /** XORed up these make the digests. Of everything above. */
  readonly hash: EntryHash;
  /** Steady time when the tombstone was written (see steady-time.ts); of no meaning for records. */
  bornAtMs: number;
}

export interface Entry extends EntryHead {
  /** null: a tombstone. */
  readonly record: AnyRecord | null;
}

/** Two independent uint32. */
export interface EntryHash {
  readonly high: number;
  readonly low: number;
}

const SERVICE_BUCKETS = 64;
const WISH_BUCKETS = 8;

/** 48 bits by which two nodes tell each other what they hold. */
export function fingerprintOf(hash: EntryHash): number {
  return hash.high * 0x1_0000 + (hash.low & 0xffff);
}

export function isShared(kind: EntryKind): boolean {
  return kind === "service" || kind === "wish";
}

/**
 * Owned rows are one partition for each owner, shared rows are spread over buckets. In a partition no two rows have the
 * same key, and keys are never looked at for anything but equality.
 */
export function partitionOf(kind: EntryKind, key: string, node: string): string {
  if (kind === "service") return `#${Bun.hash.xxHash32(key) % SERVICE_BUCKETS}`;
  if (kind === "wish") return `!${Bun.hash.xxHash32(key) % WISH_BUCKETS}`;
  return ownerPartition(node);
}

export function ownerPartition(owner: string): string {
  return `@${owner}`;
}

/** null: a bucket of shared rows. */
export function ownerOf(partition: string): string | null {
  return partition.startsWith("@") ? partition.slice(1) : null;
}

/** Below 0: `one` is older. 0 for the same version only. */
export function compareVersions(one: EntryHead, other: EntryHead): number {
  return (
    compareStamps(one.stamp, other.stamp) ||
    Number(one.text === null) - Number(other.text === null) ||
    compareTexts(one.text ?? "", other.text ?? "") ||
    one.hash.high - other.hash.high ||
    one.hash.low - other.hash.low
  );
}

export function isSameStamp(one: Stamp, other: Stamp): boolean {
  return one.counter === other.counter && one.node === other.node;
}

export function compareStamps(one: Stamp, other: Stamp): number {
  return one.counter - other.counter || compareTexts(one.node, other.node);
}

export function compareTexts(one: string, other: string): number {
  return one < other ? -1 : one > other ? 1 : 0;
}

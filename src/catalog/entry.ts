/**
 * One row of the table: a record or its tombstone, with the stamp of the write, and the order in which two versions
 * of a row supersede each other. The order is total, so it does not matter who hears of which version first.
 */
import type { Stamp } from "../model/index.ts";
import { isShared, type RowKind } from "./kinds.ts";
import type { AnyRecord } from "./record-codec.ts";

/** What identifies a row, and which version of it this is. */
export interface EntryHead {
  readonly kind: RowKind;
  /**
   * Service name, also of a declaration; name of the node a directive is about; `service NUL name` of a task; "" of a
   * node.
   * Owned rows (declarations, tasks, nodes) belong to `stamp.node`: the type cannot express another node's.
   */
  readonly key: string;
  readonly stamp: Stamp;
  /** Of services: the versions before this one, newest first, at most MAX_REPLACED. */
  readonly replaces: readonly Stamp[];
  /** The whole entry as its writer encoded it (entry-codec.ts): hashed, relayed and stored as it came. */
  readonly body: Uint8Array;
  /** Where the encoded record is in the body; 0: a tombstone. */
  readonly valueAt: number;
  readonly valueEnd: number;
  /** XORed up these make the digests. Of the body. */
  readonly hash: EntryHash;
  /** Steady time when the tombstone was written (see steady-time.ts); of no meaning for records. */
  bornAtMs: number;
}

export interface Entry extends EntryHead {
  /** null: a tombstone, or a record that this version cannot read. */
  readonly record: AnyRecord | null;
}

/** Two independent uint32. */
export interface EntryHash {
  readonly high: number;
  readonly low: number;
}

const SERVICE_BUCKETS = 64;
/** Of all other shared kinds. */
const OTHER_BUCKETS = 8;

/** 48 bits by which two nodes compare their entries. */
export function fingerprintOf(hash: EntryHash): number {
  return hash.high * 0x1_0000 + (hash.low & 0xffff);
}

export function isTombstone({ valueAt }: EntryHead): boolean {
  return valueAt === 0;
}

/** The encoded record, a view; empty: a tombstone. */
export function recordBytes({ body, valueAt, valueEnd }: EntryHead): Uint8Array {
  return body.subarray(valueAt, valueEnd);
}

/** Whether two versions say the same. Compares in place: views of small arrays cost memory for as long as these live. */
export function haveSameContent(one: EntryHead, other: EntryHead): boolean {
  return isTombstone(one) === isTombstone(other) && compareContents(one, other) === 0;
}

/**
 * Owned rows are one partition for each owner, shared rows are spread over buckets. In a partition no two rows have the
 * same id.
 */
export function partitionOf(kind: RowKind, key: string, node: string): string {
  if (!isShared(kind)) return ownerPartition(node);
  return kind === "service"
    ? `#${Bun.hash.xxHash32(key) % SERVICE_BUCKETS}`
    : `!${Bun.hash.xxHash32(key) % OTHER_BUCKETS}`;
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
    Number(isTombstone(one)) - Number(isTombstone(other)) ||
    compareContents(one, other) ||
    one.hash.high - other.hash.high ||
    one.hash.low - other.hash.low
  );
}

function compareContents(one: EntryHead, other: EntryHead): number {
  const length = Math.min(one.valueEnd - one.valueAt, other.valueEnd - other.valueAt);
  for (let i = 0; i < length; i++) {
    const difference = one.body[one.valueAt + i]! - other.body[other.valueAt + i]!;
    if (difference !== 0) return difference;
  }
  return one.valueEnd - one.valueAt - (other.valueEnd - other.valueAt);
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

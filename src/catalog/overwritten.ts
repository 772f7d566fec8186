/**
 * Changes of services made by command that were lost to others made without knowing them: by both halves of a split
 * cluster, or on two nodes at once. Every version names the ones it replaces; a version that neither replaces another
 * nor is replaced by it was made beside it, and only the newer of the two stays.
 */
import { type Entry, type EntryHead, isSameStamp } from "./entry.ts";
import { MAX_REPLACED } from "./limits.ts";
import type { ServiceRecord, ServiceSpec, Stamp } from "./records.ts";
import { areSpecsEqual } from "./service-codec.ts";

/** One side of a lost change. */
export interface Change {
  /** null: it removed the service. */
  readonly spec: ServiceSpec | null;
  /** Where the command was run, and when by that node's clock. */
  readonly stamp: Stamp;
  readonly atMs: number;
}

export interface Overwritten {
  readonly service: string;
  readonly lost: Change;
  /** What is in its place. */
  readonly by: Change;
}

const MAX_PER_SERVICE = 8;
const MAX_SERVICES = 256;
export const MAX_OVERWRITTEN = MAX_PER_SERVICE * MAX_SERVICES;
/** Versions that need not be looked at again. */
const MAX_SEEN = 4096;

/** @param winner the newer version. False where it is too long ago to be known. */
export function isOverwritten(winner: EntryHead, loser: EntryHead): boolean {
  if (winner.kind !== "service" || isSameStamp(winner.stamp, loser.stamp)) return false;
  if (winner.replaces.some((stamp) => isSameStamp(stamp, loser.stamp))) return false;
  const oldest = winner.replaces.at(-1);
  return winner.replaces.length < MAX_REPLACED || loser.stamp.counter > oldest!.counter;
}

export class OverwrittenChanges {
  /** Newest last. Bounded by MAX_SERVICES and MAX_PER_SERVICE; the oldest make room. */
  readonly #byService = new Map<string, Overwritten[]>();
  /** Of lost versions and those they replaced. */
  readonly #seen = new Set<string>();
  #news: Overwritten[] = [];

  of(service: string): readonly Overwritten[] {
    return this.#byService.get(service) ?? [];
  }

  get all(): readonly Overwritten[] {
    return [...this.#byService.values()].flat();
  }

  /** Those noted since it was asked last. */
  takeNews(): readonly Overwritten[] {
    const news = this.#news;
    this.#news = [];
    return news;
  }

  /** @param atMs when a removal was made, which its entry does not say. False: nothing was lost, or it is known. */
  note(winner: Entry, loser: Entry, atMs: (entry: Entry) => number): boolean {
    if (this.#isSeen(loser)) return false;
    const [by, lost] = [changeOf(winner, atMs), changeOf(loser, atMs)];
    const isEqual =
      by.spec === null ? lost.spec === null : lost.spec !== null && areSpecsEqual(by.spec, lost.spec);
    if (isEqual) return false;
    this.add({ service: winner.key, lost, by });
    if (this.#news.length < MAX_SERVICES) this.#news.push({ service: winner.key, lost, by });
    return true;
  }

  add(change: Overwritten): void {
    const { service } = change;
    const changes = [...this.of(service), change].slice(-MAX_PER_SERVICE);
    this.#byService.delete(service);
    this.#byService.set(service, changes);
    const [oldest] = this.#byService.keys();
    if (this.#byService.size > MAX_SERVICES) this.#byService.delete(oldest!);
    this.#remember(service, change.lost.stamp);
  }

  #isSeen({ key, stamp, replaces }: Entry): boolean {
    const isKnown = this.#seen.has(seenKey(key, stamp));
    for (const known of [stamp, ...replaces]) this.#remember(key, known);
    return isKnown;
  }

  #remember(service: string, stamp: Stamp): void {
    this.#seen.add(seenKey(service, stamp));
    const [oldest] = this.#seen;
    if (this.#seen.size > MAX_SEEN) this.#seen.delete(oldest!);
  }
}

function changeOf(entry: Entry, atMs: (entry: Entry) => number): Change {
  const record = entry.record as ServiceRecord | null;
  return { spec: record?.spec ?? null, stamp: entry.stamp, atMs: record?.updatedAtMs ?? atMs(entry) };
}

function seenKey(service: string, { counter, node }: Stamp): string {
  return `${service} ${counter} ${node}`;
}

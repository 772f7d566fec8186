/**
 * Changes of services made by command that were lost to others made without knowing them: by both halves of a split
 * cluster, or on two nodes at once. Every version names the ones it replaces; a version that neither replaces another
 * nor is replaced by it was made beside it, and only the newer of the two stays.
 */
import type { ServiceSpec, Stamp } from "../model/index.ts";
import { areSpecsEqual } from "../model/index.ts";
import { type Entry, type EntryHead, isSameStamp } from "./entry.ts";
import { makeEntry } from "./entry-codec.ts";
import { MAX_REPLACED } from "./limits.ts";
import { encodeRecord } from "./record-codec.ts";
import type { ServiceRecord } from "./records.ts";
import type { SteadyTime } from "./steady-time.ts";

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
/** A lost change is announced to other nodes for so long after this one has learned of it. */
const ANNOUNCED_FOR_MS = 60_000;
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
  /** Oldest first; at most MAX_SERVICES. */
  #toAnnounce: { readonly change: Overwritten; readonly untilMs: number }[] = [];

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

  /** Those other nodes may not know yet. */
  recent(nowMs: number): readonly Overwritten[] {
    this.#toAnnounce = this.#toAnnounce.filter(({ untilMs }) => nowMs < untilMs);
    return this.#toAnnounce.map(({ change }) => change);
  }

  /** @param time a removal's entry says in steady time when it was made. False: nothing was lost, or it is known. */
  note(winner: Entry, loser: Entry, time: SteadyTime): boolean {
    if (this.#isSeen(loser)) return false;
    const [by, lost] = [changeOf(winner, time), changeOf(loser, time)];
    const isEqual =
      by.spec === null ? lost.spec === null : lost.spec !== null && areSpecsEqual(by.spec, lost.spec);
    if (isEqual) return false;
    const change = { service: winner.key, lost, by };
    this.add(change);
    if (this.#news.length < MAX_SERVICES) this.#news.push(change);
    this.#toAnnounce = [...this.#toAnnounce, { change, untilMs: time.nowMs + ANNOUNCED_FOR_MS }].slice(
      -MAX_SERVICES,
    );
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

/** The version that was lost, as an entry for other nodes. */
export function lostEntry({ service, lost }: Overwritten, { nowMs, wallMs }: SteadyTime): Entry {
  const { spec, stamp, atMs } = lost;
  const record = spec && { name: service, spec, created: stamp, createdAtMs: atMs, updatedAtMs: atMs };
  const encoded = record && { record, value: encodeRecord("service", record) };
  const entry = makeEntry("service", service, stamp, encoded, nowMs - (wallMs - atMs));
  if ("problem" in entry) throw new Error(`cannot write service ${service}: ${entry.problem}`); // it was an entry before
  return entry;
}

function changeOf({ record, stamp, bornAtMs }: Entry, { nowMs, wallMs }: SteadyTime): Change {
  const service = record as ServiceRecord | null;
  return { spec: service?.spec ?? null, stamp, atMs: service?.updatedAtMs ?? wallMs - (nowMs - bornAtMs) };
}

function seenKey(service: string, { counter, node }: Stamp): string {
  return `${service} ${counter} ${node}`;
}

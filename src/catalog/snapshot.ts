/**
 * What outlives the process, as text of two lines: a header with version and checksum, and the body. Shared records and
 * declarations with their tombstones, this node's tasks made by command, the counter, which nodes are dead or forgotten,
 * and whatever the caller adds. A snapshot that is damaged or of a newer version changes nothing and says so.
 */

import { createHash } from "node:crypto";
import { encode } from "@msgpack/msgpack";
import { z } from "zod";
import {
  describeFault,
  flag,
  integer,
  list,
  type Stamp,
  serviceName,
  storedServiceSpec,
} from "../model/index.ts";
import { decodeWhole } from "../wire/index.ts";
import { compareStamps, type Entry, isTombstone } from "./entry.ts";
import { fromWire, openEntry, toWire } from "./entry-codec.ts";
import { isKnown } from "./kinds.ts";
import { DEAD_OWNER_LIFE_MS, MAX_COUNTER, MAX_OWNERS, SERVICE_TOMBSTONE_LIFE_MS } from "./limits.ts";
import { MAX_OVERWRITTEN, type Overwritten } from "./overwritten.ts";
import { specFields } from "./record-codec.ts";
import { memberName, stamp } from "./record-schemas.ts";
import type { DeclarationRecord, TaskRecord } from "./records.ts";
import type { Replica } from "./replica.ts";

/** The caller's part. */
export interface CatalogState {
  /** This node has loaded its file before: the declarations it has are those of that file. */
  readonly isFileKnown: boolean;
  /** Anything JSON can hold; kept as it is. */
  readonly members: unknown;
}

export interface Restored extends CatalogState {
  /** "cannot restore the catalog: its checksum is wrong"; null: all is restored. */
  readonly problem: string | null;
}

const FORMAT = "portmesh-catalog";
const VERSION = 3;

const change = z.object({
  spec: storedServiceSpec.nullable(),
  stamp: stamp(1),
  atMs: integer(Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER),
});

const bodySchema = z.object({
  node: memberName,
  counter: integer(0, MAX_COUNTER),
  entries: z.string(),
  owners: z.object({
    dead: list(z.tuple([memberName, integer(0, DEAD_OWNER_LIFE_MS * 2)])).max(MAX_OWNERS),
    forgotten: list(
      z.tuple([memberName, integer(0, MAX_COUNTER), integer(0, SERVICE_TOMBSTONE_LIFE_MS), flag()]),
    ).max(MAX_OWNERS),
  }),
  overwritten: list(
    z.tuple([serviceName, change, change]).transform(([service, lost, by]) => ({ service, lost, by })),
  ).max(MAX_OVERWRITTEN),
  isFileKnown: flag(),
  members: z.unknown(),
});

type Body = Omit<z.output<typeof bodySchema>, "entries"> & { readonly entries: readonly Entry[] };

/** @param isWhole with the records that other nodes would send again: for another process of this node */
export function writeSnapshot(replica: Replica, state: CatalogState, isWhole = false): string {
  const entries = [...(isWhole ? allEntries(replica) : lastingEntries(replica))].map((entry) =>
    toWire(entry, replica.time.nowMs),
  );
  const body = JSON.stringify({
    node: replica.self,
    counter: replica.counter,
    entries: encode(entries).toBase64(),
    owners: replica.owners.state(replica.time.nowMs),
    overwritten: replica.overwritten.all.map(overwrittenToJson),
    isFileKnown: state.isFileKnown,
    members: state.members,
  });
  return `${JSON.stringify({ format: FORMAT, version: VERSION, sha256: checksum(body) })}\n${body}\n`;
}

export function readSnapshot(replica: Replica, text: string): Restored {
  const body = readBody(text, replica.time.nowMs);
  if (typeof body === "string") {
    return { isFileKnown: false, members: null, problem: `cannot restore the catalog: ${body}` };
  }
  replica.witness(body.counter);
  replica.owners.restore(body.owners, replica.time.nowMs);
  for (const entry of body.entries) replica.restore(entry, body.node);
  for (const change of body.overwritten) replica.overwritten.add(change);
  return { isFileKnown: body.isFileKnown, members: body.members, problem: null };
}

function* allEntries({ table }: Replica): Iterable<Entry> {
  for (const { rows } of table.partitions.values()) yield* rows.values();
}

function* lastingEntries({ table, self, owners }: Replica): Iterable<Entry> {
  const newest = newestDeclarations(table);
  for (const { owner, rows } of table.partitions.values()) {
    const isForeign = owner !== null && owner !== self && owners.isLive(owner);
    for (const entry of rows.values()) {
      const isApiTask = owner === self && entry.kind === "task" && isFromApi(entry);
      const isDeclared = entry.kind === "declaration" && !(isForeign && isRepeated(entry, newest));
      if (owner === null || isApiTask || isDeclared || !isKnown(entry.kind)) yield entry;
    }
  }
}

/** By service: those in force, among declarations. */
function newestDeclarations({ partitions }: Replica["table"]): Map<string, Entry> {
  const newest = new Map<string, Entry>();
  for (const { rows } of partitions.values()) {
    for (const entry of rows.values()) {
      if (entry.kind !== "declaration" || entry.record === null) continue;
      const other = newest.get(entry.key);
      if (other === undefined || compareStamps(changedOf(entry), changedOf(other)) > 0)
        newest.set(entry.key, entry);
    }
  }
  return newest;
}

/** It says what another declaration says: a file that is on all nodes is kept once, its nodes declare it again. */
function isRepeated(entry: Entry, newest: ReadonlyMap<string, Entry>): boolean {
  const other = newest.get(entry.key);
  if (entry.record === null || other === undefined || other === entry) return false;
  return (entry.record as DeclarationRecord).spec === (other.record as DeclarationRecord).spec;
}

function changedOf(entry: Entry): Stamp {
  return (entry.record as DeclarationRecord).changed;
}

/** Also one that cannot be read, which may be. */
function isFromApi(entry: Entry): boolean {
  return entry.record === null ? !isTombstone(entry) : (entry.record as TaskRecord).origin === "api";
}

/** The body, or what is wrong with it. Nothing has been changed yet. */
function readBody(text: string, steadyMs: number): Body | string {
  const lineEnd = text.indexOf("\n");
  const header = parseObject(text.slice(0, Math.max(0, lineEnd)));
  const body = text.slice(lineEnd + 1).replace(/\n$/, "");
  if (header?.format !== FORMAT) return "it is not a snapshot";
  if (header.version !== VERSION)
    return `it has format ${JSON.stringify(header.version)}, this version of portmesh reads format ${VERSION}`;
  if (header.sha256 !== checksum(body)) return "its checksum is wrong";
  const json = parseObject(body);
  if (json === null) return "it is not JSON";
  const result = bodySchema.safeParse(json);
  if (!result.success) return describeFault(result.error);
  const entries = readEntries(result.data.entries, steadyMs);
  return typeof entries === "string" ? `entries: ${entries}` : { ...result.data, entries };
}

/** The entries, or what is wrong with one of them. */
function readEntries(base64: string, steadyMs: number): Entry[] | string {
  const bytes = bytesOf(base64);
  if (bytes === null) return "not base64";
  const tuples = decodeWhole(bytes);
  if (!Array.isArray(tuples)) return "not a msgpack list";
  const entries: Entry[] = [];
  for (const tuple of tuples as unknown[]) {
    const wire = fromWire(tuple, steadyMs);
    if (wire === null) return "one is malformed";
    const entry = openEntry(wire);
    if ("problem" in entry) return entry.problem;
    entries.push(entry);
  }
  return entries;
}

function bytesOf(base64: string): Uint8Array | null {
  try {
    return Uint8Array.fromBase64(base64);
  } catch {
    return null;
  }
}

function overwrittenToJson({ service, lost, by }: Overwritten): unknown {
  return [service, changeToJson(lost), changeToJson(by)];
}

function changeToJson({ spec, stamp, atMs }: Overwritten["lost"]): unknown {
  return { spec: spec === null ? null : specFields(spec), stamp: [stamp.counter, stamp.node], atMs };
}

function parseObject(text: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : null;
  } catch {
    return null;
  }
}

function checksum(body: string): string {
  return createHash("sha256").update(body).digest("hex");
}

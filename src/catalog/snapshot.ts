/**
 * What outlives the process, as text of two lines: a header with version and checksum, and the body. Shared records and
 * declarations with their tombstones, this node's tasks made by command, the counter, which nodes are dead or forgotten,
 * and whatever the caller adds. A snapshot that is damaged or of a newer version changes nothing and says so.
 */
import { createHash } from "node:crypto";
import { ByteReader, ByteWriter } from "./bytes.ts";
import { compareStamps, type Entry } from "./entry.ts";
import { openEntry, readEntry, writeEntry } from "./entry-codec.ts";
import { FieldReader } from "./field-reader.ts";
import { DEAD_OWNER_LIFE_MS, MAX_COUNTER, MAX_OWNERS, SERVICE_TOMBSTONE_LIFE_MS } from "./limits.ts";
import { isNodeName, isServiceName } from "./names.ts";
import { type Change, MAX_OVERWRITTEN, type Overwritten } from "./overwritten.ts";
import type { OwnersState } from "./owners.ts";
import type { DeclarationRecord, Stamp, TaskRecord } from "./records.ts";
import type { Replica } from "./replica.ts";
import { readSpec, readStamp, specToJson } from "./service-codec.ts";
import { type FirstBody, readFirstBody, restoreFirstBody } from "./snapshot-v1.ts";

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
const FIRST_VERSION = 1;
const VERSION = 2;

interface Body extends CatalogState {
  readonly node: string;
  readonly counter: number;
  readonly entries: readonly Entry[];
  readonly owners: OwnersState;
  readonly overwritten: readonly Overwritten[];
}

export function writeSnapshot(replica: Replica, state: CatalogState): string {
  const writer = new ByteWriter();
  for (const entry of lastingEntries(replica)) writeEntry(writer, entry, replica.time.nowMs);
  const body = JSON.stringify({
    node: replica.self,
    counter: replica.counter,
    entries: writer.bytes().toBase64(),
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
  if ("declared" in body) restoreFirstBody(replica, body);
  else {
    replica.owners.restore(body.owners, replica.time.nowMs);
    for (const entry of body.entries) replica.restore(entry, body.node);
    for (const change of body.overwritten) replica.overwritten.add(change);
  }
  return { isFileKnown: body.isFileKnown, members: body.members, problem: null };
}

function* lastingEntries({ table, self, owners }: Replica): Iterable<Entry> {
  const newest = newestDeclarations(table);
  for (const { owner, rows } of table.partitions.values()) {
    const isForeign = owner !== null && owner !== self && owners.isLive(owner);
    for (const entry of rows.values()) {
      const isApiTask = owner === self && entry.kind === "task" && isFromApi(entry);
      const isDeclared = entry.kind === "declaration" && !(isForeign && isRepeated(entry, newest));
      if (owner === null || isApiTask || isDeclared) yield entry;
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

function isFromApi(entry: Entry): boolean {
  return (entry.record as TaskRecord | null)?.origin === "api";
}

/** The body, or what is wrong with it. Nothing has been changed yet. */
function readBody(text: string, steadyMs: number): Body | FirstBody | string {
  const lineEnd = text.indexOf("\n");
  const header = parseObject(text.slice(0, Math.max(0, lineEnd)));
  const body = text.slice(lineEnd + 1).replace(/\n$/, "");
  if (header?.format !== FORMAT) return "it is no snapshot";
  if (header.version !== VERSION && header.version !== FIRST_VERSION) {
    return `its version is ${JSON.stringify(header.version)}, not ${VERSION}`;
  }
  if (header.sha256 !== checksum(body)) return "its checksum is wrong";
  const json = parseObject(body);
  if (json === null) return "it is no JSON";
  const reader = new FieldReader();
  if (header.version === FIRST_VERSION) {
    const first = readFirstBody(reader, json, steadyMs);
    return reader.problem ?? first;
  }
  const read: Body = {
    node: reader.named(json.node, "node", "node name", isNodeName),
    counter: reader.integer(json.counter, "counter", 0, MAX_COUNTER),
    entries: readEntries(reader, json.entries, steadyMs),
    owners: readOwners(reader, json.owners),
    overwritten: reader
      .list(json.overwritten, "overwritten", MAX_OVERWRITTEN)
      .map((change) => readOverwritten(reader, change)),
    isFileKnown: reader.flag(json.isFileKnown, "isFileKnown"),
    members: json.members,
  };
  return reader.problem ?? read;
}

function readEntries(reader: FieldReader, json: unknown, steadyMs: number): Entry[] {
  const bytes = new ByteReader(reader.base64(json, "entries"));
  const entries: Entry[] = [];
  while (bytes.remaining > 0) {
    const entry = openEntry(readEntry(bytes, steadyMs));
    if (bytes.isBroken) reader.fail("entries", "end in the middle of one");
    else if ("problem" in entry) reader.fail("entries", entry.problem);
    else entries.push(entry);
  }
  return entries;
}

function readOwners(reader: FieldReader, json: unknown): OwnersState {
  const { dead, forgotten } = reader.object(json, "owners");
  return {
    dead: reader.list(dead, "owners.dead", MAX_OWNERS).map((entry) => {
      const [owner, deadForMs] = reader.list(entry, "owners.dead", 2);
      return [readOwner(reader, owner), reader.integer(deadForMs, "owners.dead", 0, DEAD_OWNER_LIFE_MS * 2)];
    }),
    forgotten: reader.list(forgotten, "owners.forgotten", MAX_OWNERS).map((entry) => {
      const [owner, counter, leftMs, hadDeclarations] = reader.list(entry, "owners.forgotten", 4);
      return [
        readOwner(reader, owner),
        reader.integer(counter, "owners.forgotten", 0, MAX_COUNTER),
        reader.integer(leftMs, "owners.forgotten", 0, SERVICE_TOMBSTONE_LIFE_MS),
        reader.flag(hadDeclarations, "owners.forgotten"),
      ];
    }),
  };
}

function overwrittenToJson({ service, lost, by }: Overwritten): unknown {
  return [service, changeToJson(lost), changeToJson(by)];
}

function changeToJson({ spec, stamp, atMs }: Change): unknown {
  return { spec: spec === null ? null : specToJson(spec), stamp: [stamp.counter, stamp.node], atMs };
}

function readOverwritten(reader: FieldReader, json: unknown): Overwritten {
  const [service, lost, by] = reader.list(json, "overwritten", 3);
  return {
    service: reader.named(service, "overwritten", "service name", isServiceName),
    lost: readChange(reader, lost),
    by: readChange(reader, by),
  };
}

function readChange(reader: FieldReader, json: unknown): Change {
  const { spec, stamp, atMs } = reader.object(json, "overwritten");
  return {
    spec: spec === null ? null : readSpec(reader, spec),
    stamp: readStamp(reader, stamp, "overwritten", 1),
    atMs: reader.integer(atMs, "overwritten", Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER),
  };
}

function readOwner(reader: FieldReader, json: unknown): string {
  return reader.named(json, "owners", "node name", isNodeName);
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

/**
 * What outlives the process, as text of two lines: a header with version and checksum, and the body. Shared records
 * with their tombstones, this node's tasks made by command, the counter, the file loaded last, and whatever the caller
 * adds. A snapshot that is damaged or of a newer version changes nothing and says so.
 */
import { createHash } from "node:crypto";
import { ByteReader, ByteWriter } from "./bytes.ts";
import { type Entry, isShared } from "./entry.ts";
import { openEntry, readEntry, writeEntry } from "./entry-codec.ts";
import { FieldReader } from "./field-reader.ts";
import type { FileDeclarations } from "./file-changes.ts";
import { MAX_COUNTER, MAX_SERVICES, MAX_TASKS_PER_NODE } from "./limits.ts";
import { isNodeName, isServiceName } from "./names.ts";
import { checkKey, decodeRecord, encodeRecord, taskKey } from "./record-codec.ts";
import type { ServiceSpec, TaskRecord } from "./records.ts";
import type { Replica } from "./replica.ts";
import { readSpec, specToJson } from "./service-codec.ts";

/** The caller's part. */
export interface CatalogState {
  /** The file as it was loaded last; null: none. */
  readonly declared: FileDeclarations | null;
  /** Anything JSON can hold; kept as it is. */
  readonly members: unknown;
}

export interface Restored extends CatalogState {
  /** "cannot restore the catalog: its checksum is wrong"; null: all is restored. */
  readonly problem: string | null;
}

const FORMAT = "portmesh-catalog";
const VERSION = 1;

interface Body extends CatalogState {
  readonly node: string;
  readonly counter: number;
  readonly entries: readonly Entry[];
}

export function writeSnapshot(replica: Replica, state: CatalogState): string {
  const writer = new ByteWriter();
  for (const entry of lastingEntries(replica)) writeEntry(writer, entry, replica.time.nowMs);
  const body = JSON.stringify({
    node: replica.self,
    counter: replica.counter,
    entries: writer.bytes().toBase64(),
    declared: state.declared === null ? null : declaredToJson(state.declared),
    members: state.members,
  });
  return `${JSON.stringify({ format: FORMAT, version: VERSION, sha256: checksum(body) })}\n${body}\n`;
}

export function readSnapshot(replica: Replica, text: string): Restored {
  const body = readBody(text, replica.time.nowMs);
  if (typeof body === "string") {
    return { declared: null, members: null, problem: `cannot restore the catalog: ${body}` };
  }
  replica.witness(body.counter);
  for (const entry of body.entries) restoreEntry(replica, body.node, entry);
  return { declared: body.declared, members: body.members, problem: null };
}

function* lastingEntries({ table, self }: Replica): Iterable<Entry> {
  for (const { owner, rows } of table.partitions.values()) {
    for (const entry of rows.values()) {
      const isApiTask = owner === self && entry.kind === "task" && isFromApi(entry);
      if (owner === null || isApiTask) yield entry;
    }
  }
}

function isFromApi(entry: Entry): boolean {
  return (entry.record as TaskRecord | null)?.origin === "api";
}

function restoreEntry(replica: Replica, node: string, entry: Entry): void {
  const isRenamed = !isShared(entry.kind) && node !== replica.self;
  if (isRenamed)
    replica.write(entry); // the tasks are this machine's, whatever it is called
  else replica.restore(entry);
}

/** The body, or what is wrong with it. Nothing has been changed yet. */
function readBody(text: string, steadyMs: number): Body | string {
  const lineEnd = text.indexOf("\n");
  const header = parseObject(text.slice(0, Math.max(0, lineEnd)));
  const body = text.slice(lineEnd + 1).replace(/\n$/, "");
  if (header?.format !== FORMAT) return "it is no snapshot";
  if (header.version !== VERSION) return `its version is ${JSON.stringify(header.version)}, not ${VERSION}`;
  if (header.sha256 !== checksum(body)) return "its checksum is wrong";
  const json = parseObject(body);
  if (json === null) return "it is no JSON";
  const reader = new FieldReader();
  const read: Body = {
    node: reader.named(json.node, "node", "node name", isNodeName),
    counter: reader.integer(json.counter, "counter", 0, MAX_COUNTER),
    entries: readEntries(reader, json.entries, steadyMs),
    declared: json.declared === null ? null : readDeclared(reader, json.declared),
    members: json.members,
  };
  return reader.problem ?? read;
}

function readEntries(reader: FieldReader, json: unknown, steadyMs: number): Entry[] {
  const bytes = new ByteReader(decodeBase64(reader, json));
  const entries: Entry[] = [];
  while (bytes.remaining > 0) {
    const entry = openEntry(readEntry(bytes, steadyMs));
    if (bytes.isBroken) reader.fail("entries", "end in the middle of one");
    else if ("problem" in entry) reader.fail("entries", entry.problem);
    else entries.push(entry);
  }
  return entries;
}

function decodeBase64(reader: FieldReader, json: unknown): Uint8Array {
  try {
    return Uint8Array.fromBase64(String(json));
  } catch {
    reader.fail("entries", "is no base64");
    return new Uint8Array();
  }
}

function declaredToJson({ services, tasks }: FileDeclarations): unknown {
  return {
    services: [...services].map(([name, spec]) => [name, specToJson(spec)]),
    tasks: tasks.map((task) => [task.service, task.name, encodeRecord("task", task)]),
  };
}

function readDeclared(reader: FieldReader, json: unknown): FileDeclarations {
  const declared = reader.object(json, "declared");
  const services = reader.list(declared.services, "declared.services", MAX_SERVICES);
  const tasks = reader.list(declared.tasks, "declared.tasks", MAX_TASKS_PER_NODE);
  return {
    services: new Map(services.map((service) => readDeclaredService(reader, service))),
    tasks: tasks.flatMap((task) => readDeclaredTask(reader, task)),
  };
}

function readDeclaredService(reader: FieldReader, json: unknown): [string, ServiceSpec] {
  const [name, spec] = reader.list(json, "declared.services", 2);
  return [reader.named(name, "declared.services", "service name", isServiceName), readSpec(reader, spec)];
}

function readDeclaredTask(reader: FieldReader, json: unknown): TaskRecord[] {
  const [service, name, text] = reader.list(json, "declared.tasks", 3);
  const key = taskKey(String(service), String(name));
  const problem = checkKey("task", key);
  const decoded = problem === null ? decodeRecord("task", key, String(text)) : { problem };
  if ("record" in decoded) return [decoded.record];
  reader.fail("declared.tasks", decoded.problem);
  return [];
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

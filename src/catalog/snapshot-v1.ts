/**
 * Snapshots of the first version: services of files were shared records there, with the file loaded last beside them.
 * Those of this node's file become its declarations; those of others' files are dropped, for their nodes declare them.
 */
import { ByteReader } from "./bytes.ts";
import { UNKNOWN_COUNTER } from "./definitions.ts";
import type { Entry } from "./entry.ts";
import { openEntry, readEntry, type WireEntry } from "./entry-codec.ts";
import type { FieldReader, JsonObject } from "./field-reader.ts";
import { MAX_COUNTER, MAX_SERVICES } from "./limits.ts";
import { isNodeName, isServiceName } from "./names.ts";
import type { DeclarationRecord, ServiceRecord, ServiceSpec } from "./records.ts";
import type { Replica } from "./replica.ts";
import { areSpecsEqual, readSpec } from "./service-codec.ts";

export interface FirstBody {
  readonly node: string;
  readonly counter: number;
  /** Without the services of files. */
  readonly entries: readonly Entry[];
  /** Services of files, of any node. */
  readonly fileServices: ReadonlyMap<string, Entry>;
  /** Of this node's file. */
  readonly declared: ReadonlyMap<string, ServiceSpec>;
  readonly isFileKnown: boolean;
  readonly members: unknown;
}

export function readFirstBody(reader: FieldReader, json: JsonObject, steadyMs: number): FirstBody {
  const entries: Entry[] = [];
  const fileServices = new Map<string, Entry>();
  const bytes = new ByteReader(reader.base64(json.entries, "entries"));
  while (bytes.remaining > 0 && reader.problem === null) {
    const wire = readEntry(bytes, steadyMs, undefined, false);
    const entry = openEntry(wire);
    if (bytes.isBroken) reader.fail("entries", "end in the middle of one");
    else if ("problem" in entry) reader.fail("entries", entry.problem);
    else if (isOfFile(wire)) fileServices.set(entry.key, entry);
    else entries.push(entry);
  }
  return {
    node: reader.named(json.node, "node", "node name", isNodeName),
    counter: reader.integer(json.counter, "counter", 0, MAX_COUNTER),
    entries,
    fileServices,
    declared: readDeclared(reader, json.declared),
    isFileKnown: json.declared !== null,
    members: json.members,
  };
}

export function restoreFirstBody(replica: Replica, body: FirstBody): void {
  for (const entry of body.entries) replica.restore(entry, body.node);
  for (const [name, spec] of body.declared) {
    const record = asDeclaration(name, spec, body, replica);
    replica.write({ kind: "declaration", key: name, record });
  }
}

/** As new as the record that it wrote; where another write has replaced that, older than it. */
function asDeclaration(
  name: string,
  spec: ServiceSpec,
  body: FirstBody,
  replica: Replica,
): DeclarationRecord {
  const shared = body.fileServices.get(name);
  const record = (shared?.record ?? null) as ServiceRecord | null;
  const unknown = { counter: UNKNOWN_COUNTER, node: replica.self };
  const isInForce = shared !== undefined && record !== null && areSpecsEqual(record.spec, spec);
  return {
    name,
    spec,
    file: "",
    created: record?.created ?? { counter: replica.counter + 1, node: replica.self },
    createdAtMs: record?.createdAtMs ?? 0,
    updatedAtMs: record?.updatedAtMs ?? 0,
    changed: isInForce ? shared.stamp : unknown,
  };
}

function isOfFile({ kind, text }: WireEntry): boolean {
  return kind === "service" && text !== null && (JSON.parse(text) as { origin?: unknown }).origin === "file";
}

function readDeclared(reader: FieldReader, json: unknown): Map<string, ServiceSpec> {
  if (json === null) return new Map();
  const { services } = reader.object(json, "declared");
  return new Map(
    reader.list(services, "declared.services", MAX_SERVICES).map((service) => {
      const [name, spec] = reader.list(service, "declared.services", 2);
      return [reader.named(name, "declared.services", "service name", isServiceName), readSpec(reader, spec)];
    }),
  );
}

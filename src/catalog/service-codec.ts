/**
 * Service records and declarations ↔ the value of their entry. JSON; `publish` holds runs of ports instead of single ones
 * ([protocol, published, target, count, mode]), so that a range of ten thousand is no longer than one port.
 */
import { parsePrefix } from "../wire/index.ts";
import type { FieldReader } from "./field-reader.ts";
import { readLabels, sortedLabels } from "./labels.ts";
import {
  MAX_COUNTER,
  MAX_DURATION_MS,
  MAX_FILE_LENGTH,
  MAX_NODE_NAME_LENGTH,
  MAX_PORTS_PER_SERVICE,
  MAX_PREFIXES,
} from "./limits.ts";
import { isNodeName } from "./names.ts";
import type { DeclarationRecord, PortSpec, ServiceRecord, ServiceSpec, Stamp } from "./records.ts";

const MAX_PORT = 65_535;
const MAX_INT32 = 2_147_483_647;
const MAX_SESSIONS = 1_048_576;
const MAX_RESPONSES = 65_535;
/** Linux: IFNAMSIZ is 16 with the final NUL. */
const INTERFACE_NAME = /^(?![\d.]+$)[a-zA-Z0-9][a-zA-Z0-9_.@-]{0,14}$/;

export function serviceToJson(record: ServiceRecord): unknown {
  return {
    spec: specToJson(record.spec),
    created: [record.created.counter, record.created.node],
    createdAtMs: record.createdAtMs,
    updatedAtMs: record.updatedAtMs,
  };
}

export function declarationToJson(record: DeclarationRecord): unknown {
  const { changed, file } = record;
  return { ...(serviceToJson(record) as object), changed: [changed.counter, changed.node], file };
}

/** Whether both say the same, whatever the order of their labels. */
export function areSpecsEqual(one: ServiceSpec, other: ServiceSpec): boolean {
  return one === other || JSON.stringify(specToJson(one)) === JSON.stringify(specToJson(other));
}

/** Fields of `name` and problems are the reader's. */
export function readService(reader: FieldReader, name: string, json: unknown): ServiceRecord {
  const value = reader.object(json, "");
  return {
    name,
    spec: readSpec(reader, value.spec),
    created: readStamp(reader, value.created, "created", 1),
    createdAtMs: reader.integer(value.createdAtMs, "createdAtMs", 0, Number.MAX_SAFE_INTEGER),
    updatedAtMs: reader.integer(value.updatedAtMs, "updatedAtMs", 0, Number.MAX_SAFE_INTEGER),
  };
}

export function readDeclaration(reader: FieldReader, name: string, json: unknown): DeclarationRecord {
  const value = reader.object(json, "");
  return {
    ...readService(reader, name, value),
    changed: readStamp(reader, value.changed, "changed", 0),
    file: reader.text(value.file, "file", MAX_FILE_LENGTH),
  };
}

export function specToJson(spec: ServiceSpec): unknown {
  return {
    publish: portRuns(spec.publish),
    balance: spec.balance,
    prefer: spec.prefer,
    sendProxy: spec.sendProxy,
    acceptProxy: spec.acceptProxy,
    allow: spec.allow,
    deny: spec.deny,
    bind: spec.bind,
    nodes: sortedLabels(spec.nodes),
    maxConnections: spec.maxConnections,
    idleTimeoutMs: spec.idleTimeoutMs,
    drainTimeoutMs: spec.drainTimeoutMs,
    udp: {
      mode: spec.udp.mode,
      idleTimeoutMs: spec.udp.idleTimeoutMs,
      maxSessions: spec.udp.maxSessions,
      // older nodes do not have it
      ...(spec.udp.responses > 0 && { responses: spec.udp.responses }),
    },
  };
}

export function readSpec(reader: FieldReader, json: unknown): ServiceSpec {
  const spec = reader.object(json, "spec");
  const udp = reader.object(spec.udp, "spec.udp");
  const prefixes = (key: string) => readTexts(reader, spec[key], `spec.${key}`, "prefix", isPrefix);
  return {
    publish: readPorts(reader, spec.publish),
    balance: reader.choice(spec.balance, "spec.balance", [
      "round-robin",
      "least-connections",
      "source-hash",
      "random",
    ]),
    prefer: reader.choice(spec.prefer, "spec.prefer", ["any", "local", "zone"]),
    sendProxy: reader.choice(spec.sendProxy, "spec.sendProxy", ["none", "v1", "v2"]),
    acceptProxy: prefixes("acceptProxy"),
    allow: prefixes("allow"),
    deny: prefixes("deny"),
    bind: spec.bind === null ? null : readTexts(reader, spec.bind, "spec.bind", "bind rule", isBind),
    nodes: readLabels(reader, spec.nodes, "spec.nodes"),
    maxConnections: reader.integer(spec.maxConnections, "spec.maxConnections", 0, MAX_INT32),
    idleTimeoutMs: reader.integer(spec.idleTimeoutMs, "spec.idleTimeoutMs", 0, MAX_DURATION_MS),
    drainTimeoutMs: reader.integer(spec.drainTimeoutMs, "spec.drainTimeoutMs", 0, MAX_DURATION_MS),
    udp: {
      mode: reader.choice(udp.mode, "spec.udp.mode", ["session", "packet"]),
      idleTimeoutMs: reader.integer(udp.idleTimeoutMs, "spec.udp.idleTimeoutMs", 1, MAX_DURATION_MS),
      maxSessions: reader.integer(udp.maxSessions, "spec.udp.maxSessions", 1, MAX_SESSIONS),
      responses:
        udp.responses === undefined
          ? 0
          : reader.integer(udp.responses, "spec.udp.responses", 1, MAX_RESPONSES),
    },
  };
}

type PortRun = [protocol: string, published: number, target: number, count: number, mode: string];

/** Neighbours in the list that continue each other become one run. */
function portRuns(ports: readonly PortSpec[]): PortRun[] {
  const runs: PortRun[] = [];
  for (const { protocol, published, target, mode } of ports) {
    const last = runs.at(-1);
    const continues =
      last !== undefined &&
      last[0] === protocol &&
      last[4] === mode &&
      last[1] + last[3] === published &&
      last[2] + last[3] === target;
    if (continues) last[3]++;
    else runs.push([protocol, published, target, 1, mode]);
  }
  return runs;
}

function readPorts(reader: FieldReader, json: unknown): PortSpec[] {
  const ports: PortSpec[] = [];
  for (const [index, entry] of reader.list(json, "spec.publish", MAX_PORTS_PER_SERVICE).entries()) {
    const path = `spec.publish[${index}]`;
    const run = reader.list(entry, path, 16);
    const protocol = reader.choice(run[0], path, ["tcp", "udp"]);
    const published = reader.integer(run[1], `${path}.published`, 1, MAX_PORT);
    const target = reader.integer(run[2], `${path}.target`, 1, MAX_PORT);
    const longest = MAX_PORT - Math.max(published, target) + 1;
    const count = reader.integer(run[3], `${path}.count`, 1, longest);
    const mode = reader.choice(run[4], path, ["ingress", "host"]);
    if (ports.length + count > MAX_PORTS_PER_SERVICE) {
      reader.fail("spec.publish", `more than ${MAX_PORTS_PER_SERVICE} ports`);
    }
    if (reader.problem !== null) return [];
    for (let i = 0; i < count; i++)
      ports.push({ protocol, published: published + i, target: target + i, mode });
  }
  checkUnique(reader, ports);
  return ports;
}

function checkUnique(reader: FieldReader, ports: readonly PortSpec[]): void {
  if (ports.length < 2) return;
  const seen = new Set<number>();
  for (const { protocol, published } of ports) {
    const claim = protocol === "tcp" ? published : -published;
    if (seen.has(claim)) return reader.fail("spec.publish", `${published}/${protocol} is published twice`);
    seen.add(claim);
  }
}

export function readTexts(
  reader: FieldReader,
  json: unknown,
  path: string,
  what: string,
  isValid: (text: string) => boolean,
): string[] {
  return reader
    .list(json, path, MAX_PREFIXES)
    .map((text, index) => reader.named(text, `${path}[${index}]`, what, isValid));
}

function isPrefix(text: string): boolean {
  return text === "0.0.0.0/0" || text === "::/0" || (text.length <= 64 && parsePrefix(text) !== null);
}

export function isBind(text: string): boolean {
  return isPrefix(text) || INTERFACE_NAME.test(text);
}

export function readStamp(reader: FieldReader, json: unknown, path: string, leastCounter: number): Stamp {
  const stamp = reader.list(json, path, 16);
  return {
    counter: reader.integer(stamp[0], `${path}[0]`, leastCounter, MAX_COUNTER),
    node: reader.named(
      stamp[1],
      `${path}[1]`,
      `node name of at most ${MAX_NODE_NAME_LENGTH} characters`,
      isNodeName,
    ),
  };
}

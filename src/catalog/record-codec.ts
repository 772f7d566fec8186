/**
 * Records ↔ the value of their entry: JSON in printable ASCII, everything else escaped. The value is kept and handed
 * on as it came, so that what a newer version added to it survives nodes that do not know it, and every node
 * computes the same hash. What the entry's key says already (names) is not in the value.
 */
import { parseIp } from "../wire/index.ts";
import { FieldReader } from "./field-reader.ts";
import { readLabels, sortedLabels } from "./labels.ts";
import {
  MAX_BIND_ERROR_LENGTH,
  MAX_BIND_ERRORS,
  MAX_DOWN_PORTS,
  MAX_DOWN_TASKS,
  MAX_INTERFACE_NAME_LENGTH,
  MAX_NODE_ADDRESSES,
  MAX_TASK_ADDRESSES,
  MAX_VALUE_BYTES,
  MAX_VALUE_DEPTH,
} from "./limits.ts";
import { isNodeName, isServiceName, isTaskName } from "./names.ts";
import type {
  DeclarationRecord,
  DownTask,
  NodeNetwork,
  NodeRecord,
  NodeWish,
  OverlayRecord,
  RelayRecord,
  ServiceRecord,
  TaskRecord,
} from "./records.ts";
import {
  declarationToJson,
  isBind,
  readDeclaration,
  readService,
  readTexts,
  serviceToJson,
} from "./service-codec.ts";

/** By the kind of its entry. */
export interface RecordOf {
  readonly service: ServiceRecord;
  readonly wish: NodeWish;
  readonly task: TaskRecord;
  readonly node: NodeRecord;
  readonly declaration: DeclarationRecord;
}
export type EntryKind = keyof RecordOf;
export type AnyRecord = RecordOf[EntryKind];

export type DecodedRecord<K extends EntryKind> =
  | { readonly record: RecordOf[K] }
  | { readonly problem: string };

const HOST_NAME = /^[a-zA-Z0-9_](?:[a-zA-Z0-9_.-]{0,251}[a-zA-Z0-9_])?$/;
const MAX_VERSION_LENGTH = 64;
const MAX_WEIGHT = 256;
const MAX_VNI = 2 ** 24 - 1;

const QUOTE = 0x22;
const OPEN_BRACKET = 0x5b;
const BACKSLASH = 0x5c;
const CLOSE_BRACKET = 0x5d;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;

export function taskKey(service: string, name: string): string {
  return `${service}\0${name}`;
}

/** null when it is a valid key of such an entry, else what is wrong with it. */
export function checkKey(kind: EntryKind, key: string): string | null {
  switch (kind) {
    case "service":
    case "declaration":
      return isServiceName(key) ? null : `${JSON.stringify(key)} is no service name`;
    case "wish":
      return isNodeName(key) ? null : `${JSON.stringify(key)} is no node name`;
    case "node":
      return key === "" ? null : "a node has one record only";
    case "task": {
      const [service, name] = splitTaskKey(key);
      if (!isServiceName(service)) return `${JSON.stringify(service)} is no service name`;
      return isTaskName(name) ? null : `${JSON.stringify(name)} is no task name`;
    }
  }
}

export function encodeRecord<K extends EntryKind>(kind: K, record: RecordOf[K]): string {
  return JSON.stringify(toJson(kind, record as AnyRecord)).replace(
    /[^\x20-\x7e]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/** Never throws, whatever the text. `key` is valid: checkKey has said so. */
export function decodeRecord<K extends EntryKind>(kind: K, key: string, text: string): DecodedRecord<K> {
  if (text.length > MAX_VALUE_BYTES) return { problem: `is larger than ${MAX_VALUE_BYTES / 1024} KiB` };
  if (!isShallow(text)) return { problem: `nests deeper than ${MAX_VALUE_DEPTH}` };
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return { problem: "is no JSON" };
  }
  const reader = new FieldReader();
  const record = readRecord(reader, kind, key, json) as RecordOf[K];
  return reader.problem === null ? { record } : { problem: reader.problem };
}

export function isPrintableAscii(text: string): boolean {
  return !/[^\x20-\x7e]/.test(text);
}

function toJson(kind: EntryKind, record: AnyRecord): unknown {
  switch (kind) {
    case "service":
      return serviceToJson(record as ServiceRecord);
    case "declaration":
      return declarationToJson(record as DeclarationRecord);
    case "wish":
      return { wish: (record as NodeWish).wish };
    case "task": {
      const { host, port, weight, isDraining, origin } = record as TaskRecord;
      return { host, port, weight, isDraining, origin };
    }
    case "node": {
      const { labels, relay, overlay, downTasks, ...rest } = record as NodeRecord;
      const down = downTasks.map(({ service, task, ports }) => [service, task, ports]);
      return {
        labels: sortedLabels(labels),
        relay: relayToJson(relay),
        overlay: overlayToJson(overlay),
        ...rest,
        ...(down.length > 0 && { downTasks: down }),
      };
    }
  }
}

function relayToJson(relay: RelayRecord | null): RelayRecord | null {
  if (relay === null) return null;
  const { address, port, udpPort } = relay;
  return { address, port, ...(udpPort !== undefined && { udpPort }) };
}

function overlayToJson(overlay: OverlayRecord | null): OverlayRecord | null {
  if (overlay === null) return null;
  const { driver, address, vni, port, encrypt, publicKey } = overlay;
  return { driver, address, vni, port, encrypt, publicKey };
}

function readRecord(reader: FieldReader, kind: EntryKind, key: string, json: unknown): AnyRecord {
  switch (kind) {
    case "service":
      return readService(reader, key, json);
    case "declaration":
      return readDeclaration(reader, key, json);
    case "wish":
      return { wish: reader.choice(reader.object(json, "").wish, "wish", ["drain", "forget"]) };
    case "task":
      return readTask(reader, key, json);
    case "node":
      return readNode(reader, json);
  }
}

function readTask(reader: FieldReader, key: string, json: unknown): TaskRecord {
  const value = reader.object(json, "");
  const [service, name] = splitTaskKey(key);
  return {
    service,
    name,
    host: reader.named(value.host, "host", "address or host name", isHost),
    port: value.port === null ? null : reader.integer(value.port, "port", 1, 65_535),
    weight: reader.integer(value.weight, "weight", 1, MAX_WEIGHT),
    isDraining: reader.flag(value.isDraining, "isDraining"),
    origin: reader.choice(value.origin, "origin", ["file", "api"]),
  };
}

function readNode(reader: FieldReader, json: unknown): NodeRecord {
  const value = reader.object(json, "");
  return {
    labels: readLabels(reader, value.labels, "labels"),
    relay: value.relay === null ? null : readRelay(reader, value.relay),
    overlay:
      value.overlay === undefined || value.overlay === null ? null : readOverlay(reader, value.overlay),
    isDraining: reader.flag(value.isDraining, "isDraining"),
    version: reader.text(value.version, "version", MAX_VERSION_LENGTH),
    bindErrors: reader
      .list(value.bindErrors, "bindErrors", MAX_BIND_ERRORS)
      .map((error, index) => readBindError(reader, error, `bindErrors[${index}]`)),
    downTasks: reader
      .list(value.downTasks ?? [], "downTasks", MAX_DOWN_TASKS)
      .map((task, index) => readDownTask(reader, task, `downTasks[${index}]`)),
    ...(value.network !== undefined && { network: readNetwork(reader, value.network) }),
    ...(value.taskAddresses !== undefined && {
      taskAddresses: reader
        .list(value.taskAddresses, "taskAddresses", MAX_TASK_ADDRESSES)
        .map((entry, index) => readTaskAddress(reader, entry, `taskAddresses[${index}]`)),
    }),
  };
}

function readDownTask(reader: FieldReader, json: unknown, path: string): DownTask {
  const [service, task, ports] = reader.list(json, path, 16);
  return {
    service: reader.named(service, path, "service name", isServiceName),
    task: reader.named(task, path, "task name", isTaskName),
    ports: reader
      .list(ports, path, MAX_DOWN_PORTS)
      .map((port) => reader.named(port, path, "port", isPortKey)),
  };
}

function readNetwork(reader: FieldReader, json: unknown): NodeNetwork {
  const { addresses, bind } = reader.object(json, "network");
  return {
    addresses: reader.list(addresses, "network.addresses", MAX_NODE_ADDRESSES).map((entry, index) => {
      const path = `network.addresses[${index}]`;
      const [name, address] = reader.list(entry, path, 2);
      return [
        reader.text(name, path, MAX_INTERFACE_NAME_LENGTH),
        reader.named(address, path, "IP address", isIpAddress),
      ];
    }),
    bind: readTexts(reader, bind, "network.bind", "bind rule", isBind),
  };
}

function readTaskAddress(reader: FieldReader, json: unknown, path: string): [string, string, string] {
  const [service, task, address] = reader.list(json, path, 3);
  return [
    reader.named(service, path, "service name", isServiceName),
    reader.named(task, path, "task name", isTaskName),
    reader.named(address, path, "IP address", isIpAddress),
  ];
}

function readRelay(reader: FieldReader, json: unknown): NodeRecord["relay"] {
  const relay = reader.object(json, "relay");
  return {
    address: reader.named(relay.address, "relay.address", "IP address", isIpAddress),
    port: reader.integer(relay.port, "relay.port", 1, 65_535),
    ...(relay.udpPort !== undefined && {
      udpPort: reader.integer(relay.udpPort, "relay.udpPort", 1, 65_535),
    }),
  };
}

function readOverlay(reader: FieldReader, json: unknown): OverlayRecord {
  const { driver, address, vni, port, encrypt, publicKey } = reader.object(json, "overlay");
  return {
    driver: reader.choice(driver, "overlay.driver", ["kernel", "userspace", "none"]),
    address: address === null ? null : reader.named(address, "overlay.address", "IPv4 address", isIpv4),
    vni: reader.integer(vni, "overlay.vni", 1, MAX_VNI),
    port: reader.integer(port, "overlay.port", 1, 65_535),
    encrypt: reader.flag(encrypt, "overlay.encrypt"),
    publicKey:
      publicKey === null
        ? null
        : reader.named(publicKey, "overlay.publicKey", "hex of 32 bytes", isPublicKey),
  };
}

function readBindError(reader: FieldReader, json: unknown, path: string): [string, string, string] {
  const error = reader.list(json, path, 16);
  return [
    reader.text(error[0], path, MAX_BIND_ERROR_LENGTH),
    reader.text(error[1], path, MAX_BIND_ERROR_LENGTH),
    reader.text(error[2], path, MAX_BIND_ERROR_LENGTH),
  ];
}

function isPortKey(text: string): boolean {
  return /^(?:tcp|udp) [1-9][0-9]{0,4}$/.test(text);
}

function isHost(text: string): boolean {
  return text.includes(":") ? isIpAddress(text) : HOST_NAME.test(text);
}

function isIpAddress(text: string): boolean {
  return text.length <= 64 && parseIp(text) !== null;
}

function isIpv4(text: string): boolean {
  return isIpAddress(text) && parseIp(text)!.family === 4;
}

function isPublicKey(text: string): boolean {
  return /^[0-9a-f]{64}$/.test(text);
}

function splitTaskKey(key: string): [service: string, name: string] {
  const end = key.indexOf("\0");
  return end < 0 ? [key, ""] : [key.slice(0, end), key.slice(end + 1)];
}

/** Brackets inside texts do not count. What is no JSON at all may come out either way. */
function isShallow(text: string): boolean {
  let depth = 0;
  let isInText = false;
  for (let i = 0; i < text.length; i++) {
    const character = text.charCodeAt(i);
    if (character === BACKSLASH) i++;
    else if (character === QUOTE) isInText = !isInText;
    else if (isInText) continue;
    else if (character === OPEN_BRACKET || character === OPEN_BRACE) {
      if (++depth > MAX_VALUE_DEPTH) return false;
    } else if (character === CLOSE_BRACKET || character === CLOSE_BRACE) depth--;
  }
  return true;
}

/**
 * Records of a newer version: an older node holds, relays and stores what it cannot read, byte for byte, does not use
 * it, and says so once. The newer node is simulated by what it would write.
 */
import { describe, expect, test } from "bun:test";
import { decode, encode } from "@msgpack/msgpack";
import type { EntryHead } from "../../../src/catalog/entry.ts";
import { entryHead } from "../../../src/catalog/entry-codec.ts";
import { Catalog, type Effect } from "../../../src/catalog/index.ts";
import type { RowKind } from "../../../src/catalog/kinds.ts";
import { MAX_SERVICES } from "../../../src/catalog/limits.ts";
import { encodeRecord, taskKey } from "../../../src/catalog/record-codec.ts";
import { decodeMessage, ENCODING_VERSION, encodeUpdates } from "../../../src/catalog/sync-messages.ts";
import { declared, nodeRecord, spec, task } from "../../support/catalog/catalog-records.ts";

const NOW_MS = 1_700_000_000_000;
const NODES = ["old", "newer", "third"];
const STATE = { isFileKnown: true, members: null };

function newCatalog(name: string): Catalog {
  const catalog = new Catalog(name);
  catalog.setLive(NODES);
  catalog.tick(NOW_MS, [], () => 0.5);
  return catalog;
}

/** An entry of the node called "newer". */
function written(kind: RowKind, key: string, fields: object, counter = 5): EntryHead {
  return entryHead(kind, key, { counter, node: "newer" }, encode(fields), 0);
}

function serviceFields(changes: object, specChanges: object = {}): object {
  const created = { counter: 1, node: "newer" };
  const record = { name: "web", spec: spec(80), created, createdAtMs: 1, updatedAtMs: 2 };
  const fields = decode(encodeRecord("service", record)) as { spec: object };
  return { ...fields, spec: { ...fields.spec, ...specChanges }, ...changes };
}

const TASK_FIELDS = decode(encodeRecord("task", task("web", "x"))) as object;
const NODE_FIELDS = decode(encodeRecord("node", nodeRecord())) as object;
const DECLARED = { changed: [1, "newer"], file: "/f" };

const MORE_FIELDS: readonly (readonly [string, EntryHead])[] = [
  ["a service with a new field", written("service", "web", serviceFields({ mirror: { to: ["x", 1.5] } }))],
  ["a spec with a new field", written("service", "web", serviceFields({}, { sticky: true }))],
  ["a declaration with a new field", written("declaration", "web", serviceFields({ ...DECLARED, line: 7 }))],
  ["a task with a new field", written("task", taskKey("web", "x"), { ...TASK_FIELDS, health: "good" })],
  ["a node with a new field", written("node", "", { ...NODE_FIELDS, gpu: [1, { a: null }] })],
];
const UNREADABLE: readonly (readonly [string, EntryHead])[] = [
  ["a service with a new balance", written("service", "web", serviceFields({}, { balance: "weighted" }))],
  [
    "a declaration with a new protocol",
    written("declaration", "web", serviceFields(DECLARED, { publish: [["sctp", 1, 1, 1, "ingress"]] })),
  ],
  ["a task with a new origin", written("task", taskKey("web", "x"), { ...TASK_FIELDS, origin: "docker" })],
  ["a node with a new overlay driver", written("node", "", { ...NODE_FIELDS, overlay: { driver: "quic" } })],
  ["a new directive", written("directive", "third", { directive: "restart" })],
  ["a shared record of a new kind", written("unknown 7", "web", { any: ["thing", { deep: 1 }] })],
  ["an owned record of a new kind", written("unknown 40", "web", { volume: "v" })],
  ["an owned record of a new kind with the key of a node record", written("unknown 41", "", { a: 1 })],
];
const BY_NEWER = [...MORE_FIELDS, ...UNREADABLE];

function hear(catalog: Catalog, ...entries: readonly EntryHead[]): void {
  catalog.onMessage(null, encodeUpdates(entries, 0), NOW_MS);
}

/** Bodies of the entries that the payloads carry. */
function bodiesIn(payloads: readonly Uint8Array[]): string[] {
  return payloads.flatMap((payload) => {
    const message = decodeMessage(payload, 0);
    if (typeof message === "string" || !("entries" in message)) return [];
    return message.entries.map(({ body }) => body.toHex());
  });
}

/** Bodies of the entries that `from` sends to a catalog that holds nothing. */
function sendAll(from: Catalog): string[] {
  const empty = newCatalog("third");
  const byName = new Map([from, empty].map((catalog) => [catalog.self, catalog]));
  const payloads: Uint8Array[] = [];
  let effects: Effect[] = empty.tick(NOW_MS + 10_000, [from.self], () => 0.5);
  while (effects.length > 0) {
    payloads.push(...effects.map(({ payload }) => payload));
    effects = effects.flatMap(({ to, payload }) => byName.get(to)!.onMessage(null, payload, NOW_MS + 10_000));
  }
  expect(empty.fingerprint).toBe(from.fingerprint);
  return bodiesIn(payloads);
}

describe.each(BY_NEWER)("%s", (_what, entry) => {
  const body = entry.body.toHex();

  test("goes on by gossip as it came", () => {
    const old = newCatalog("old");
    hear(old, entry);
    expect(bodiesIn(old.draw(1400, 1))).toEqual([body]);
    expect(old.counters.refused.value).toBe(0);
  });

  test("goes on by anti-entropy as it came", () => {
    const old = newCatalog("old");
    hear(old, entry);
    expect(sendAll(old)).toEqual([body]);
  });

  test("is replaced by its next version, and by its tombstone", () => {
    const old = newCatalog("old");
    hear(old, entry);
    const { kind, key } = entry;
    const next = entryHead(kind, key, { counter: 6, node: "newer" }, encode({ next: 1 }), 0);
    hear(old, next, entry);
    expect(sendAll(old)).toEqual([next.body.toHex()]);
    const tombstone = entryHead(kind, key, { counter: 7, node: "newer" }, null, 0);
    hear(old, tombstone, next);
    expect(sendAll(old)).toEqual([tombstone.body.toHex()]);
  });
});

test.each(BY_NEWER.filter(([, { kind }]) => kind !== "task" && kind !== "node"))(
  "%s is in the snapshot as it came",
  (_what, entry) => {
    const old = newCatalog("old");
    hear(old, entry);
    const restarted = newCatalog("old");
    expect(restarted.restore(old.snapshot(STATE), NOW_MS).problem).toBeNull();
    expect(sendAll(restarted)).toEqual([entry.body.toHex()]);
  },
);

test.each(MORE_FIELDS)("%s is used without the field", (_what, entry) => {
  const old = newCatalog("old");
  hear(old, entry);
  const seen = [old.services().get("web")?.spec, old.tasks()[0]?.host, old.nodes().get("newer")?.version];
  expect(seen.filter((value) => value !== undefined).length).toBe(1);
  expect(old.takeUnreadable()).toEqual([]);
});

test.each(UNREADABLE)("%s is not used, which is said once", (_what, entry) => {
  const old = newCatalog("old");
  hear(old, entry, written("unknown 8", "another", {}));
  expect([old.services().size, old.tasks(), old.nodes().size, old.directiveOf("third")]).toEqual([
    0,
    [],
    0,
    null,
  ]);
  expect(old.takeUnreadable()).toEqual([{ kind: entry.kind, key: entry.key, node: "newer" }]);
  hear(old, { ...entry, ...written(entry.kind, entry.key, { next: 1 }, 9) });
  expect(old.takeUnreadable()).toEqual([]);
});

test("elements behind the value of an entry, and behind the fields of a message, survive and do no harm", () => {
  const { body } = written("service", "web", serviceFields({}));
  const longer = encode([...(decode(body) as unknown[]), { lease: 30 }]);
  const message = Uint8Array.of(10, ENCODING_VERSION, ...encode([[[longer, 0, "more"]], "more"]));
  const old = newCatalog("old");
  old.onMessage(null, message, NOW_MS);
  expect(old.services().has("web")).toBe(true);
  expect(sendAll(old)).toEqual([Buffer.from(longer).toString("hex")]);
});

test("a service that cannot be read can be replaced and removed by command", () => {
  const old = newCatalog("old");
  const [[, unreadable]] = UNREADABLE as [(typeof UNREADABLE)[number]];
  hear(old, unreadable);
  expect(old.writeService("web", spec(81), NOW_MS)).toBeNull();
  expect(old.services().get("web")?.spec).toEqual(spec(81));
  expect(old.overwrittenOf("web")).toEqual([]);
  hear(old, written("service", "web", serviceFields({}, { balance: "weighted" }), 20));
  expect(old.services().size).toBe(0);
  expect(old.removeService("web")).toBeNull();
  expect(old.fingerprint).not.toBe(newCatalog("old").fingerprint);
  expect(old.services().size).toBe(0);
});

test("a declaration that cannot be read still declares: tasks made by command stay when the service is removed", () => {
  const old = newCatalog("old");
  old.writeService("web", spec(80), NOW_MS);
  old.writeTask(task("web", "10.0.0.1", { origin: "api" }));
  hear(old, written("declaration", "web", serviceFields(DECLARED, { balance: "weighted" })));
  old.removeService("web");
  expect(old.tasks().map(({ name }) => name)).toEqual(["10.0.0.1"]);
});

test("a node that was newer before keeps its own records of that time", () => {
  const old = newCatalog("newer");
  const own = written("unknown 40", "web", { volume: "v" });
  hear(old, own);
  expect(sendAll(old)).toEqual([own.body.toHex()]);
  const restarted = newCatalog("renamed");
  expect(restarted.restore(old.snapshot(STATE), NOW_MS).problem).toBeNull();
  const [body] = sendAll(restarted);
  const [kind, key, node, , , value] = decode(Uint8Array.fromHex(body!)) as unknown[];
  expect([kind, key, node, decode(value as Uint8Array)]).toEqual([40, "web", "renamed", { volume: "v" }]);
});

test("kinds and keys of newer versions do not meet those of this one", () => {
  const old = newCatalog("old");
  hear(old, written("declaration", "web", serviceFields(DECLARED)), written("unknown 40", "web", { a: 1 }));
  hear(old, written("service", "dns", serviceFields({})), written("unknown 7", "dns", { b: 1 }));
  expect([...old.services().keys()]).toEqual(["dns", "web"]);
  expect(sendAll(old).length).toBe(4);
  hear(old, entryHead("unknown 40", "web", { counter: 9, node: "newer" }, null, 0));
  expect([...old.services().keys()]).toEqual(["dns", "web"]);
  expect(old.declare(declared("own", spec(90)), NOW_MS)).toBeNull();
});

test("records of unknown kinds have a limit of their own", () => {
  const old = newCatalog("old");
  for (let index = 0; index < 2 * MAX_SERVICES; index++) hear(old, written("unknown 7", `k${index}`, {}));
  expect(old.counters.refused.limit).toBe(2 * MAX_SERVICES - 1.25 * MAX_SERVICES);
  hear(old, written("service", "web", serviceFields({})));
  expect(old.services().size).toBe(1);
});

test.each([[64], [-1], [1.5], ["service"], [null]])("no version has a kind %p", (kind) => {
  const body = encode([kind, "web", "newer", 5, [], encode({})]);
  const old = newCatalog("old");
  old.onMessage(null, Uint8Array.of(10, ENCODING_VERSION, ...encode([[[body, 0]]])), NOW_MS);
  expect(old.counters.malformed.malformed).toBe(1);
});

import { expect, test } from "bun:test";
import { decode, encode } from "@msgpack/msgpack";
import { entryHead } from "../../../src/catalog/entry-codec.ts";
import { Catalog } from "../../../src/catalog/index.ts";
import type { RowKind } from "../../../src/catalog/kinds.ts";
import { MAX_SERVICES } from "../../../src/catalog/limits.ts";
import { encodeRecord, taskKey } from "../../../src/catalog/record-codec.ts";
import { ENCODING_VERSION, encodeUpdates } from "../../../src/catalog/sync-messages.ts";
import { MAX_TASKS_PER_NODE, type Stamp } from "../../../src/model/index.ts";
import { rootHash } from "../../support/catalog/catalog-network.ts";
import { declared, nodeRecord, port, spec, task } from "../../support/catalog/catalog-records.ts";

const NOW_MS = 1_700_000_000_000;
const HOUR_MS = 3_600_000;

function newCatalog(name: string, live: readonly string[] = ["a", "b", "c"]): Catalog {
  const catalog = new Catalog(name);
  catalog.setLive(live);
  return catalog;
}

/** What `from` has to gossip, all of it, reaches the others. */
function gossip(from: Catalog, ...to: readonly Catalog[]): void {
  while (from.hasNews) {
    for (const payload of from.draw(1400, 1))
      for (const catalog of to) catalog.onMessage(null, payload, NOW_MS);
  }
}

/** A gossip message with one entry, as some other node might write it. */
function forged(kind: RowKind, key: string, stamp: Stamp, value: Uint8Array | null, ageMs = 0): Uint8Array {
  return encodeUpdates([entryHead(kind, key, stamp, value, -ageMs)], 0);
}

/** Minutes of ticks: a clock that jumps does not count (see steady-time.ts). */
function pass(catalog: Catalog, fromMs: number, durationMs: number): number {
  for (let passedMs = 0; passedMs <= durationMs; passedMs += 60_000)
    catalog.tick(fromMs + passedMs, [], () => 0);
  return fromMs + durationMs;
}

test("Catalog: a service written on one node is read on another, with who made it and when", () => {
  const [a, b] = [newCatalog("a"), newCatalog("b")];
  expect(a.writeService("web", spec(8080), NOW_MS)).toBeNull();
  gossip(a, b);
  const created = { counter: 1, node: "a" };
  expect(b.services().get("web")).toEqual({
    name: "web",
    spec: spec(8080),
    origin: "api",
    created,
    createdAtMs: NOW_MS,
    updatedAtMs: NOW_MS,
    stamp: created,
    definitions: [
      {
        node: "a",
        file: null,
        spec: spec(8080),
        changed: created,
        created,
        createdAtMs: NOW_MS,
        updatedAtMs: NOW_MS,
      },
    ],
  });
  b.writeService("web", spec(9090), NOW_MS + 1);
  gossip(b, a);
  expect(a.services().get("web")).toMatchObject({ created, createdAtMs: NOW_MS, updatedAtMs: NOW_MS + 1 });
  expect(a.services().get("web")?.stamp).toEqual({ counter: 2, node: "b" });
});

test("Catalog: writing what is there already writes nothing", () => {
  const a = newCatalog("a");
  const writeAll = () => {
    a.writeService("web", spec(8080, { nodes: { zone: "x", disk: "ssd" } }), NOW_MS);
    a.writeTask(task("web", "10.0.0.1"));
    a.writeNode(nodeRecord());
    a.setDirective("b", "drain");
  };
  writeAll();
  const before = [a.revision, rootHash(a)];
  writeAll();
  a.writeService("web", spec(8080, { nodes: { disk: "ssd", zone: "x" } }), NOW_MS + 1000);
  a.removeService("unknown");
  a.setDirective("c", null);
  expect([a.revision, rootHash(a)]).toEqual(before);
});

test("Catalog: the revision rises with what readers see, and with nothing else", () => {
  const [a, b] = [newCatalog("a"), newCatalog("b", ["a"])];
  a.writeTask(task("web", "10.0.0.1"));
  const payload = a.draw(1400, 1)[0]!;
  b.onMessage(null, payload, NOW_MS);
  const seen = b.revision;
  expect(seen).toBeGreaterThan(0);
  b.onMessage(null, payload, NOW_MS);
  b.onMessage(null, forged("task", taskKey("web", "10.0.0.9"), { counter: 9, node: "a" }, null), NOW_MS);
  b.onMessage(null, forged("task", taskKey("web", "x"), { counter: 9, node: "dead" }, taskText()), NOW_MS);
  b.tick(NOW_MS, ["a"], () => 0);
  expect(b.revision).toBe(seen);
  b.onMemberFailed("a");
  expect(b.revision).toBe(seen + 1);
  expect(b.tasks()).toEqual([]);
  b.onMemberAlive("a");
  expect(b.revision).toBe(seen + 2);
  expect(b.tasksOf("web").length).toBe(1);
});

function taskText(): Uint8Array {
  return encodeRecord("task", task("web", "x"));
}

test("Catalog: records that come before their owner is known are kept, and shown when it is", () => {
  const [a, b] = [newCatalog("a"), newCatalog("b", [])];
  a.writeTask(task("web", "10.0.0.1"));
  gossip(a, b);
  expect(b.tasks()).toEqual([]);
  b.setLive(["a", "b"]);
  expect(b.tasksOf("web").map(({ owner }) => owner)).toEqual(["a"]);
});

test("Catalog: a transaction takes effect as a whole or not at all", () => {
  const a = newCatalog("a");
  const refusal = a.transaction((writer) => {
    writer.writeService("web", spec(8080), NOW_MS);
    writer.writeTask(task("web", "10.0.0.1"));
    writer.writeTask(task("web", "10.0.0.2", { port: 70_000 }));
  });
  expect(refusal).toBe("cannot write task web 10.0.0.2: port: 70000 is outside 1..65535");
  expect([a.services().size, a.tasks().length, a.revision, a.hasNews]).toEqual([0, 0, 0, false]);
});

test("Catalog: the writes of a transaction see each other", () => {
  const a = newCatalog("a");
  a.transaction((writer) => {
    writer.writeService("web", spec(8080), NOW_MS);
    writer.writeService("web", spec(9090), NOW_MS + 5);
    writer.writeTask(task("web", "10.0.0.1"));
    writer.removeTask("web", "10.0.0.1");
  });
  expect(a.services().get("web")).toMatchObject({ createdAtMs: NOW_MS, updatedAtMs: NOW_MS + 5 });
  expect(a.tasks()).toEqual([]);
});

test.each([
  [
    "service names",
    (a: Catalog) => a.writeService("web shop", spec(1), 0),
    /"web shop" is not a service name/,
  ],
  ["node names", (a: Catalog) => a.setDirective("", "drain"), /"" is not a node name/],
  ["task names", (a: Catalog) => a.writeTask(task("web", "x".repeat(262))), /is not a task name/],
  ["ports", (a: Catalog) => a.writeService("web", spec(0), 0), /publish\[0\]\[1\]: 0 is outside/],
  [
    "a port twice",
    (a: Catalog) => a.writeService("web", spec([port(1), port(1)]), 0),
    /1\/tcp is published twice/,
  ],
  [
    "prefixes",
    (a: Catalog) => a.writeService("web", spec(1, { allow: ["10.0.0.0/33"] }), 0),
    /allow\[0\]: "10.0.0.0\/33" is not an IP address or a CIDR prefix/,
  ],
  [
    "hosts",
    (a: Catalog) => a.writeTask(task("web", "x", { host: "a b" })),
    /host: "a b" is not an IP address or a DNS name/,
  ],
  [
    "relay addresses",
    (a: Catalog) => a.writeNode(nodeRecord({ relay: { address: "x", port: 1 } })),
    /relay.address/,
  ],
  [
    "large values",
    (a: Catalog) => a.writeService("web", spec(1, { deny: manyPrefixes(9000) }), 0),
    /9000 entries: at most 1024/,
  ],
  [
    "long lists",
    (a: Catalog) => a.writeService("web", spec(1, { deny: manyPrefixes(1100) }), 0),
    /at most 1024/,
  ],
  [
    "many ports",
    (a: Catalog) => a.writeService("web", spec(manyPorts(16_385)), 0),
    /16385 ports: a service has at most 16384/,
  ],
] as const)("Catalog: writers refuse %s that are not valid, with the reason", (_what, write, reason) => {
  const a = newCatalog("a");
  expect(write(a)).toMatch(reason);
  expect(a.revision).toBe(0);
});

function manyPrefixes(count: number): string[] {
  return Array.from({ length: count }, (_, index) => `10.${index >> 8}.${index & 255}.0/24`);
}

function manyPorts(count: number) {
  return Array.from({ length: count }, (_, index) => port(1 + index, { target: 1 + index }));
}

test("Catalog: a range of 16,384 ports is one short entry", () => {
  const [a, b] = [newCatalog("a"), newCatalog("b")];
  const ports = manyPorts(16_384);
  expect(a.writeService("web", spec(ports), NOW_MS)).toBeNull();
  gossip(a, b);
  expect(b.services().get("web")?.spec.publish).toEqual(ports);
});

test("Catalog: writers refuse more tasks and services than the limits, and still change and remove at them", () => {
  const a = newCatalog("a");
  const write = (from: number, to: number) =>
    a.transaction((writer) => {
      for (let index = from; index < to; index++) writer.writeTask(task("web", `t${index}`));
    });
  expect(write(0, MAX_TASKS_PER_NODE)).toBeNull();
  expect(write(MAX_TASKS_PER_NODE, MAX_TASKS_PER_NODE + 1)).toMatch(/at most 10000 are allowed/);
  expect(a.writeTask(task("web", "t1", { weight: 2 }))).toBeNull();
  expect(a.removeTask("web", "t2")).toBeNull();
  expect(a.writeTask(task("web", "new"))).toBeNull();
  const services = a.transaction((writer) => {
    for (let index = 0; index <= MAX_SERVICES; index++) writer.writeService(`s${index}`, spec(80), NOW_MS);
  });
  expect(services).toMatch(/4097 services: at most 4096 are allowed/);
});

test("Catalog: others may pass the limits by a little, not by much", () => {
  const a = newCatalog("a");
  for (let index = 0; index < 1.3 * MAX_SERVICES; index++) {
    a.onMessage(
      null,
      forged("service", `s${index}`, { counter: index + 1, node: "b" }, serviceText()),
      NOW_MS,
    );
  }
  expect(a.services().size).toBe(1.25 * MAX_SERVICES);
  expect(a.counters.refused.limit).toBeGreaterThan(0);
  expect(a.writeService("s0", spec(81), NOW_MS)).toBeNull();
  expect(a.writeService("another", spec(81), NOW_MS)).toMatch(/at most 4096/);
});

function serviceText(changes: object = {}): Uint8Array {
  const record = { name: "x", spec: spec(80), origin: "api", createdAtMs: 0, updatedAtMs: 0 } as const;
  const value = encodeRecord("service", { ...record, created: { counter: 1, node: "b" } });
  return encode({ ...(decode(value) as object), ...changes });
}

test("Catalog: fields of a newer version are ignored here and reach the nodes behind", () => {
  const [a, b, c] = [newCatalog("a"), newCatalog("b"), newCatalog("c")];
  const text = serviceText({ mirror: { to: ["x"] } });
  b.onMessage(null, forged("service", "web", { counter: 3, node: "a" }, text), NOW_MS);
  expect(b.services().get("web")?.spec).toEqual(spec(80));
  gossip(b, c);
  a.onMessage(null, forged("service", "web", { counter: 3, node: "a" }, text), NOW_MS);
  expect(rootHash(c)).toBe(rootHash(a));
});

test.each([
  ["a text for a record", encode("{}")],
  ["a list for a record", encode([])],
  ["a map that ends early", Uint8Array.of(0x81)],
  ["deep nesting without an end", new Uint8Array(60_000).fill(0x91)],
  ["more than 64 KiB", encode({ note: "x".repeat(64 * 1024) })],
])(
  "Catalog: an entry with %s is refused and counted, and the others of its message are not",
  (_what, value) => {
    const a = newCatalog("a");
    const stamp = { counter: 1, node: "b" };
    const bad = entryHead("service", "bad", stamp, value, 0);
    const good = entryHead("service", "good", stamp, serviceText(), 0);
    a.onMessage(null, encodeUpdates([bad, good], 0), NOW_MS);
    expect([...a.services().keys()]).toEqual(["good"]);
    expect(a.counters.refused.value).toBe(1);
    expect(a.takeUnreadable()).toEqual([]);
  },
);

test("Catalog: a declaration cannot claim to be newer than its last write, or it would be in force without end", () => {
  const a = newCatalog("a");
  const text = (counter: number) => serviceText({ changed: [counter, "b"], file: "/x.toml" });
  const stamp = { counter: 5, node: "b" };
  a.onMessage(null, forged("declaration", "web", stamp, text(6)), NOW_MS);
  expect([a.services().size, a.counters.refused.value]).toEqual([0, 1]);
  a.onMessage(null, forged("declaration", "web", stamp, text(5)), NOW_MS);
  expect(
    a
      .services()
      .get("web")
      ?.definitions.map(({ node }) => node),
  ).toEqual(["b"]);
  a.declare(declared("web", spec(9090)), NOW_MS);
  expect(a.services().get("web")?.spec.publish[0]?.published).toBe(9090);
});

test("Catalog: of two equal stamps the tombstone wins, and of two values one wins, in either order", () => {
  const stamp = { counter: 5, node: "b" };
  const versions = [serviceText(), serviceText({ origin: "file" })].map((text) =>
    forged("service", "web", stamp, text),
  );
  const orders = [versions, [...versions].reverse()];
  const tables = orders.map((order) => {
    const a = newCatalog("a");
    for (const payload of order) a.onMessage(null, payload, NOW_MS);
    expect(a.services().size).toBe(1);
    return a;
  });
  expect(rootHash(tables[0]!)).toBe(rootHash(tables[1]!));
  for (const a of tables) a.onMessage(null, forged("service", "web", stamp, null), NOW_MS);
  for (const a of tables) for (const payload of versions) a.onMessage(null, payload, NOW_MS);
  expect(tables.map((a) => a.services().size)).toEqual([0, 0]);
});

test("Catalog: create over a tombstone creates, and makes a new service of it", () => {
  const [a, b] = [newCatalog("a"), newCatalog("b")];
  a.writeService("web", spec(8080), NOW_MS);
  a.removeService("web");
  gossip(a, b);
  expect(b.services().size).toBe(0);
  b.writeService("web", spec(8080), NOW_MS + 1);
  gossip(b, a);
  expect(a.services().get("web")?.created).toEqual({ counter: 3, node: "b" });
});

test("Catalog: an update from elsewhere does not resurrect what was removed later", () => {
  const [a, b] = [newCatalog("a"), newCatalog("b")];
  a.writeService("web", spec(8080), NOW_MS);
  gossip(a, b);
  a.removeService("web");
  b.writeService("web", spec(9090), NOW_MS); // counter 2 like the removal, but by the higher name
  b.onMessage(null, forged("service", "web", { counter: 3, node: "a" }, null), NOW_MS);
  gossip(b, a);
  expect(b.services().size).toBe(0);
});

test("Catalog: no node writes another's row: it is the writer's own by construction", () => {
  const [a, b] = [newCatalog("a"), newCatalog("b")];
  a.writeTask(task("web", "10.0.0.1"));
  gossip(a, b);
  b.writeTask(task("web", "10.0.0.1", { weight: 5 }));
  b.removeTask("web", "10.0.0.1");
  expect(b.tasksOf("web")).toMatchObject([{ owner: "a", weight: 1 }]);
});

test("Catalog: a forged tombstone of another's row is taken back by its owner as soon as it hears of it", () => {
  const [a, b] = [newCatalog("a"), newCatalog("b")];
  a.writeTask(task("web", "10.0.0.1"));
  gossip(a, b);
  const tombstone = forged("task", taskKey("web", "10.0.0.1"), { counter: 7, node: "a" }, null);
  b.onMessage(null, tombstone, NOW_MS);
  expect(b.tasks()).toEqual([]);
  a.onMessage(null, tombstone, NOW_MS);
  gossip(a, b);
  expect(b.tasksOf("web")[0]?.stamp).toEqual({ counter: 8, node: "a" });
});

test("Catalog: an owner that hears its own row again with a newer stamp keeps the stamp and writes nothing", () => {
  const a = newCatalog("a");
  a.writeTask(task("web", "10.0.0.1"));
  a.draw(1400, 1);
  const text = encodeRecord("task", task("web", "10.0.0.1"));
  a.onMessage(null, forged("task", taskKey("web", "10.0.0.1"), { counter: 40, node: "a" }, text), NOW_MS);
  expect(a.tasksOf("web")[0]?.stamp.counter).toBe(40);
  expect(a.hasNews).toBe(false);
  a.writeTask(task("web", "10.0.0.1", { weight: 2 }));
  expect(a.tasksOf("web")[0]?.stamp.counter).toBe(41);
});

test("Catalog: the first write after a digest was seen is later than everything in the cluster", () => {
  const [old, fresh] = [newCatalog("a"), newCatalog("b")];
  for (let port = 1; port < 50; port++) old.writeService("web", spec(port), NOW_MS);
  fresh.onDigest("a", old.digest(), NOW_MS);
  fresh.writeService("web", spec(9999), NOW_MS);
  gossip(fresh, old);
  expect(old.services().get("web")?.spec.publish[0]?.published).toBe(9999);
});

test("Catalog: a counter far ahead of all others is refused, and writes go on", () => {
  const a = newCatalog("a");
  for (const counter of [2 ** 41, 2 ** 52, 2 ** 53 - 1]) {
    a.onMessage(null, forged("service", "web", { counter, node: "b" }, serviceText()), NOW_MS);
  }
  expect(a.counters.refused.counter + a.counters.refused.value).toBe(3);
  a.writeService("mine", spec(80), NOW_MS);
  expect(a.services().get("mine")?.stamp.counter).toBe(1);
});

test("Catalog: with a removed service go the tasks made by command, by their owner, and those of the file stay", () => {
  const [a, b] = [newCatalog("a"), newCatalog("b")];
  b.writeTask(task("web", "10.0.0.1", { origin: "api" }));
  b.writeTask(task("web", "10.0.0.2", { origin: "file" }));
  b.writeTask(task("web2", "10.0.0.3", { origin: "api" }));
  a.writeService("web", spec(80), NOW_MS);
  gossip(b, a);
  a.removeService("web");
  gossip(a, b);
  gossip(b, a);
  expect(a.tasks().map(({ name }) => name)).toEqual(["10.0.0.2", "10.0.0.3"]);
});

test("Catalog: tombstones keep their age when they are passed on, so none starts again", () => {
  const [a, b] = [newCatalog("a"), newCatalog("b")];
  const empty = rootHash(b);
  const tombstone = (ageMs: number) =>
    forged("task", taskKey("web", "x"), { counter: 3, node: "c" }, null, ageMs);
  a.onMessage(null, tombstone(23 * HOUR_MS), NOW_MS);
  a.tick(NOW_MS + 15_000, [], () => 0);
  for (const payload of a.draw(1400, 1)) b.onMessage(null, payload, NOW_MS);
  b.onMessage(null, tombstone(0), NOW_MS); // younger: known better here
  expect(rootHash(b)).toBe(rootHash(a));
  let nowMs = pass(b, NOW_MS, HOUR_MS - 120_000);
  expect(rootHash(b)).not.toBe(empty);
  nowMs = pass(b, nowMs, 120_000);
  expect(rootHash(b)).toBe(empty);
  b.onMessage(null, tombstone(25 * HOUR_MS), nowMs);
  expect(rootHash(b)).toBe(empty);
});

test("Catalog: of equal tombstones with different ages the older age counts, whichever comes first", () => {
  const tombstone = (ageMs: number) =>
    forged("task", taskKey("web", "x"), { counter: 3, node: "c" }, null, ageMs);
  for (const ages of [
    [0, 23 * HOUR_MS],
    [23 * HOUR_MS, 0],
  ]) {
    const a = newCatalog("a");
    const empty = rootHash(a);
    for (const ageMs of ages) a.onMessage(null, tombstone(ageMs), NOW_MS);
    pass(a, NOW_MS, HOUR_MS + 60_000);
    expect(rootHash(a)).toBe(empty);
  }
});

test("Catalog: a task made by command after its service was removed stays", () => {
  const a = newCatalog("a");
  a.writeTask(task("web", "10.0.0.1", { origin: "api" }));
  a.onMessage(null, forged("service", "web", { counter: 5, node: "b" }, null), NOW_MS);
  expect(a.tasks()).toEqual([]);
  a.writeTask(task("web", "10.0.0.2", { origin: "api" }));
  a.onMessage(null, forged("service", "web", { counter: 5, node: "c" }, null), NOW_MS);
  expect(a.tasks().map(({ name }) => name)).toEqual(["10.0.0.2"]);
});

test("Catalog: a directive to forget takes effect on a node that dies without having heard of it", () => {
  const [a, b] = [newCatalog("a"), newCatalog("b")];
  const silent = newCatalog("c");
  silent.writeTask(task("web", "10.0.0.1"));
  gossip(silent, a, b);
  a.setDirective("c", "forget");
  gossip(a, b);
  expect(b.tasks().length).toBe(1);
  b.onMessage(null, forged("task", taskKey("web", "later"), { counter: 9, node: "c" }, taskText()), NOW_MS);
  b.onMemberFailed("c");
  b.onMemberAlive("c");
  expect(b.tasks().map(({ name }) => name)).toEqual(["later"]); // written after the directive
});

test("Catalog: a directive to forget drops what a dead node wrote before it, and nothing later", () => {
  const [a, b, dead] = [newCatalog("a"), newCatalog("b"), newCatalog("c")];
  dead.writeTask(task("web", "10.0.0.1"));
  const before = dead.draw(1400, 1);
  for (const catalog of [a, b]) for (const payload of before) catalog.onMessage(null, payload, NOW_MS);
  for (const catalog of [a, b]) catalog.onMemberFailed("c");
  a.setDirective("c", "forget");
  gossip(a, b);
  for (const payload of before) b.onMessage(null, payload, NOW_MS);
  expect(b.counters.refused.forgotten).toBeGreaterThan(0);
  for (const catalog of [a, b]) catalog.onMemberAlive("c");
  expect(b.tasks()).toEqual([]);
  dead.onDigest("b", b.digest(), NOW_MS);
  dead.writeTask(task("web", "10.0.0.2"));
  gossip(dead, b);
  expect(b.tasksOf("web").map(({ name }) => name)).toEqual(["10.0.0.2"]);
});

test("Catalog: a living node outlives a directive to forget it, and takes the directive back", () => {
  const [a, b, living] = [newCatalog("a"), newCatalog("b", ["a"]), newCatalog("c")];
  living.writeTask(task("web", "10.0.0.1"));
  gossip(living, a, b);
  a.setDirective("c", "forget");
  gossip(a, b, living);
  expect(a.tasksOf("web").length).toBe(1); // it is alive as far as a knows
  gossip(living, a, b);
  b.onMemberAlive("c");
  expect(b.tasksOf("web").length).toBe(1);
  expect([a.directiveOf("c"), b.directiveOf("c")]).toEqual([null, null]);
});

test("Catalog: drain is a directive anybody may have and take back", () => {
  const [a, b] = [newCatalog("a"), newCatalog("b")];
  a.setDirective("c", "drain");
  gossip(a, b);
  expect(b.directiveOf("c")).toBe("drain");
  b.setDirective("c", null);
  gossip(b, a);
  expect(a.directiveOf("c")).toBeNull();
});

test("Catalog: messages it cannot read are counted by reason", () => {
  const a = newCatalog("a");
  const good = newCatalog("b").digest();
  a.onMessage(null, Uint8Array.of(9, 1), NOW_MS);
  a.onMessage(null, Uint8Array.of(10, ENCODING_VERSION + 1), NOW_MS);
  a.onMessage(null, good.subarray(0, 7), NOW_MS);
  a.onMessage(null, new Uint8Array(), NOW_MS);
  expect(a.counters.malformed).toEqual({ type: 2, version: 1, malformed: 1 });
});

test("Catalog: names that differ only in where one ends and the next begins are different", () => {
  const [a, b] = [newCatalog("a"), newCatalog("b")];
  a.writeTask(task("web", "a.b"));
  a.writeTask(task("web.a", "b"));
  a.writeService("drain", spec(80), NOW_MS);
  a.setDirective("drain", "drain");
  gossip(a, b);
  expect([b.tasksOf("web").length, b.tasksOf("web.a").length, b.tasksOf("we").length]).toEqual([1, 1, 0]);
  expect([b.services().size, b.directiveOf("drain")]).toEqual([1, "drain"]);
});

test("Catalog: nodes() has the living with their labels and listeners that failed", () => {
  const [a, b] = [newCatalog("a"), newCatalog("b", ["a"])];
  const record = nodeRecord({
    labels: { zone: "eu-1" },
    relay: { address: "fd00::2", port: 4789 },
    bindErrors: [["web", "tcp 0.0.0.0:80", "Адрес уже используется \u{1f600}"]],
  });
  expect(a.writeNode(record)).toBeNull();
  gossip(a, b);
  expect(b.nodes().get("a")).toEqual({ ...record, stamp: { counter: 1, node: "a" } });
  b.onMemberFailed("a");
  expect(b.nodes().size).toBe(0);
});

import { expect, test } from "bun:test";
import { Catalog, type CatalogState } from "../../../src/catalog/index.ts";
import { rootHash } from "../../support/catalog/catalog-network.ts";
import { declared, nodeRecord, spec, task } from "../../support/catalog/catalog-records.ts";

const NOW_MS = 1_700_000_000_000;
const STATE: CatalogState = {
  isFileKnown: true,
  members: [{ name: "b", address: "10.0.0.2:7946" }],
};

function filled(): Catalog {
  const catalog = new Catalog("a");
  catalog.writeService("web", spec(8080), NOW_MS);
  catalog.writeService("gone", spec(8081), NOW_MS);
  catalog.removeService("gone");
  catalog.setDirective("b", "drain");
  catalog.writeTask(task("web", "10.0.0.1", { origin: "api" }));
  catalog.writeTask(task("web", "10.0.0.2", { origin: "file" }));
  catalog.writeNode(nodeRecord());
  return catalog;
}

function restored(text: string, name = "a"): Catalog {
  const catalog = new Catalog(name);
  expect(catalog.restore(text, NOW_MS).problem).toBeNull();
  return catalog;
}

test("snapshot: services, directives, tombstones, tasks made by command and the caller's part survive", () => {
  const before = filled();
  const text = before.snapshot(STATE);
  const after = new Catalog("a");
  expect(after.restore(text, NOW_MS + 1e9)).toEqual({ ...STATE, problem: null });
  expect([...after.services()]).toEqual([...before.services()]);
  expect(after.directiveOf("b")).toBe("drain");
  expect(after.tasks().map(({ name }) => name)).toEqual(["10.0.0.1"]);
  expect(after.nodes().size).toBe(0);
  const other = new Catalog("b");
  other.writeService("gone", spec(8081), NOW_MS); // an old write that comes late
  for (const payload of other.draw(1400, 1)) after.onMessage(null, payload, NOW_MS);
  expect(after.services().has("gone")).toBe(false);
});

test("snapshot: the counter goes on where it was, and restoring writes nothing", () => {
  const before = filled();
  const after = restored(before.snapshot(STATE));
  expect(after.hasNews).toBe(false);
  before.writeService("next", spec(1), NOW_MS);
  after.writeService("next", spec(1), NOW_MS);
  expect(after.services().get("next")?.stamp).toEqual(before.services().get("next")!.stamp);
});

test("snapshot: what it restores is the same again", () => {
  const text = filled().snapshot(STATE);
  expect(rootHash(restored(restored(text).snapshot(STATE)))).toBe(rootHash(restored(text)));
});

test("snapshot: tombstones are as old as they were, the time in between not counted", () => {
  const catalog = filled();
  for (let minute = 0; minute <= 29 * 24 * 60; minute++) catalog.tick(NOW_MS + minute * 60_000, [], () => 0);
  const after = restored(catalog.snapshot(STATE));
  const withTombstone = rootHash(after);
  for (let minute = 0; minute <= 23 * 60; minute++) after.tick(NOW_MS + minute * 60_000, [], () => 0);
  expect(rootHash(after)).toBe(withTombstone);
  for (let minute = 23 * 60; minute <= 25 * 60; minute++) after.tick(NOW_MS + minute * 60_000, [], () => 0);
  expect(rootHash(after)).not.toBe(withTombstone);
  expect(after.services().size).toBe(1);
});

test("snapshot: a node that was renamed keeps its tasks under the new name", () => {
  const after = restored(filled().snapshot(STATE), "renamed");
  expect(after.tasks()).toMatchObject([{ owner: "renamed", name: "10.0.0.1" }]);
  expect(after.services().size).toBe(1);
});

test("snapshot: an empty catalog has one too", () => {
  const empty = { isFileKnown: false, members: null };
  const after = new Catalog("a");
  expect(after.restore(new Catalog("a").snapshot(empty), NOW_MS)).toEqual({ ...empty, problem: null });
});

test.each([
  ["nothing", () => "", /is not a snapshot/],
  ["something else", () => '{"name":"x"}\n{}\n', /is not a snapshot/],
  ["half of it", (text: string) => text.slice(0, text.length / 2), /checksum is wrong/],
  ["another byte", (text: string) => text.replace("10.0.0.2", "10.0.0.3"), /checksum is wrong/],
  [
    "a newer version",
    (text: string) => text.replace('"version":3', '"version":4'),
    /has format 4, this version of portmesh reads format 3/,
  ],
  ["zeros, as after a power cut", (text: string) => "\0".repeat(text.length), /is not a snapshot/],
])("snapshot: %s restores nothing and says so", (_what, damage, problem) => {
  const catalog = new Catalog("a");
  const result = catalog.restore(damage(filled().snapshot(STATE)), NOW_MS);
  expect(result.problem).toMatch(problem);
  expect(result).toMatchObject({ isFileKnown: false, members: null });
  expect([catalog.services().size, catalog.revision]).toEqual([0, 0]);
});

test("snapshot: declarations of all nodes are kept, what was removed stays removed", () => {
  const [a, b] = [new Catalog("a"), new Catalog("b")];
  a.setLive(["a", "b"]);
  a.declare(declared("web", spec(8080)), NOW_MS);
  a.declare(declared("old", spec(8081)), NOW_MS);
  a.undeclare("old");
  b.declare(declared("dns", spec(53)), NOW_MS);
  for (const payload of b.draw(1400, 1)) a.onMessage(null, payload, NOW_MS);
  const after = restored(a.snapshot(STATE));
  expect([...after.services()]).toEqual([...a.services()]); // b is not alive yet, its file counts all the same
  expect([...after.ownDeclarations().keys()]).toEqual(["web"]);
  const renamed = restored(a.snapshot(STATE), "renamed");
  expect([...renamed.ownDeclarations().keys()]).toEqual(["web"]);
  expect(
    renamed
      .services()
      .get("web")!
      .definitions.map(({ node }) => node),
  ).toEqual(["renamed"]);
  expect(
    renamed
      .services()
      .get("dns")!
      .definitions.map(({ node }) => node),
  ).toEqual(["b"]);
});

test("snapshot: a file that is on all nodes is kept once, what differs or belongs to a dead node always", () => {
  const a = new Catalog("a");
  a.setLive(["a", "b", "c", "d"]);
  for (const [name, port] of [
    ["b", 80],
    ["c", 80],
    ["d", 81],
    ["dead", 80],
  ] as const) {
    const node = new Catalog(name);
    node.declare(declared("web", spec(port)), NOW_MS);
    for (const payload of node.draw(1400, 1)) a.onMessage(null, payload, NOW_MS);
  }
  const nodesOf = (catalog: Catalog) =>
    catalog
      .services()
      .get("web")!
      .definitions.map(({ node }) => node);
  expect(nodesOf(a)).toEqual(["dead", "d", "c", "b"]);
  expect(
    new Set(
      a
        .services()
        .get("web")!
        .definitions.map(({ spec }) => spec),
    ).size,
  ).toBe(2);
  expect(nodesOf(restored(a.snapshot(STATE)))).toEqual(["dead", "d"]);
  a.setLive(["a"]);
  expect(nodesOf(restored(a.snapshot(STATE)))).toEqual(["dead", "d", "c", "b"]);
});

test("snapshot: how long a node has been dead goes on counting, and what was forgotten stays so", () => {
  const [a, b] = [new Catalog("a"), new Catalog("b")];
  b.declare(declared("dns", spec(53)), NOW_MS);
  const said = b.draw(1400, 1);
  for (const payload of said) a.onMessage(null, payload, NOW_MS);
  const tick = (catalog: Catalog, minutes: number) => {
    for (let minute = 0; minute <= minutes; minute++) catalog.tick(NOW_MS + minute * 60_000, [], () => 0);
  };
  tick(a, 23 * 60);
  const later = restored(a.snapshot(STATE));
  expect(later.services().has("dns")).toBe(true);
  tick(later, 62);
  expect(later.services().has("dns")).toBe(false);
  const last = restored(later.snapshot(STATE));
  for (const payload of said) last.onMessage(null, payload, NOW_MS);
  expect(last.services().has("dns")).toBe(false);
});

test("snapshot: one of another version changes nothing and says which version it is", () => {
  const [header, body] = new Catalog("a").snapshot(STATE).split("\n");
  const former = JSON.stringify({ ...JSON.parse(header!), version: 2 });
  const after = new Catalog("a");
  expect(after.restore(`${former}\n${body}\n`, NOW_MS)).toMatchObject({
    isFileKnown: false,
    problem: "cannot restore the catalog: it has format 2, this version of portmesh reads format 3",
  });
});

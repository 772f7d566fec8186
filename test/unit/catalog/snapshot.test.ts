import { expect, test } from "bun:test";
import { Catalog, type CatalogState } from "../../../src/catalog/index.ts";
import { rootHash } from "../../support/catalog-network.ts";
import { nodeRecord, port, spec, task } from "../../support/catalog-records.ts";

const NOW_MS = 1_700_000_000_000;
const STATE: CatalogState = {
  declared: {
    services: new Map([["web", spec([port(80), port(81, { target: 81 })], { nodes: { zone: "a" } })]]),
    tasks: [task("web", "10.0.0.1", { weight: 4 })],
  },
  members: [{ name: "b", address: "10.0.0.2:7946" }],
};

function filled(): Catalog {
  const catalog = new Catalog("a");
  catalog.writeService("web", spec(8080), "api", NOW_MS);
  catalog.writeService("gone", spec(8081), "api", NOW_MS);
  catalog.removeService("gone");
  catalog.wish("b", "drain");
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

test("snapshot: services, wishes, tombstones, tasks made by command and the caller's part survive", () => {
  const before = filled();
  const text = before.snapshot(STATE);
  const after = new Catalog("a");
  expect(after.restore(text, NOW_MS + 1e9)).toEqual({ ...STATE, problem: null });
  expect([...after.services()]).toEqual([...before.services()]);
  expect(after.wishOf("b")).toBe("drain");
  expect(after.tasks().map(({ name }) => name)).toEqual(["10.0.0.1"]);
  expect(after.nodes().size).toBe(0);
  const other = new Catalog("b");
  other.writeService("gone", spec(8081), "api", NOW_MS); // an old write that comes late
  for (const payload of other.draw(1400, 1)) after.onMessage(null, payload, NOW_MS);
  expect(after.services().has("gone")).toBe(false);
});

test("snapshot: the counter goes on where it was, and restoring writes nothing", () => {
  const before = filled();
  const after = restored(before.snapshot(STATE));
  expect(after.hasNews).toBe(false);
  before.writeService("next", spec(1), "api", NOW_MS);
  after.writeService("next", spec(1), "api", NOW_MS);
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
  const empty = { declared: null, members: null };
  const after = new Catalog("a");
  expect(after.restore(new Catalog("a").snapshot(empty), NOW_MS)).toEqual({ ...empty, problem: null });
});

test.each([
  ["nothing", () => "", /is no snapshot/],
  ["something else", () => '{"name":"x"}\n{}\n', /is no snapshot/],
  ["half of it", (text: string) => text.slice(0, text.length / 2), /checksum is wrong/],
  ["another byte", (text: string) => text.replace("web", "wab"), /checksum is wrong/],
  ["a newer version", (text: string) => text.replace('"version":1', '"version":2'), /version is 2, not 1/],
  ["zeros, as after a power cut", (text: string) => "\0".repeat(text.length), /is no snapshot/],
])("snapshot: %s restores nothing and says so", (_what, damage, problem) => {
  const catalog = new Catalog("a");
  const result = catalog.restore(damage(filled().snapshot(STATE)), NOW_MS);
  expect(result.problem).toMatch(problem);
  expect(result).toMatchObject({ declared: null, members: null });
  expect([catalog.services().size, catalog.revision]).toEqual([0, 0]);
});

import { expect, test } from "bun:test";
import fc from "fast-check";
import { compareVersions, type Entry } from "../../../src/catalog/entry.ts";
import { entryHead, makeEntry } from "../../../src/catalog/entry-codec.ts";
import { MAX_SHARED_TOMBSTONES } from "../../../src/catalog/limits.ts";
import { encodeRecord } from "../../../src/catalog/record-codec.ts";
import { SteadyTime } from "../../../src/catalog/steady-time.ts";
import { Table } from "../../../src/catalog/table.ts";
import { Tombstones } from "../../../src/catalog/tombstones.ts";
import { task } from "../../support/catalog/catalog-records.ts";

function tombstone(key: string, counter: number, bornAtMs = 0): Entry {
  return made(makeEntry("service", key, { counter, node: "a" }, null, bornAtMs));
}

function made(entry: Entry | { readonly problem: string }): Entry {
  if ("problem" in entry) throw new Error(entry.problem);
  return entry;
}

test("Table: its hash says what is in it, whatever was in it before", () => {
  const key = fc.constantFrom("x", "y", "z");
  const step = fc.record({ key, counter: fc.integer({ min: 1, max: 3 }), isRemoval: fc.boolean() });
  fc.assert(
    fc.property(fc.array(step), (steps) => {
      const [table, rows] = [new Table(), new Map<string, Entry>()];
      for (const { key, counter, isRemoval } of steps) {
        const present = rows.get(key);
        if (isRemoval && present) {
          table.remove(present);
          rows.delete(key);
        } else {
          const entry = tombstone(key, counter);
          table.put(entry);
          rows.set(key, entry);
        }
      }
      const fresh = new Table();
      for (const entry of rows.values()) fresh.put(entry);
      expect(table.rootHash).toEqual(fresh.rootHash);
      expect([...table.partitions.keys()].sort()).toEqual([...fresh.partitions.keys()].sort());
      for (const [id, partition] of fresh.partitions)
        expect(table.partition(id)?.hash).toEqual(partition.hash);
    }),
  );
});

test("Table: beyond the bound the oldest shared tombstones go, the same ones in any order of arrival", () => {
  const all = Array.from({ length: MAX_SHARED_TOMBSTONES + 50 }, (_, index) =>
    tombstone(`s${index}`, index + 1),
  );
  const [ascending, descending] = [new Table(), new Table()];
  for (const entry of all) ascending.put(entry);
  for (const entry of [...all].reverse()) descending.put(entry);
  expect(descending.rootHash).toEqual(ascending.rootHash);
  expect(ascending.get("service", "s49", "")).toBeUndefined();
  expect(ascending.get("service", "s50", "")).toBe(all[50]!);
});

function encoded(name: string) {
  const record = task("web", name);
  return { record, value: encodeRecord("task", record) };
}

test("Table: tombstones past their time go, shared and owned by their own times", () => {
  const table = new Table();
  table.put(tombstone("old", 1, 100));
  table.put(tombstone("young", 2, 200));
  table.put(made(makeEntry("task", "web\0x", { counter: 3, node: "b" }, null, 200)));
  table.put(made(makeEntry("task", "web\0y", { counter: 4, node: "b" }, encoded("y"), 0)));
  table.removeTombstones(150, 250);
  expect(table.get("service", "old", "")).toBeUndefined();
  expect(table.get("service", "young", "")).toBeDefined();
  expect([...table.rowsOf("b")!.keys()]).toEqual(["web\0y"]);
});

test("Table: an owner without rows is no longer counted", () => {
  const table = new Table();
  const entry = made(makeEntry("task", "web\0x", { counter: 3, node: "b" }, encoded("x"), 0));
  table.put(entry);
  expect(table.ownerCount).toBe(1);
  table.remove(entry);
  expect([table.ownerCount, table.partitions.size, table.rootHash.high, table.rootHash.low]).toEqual([
    0, 0, 0, 0,
  ]);
});

test("compareVersions is a total order: counter, node, tombstone, value", () => {
  const version = fc
    .record({
      counter: fc.integer({ min: 1, max: 2 }),
      node: fc.constantFrom("a", "b"),
      value: fc.constantFrom(null, Uint8Array.of(), Uint8Array.of(1), Uint8Array.of(1, 2), Uint8Array.of(2)),
    })
    .map(({ counter, node, value }) => entryHead("service", "x", { counter, node }, value, 0));
  fc.assert(
    fc.property(version, version, version, (one, two, three) => {
      expect(Math.sign(compareVersions(one, two))).toBe(-Math.sign(compareVersions(two, one)) + 0);
      if (compareVersions(one, two) <= 0 && compareVersions(two, three) <= 0) {
        expect(compareVersions(one, three)).toBeLessThanOrEqual(0);
      }
      expect(compareVersions(one, two) === 0).toBe(Bun.deepEquals(one.hash, two.hash));
    }),
  );
});

test("Tombstones: ordered by stamp whatever comes when; removing takes exactly the one", () => {
  const counters = fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1, maxLength: 20 });
  fc.assert(
    fc.property(counters, fc.nat(), (stamps, pick) => {
      const tombstones = new Tombstones(100);
      const entries = stamps.map((counter, index) => tombstone(`s${index}`, counter));
      for (const entry of entries) tombstones.add(entry);
      const removed = entries[pick % entries.length]!;
      tombstones.remove(removed);
      const left = tombstones.bornBefore(1);
      expect(left.map(({ stamp }) => stamp.counter)).toEqual(
        entries
          .filter((entry) => entry !== removed)
          .map(({ stamp }) => stamp.counter)
          .sort(),
      );
      expect(left).not.toContain(removed);
    }),
  );
});

test("SteadyTime: goes on by what passed, never back and never by more than a minute at once", () => {
  const time = new SteadyTime();
  const wall = [5000, 5200, 5100, 5300, 1e12, 1e12 + 10, 0, 30_000];
  const steady = wall.map((wallMs) => {
    time.advance(wallMs);
    return time.nowMs;
  });
  expect(steady).toEqual([0, 200, 200, 400, 60_400, 60_410, 60_410, 90_410]);
});

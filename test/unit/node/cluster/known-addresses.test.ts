import { expect, test } from "bun:test";
import { KnownAddresses } from "../../../../src/node/cluster/known-addresses.ts";

test("without: those that are not among the given", () => {
  const known = new KnownAddresses();
  known.add("b", { host: "10.0.0.2", port: 7946 });
  known.add("c", { host: "fd00::3", port: 7946 });
  known.add("b", { host: "10.0.0.4", port: 7946 }); // it has moved
  expect(known.without(new Set(["[fd00::3]:7946", "10.0.0.2:7946"]))).toEqual([
    { host: "10.0.0.4", port: 7946 },
  ]);
  known.delete("b");
  expect([known.has("b"), known.has("c")]).toEqual([false, true]);
});

test("the thousand heard of last are kept", () => {
  const known = new KnownAddresses();
  for (let index = 0; index < 1_000; index++) known.add(`n${index}`, { host: "10.0.0.2", port: index + 1 });
  known.add("n0", { host: "10.0.0.2", port: 1 });
  known.add("new", { host: "10.0.0.2", port: 2_000 });
  expect([known.has("n0"), known.has("n1"), known.has("n2")]).toEqual([true, false, true]);
});

test("what was kept comes back; whatever else stands there is passed over", () => {
  const known = new KnownAddresses();
  known.add("b", { host: "10.0.0.2", port: 7946 });
  const restored = new KnownAddresses();
  restored.restore(JSON.parse(JSON.stringify(known.toJson())));
  expect(restored.toJson()).toEqual({ b: { host: "10.0.0.2", port: 7946 } });

  const strange = [null, 1, "x", [], { a: null }, { a: 1 }, { a: { host: 1, port: 2 } }];
  const wrong = [0, 65_536, 1.5, "80", Number.NaN].map((port) => ({ a: { host: "10.0.0.2", port } }));
  for (const kept of [...strange, ...wrong, { a: { host: "seed.test", port: 80 } }]) {
    const empty = new KnownAddresses();
    empty.restore(kept);
    expect(empty.toJson()).toEqual({});
  }
});

test("invented names evict each other, and no node that has answered", () => {
  const known = new KnownAddresses();
  const address = { host: "10.0.0.1", port: 7946 };
  for (let i = 0; i < 50; i++) {
    known.add(`real-${i}`, address);
    known.prove(`real-${i}`);
  }
  known.add("silent", address);
  for (let i = 0; i < 5_000; i++) known.add(`made-up-${i}`, address);
  for (let i = 0; i < 50; i++) expect(known.has(`real-${i}`)).toBe(true);
  expect(known.has("silent")).toBe(false);
  expect(Object.keys(known.toJson())).toHaveLength(1_000);
});

test("where all have answered the newest waits until it has, too", () => {
  const known = new KnownAddresses();
  const address = { host: "10.0.0.1", port: 7946 };
  for (let i = 0; i < 1_000; i++) {
    known.add(`real-${i}`, address);
    known.prove(`real-${i}`);
  }
  known.add("new", address);
  expect([known.has("new"), known.has("real-0")]).toEqual([false, true]);
});

import { expect, test } from "bun:test";
import {
  applyFileChanges,
  Catalog,
  compareFile,
  type FileAge,
  type FileDeclarations,
  type TaskRecord,
} from "../../../src/catalog/index.ts";
import type { ServiceSpec } from "../../../src/model/index.ts";
import { declared, spec, task } from "../../support/catalog/catalog-records.ts";

const NOW_MS = 1_700_000_000_000;
const FILE = "/etc/portmesh.toml";

function file(services: Record<string, ServiceSpec>, tasks: readonly TaskRecord[] = []): FileDeclarations {
  return { file: FILE, services: new Map(Object.entries(services)), tasks };
}

interface Load {
  readonly age?: FileAge;
  readonly previousTasks?: readonly TaskRecord[];
  readonly pending?: readonly string[];
}

/** What a reload does to the catalog. */
function load(catalog: Catalog, next: FileDeclarations, rest: Load = {}) {
  const changes = compareFile({
    next,
    declared: catalog.ownDeclarations(),
    services: catalog.services(),
    ownTasks: catalog.tasks().filter(({ owner }) => owner === catalog.self),
    age: rest.age ?? "known",
    previousTasks: rest.previousTasks ?? [],
    pending: new Set(rest.pending ?? []),
  });
  expect(catalog.transaction((writer) => applyFileChanges(writer, changes, NOW_MS))).toBeNull();
  return changes;
}

/** As a node without any memory starts: before the others are heard, and after. */
function start(
  catalog: Catalog,
  next: FileDeclarations,
  hear: () => void,
  changedAtMs: number | null = null,
) {
  const { declare } = load(catalog, next, { age: "unsynced" });
  hear();
  return load(catalog, next, { age: { changedAtMs }, pending: declare.map(({ name }) => name) });
}

function tell(from: Catalog, to: Catalog): void {
  for (const payload of from.draw(1_000_000, 1)) to.onMessage(null, payload, NOW_MS);
}

/** As "NAME PORT". */
function inForce(catalog: Catalog): string[] {
  return [...catalog.services().values()].map(({ name, spec }) => `${name} ${spec.publish[0]!.published}`);
}

const NOTHING = { declare: [], undeclare: [], writeTasks: [], removeTasks: [] };

test("compareFile: the first load declares everything, the same file again changes nothing", () => {
  const catalog = new Catalog("a");
  const next = file({ web: spec(8080), dns: spec(53) }, [task("web", "10.0.0.1"), task("dns", "10.0.0.2")]);
  start(catalog, next, () => undefined);
  expect([...catalog.services().keys()]).toEqual(["dns", "web"]);
  const web = catalog.services().get("web")!;
  expect(web).toMatchObject({ origin: "file", definitions: [{ node: "a", file: FILE }] });
  expect(web.stamp.counter).toBeGreaterThan(0);
  expect(web.created.counter).toBeLessThan(100);
  expect(catalog.tasks().length).toBe(2);
  const before = catalog.revision;
  expect(load(catalog, next, { previousTasks: next.tasks })).toEqual(NOTHING);
  expect(catalog.revision).toBe(before);
});

test("compareFile: the same file does not undo what a command or another file has changed since", () => {
  const [a, b] = [new Catalog("a"), new Catalog("b")];
  const old = file({ web: spec(8080), dns: spec(53) });
  load(a, old);
  tell(a, b);
  b.declare(declared("web", spec(8081)), NOW_MS);
  b.writeService("dns", spec(54), NOW_MS);
  tell(b, a);
  expect(load(a, old)).toEqual(NOTHING);
  expect(inForce(a)).toEqual(["dns 54", "web 8081"]);
});

test("compareFile: what changes in the file is in force, what leaves it is gone", () => {
  const catalog = new Catalog("a");
  const tasks = [task("web", "x"), task("web", "y")];
  load(catalog, file({ web: spec(8080), dns: spec(53), old: spec(1) }, tasks));
  const after = file({ web: spec(8081), dns: spec(53) }, [task("web", "y", { weight: 3 }), task("web", "z")]);
  const changes = load(catalog, after, { previousTasks: tasks });
  expect(changes.declare.map(({ name, age }) => [name, age])).toEqual([["web", "newest"]]);
  expect(changes.undeclare).toEqual(["old"]);
  expect(inForce(catalog)).toEqual(["dns 53", "web 8081"]);
  expect(catalog.tasks().map(({ name, weight }) => [name, weight])).toEqual([
    ["y", 3],
    ["z", 1],
  ]);
});

test("compareFile: a service stays as long as another file or a command has it", () => {
  const [a, b] = [new Catalog("a"), new Catalog("b")];
  a.writeService("made", spec(90), NOW_MS);
  load(a, file({ web: spec(80), made: spec(91) }));
  tell(a, b);
  load(b, file({ web: spec(80) }));
  tell(b, a);
  load(a, file({}));
  expect(inForce(a)).toEqual(["made 90", "web 80"]);
  expect([...a.services().values()].map(({ origin }) => origin)).toEqual(["api", "file"]);
  tell(a, b);
  load(b, file({}));
  expect(inForce(b)).toEqual(["made 90"]);
});

test("compareFile: the age of a service, and so its ports, outlive the node that declared it first", () => {
  const [a, b] = [new Catalog("a"), new Catalog("b")];
  load(a, file({ web: spec(80) }));
  tell(a, b);
  load(b, file({ web: spec(80) }));
  b.writeService("late", spec(80), NOW_MS);
  tell(b, a);
  load(a, file({}));
  expect([...a.conflicts().keys()]).toEqual(["late"]);
  expect(a.services().get("web")!.created).toEqual({ counter: 1, node: "a" });
});

test("compareFile: another path of the same file is shown, and makes nothing newer", () => {
  const [a, b] = [new Catalog("a"), new Catalog("b")];
  load(a, file({ web: spec(80) }));
  tell(a, b);
  load(b, file({ web: spec(81) }));
  tell(b, a);
  load(a, { ...file({ web: spec(80) }), file: "/srv/portmesh.toml" });
  expect(inForce(a)).toEqual(["web 81"]);
  expect(a.ownDeclarations().get("web")!.file).toBe("/srv/portmesh.toml");
});

test("compareFile: a draining task whose declaration has not changed stays as it is", () => {
  const catalog = new Catalog("a");
  const next = file({}, [task("web", "x"), task("web", "y")]);
  load(catalog, next);
  catalog.writeTask(task("web", "x", { isDraining: true }));
  expect(load(catalog, next, { previousTasks: next.tasks })).toEqual(NOTHING);
  load(catalog, file({}, [task("web", "x", { weight: 2 }), task("web", "y")]), { previousTasks: next.tasks });
  expect(catalog.tasksOf("web")[0]).toMatchObject({ weight: 2, isDraining: false });
});

test("compareFile: tasks made by command are not the file's to remove; one it declares becomes the file's", () => {
  const catalog = new Catalog("a");
  catalog.writeTask(task("web", "x", { origin: "api" }));
  catalog.writeTask(task("web", "by-hand", { origin: "api" }));
  load(catalog, file({}, [task("web", "x")]));
  expect(catalog.tasksOf("web").map(({ name, origin }) => `${name} ${origin}`)).toEqual([
    "by-hand api",
    "x file",
  ]);
  load(catalog, file({}));
  expect(catalog.tasks().map(({ name }) => name)).toEqual(["by-hand"]);
});

test.each([
  ["no time of the file", null, 8080],
  ["an older file", NOW_MS - 1, 8080],
  ["a newer file", NOW_MS + 1, 9090],
])("compareFile: a first start with %s", (_what, changedAtMs, expected) => {
  const [a, b] = [new Catalog("a"), new Catalog("b")];
  b.writeService("web", spec(8080), NOW_MS);
  const hear = () => {
    expect(inForce(a)).toEqual(["dns 53", "web 9090"]);
    tell(b, a);
    expect(inForce(a)).toEqual(["dns 53", "web 8080"]); // pending is older than everything
  };
  start(a, file({ web: spec(9090), dns: spec(53) }), hear, changedAtMs);
  expect(inForce(a)).toEqual(["dns 53", `web ${expected}`]);
  expect(load(a, file({ web: spec(9090), dns: spec(53) }))).toEqual(NOTHING);
});

test("compareFile: a service that is new on a new node is younger than those of the others", () => {
  const [a, b] = [new Catalog("a"), new Catalog("b")];
  for (let port = 1; port < 9; port++)
    b.writeService("old", spec([{ ...spec(80).publish[0]! }], { maxConnections: port }), NOW_MS);
  start(a, file({ rival: spec(80) }), () => {
    tell(b, a);
    expect([...a.conflicts().keys()]).toEqual(["rival"]);
  });
  expect([...a.conflicts().keys()]).toEqual(["rival"]);
});

test("compareFile: a node that has lost its state learns from the others how old its declarations are", () => {
  const [before, b] = [new Catalog("a"), new Catalog("b")];
  start(before, file({ web: spec(80), dns: spec(53), gone: spec(1) }), () => undefined);
  tell(before, b);
  b.declare(declared("web", spec(81)), NOW_MS);
  const a = new Catalog("a");
  const remembered = b.services();
  start(a, file({ new: spec(9), web: spec(80), dns: spec(54) }), () => exchange(a, b), NOW_MS + 1);
  expect(inForce(a)).toEqual(["dns 54", "new 9", "web 81"]); // dns was edited, web was not
  expect(
    a
      .services()
      .get("web")!
      .definitions.map(({ node }) => node),
  ).toEqual(["b", "a"]);
  for (const name of ["web", "dns"])
    expect(a.services().get(name)!.created).toEqual(remembered.get(name)!.created);
  exchange(a, b);
  expect([...b.services()]).toEqual([...a.services()]);
});

/** Anti-entropy until nobody has anything to say. */
function exchange(one: Catalog, other: Catalog): void {
  const byName = new Map([one, other].map((catalog) => [catalog.self, catalog]));
  for (let round = 1; round <= 4; round++) {
    const [leader, peer] = round % 2 === 0 ? [one, other] : [other, one];
    leader.setLive([one.self, other.self]);
    let sends = leader.tick(NOW_MS + round * 10_000, [peer.self], () => 0.5);
    while (sends.length > 0) {
      sends = sends.flatMap(({ to, payload }) =>
        byName.get(to)!.onMessage(null, payload, NOW_MS + round * 10_000),
      );
    }
  }
}

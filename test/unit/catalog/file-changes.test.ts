import { expect, test } from "bun:test";
import {
  applyFileChanges,
  Catalog,
  compareFile,
  type FileDeclarations,
  type ServiceSpec,
  type TaskRecord,
} from "../../../src/catalog/index.ts";
import { spec, task } from "../../support/catalog-records.ts";

const NOW_MS = 1_700_000_000_000;

function file(services: Record<string, ServiceSpec>, tasks: readonly TaskRecord[] = []): FileDeclarations {
  return { services: new Map(Object.entries(services)), tasks };
}

/** What a reload does to the catalog. */
function load(
  catalog: Catalog,
  previous: FileDeclarations | null,
  next: FileDeclarations,
  fileChangedAtMs: number | null = null,
) {
  const ownTasks = catalog.tasks().filter(({ owner }) => owner === catalog.self);
  const changes = compareFile({ previous, next, services: catalog.services(), ownTasks, fileChangedAtMs });
  expect(catalog.transaction((writer) => applyFileChanges(writer, changes, NOW_MS))).toBeNull();
  return changes;
}

const NOTHING = { writeServices: [], removeServices: [], writeTasks: [], removeTasks: [], kept: [] };

test("compareFile: the first load declares everything, the same file again changes nothing", () => {
  const catalog = new Catalog("a");
  const declared = file({ web: spec(8080), dns: spec(53) }, [
    task("web", "10.0.0.1"),
    task("dns", "10.0.0.2"),
  ]);
  load(catalog, null, declared);
  expect([...catalog.services().keys()]).toEqual(["dns", "web"]);
  expect(catalog.services().get("web")?.origin).toBe("file");
  expect(catalog.tasks().length).toBe(2);
  const before = catalog.revision;
  expect(load(catalog, declared, declared)).toEqual(NOTHING);
  expect(catalog.revision).toBe(before);
});

test("compareFile: a service that is there already with an equal spec is not written again", () => {
  const catalog = new Catalog("a");
  catalog.writeService("web", spec(8080), "file", 1);
  const stamp = catalog.services().get("web")?.stamp;
  load(catalog, file({}), file({ web: spec(8080) }));
  expect(catalog.services().get("web")?.stamp).toEqual(stamp!);
});

test("compareFile: an old file on a restarted node does not undo newer state", () => {
  const catalog = new Catalog("a");
  const old = file({ web: spec(8080), gone: spec(9090) });
  load(catalog, null, old);
  catalog.writeService("web", spec(8081), "api", NOW_MS);
  catalog.removeService("gone");
  expect(load(catalog, old, old)).toEqual(NOTHING);
  expect(
    [...catalog.services().values()].map(({ name, spec }) => [name, spec.publish[0]?.published]),
  ).toEqual([["web", 8081]]);
});

test("compareFile: what changes in the file is written, what leaves it is removed", () => {
  const catalog = new Catalog("a");
  const before = file({ web: spec(8080), dns: spec(53), old: spec(1) }, [task("web", "x"), task("web", "y")]);
  const after = file({ web: spec(8081), dns: spec(53) }, [task("web", "y", { weight: 3 }), task("web", "z")]);
  load(catalog, null, before);
  const changes = load(catalog, before, after);
  expect(changes.writeServices.map(({ name }) => name)).toEqual(["web"]);
  expect(changes.removeServices).toEqual(["old"]);
  expect(catalog.tasks().map(({ name, weight }) => [name, weight])).toEqual([
    ["y", 3],
    ["z", 1],
  ]);
});

test("compareFile: what was made by command is not the file's to remove", () => {
  const catalog = new Catalog("a");
  const before = file({ web: spec(8080) }, [task("web", "x")]);
  load(catalog, null, before);
  catalog.writeService("web", spec(8081), "api", NOW_MS); // taken over by command
  catalog.writeTask(task("web", "by-hand", { origin: "api" }));
  load(catalog, before, file({}));
  expect(catalog.services().get("web")?.origin).toBe("api");
  expect(catalog.tasks().map(({ name }) => name)).toEqual(["by-hand"]);
});

test("compareFile: draining of a task whose declaration has not changed stay as they are", () => {
  const catalog = new Catalog("a");
  const declared = file({}, [task("web", "x"), task("web", "y")]);
  load(catalog, null, declared);
  catalog.writeTask(task("web", "x", { isDraining: true }));
  expect(load(catalog, declared, declared)).toEqual(NOTHING);
  load(catalog, declared, file({}, [task("web", "x", { weight: 2 }), task("web", "y")]));
  expect(catalog.tasksOf("web")[0]).toMatchObject({ weight: 2, isDraining: false });
});

test("compareFile: tasks of the file are written again after a restart, whatever was known of the file", () => {
  const declared = file({ web: spec(80) }, [task("web", "x")]);
  const changes = load(new Catalog("a"), declared, declared);
  expect(changes).toEqual({ ...NOTHING, writeTasks: [task("web", "x")] });
});

test("compareFile: a task made by command that the file declares now becomes the file's", () => {
  const catalog = new Catalog("a");
  catalog.writeTask(task("web", "x", { origin: "api" }));
  load(catalog, file({}), file({}, [task("web", "x")]));
  expect(catalog.tasks()[0]?.origin).toBe("file");
});

test.each([
  ["no time of the file", null, 8080],
  ["an older file", NOW_MS - 1, 8080],
  ["a newer file", NOW_MS + 1, 9090],
])("compareFile: without the file loaded before, and with %s", (_what, fileChangedAtMs, expected) => {
  const catalog = new Catalog("a");
  catalog.writeService("web", spec(8080), "api", NOW_MS);
  const changes = load(catalog, null, file({ web: spec(9090), dns: spec(53) }), fileChangedAtMs);
  expect(catalog.services().get("web")?.spec.publish[0]?.published).toBe(expected);
  expect(changes.kept).toEqual(expected === 8080 ? ["web"] : []);
  expect(catalog.services().has("dns")).toBe(true);
});

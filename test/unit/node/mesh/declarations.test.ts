import { describe, expect, test } from "bun:test";
import { Catalog, type FileChanges } from "../../../../src/catalog/index.ts";
import { declarationsOf, withChanges } from "../../../../src/node/mesh/declarations.ts";
import { spec, task } from "../../../support/catalog-records.ts";
import { configOf, webService } from "../../../support/config-of.ts";

const NOTHING: FileChanges = {
  writeServices: [],
  removeServices: [],
  writeTasks: [],
  removeTasks: [],
  kept: [],
};

test("declarationsOf: services without name and tasks, tasks of origin file", () => {
  const config = configOf(webService('tasks = ["10.0.0.9", { address = "web.test:81", weight = 3 }]'));
  const { services, tasks } = declarationsOf(config);
  expect([...services.keys()]).toEqual(["web"]);
  expect(services.get("web")).toMatchObject({ publish: [{ published: 80 }], drainTimeoutMs: 30_000 });
  expect(Object.keys(services.get("web")!)).not.toContain("tasks");
  expect(tasks).toMatchObject([
    { service: "web", name: "10.0.0.9", host: "10.0.0.9", port: null, weight: 1, origin: "file" },
    { service: "web", name: "web.test:81", host: "web.test", port: 81, weight: 3, origin: "file" },
  ]);
});

describe("withChanges", () => {
  function catalog(): Catalog {
    const catalog = new Catalog("a");
    catalog.setLive(["a"]);
    catalog.writeService("web", spec(80), "file", 1);
    catalog.writeService("dns", spec(53), "api", 1);
    catalog.writeTask(task("web", "x"));
    catalog.writeTask(task("web", "y"));
    return catalog;
  }

  test("nothing changes, nothing differs", () => {
    const { services, tasks } = withChanges(catalog().services(), catalog().tasks(), NOTHING, "a");
    expect([...services.keys()]).toEqual(["dns", "web"]);
    expect(tasks).toEqual(catalog().tasks());
  });

  test("it is what the catalog says after the changes were written", () => {
    const changes: FileChanges = {
      ...NOTHING,
      removeServices: ["dns"],
      writeServices: [
        { name: "web", spec: spec(81) },
        { name: "new", spec: spec(82) },
      ],
      removeTasks: [{ service: "web", name: "x" }],
      writeTasks: [task("web", "y", { weight: 9 }), task("new", "z")],
    };
    const before = catalog();
    const { services, tasks } = withChanges(before.services(), before.tasks(), changes, "a");
    expect([...services].map(([name, { spec }]) => [name, spec.publish[0]!.published])).toEqual([
      ["web", 81],
      ["new", 82],
    ]);
    expect(tasks.map(({ owner, service, name, weight }) => [owner, service, name, weight])).toEqual([
      ["a", "web", "y", 9],
      ["a", "new", "z", 1],
    ]);
    expect(before.services().get("web")?.spec.publish[0]?.published).toBe(80);
  });

  test("another node's task of the same name stays", () => {
    const other = { ...catalog().tasks()[0]!, owner: "b" };
    const changes = { ...NOTHING, removeTasks: [{ service: "web", name: "x" }] };
    const { tasks } = withChanges(catalog().services(), [...catalog().tasks(), other], changes, "a");
    expect(tasks.map(({ owner, name }) => [owner, name])).toEqual([
      ["a", "y"],
      ["b", "x"],
    ]);
  });
});

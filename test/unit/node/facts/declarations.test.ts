import { describe, expect, test } from "bun:test";
import { applyFileChanges, Catalog, type FileChanges } from "../../../../src/catalog/index.ts";
import { declarationsOf, servicesWith, tasksWith } from "../../../../src/node/facts/declarations.ts";
import { declared, spec, task } from "../../../support/catalog/catalog-records.ts";
import { configOf, webService } from "../../../support/node/config-of.ts";

const NOTHING: FileChanges = { declare: [], undeclare: [], writeTasks: [], removeTasks: [] };

test("declarationsOf: services without name and tasks, tasks of origin file", () => {
  const config = configOf(webService('tasks = ["10.0.0.9", { address = "web.test:81", weight = 3 }]'));
  const { file, services, tasks } = declarationsOf(config, "/etc/portmesh.toml");
  expect(file).toBe("/etc/portmesh.toml");
  expect([...services.keys()]).toEqual(["web"]);
  expect(services.get("web")).toMatchObject({ publish: [{ published: 80 }], drainTimeoutMs: 30_000 });
  expect(Object.keys(services.get("web")!)).not.toContain("tasks");
  expect(tasks).toMatchObject([
    { service: "web", name: "10.0.0.9", host: "10.0.0.9", port: null, weight: 1, origin: "file" },
    { service: "web", name: "web.test:81", host: "web.test", port: 81, weight: 3, origin: "file" },
  ]);
});

test("declarationsOf: a path that is too long or not printable is shown as far as it can be", () => {
  const config = configOf(webService());
  expect(declarationsOf(config, `/${"x".repeat(300)}/a\n.toml`).file).toEndWith("/a?.toml");
  const catalog = new Catalog("a");
  const { file } = declarationsOf(config, `/${"x".repeat(300)}/a\n.toml`);
  expect(catalog.declare(declared("web", spec(80), { file }), 1)).toBeNull();
});

describe("with the changes of a file", () => {
  function catalog(): Catalog {
    const catalog = new Catalog("a");
    catalog.setLive(["a"]);
    const other = new Catalog("b");
    other.declare(declared("shared", spec(70)), 1);
    for (const payload of other.draw(1_000, 1)) catalog.onMessage(null, payload, 1);
    catalog.declare(declared("web", spec(80)), 1);
    catalog.declare(declared("shared", spec(71)), 1);
    catalog.declare(declared("old", spec(72)), 1);
    catalog.writeService("dns", spec(53), 1);
    catalog.writeTask(task("web", "x"));
    catalog.writeTask(task("web", "y"));
    return catalog;
  }

  test("nothing changes, nothing differs", () => {
    const before = catalog();
    expect(servicesWith(before, NOTHING, 1)).toBe(before.services());
    expect(tasksWith(before.tasks(), NOTHING, "a")).toEqual(before.tasks());
  });

  test("it is what the catalog says after the changes were written", () => {
    const changes: FileChanges = {
      undeclare: ["shared", "old"],
      declare: [
        declared("web", spec(81)),
        declared("new", spec(82)),
        declared("dns", spec(54), { age: "kept" }),
      ],
      removeTasks: [{ service: "web", name: "x" }],
      writeTasks: [task("web", "y", { weight: 9 }), task("new", "z")],
    };
    const before = catalog();
    const services = servicesWith(before, changes, 1);
    const tasks = tasksWith(before.tasks(), changes, "a");
    before.transaction((writer) => applyFileChanges(writer, changes, 1));
    const ports = (all: typeof services) =>
      [...all.values()].map(({ name, spec }) => `${name} ${spec.publish[0]!.published}`).sort();
    expect(ports(services)).toEqual(["dns 53", "new 82", "shared 70", "web 81"]);
    expect(ports(before.services())).toEqual(ports(services));
    const names = (all: typeof tasks) =>
      all.map(({ owner, service, name, weight }) => `${owner} ${service} ${name} ${weight}`).sort();
    expect(names(tasks)).toEqual(names(before.tasks()));
  });
});

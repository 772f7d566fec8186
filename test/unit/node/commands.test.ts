import { beforeEach, describe, expect, test } from "bun:test";
import { apiErrors, type CreateService, type UpdateService } from "../../../src/admin/index.ts";
import { Catalog } from "../../../src/catalog/index.ts";
import { Commands } from "../../../src/node/commands.ts";
import { declared as inFile, nodeRecord, port, spec, task } from "../../support/catalog/catalog-records.ts";

/** The name of a task that loops back to its own port. */
const LOOPING = "192.0.2.2";
let catalog: Catalog;
/** A second node, whose records reach the first. */
let other: Catalog;
let commands: Commands;
let applied: number;
let forgotten: string[];
/** Why nothing can be kept; null: it can. */
let unkept: string | null;

beforeEach(() => {
  catalog = new Catalog("a");
  other = new Catalog("b");
  [applied, forgotten, unkept] = [0, [], null];
  commands = new Commands({
    catalog,
    writes: {
      write: (change) => catalog.transaction(change),
      writeKept: (change) => {
        const error = unkept === null ? catalog.transaction(change) : unkept;
        return error === null ? null : { code: unkept === null ? "invalid" : "not-kept", error };
      },
    },
    nodes: {
      isKnownNode: (name) => ["a", "b", "dead"].includes(name),
      isLiveNode: (name) => ["a", "b"].includes(name),
      forget: (name) => forgotten.push(name),
    },
    self: "a",
    nowMs: () => 1_000,
    runsAnyExec: () => false,
    objectTo: ({ addTasks }) => {
      const loop = addTasks.find(({ name }) => name === LOOPING);
      return loop === undefined ? null : { error: "leads back", about: { task: LOOPING } };
    },
    apply: async () => {
      applied++;
    },
  });
  catalog.setLive(["a", "b"]);
  other.writeNode(nodeRecord());
});

/** What the second node has to say reaches the first. */
function hear(): void {
  for (const payload of other.draw(1_000_000, 4)) catalog.onMessage("b", payload, 1_000);
}

function declared(name: string) {
  return { name, host: name, port: null, weight: 1 };
}

function creating(name: string, rest: Partial<CreateService> = {}): CreateService {
  return { name, spec: spec(80), tasks: [declared("10.0.0.9")], ...rest };
}

function updating(name: string, rest: Partial<UpdateService> = {}): UpdateService {
  const expected = catalog.services().get(name)?.stamp ?? { counter: 0, node: "" };
  return { expected, spec: null, addTasks: [], removeTasks: [], ...rest };
}

function taskNames(service: string): string[] {
  return catalog.tasksOf(service).map(({ name }) => name);
}

/** Refused with it, and nothing has changed. */
async function expectRefused(request: () => Promise<unknown>, refusal: unknown): Promise<void> {
  const [before, appliedBefore] = [catalog.fingerprint, applied];
  expect(await request()).toEqual(refusal);
  expect([catalog.fingerprint, applied]).toEqual([before, appliedBefore]);
}

describe("createService", () => {
  test("service and tasks are there and served", async () => {
    expect(await commands.createService(creating("web"))).toBeNull();
    expect(catalog.services().get("web")).toMatchObject({
      origin: "api",
      spec: spec(80),
      createdAtMs: 1_000,
    });
    expect(catalog.tasksOf("web")).toMatchObject([
      { owner: "a", name: "10.0.0.9", origin: "api", isDraining: false, weight: 1, port: null },
    ]);
    expect(applied).toBe(1);
  });

  test("a name that is taken, also by another node", async () => {
    other.declare(inFile("web", spec(8080)), 1);
    hear();
    await expectRefused(() => commands.createService(creating("web")), apiErrors.serviceExists("web"));
  });

  test("a port that is taken; the same number of the other protocol is not", async () => {
    await commands.createService(creating("dns", { spec: spec([port(53, { protocol: "udp" })]) }));
    const both = spec([port(80), port(53, { protocol: "udp" })]);
    await expectRefused(
      () => commands.createService(creating("web", { spec: both })),
      apiErrors.portTaken({ protocol: "udp", published: 53 }, "dns"),
    );
    expect(await commands.createService(creating("web", { spec: spec(53) }))).toBeNull();
  });

  test("on addresses that do not meet a port can be had twice", async () => {
    await commands.createService(creating("one", { spec: spec(80, { bind: ["10.0.0.1"] }) }));
    expect(
      await commands.createService(creating("two", { spec: spec(80, { bind: ["10.0.0.2"] }) })),
    ).toBeNull();
  });

  test("what the catalog does not take is refused whole: no service without its tasks", async () => {
    const tasks = [declared("10.0.0.9"), { ...declared("10.0.0.8"), weight: 0 }];
    await expectRefused(() => commands.createService(creating("web", { tasks })), {
      code: "invalid",
      error: "cannot write task web 10.0.0.8: weight: 0 is outside 1..256",
    });
    expect(catalog.services().size).toBe(0);
  });
});

describe("updateService", () => {
  beforeEach(() => commands.createService(creating("web")));

  test("spec and tasks change together", async () => {
    const request = updating("web", {
      spec: spec(81),
      addTasks: [declared("10.0.0.8")],
      removeTasks: ["10.0.0.9"],
    });
    expect(await commands.updateService("web", request)).toBeNull();
    expect(catalog.services().get("web")?.spec).toEqual(spec(81));
    expect(taskNames("web")).toEqual(["10.0.0.8"]);
  });

  test("a task can be replaced by one of the same name", async () => {
    const request = updating("web", {
      addTasks: [{ ...declared("10.0.0.9"), weight: 5 }],
      removeTasks: ["10.0.0.9"],
    });
    expect(await commands.updateService("web", request)).toBeNull();
    expect(catalog.tasksOf("web")).toMatchObject([{ name: "10.0.0.9", weight: 5 }]);
  });

  test("an unknown service", () =>
    expectRefused(() => commands.updateService("gone", updating("gone")), apiErrors.noSuchService("gone")));

  test("another command wrote it meanwhile", async () => {
    const request = updating("web", { spec: spec(82) });
    catalog.writeService("web", spec(81), 2);
    await expectRefused(() => commands.updateService("web", request), apiErrors.serviceChanged("web"));
  });

  test("one of a file keeps its spec, but takes tasks", async () => {
    catalog.declare(inFile("dns", spec(53)), 1);
    await expectRefused(
      () => commands.updateService("dns", updating("dns", { spec: spec(54) })),
      apiErrors.serviceFromFile("dns", [{ node: "a", file: "/etc/portmesh.toml", isAlive: true }]),
    );
    expect(
      await commands.updateService("dns", updating("dns", { addTasks: [declared("10.0.0.8")] })),
    ).toBeNull();
  });

  test("a port that another has; its own do not count", async () => {
    await commands.createService(creating("dns", { spec: spec(53) }));
    await expectRefused(
      () => commands.updateService("web", updating("web", { spec: spec([port(80), port(53)]) })),
      apiErrors.portTaken({ protocol: "tcp", published: 53 }, "dns"),
    );
    expect(
      await commands.updateService("web", updating("web", { spec: spec([port(80), port(81)]) })),
    ).toBeNull();
  });

  test("a task it has already, or does not have, or of a file: nothing else of the request is done", async () => {
    catalog.writeTask(task("web", "10.0.0.7", { origin: "file" }));
    const rest = { spec: spec(81) };
    const requests = [
      [{ addTasks: [declared("10.0.0.9")] }, apiErrors.taskExists("web", "10.0.0.9")],
      [{ removeTasks: ["10.0.0.1"] }, apiErrors.noSuchTask("web", "10.0.0.1", [])],
      [{ removeTasks: ["10.0.0.9", "10.0.0.7"] }, apiErrors.taskFromFile("web", "10.0.0.7")],
    ] as const;
    for (const [change, refusal] of requests)
      await expectRefused(
        () => commands.updateService("web", updating("web", { ...rest, ...change })),
        refusal,
      );
  });
});

describe("removeService", () => {
  test("it is gone, and its ports are free", async () => {
    await commands.createService(creating("web"));
    expect(await commands.removeService("web")).toBeNull();
    expect(catalog.services().size).toBe(0);
    expect(await commands.createService(creating("other"))).toBeNull();
  });

  test("an unknown one", () =>
    expectRefused(() => commands.removeService("web"), apiErrors.noSuchService("web")));

  test("one of files, also when a command made it first: the files are named", async () => {
    await commands.createService(creating("dns", { spec: spec(53), tasks: [] }));
    catalog.declare(inFile("dns", spec(53)), 1);
    for (const name of ["b", "dead"]) {
      const node = new Catalog(name);
      node.declare(inFile("dns", spec(54), { age: "kept", file: `/etc/${name}.toml` }), 1);
      for (const payload of node.draw(1_000, 4)) catalog.onMessage(name, payload, 1_000);
    }
    const error =
      'service "dns" is declared in a:/etc/portmesh.toml, dead:/etc/dead.toml (not alive), b:/etc/b.toml: ' +
      "change it there and reload, or `portmesh node forget dead` if it is gone for good";
    await expectRefused(() => commands.removeService("dns"), {
      code: "declared-by-file",
      error,
      about: { name: "dns" },
    });
  });
});

describe("tasks", () => {
  beforeEach(() => {
    catalog.declare(inFile("web", spec(80)), 1);
    catalog.writeTask(task("web", "10.0.0.7", { origin: "file" }));
    other.writeTask(task("web", "10.0.0.5"));
    other.writeTask(task("web", "10.0.0.9"));
    hear();
  });

  test("one is added, also of a name that another node has", async () => {
    expect(await commands.addTask("web", declared("10.0.0.9"))).toBeNull();
    expect(catalog.tasksOf("web").map(({ owner, name }) => `${owner} ${name}`)).toEqual([
      "a 10.0.0.7",
      "a 10.0.0.9",
      "b 10.0.0.5",
      "b 10.0.0.9",
    ]);
    await expectRefused(
      () => commands.addTask("web", declared("10.0.0.9")),
      apiErrors.taskExists("web", "10.0.0.9"),
    );
  });

  test("one is removed, but not another node's, nor one of the file", async () => {
    await commands.addTask("web", declared("10.0.0.8"));
    expect(await commands.removeTask("web", "10.0.0.8")).toBeNull();
    expect(taskNames("web")).not.toContain("10.0.0.8");
    await expectRefused(
      () => commands.removeTask("web", "10.0.0.5"),
      apiErrors.noSuchTask("web", "10.0.0.5", ["b"]),
    );
    await expectRefused(
      () => commands.removeTask("web", "10.0.0.7"),
      apiErrors.taskFromFile("web", "10.0.0.7"),
    );
  });

  test("one drains and comes back, also one of the file, and stays what it was", async () => {
    for (const isDraining of [true, false]) {
      expect(await commands.drainTask("web", "10.0.0.7", isDraining)).toBeNull();
      const drained = catalog.tasksOf("web").find(({ owner }) => owner === "a");
      expect(drained).toMatchObject({ ...task("web", "10.0.0.7"), isDraining, origin: "file" });
    }
    await expectRefused(
      () => commands.drainTask("web", "10.0.0.5", true),
      apiErrors.noSuchTask("web", "10.0.0.5", ["b"]),
    );
  });

  test("of an unknown service", async () => {
    const refusal = apiErrors.noSuchService("gone");
    await expectRefused(() => commands.addTask("gone", declared("x")), refusal);
    await expectRefused(() => commands.removeTask("gone", "x"), refusal);
    await expectRefused(() => commands.drainTask("gone", "x", true), refusal);
  });
});

describe("setNodeDirective", () => {
  test("drain and resume", async () => {
    expect(await commands.setNodeDirective("b", "drain")).toBeNull();
    expect(catalog.directiveOf("b")).toBe("drain");
    expect(await commands.setNodeDirective("b", "resume")).toBeNull();
    expect(catalog.directiveOf("b")).toBeNull();
  });

  test("one that is dead is forgotten, by membership too", async () => {
    expect(await commands.setNodeDirective("dead", "forget")).toBeNull();
    expect([catalog.directiveOf("dead"), forgotten]).toEqual(["forget", ["dead"]]);
  });

  test("an unknown one, and one that is alive", async () => {
    await expectRefused(() => commands.setNodeDirective("gone", "drain"), apiErrors.noSuchNode("gone"));
    await expectRefused(() => commands.setNodeDirective("b", "forget"), apiErrors.nodeAlive("b"));
    expect(forgotten).toEqual([]);
  });
});

test("a task that loops back to its own port is refused, whichever command brings it", async () => {
  const looping = { name: LOOPING, host: LOOPING, port: null, weight: 1 };
  const refusal = { code: "invalid", error: "leads back", about: { task: LOOPING } } as const;
  expect(await commands.createService({ name: "web", spec: spec(80), tasks: [looping] })).toEqual(refusal);
  expect(catalog.services().size).toBe(0);
  expect(await commands.createService({ name: "web", spec: spec(80), tasks: [] })).toBeNull();
  expect(await commands.addTask("web", looping)).toEqual(refusal);
  const expected = catalog.services().get("web")!.stamp;
  const update = { expected, spec: null, addTasks: [looping], removeTasks: [] };
  expect(await commands.updateService("web", update)).toEqual(refusal);
  expect(catalog.tasks()).toEqual([]);
});

test("what cannot be kept is refused; drained and forgotten is a node all the same", async () => {
  await commands.createService(creating("web"));
  unkept = "no space left on device";
  const refusal = { code: "not-kept", error: unkept };
  await expectRefused(() => commands.createService(creating("other", { spec: spec(81) })), refusal);
  await expectRefused(() => commands.updateService("web", updating("web", { spec: spec(81) })), refusal);
  await expectRefused(() => commands.removeService("web"), refusal);
  await expectRefused(() => commands.addTask("web", declared("10.0.0.8")), refusal);
  await expectRefused(() => commands.removeTask("web", "10.0.0.9"), refusal);
  expect(await commands.drainTask("web", "10.0.0.9", true)).toBeNull();
  expect(await commands.setNodeDirective("b", "drain")).toBeNull();
});

import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { MAX_BIND_ERRORS } from "../../../../src/catalog/index.ts";
import type { Config } from "../../../../src/config/index.ts";
import { MAX_TASKS_PER_NODE } from "../../../../src/model/index.ts";
import { ClusterLog } from "../../../../src/node/cluster/cluster-log.ts";
import { Mesh } from "../../../../src/node/cluster/mesh.ts";
import { spec, task } from "../../../support/catalog/catalog-records.ts";
import { configOf, webService } from "../../../support/node/config-of.ts";
import { recordingLog } from "../../../support/node/recording-log.ts";
import { type TempDir, tempDir } from "../../../support/os/temp-dir.ts";
import { ManualClock } from "../../../support/time/manual-clock.ts";

let dir: TempDir;
let clock: ManualClock;
let lines: string[];
let changes: number;
let started: Mesh[];

beforeEach(() => {
  dir = tempDir();
  clock = new ManualClock();
  started = [];
  changes = 0;
});

afterEach(() => {
  for (const mesh of started) mesh.close();
  expect(clock.timerCount).toBe(0);
  dir[Symbol.dispose]();
});

function config(services = "", node = ""): Config {
  return configOf(`[node]\nname = "a"\ndata_dir = "${dir.file("data")}"\n${node}\n${services}`);
}

async function start(file: Config, fileChangedAtMs: number | null = null): Promise<Mesh> {
  const recording = recordingLog();
  lines = recording.lines;
  const mesh = await Mesh.start({
    config: file,
    file: "/etc/portmesh.toml",
    address: null,
    overlay: null,
    network: { addresses: [], hasIpv6: false },
    version: "1.2.3",
    clock,
    lookup: async () => ({ error: "nobody should ask", isAnswered: true }),
    random: () => 0.5,
    log: new ClusterLog(recording.log, clock),
    fileChangedAtMs: () => fileChangedAtMs,
    onChange: () => changes++,
    onFatal: (error) => {
      throw error;
    },
  });
  started.push(mesh);
  // before it listens nobody is to send it clients
  expect(mesh.catalog.nodes().get("a")?.isDraining).toBe(true);
  mesh.announceStart();
  return mesh;
}

/** What is served, as "SERVICE PORT: TASK TASK". */
function served(mesh: Mesh): string[] {
  return mesh
    .input()
    .services.map(
      ({ name, publish, tasks }) =>
        `${name} ${publish[0]!.published}: ${tasks.map((task) => task.name).join(" ")}`,
    );
}

const WEB = webService('tasks = ["10.0.0.9"]');
const DNS = `[[services]]\nname = "dns"\npublish = ["53"]\ntasks = ["10.0.0.8"]\n`;

describe("the file", () => {
  test("is adopted with the start, in its order", async () => {
    const mesh = await start(config(WEB + DNS));
    expect(served(mesh)).toEqual(["web 80: 10.0.0.9", "dns 53: 10.0.0.8"]);
    expect(mesh.catalog.services().get("web")).toMatchObject({ origin: "file", createdAtMs: clock.nowMs() });
    expect(mesh.catalog.nodes().get("a")).toMatchObject({ version: "1.2.3", relay: null, isDraining: false });
    expect(mesh.input()).toMatchObject({ relay: null, peers: [], self: { name: "a" } });
    expect(lines).toEqual([]);
  });

  test("inputWith shows what another would change, and changes nothing; adopt changes it", async () => {
    const mesh = await start(config(WEB));
    const revision = mesh.catalog.revision;
    const next = config(WEB.replace("10.0.0.9", "10.0.0.7") + DNS, "labels = { zone = 'eu' }");
    expect(mesh.inputWith(next).services.map(({ name }) => name)).toEqual(["web", "dns"]);
    expect(mesh.inputWith(next).self.labels).toEqual({ zone: "eu" });
    expect([mesh.catalog.revision, served(mesh)]).toEqual([revision, ["web 80: 10.0.0.9"]]);
    mesh.adopt(next);
    expect(served(mesh)).toEqual(["web 80: 10.0.0.7", "dns 53: 10.0.0.8"]);
    expect(mesh.catalog.nodes().get("a")?.labels).toEqual({ zone: "eu" });
    mesh.adopt(config(DNS));
    expect(served(mesh)).toEqual(["dns 53: 10.0.0.8"]);
  });

  test("the same again writes nothing", async () => {
    const mesh = await start(config(WEB));
    const [before, changesBefore] = [mesh.catalog.revision, changes];
    mesh.adopt(config(WEB));
    expect([mesh.catalog.revision, changes]).toEqual([before, changesBefore]);
  });

  test("a port that an older service has is shown as lost before it is adopted", async () => {
    const mesh = await start(config());
    mesh.write((writer) => writer.writeService("old", spec(80), 1));
    const lost = mesh.inputWith(config(WEB)).services.map(({ name, lostPorts }) => [name, [...lostPorts]]);
    expect(lost).toEqual([
      ["web", ["tcp 80"]],
      ["old", []],
    ]);
    mesh.adopt(config(WEB));
    expect(mesh.catalog.conflicts().get("web")).toMatchObject([{ keptBy: "old" }]);
  });

  /** With `count` tasks by command and one task for each service of the file. */
  async function startFull(count: number): Promise<Mesh> {
    const mesh = await start(config());
    mesh.write((writer) => {
      writer.writeService("full", spec(90), 1);
      for (let i = 0; i < count; i++) writer.writeTask(task("full", `t${i}`, { origin: "api" }));
    });
    return mesh;
  }

  test("a service that the catalog refuses is served here and told; the others go to everybody", async () => {
    const mesh = await startFull(MAX_TASKS_PER_NODE - 1);
    const file = config(WEB + DNS);
    const refused = {
      service: "dns",
      reason: "cannot write task: 10001 tasks on this node: at most 10000 are allowed",
    };
    expect(mesh.unpublishedWith(file)).toEqual([refused]);
    expect([...mesh.catalog.services().keys()]).toEqual(["full"]);
    mesh.adopt(file);
    expect(mesh.unpublished).toEqual([refused]);
    expect(lines).toEqual([
      `error cannot publish service "dns" to the cluster, only this node serves it: ${refused.reason}`,
    ]);
    expect([...mesh.catalog.services().keys()]).toEqual(["full", "web"]);
    expect(served(mesh).slice(0, 2)).toEqual(["web 80: 10.0.0.9", "dns 53: 10.0.0.8"]);
    mesh.write((writer) => writer.removeTask("full", "t0"));
    mesh.offerAgain();
    expect(mesh.unpublished).toEqual([]);
    expect([...mesh.catalog.services().keys()]).toEqual(["dns", "full", "web"]);
    expect(mesh.catalog.tasksOf("dns").length).toBe(1);
  });

  test("a node record that the catalog refuses holds no service up, and is told once", async () => {
    const mesh = await start(config(WEB));
    const config81 = config(WEB.replace("80", "81"));
    const tooLong = { ...config81, node: { ...config81.node, labels: { zone: "x".repeat(1_000) } } };
    mesh.adopt(tooLong);
    mesh.setBindErrors([]);
    const reason = "cannot write node : labels.zone: longer than 128 characters";
    expect(lines).toEqual([
      `error cannot publish labels and addresses of this node to the cluster: ${reason}`,
    ]);
    expect(mesh.unpublished).toEqual([{ service: null, reason }]);
    expect(mesh.catalog.services().get("web")?.spec.publish[0]?.published).toBe(81);
    mesh.adopt(config81);
    expect(mesh.unpublished).toEqual([]);
  });
});

describe("after a restart", () => {
  async function restart(file: Config, fileChangedAtMs: number | null = null): Promise<Mesh> {
    started.pop()!.close();
    return await start(file, fileChangedAtMs);
  }

  test("services made by command are there, with this node's tasks", async () => {
    const mesh = await start(config(WEB));
    mesh.write((writer) => {
      writer.writeService("api", spec(81), 1);
      writer.writeTask(task("api", "10.0.0.7", { origin: "api" }));
      writer.writeTask(task("web", "10.0.0.6", { origin: "api" }));
    });
    expect(served(await restart(config(WEB)))).toEqual(["web 80: 10.0.0.6 10.0.0.9", "api 81: 10.0.0.7"]);
  });

  test("they are kept before the command ends, not when the node does", async () => {
    const mesh = await start(config());
    mesh.write((writer) => writer.writeService("api", spec(81), 1));
    const kept = readFileSync(dir.file("data/state"), "utf8");
    started.pop()!.close();
    writeFileSync(dir.file("data/state"), kept);
    expect(served(await start(config()))).toEqual(["api 81: "]);
  });

  test("an old file does not undo what has happened since: only its differences are written", async () => {
    const mesh = await start(config(WEB + DNS));
    mesh.write((writer) => writer.writeService("web", spec(8080), 1));
    const overruled =
      'warn service "web": a command on a defines it otherwise than this node\'s file and is newer: it is in force';
    expect(lines).toEqual([overruled]);
    const again = await restart(config(WEB + DNS));
    expect(served(again)).toEqual(["web 8080: 10.0.0.9", "dns 53: 10.0.0.8"]);
    expect(lines).toEqual([overruled]);
    again.adopt(config(WEB.replace("80", "82") + DNS));
    expect(served(again)).toEqual(["web 82: 10.0.0.9", "dns 53: 10.0.0.8"]);
    again.adopt(config(DNS));
    expect(served(again)).toEqual(["dns 53: 10.0.0.8", "web 8080: "]); // the command's is still there
  });

  test("what the file no longer says is removed, also what it said while the node was down", async () => {
    await start(config(WEB + DNS));
    expect(served(await restart(config(DNS)))).toEqual(["dns 53: 10.0.0.8"]);
  });

  test("a change is kept before it is in force, whatever it is", async () => {
    const mesh = await start(config(WEB));
    const change = (mesh: Mesh) =>
      mesh.writeKept((writer) => {
        writer.writeService("api", spec(81), 1);
        writer.writeTask(task("api", "10.0.0.7", { origin: "api" }));
      });
    expect(change(mesh)).toBeNull();
    const kept = readFileSync(dir.file("data/state"), "utf8");
    expect(mesh.writeKept((writer) => writer.removeService("api"))).toBeNull();
    expect(served(await restart(config(WEB)))).toEqual(["web 80: 10.0.0.9"]);
    started.pop()!.close();
    writeFileSync(dir.file("data/state"), kept);
    expect(served(await start(config(WEB)))).toEqual(["web 80: 10.0.0.9", "api 81: 10.0.0.7"]);
  });

  test("its directory is one node's: another one is refused, with the process that has it", async () => {
    await start(config(WEB));
    await expect(start(config(DNS))).rejects.toThrow(
      `cannot use ${dir.file("data")}: the node with process id ${process.pid} keeps its state there`,
    );
    await restart(config(WEB)); // released with the end of the first one
  });

  test("wishes about nodes are obeyed again", async () => {
    const mesh = await start(config(WEB));
    mesh.write((writer) => writer.wish("a", "drain"));
    const again = await restart(config(WEB));
    expect(again.catalog.nodes().get("a")?.isDraining).toBe(true);
  });

  test("a damaged file is set aside and told; the node serves its file", async () => {
    await start(config(WEB));
    started.pop()!.close();
    const path = dir.file("data/state");
    writeFileSync(path, readFileSync(path, "utf8").replace("isFileKnown", "isFileKnowm"));
    const mesh = await start(config(WEB));
    expect(served(mesh)).toEqual(["web 80: 10.0.0.9"]);
    expect(lines).toEqual([
      `error cannot restore the catalog: its checksum is wrong; what the last run has kept is now ${path}.damaged`,
    ]);
    expect(existsSync(`${path}.damaged`)).toBe(true);
    await restart(config(WEB));
    expect(lines).toEqual([]);
  });

  test("where nothing can be kept the node serves, and says so once", async () => {
    writeFileSync(dir.file("data"), ""); // no directory can be made there
    const mesh = await start(config(WEB));
    for (const port of [81, 82]) {
      const refusal = mesh.writeKept((writer) => writer.writeService("api", spec(port), 1));
      expect(refusal).toEqual({
        code: "not-kept",
        error: expect.stringMatching(
          /^nothing was changed, .*: cannot write .*data.state: .*\(node.data_dir\)$/,
        ),
      });
    }
    await clock.advance(10_000);
    expect(served(mesh)).toEqual(["web 80: 10.0.0.9"]);
    expect(lines.filter((line) => line.includes("cannot write")).length).toBe(1);
    expect(mesh.storeError).toContain("cannot write");
    rmSync(dir.file("data"));
    expect(mesh.writeKept((writer) => writer.writeService("api", spec(81), 1))).toBeNull();
    expect([mesh.storeError, lines.at(-1)]).toEqual([null, "info the state file can be written again"]);
  });
});

describe("by command", () => {
  test("a change that is refused changes nothing and says why", async () => {
    const mesh = await start(config());
    const refused = mesh.write((writer) => {
      writer.writeService("api", spec(81), 1);
      writer.writeTask(task("api", "x", { weight: 0, origin: "api" }));
    });
    expect(refused).toBe("cannot write task api x: weight: 0 is outside 1..256");
    expect(mesh.catalog.services().size).toBe(0);
  });

  test("a service takes the tasks made by command with it; it does not come back with them", async () => {
    const mesh = await start(config());
    const create = () =>
      mesh.write((writer) => {
        writer.writeService("api", spec(81), 1);
        writer.writeTask(task("api", "10.0.0.7", { origin: "api" }));
      });
    create();
    mesh.write((writer) => writer.removeService("api"));
    expect(mesh.catalog.tasks()).toEqual([]);
    mesh.write((writer) => writer.writeService("api", spec(81), 2));
    expect(served(mesh)).toEqual(["api 81: "]);
  });

  test("tasks of the file wait for their service", async () => {
    const mesh = await start(config(WEB));
    mesh.write((writer) => writer.undeclare("web"));
    expect(mesh.catalog.services().size).toBe(0);
    expect(mesh.catalog.tasksOf("web").map(({ name }) => name)).toEqual(["10.0.0.9"]);
    mesh.write((writer) => writer.writeService("web", spec(80), 2));
    expect(served(mesh)).toEqual(["web 80: 10.0.0.9"]);
  });

  test("drain and resume: the record of the node follows, and its tasks", async () => {
    const mesh = await start(config(WEB));
    const isDraining = () => [
      mesh.catalog.nodes().get("a")!.isDraining,
      mesh.input().services[0]!.tasks[0]!.isDraining,
    ];
    mesh.write((writer) => writer.wish("a", "drain"));
    expect(isDraining()).toEqual([true, true]);
    mesh.write((writer) => writer.wish("a", null));
    expect(isDraining()).toEqual([false, false]);
  });

  test("whoever follows hears of every change", async () => {
    const mesh = await start(config());
    const before = changes;
    mesh.write((writer) => writer.writeService("api", spec(81), 1));
    expect(changes).toBeGreaterThan(before);
  });
});

test("bind errors: everybody can see them, but no more than the record holds", async () => {
  const mesh = await start(config());
  const errors = Array.from({ length: MAX_BIND_ERRORS + 1 }, (_, index): [string, string, string] => [
    "web",
    `tcp 0.0.0.0:${index}`,
    "x".repeat(1_000),
  ]);
  mesh.setBindErrors(errors);
  expect(mesh.catalog.nodes().get("a")?.bindErrors.length).toBe(MAX_BIND_ERRORS);
  mesh.setBindErrors([]);
  expect(mesh.catalog.nodes().get("a")?.bindErrors).toEqual([]);
});

describe("the end", () => {
  test("a node that stops drains, whatever is reloaded meanwhile", async () => {
    const mesh = await start(config(WEB));
    await mesh.announceStop();
    expect(mesh.catalog.nodes().get("a")?.isDraining).toBe(true);
    mesh.adopt(config(DNS));
    expect(mesh.catalog.nodes().get("a")?.isDraining).toBe(true);
    await mesh.leave();
    expect(clock.timerCount).toBe(0);
  });

  test("close twice, and leave after it, are harmless", async () => {
    const mesh = await start(config(WEB));
    mesh.close();
    mesh.close();
    mesh.hurry();
    await mesh.leave();
    expect(clock.timerCount).toBe(0);
  });

  test("alone it knows itself and nobody else", async () => {
    const mesh = await start(config());
    expect([mesh.isLiveNode("a"), mesh.isKnownNode("a"), mesh.isKnownNode("b")]).toEqual([true, true, false]);
    expect([mesh.members(), mesh.stats.queueLengths]).toEqual([[], {}]);
  });
});

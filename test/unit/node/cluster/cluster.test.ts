import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { encode } from "@msgpack/msgpack";
import { entryHead } from "../../../../src/catalog/entry-codec.ts";
import { MAX_BIND_ERRORS } from "../../../../src/catalog/index.ts";
import { encodeUpdates } from "../../../../src/catalog/sync-messages.ts";
import type { Config } from "../../../../src/config/index.ts";
import { MAX_TASKS_PER_NODE } from "../../../../src/model/index.ts";
import type { Facts } from "../../../../src/node/facts/facts.ts";
import { spec, task } from "../../../support/catalog/catalog-records.ts";
import { ClusterNode } from "../../../support/node/cluster-node.ts";
import { configOf, webService } from "../../../support/node/config-of.ts";
import { recordingLog } from "../../../support/node/recording-log.ts";
import { type TempDir, tempDir } from "../../../support/os/temp-dir.ts";
import { ManualClock } from "../../../support/time/manual-clock.ts";

let dir: TempDir;
let clock: ManualClock;
let lines: string[];
let started: ClusterNode[];

beforeEach(() => {
  dir = tempDir();
  clock = new ManualClock();
  started = [];
});

afterEach(() => {
  for (const node of started) node.close();
  expect(clock.timerCount).toBe(0);
  dir[Symbol.dispose]();
});

function config(services = "", node = ""): Config {
  return configOf(`[node]\nname = "a"\ndata_dir = "${dir.file("data")}"\n${node}\n${services}`);
}

async function start(file: Config, fileChangedAtMs: number | null = null): Promise<ClusterNode> {
  const recording = recordingLog();
  lines = recording.lines;
  const node = await ClusterNode.start({
    config: file,
    clock,
    log: recording.log,
    fileChangedAtMs: () => fileChangedAtMs,
  });
  started.push(node);
  // before it listens nobody is to send it clients
  expect(node.catalog.nodes().get("a")?.isDraining).toBe(true);
  node.serve();
  return node;
}

function learn({ reconciler }: ClusterNode, facts: Partial<Facts>): void {
  reconciler.learn(facts);
  reconciler.now();
}

/** What is served, as "SERVICE PORT: TASK TASK". */
function served(node: ClusterNode): string[] {
  return node
    .input()
    .services.map(
      ({ name, publish, tasks }) =>
        `${name} ${publish[0]!.published}: ${tasks.map((task) => task.name).join(" ")}`,
    );
}

const WEB = webService('tasks = ["10.0.0.9"]');
const DNS = `[[services]]\nname = "dns"\npublish = ["53"]\ntasks = ["10.0.0.8"]\n`;

describe("the file", () => {
  test("is applied with the start, in its order", async () => {
    const node = await start(config(WEB + DNS));
    expect(served(node)).toEqual(["web 80: 10.0.0.9", "dns 53: 10.0.0.8"]);
    expect(node.catalog.services().get("web")).toMatchObject({ origin: "file", createdAtMs: clock.nowMs() });
    expect(node.catalog.nodes().get("a")).toMatchObject({ version: "1.2.3", relay: null, isDraining: false });
    expect(node.input()).toMatchObject({ relay: null, peers: [], self: { name: "a" } });
    expect(lines).toEqual([]);
  });

  test("inputWith shows what another would change, and changes nothing; applyFile changes it", async () => {
    const node = await start(config(WEB));
    const revision = node.catalog.revision;
    const next = config(WEB.replace("10.0.0.9", "10.0.0.7") + DNS, "labels = { zone = 'eu' }");
    expect(node.inputWith(next).services.map(({ name }) => name)).toEqual(["web", "dns"]);
    expect(node.inputWith(next).self.labels).toEqual({ zone: "eu" });
    expect([node.catalog.revision, served(node)]).toEqual([revision, ["web 80: 10.0.0.9"]]);
    node.writes.applyFile(next);
    expect(served(node)).toEqual(["web 80: 10.0.0.7", "dns 53: 10.0.0.8"]);
    expect(node.catalog.nodes().get("a")?.labels).toEqual({ zone: "eu" });
    node.writes.applyFile(config(DNS));
    expect(served(node)).toEqual(["dns 53: 10.0.0.8"]);
  });

  test("the same again writes nothing", async () => {
    const node = await start(config(WEB));
    const [before, passes] = [node.catalog.revision, node.reconciler.passes];
    node.writes.applyFile(config(WEB));
    expect([node.catalog.revision, node.reconciler.passes]).toEqual([before, passes]);
  });

  test("a port that an older service has is shown as lost before it is applied", async () => {
    const node = await start(config());
    node.writes.write((writer) => writer.writeService("old", spec(80), 1));
    const lost = node
      .inputWith(config(WEB))
      .services.map(({ name, conflictingPorts }) => [name, [...conflictingPorts]]);
    expect(lost).toEqual([
      ["web", ["tcp 80"]],
      ["old", []],
    ]);
    node.writes.applyFile(config(WEB));
    expect(node.catalog.conflicts().get("web")).toMatchObject([{ keptBy: "old" }]);
  });

  /** With `count` tasks by command and one task for each service of the file. */
  async function startFull(count: number): Promise<ClusterNode> {
    const node = await start(config());
    node.writes.write((writer) => {
      writer.writeService("full", spec(90), 1);
      for (let i = 0; i < count; i++) writer.writeTask(task("full", `t${i}`, { origin: "api" }));
    });
    return node;
  }

  test("a service that the catalog refuses is served here and logged; the others go to all nodes", async () => {
    const node = await startFull(MAX_TASKS_PER_NODE - 1);
    const file = config(WEB + DNS);
    const refused = {
      service: "dns",
      reason: "cannot write task: 10001 tasks on this node: at most 10000 are allowed",
    };
    expect(node.cluster.unpublishedWith(file)).toEqual([refused]);
    expect([...node.catalog.services().keys()]).toEqual(["full"]);
    node.writes.applyFile(file);
    expect(node.cluster.unpublished).toEqual([refused]);
    expect(lines).toEqual([
      `error cannot publish service "dns" to the cluster: ${refused.reason}; only this node serves it`,
    ]);
    expect([...node.catalog.services().keys()]).toEqual(["full", "web"]);
    expect(served(node).slice(0, 2)).toEqual(["web 80: 10.0.0.9", "dns 53: 10.0.0.8"]);
    node.writes.write((writer) => writer.removeTask("full", "t0"));
    node.cluster.offerAgain();
    expect(node.cluster.unpublished).toEqual([]);
    expect([...node.catalog.services().keys()]).toEqual(["dns", "full", "web"]);
    expect(node.catalog.tasksOf("dns").length).toBe(1);
  });

  test("a node record that the catalog refuses holds no service up, and is logged once", async () => {
    const node = await start(config(WEB));
    const config81 = config(WEB.replace("80", "81"));
    const tooLong = { ...config81, node: { ...config81.node, labels: { zone: "x".repeat(1_000) } } };
    node.writes.applyFile(tooLong);
    learn(node, { bindErrors: [] });
    const reason = "cannot write node : labels.zone: longer than 128 characters";
    expect(lines).toEqual([
      `error cannot publish labels and addresses of this node to the cluster: ${reason}`,
    ]);
    expect(node.cluster.unpublished).toEqual([{ service: null, reason }]);
    expect(node.catalog.services().get("web")?.spec.publish[0]?.published).toBe(81);
    node.writes.applyFile(config81);
    expect(node.cluster.unpublished).toEqual([]);
  });
});

describe("after a restart", () => {
  async function restart(file: Config, fileChangedAtMs: number | null = null): Promise<ClusterNode> {
    started.pop()!.close();
    return await start(file, fileChangedAtMs);
  }

  test("services made by command are there, with this node's tasks", async () => {
    const node = await start(config(WEB));
    node.writes.write((writer) => {
      writer.writeService("api", spec(81), 1);
      writer.writeTask(task("api", "10.0.0.7", { origin: "api" }));
      writer.writeTask(task("web", "10.0.0.6", { origin: "api" }));
    });
    expect(served(await restart(config(WEB)))).toEqual(["web 80: 10.0.0.6 10.0.0.9", "api 81: 10.0.0.7"]);
  });

  test("they are kept before the command ends, not when the node does", async () => {
    const node = await start(config());
    node.writes.write((writer) => writer.writeService("api", spec(81), 1));
    const kept = readFileSync(dir.file("data/state"), "utf8");
    started.pop()!.close();
    writeFileSync(dir.file("data/state"), kept);
    expect(served(await start(config()))).toEqual(["api 81: "]);
  });

  test("an old file does not undo what has happened since: only its differences are written", async () => {
    const node = await start(config(WEB + DNS));
    node.writes.write((writer) => writer.writeService("web", spec(8080), 1));
    const overruled =
      'warn service "web": the definition from a command on a is in force: it differs from this node\'s file and is newer';
    expect(lines).toEqual([overruled]);
    const again = await restart(config(WEB + DNS));
    expect(served(again)).toEqual(["web 8080: 10.0.0.9", "dns 53: 10.0.0.8"]);
    expect(lines).toEqual([overruled]);
    again.writes.applyFile(config(WEB.replace("80", "82") + DNS));
    expect(served(again)).toEqual(["web 82: 10.0.0.9", "dns 53: 10.0.0.8"]);
    again.writes.applyFile(config(DNS));
    expect(served(again)).toEqual(["dns 53: 10.0.0.8", "web 8080: "]); // the command's is still there
  });

  test("what the file no longer says is removed, also what it said while the node was down", async () => {
    await start(config(WEB + DNS));
    expect(served(await restart(config(DNS)))).toEqual(["dns 53: 10.0.0.8"]);
  });

  test("a change is kept before it is in force, whatever it is", async () => {
    const node = await start(config(WEB));
    const change = (node: ClusterNode) =>
      node.writes.writeKept((writer) => {
        writer.writeService("api", spec(81), 1);
        writer.writeTask(task("api", "10.0.0.7", { origin: "api" }));
      });
    expect(change(node)).toBeNull();
    const kept = readFileSync(dir.file("data/state"), "utf8");
    expect(node.writes.writeKept((writer) => writer.removeService("api"))).toBeNull();
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

  test("directives about nodes are obeyed again", async () => {
    const node = await start(config(WEB));
    node.writes.write((writer) => writer.setDirective("a", "drain"));
    const again = await restart(config(WEB));
    expect(again.catalog.nodes().get("a")?.isDraining).toBe(true);
  });

  test("a damaged file is set aside and logged; the node serves its file", async () => {
    await start(config(WEB));
    started.pop()!.close();
    const path = dir.file("data/state");
    writeFileSync(path, readFileSync(path, "utf8").replace("isFileKnown", "isFileKnowm"));
    const node = await start(config(WEB));
    expect(served(node)).toEqual(["web 80: 10.0.0.9"]);
    expect(lines).toEqual([
      `error cannot restore the catalog: its checksum is wrong; the old state file was moved to ${path}.damaged`,
    ]);
    expect(existsSync(`${path}.damaged`)).toBe(true);
    await restart(config(WEB));
    expect(lines).toEqual([]);
  });

  test("a file of an older version of portmesh is set aside and logged; the node serves its file", async () => {
    await start(config(WEB));
    started.pop()!.close();
    const path = dir.file("data/state");
    writeFileSync(path, readFileSync(path, "utf8").replace(/"version":\d+/, '"version":1'));
    const node = await start(config(WEB));
    expect(served(node)).toEqual(["web 80: 10.0.0.9"]);
    expect(lines).toEqual([
      expect.stringMatching(
        /^error cannot restore the catalog: it has format 1, this version of portmesh reads format \d+; .*\.damaged$/,
      ),
    ]);
    await restart(config(WEB));
    expect(lines).toEqual([]);
  });

  test("records of a newer version survive a restart of this one; each life says once that it cannot read them", async () => {
    const node = await start(config(WEB));
    const newer = entryHead("unknown 7", "web", { counter: 50, node: "b" }, encode({ any: ["thing"] }), 0);
    const other = entryHead("unknown 7", "dns", { counter: 51, node: "b" }, encode({}), 0);
    const before = node.catalog.fingerprint;
    node.catalog.onMessage(null, encodeUpdates([newer, other], 0), clock.nowMs());
    expect(node.catalog.fingerprint).not.toBe(before);
    learn(node, { catalogRevision: node.catalog.revision });
    const said = 'warn node b writes records that this version cannot read, first unknown 7 "web": ';
    expect(lines.filter((line) => line.startsWith(said))).toHaveLength(1);
    node.writes.write((writer) => writer.setDirective("c", "drain")); // it is kept with the next write
    const again = await restart(config(WEB));
    expect(lines.filter((line) => line.startsWith(said))).toHaveLength(1);
    const kept = again.catalog.snapshot({ isFileKnown: true, members: null });
    const [, entries] = /"entries":"([^"]*)"/.exec(kept)!;
    const held = Buffer.from(entries!, "base64");
    expect([held.includes(newer.body), held.includes(other.body)]).toEqual([true, true]);
  });

  test("where nothing can be kept the node serves, and says so once", async () => {
    writeFileSync(dir.file("data"), ""); // no directory can be made there
    const node = await start(config(WEB));
    for (const port of [81, 82]) {
      const refusal = node.writes.writeKept((writer) => writer.writeService("api", spec(port), 1));
      expect(refusal).toEqual({
        code: "not-kept",
        error: expect.stringMatching(
          /^nothing was changed, .*: cannot write .*data.state: .*\(node.data_dir\)$/,
        ),
      });
    }
    await clock.advance(10_000);
    expect(served(node)).toEqual(["web 80: 10.0.0.9"]);
    expect(lines.filter((line) => line.includes("cannot write")).length).toBe(1);
    expect(node.cluster.storeError).toContain("cannot write");
    rmSync(dir.file("data"));
    expect(node.writes.writeKept((writer) => writer.writeService("api", spec(81), 1))).toBeNull();
    expect([node.cluster.storeError, lines.at(-1)]).toEqual([null, "info the state file is writable again"]);
  });
});

describe("by command", () => {
  test("a change that is refused changes nothing and says why", async () => {
    const node = await start(config());
    const refused = node.writes.write((writer) => {
      writer.writeService("api", spec(81), 1);
      writer.writeTask(task("api", "x", { weight: 0, origin: "api" }));
    });
    expect(refused).toBe("cannot write task api x: weight: 0 is outside 1..256");
    expect(node.catalog.services().size).toBe(0);
  });

  test("a service takes the tasks made by command with it; it does not come back with them", async () => {
    const node = await start(config());
    const create = () =>
      node.writes.write((writer) => {
        writer.writeService("api", spec(81), 1);
        writer.writeTask(task("api", "10.0.0.7", { origin: "api" }));
      });
    create();
    node.writes.write((writer) => writer.removeService("api"));
    expect(node.catalog.tasks()).toEqual([]);
    node.writes.write((writer) => writer.writeService("api", spec(81), 2));
    expect(served(node)).toEqual(["api 81: "]);
  });

  test("tasks of the file wait for their service", async () => {
    const node = await start(config(WEB));
    node.writes.write((writer) => writer.undeclare("web"));
    expect(node.catalog.services().size).toBe(0);
    expect(node.catalog.tasksOf("web").map(({ name }) => name)).toEqual(["10.0.0.9"]);
    node.writes.write((writer) => writer.writeService("web", spec(80), 2));
    expect(served(node)).toEqual(["web 80: 10.0.0.9"]);
  });

  test("drain and resume: the record of the node follows, and its tasks", async () => {
    const node = await start(config(WEB));
    const isDraining = () => [
      node.catalog.nodes().get("a")!.isDraining,
      node.input().services[0]!.tasks[0]!.isDraining,
    ];
    node.writes.write((writer) => writer.setDirective("a", "drain"));
    expect(isDraining()).toEqual([true, true]);
    node.writes.write((writer) => writer.setDirective("a", null));
    expect(isDraining()).toEqual([false, false]);
  });

  test("every change is followed by a pass", async () => {
    const node = await start(config());
    const before = node.reconciler.passes;
    node.writes.write((writer) => writer.writeService("api", spec(81), 1));
    expect(node.reconciler.passes).toBeGreaterThan(before);
  });
});

test("bind errors: everybody can see them, but no more than the record holds", async () => {
  const node = await start(config());
  const errors = Array.from({ length: MAX_BIND_ERRORS + 1 }, (_, index): [string, string, string] => [
    "web",
    `tcp 0.0.0.0:${index}`,
    "x".repeat(1_000),
  ]);
  learn(node, { bindErrors: errors });
  expect(node.catalog.nodes().get("a")?.bindErrors.length).toBe(MAX_BIND_ERRORS);
  learn(node, { bindErrors: [] });
  expect(node.catalog.nodes().get("a")?.bindErrors).toEqual([]);
});

describe("the end", () => {
  test("a node that stops drains, whatever is reloaded meanwhile", async () => {
    const node = await start(config(WEB));
    await node.cluster.announceLeaving();
    expect(node.catalog.nodes().get("a")?.isDraining).toBe(true);
    node.writes.applyFile(config(DNS));
    expect(node.catalog.nodes().get("a")?.isDraining).toBe(true);
    await node.cluster.leave();
    expect(clock.timerCount).toBe(0);
  });

  test("close twice, and leave after it, are harmless", async () => {
    const node = await start(config(WEB));
    node.close();
    node.close();
    node.cluster.hurry();
    await node.cluster.leave();
    expect(clock.timerCount).toBe(0);
  });

  test("alone it knows only itself", async () => {
    const node = await start(config());
    expect([
      node.cluster.isLiveNode("a"),
      node.cluster.isKnownNode("a"),
      node.cluster.isKnownNode("b"),
    ]).toEqual([true, true, false]);
    expect([node.cluster.members(), node.cluster.stats.queueLengths]).toEqual([[], {}]);
  });
});

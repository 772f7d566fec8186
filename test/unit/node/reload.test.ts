import { beforeEach, describe, expect, test } from "bun:test";
import { type Config, type ConfigCheck, type FileResult, parseConfig } from "../../../src/config/index.ts";
import { InterfaceWatch } from "../../../src/node/interface-watch.ts";
import { Reloader } from "../../../src/node/reload.ts";
import { Resolver } from "../../../src/node/resolver.ts";
import { TableUpdates } from "../../../src/node/table-updates.ts";
import type { HostAnswer } from "../../../src/sys/lookup-host.ts";
import { configOf, webService } from "../../support/node/config-of.ts";
import { FakeProxy } from "../../support/node/fake-proxy.ts";
import { viewOf } from "../../support/node/view-of.ts";
import { ManualClock } from "../../support/time/manual-clock.ts";

const WEB = webService('tasks = ["10.0.0.9"]');

let file: string;
let proxy: FakeProxy;
let clock: ManualClock;
let tables: TableUpdates;
let reloader: Reloader;
let readFile: (name: string, check?: ConfigCheck) => FileResult | Promise<FileResult>;
let applied: Config[];
let names: Map<string, HostAnswer | Promise<HostAnswer>>;

/** Names or interfaces are others than before. */
function refresh(): void {
  void tables.follow([{}]);
}

beforeEach(async () => {
  file = WEB;
  readFile = (name, check) => parseConfig(file, name, check);
  proxy = new FakeProxy();
  clock = new ManualClock();
  applied = [];
  names = new Map();
  const resolver = new Resolver({
    clock,
    lookup: async (host) => names.get(host) ?? { error: "name not found", isAnswered: true },
    onChange: refresh,
  });
  const read = () => ({ hasIpv6: false, addresses: [] });
  tables = new TableUpdates({
    proxy,
    resolver,
    interfaces: new InterfaceWatch({ clock, read, onChange: refresh }),
    gate: { close: (table) => table, onApplied: () => undefined },
    currentInput: () => viewOf(reloader.running),
    onWarnings: () => undefined,
    onLoops: () => undefined,
    onTaskAddresses: () => undefined,
  });
  await tables.change((turn) => turn.apply(viewOf(configOf(WEB)), 0));
  reloader = new Reloader(
    {
      file: "test.toml",
      read: (name, check) => readFile(name, check),
      tables,
      inputWith: viewOf,
      keptWith: () => [],
      differingWith: () => [],
      unpublishedWith: () => [],
      onUnchanged: () => undefined,
      clock,
      onApplied: (config) => applied.push(config),
    },
    configOf(WEB),
  );
});

describe("reload", () => {
  test("a file that says what runs changes nothing", async () => {
    file = `# a comment\n${WEB}`;
    const report = await reloader.reload("command", false);
    expect(report).toMatchObject({ outcome: "unchanged", trigger: "command", problems: [] });
    expect(proxy.tables.length).toBe(1);
  });

  test("a changed file is prepared, committed and reported", async () => {
    file = WEB.replace('"80"', '"80", "81"');
    const report = await reloader.reload("signal", false);
    expect(report.outcome).toBe("applied");
    expect(report.changes).toMatchObject({
      services: { changed: [{ name: "web", changes: ["publish added 81:81/tcp"] }] },
      listenersOpened: ["tcp 0.0.0.0:81"],
      listenersClosed: [],
    });
    expect(proxy.calls.slice(-2)).toEqual(["prepare", "commit"]);
    expect(applied.length).toBe(1);
    expect(reloader.running.services[0]?.publish.length).toBe(2);
  });

  test("a wrong file is refused with every problem and nothing changes", async () => {
    file = WEB.replace('"80"', '"70000"').replace("name", "nam");
    const report = await reloader.reload("file", false);
    expect(report.outcome).toBe("refused");
    expect(report.problems.length).toBeGreaterThanOrEqual(2);
    expect(proxy.tables.length).toBe(1);
    expect(applied).toEqual([]);
  });

  test("while a file is being read other changes go on, and a later reload waits its turn", async () => {
    const slow = Promise.withResolvers<FileResult>();
    const reads: string[] = [];
    readFile = (name) => {
      reads.push(name);
      return reads.length === 1 ? slow.promise : parseConfig(file, name);
    };
    const first = reloader.reload("command", false);
    file = WEB.replace('"80"', '"82"');
    const second = reloader.reload("file", false);
    await tables.change((turn) => turn.apply(viewOf(configOf(WEB.replace('"80"', '"79"'))), 0));
    expect([proxy.table.services[0]?.ports[0]?.published, reads.length]).toEqual([79, 1]);
    slow.resolve(parseConfig(WEB.replace('"80"', '"81"'), "test.toml"));
    expect([(await first).outcome, (await second).outcome]).toEqual(["applied", "applied"]);
    expect(reloader.running.services[0]?.publish[0]?.published).toBe(82);
  });

  test("a reader that throws is a refusal, and the next reload works", async () => {
    readFile = () => Promise.reject(new Error("no threads left"));
    const report = await reloader.reload("command", false);
    expect(report.problems[0]?.message).toBe("cannot be applied: no threads left");
    readFile = (name, check) => parseConfig(file, name, check);
    expect((await reloader.reload("command", false)).outcome).toBe("unchanged");
  });

  test("a prepare that fails is a refusal, and the next reload works", async () => {
    file = WEB.replace('"80"', '"81"');
    proxy.prepareError = new Error("out of file descriptors");
    const report = await reloader.reload("command", false);
    expect(report.outcome).toBe("refused");
    expect(report.problems[0]?.message).toBe("cannot be applied: out of file descriptors");
    expect(reloader.running.services[0]?.publish[0]?.published).toBe(80);
    proxy.prepareError = null;
    expect((await reloader.reload("command", false)).outcome).toBe("applied");
  });

  test("ports that cannot be bound are reported and do not stop it", async () => {
    file = WEB.replace('"80"', '"81"');
    const bindError = {
      service: "web",
      protocol: "tcp",
      address: "0.0.0.0",
      port: 81,
      error: "taken",
    } as const;
    proxy.bindErrors = [bindError];
    expect(await reloader.reload("command", false)).toMatchObject({
      outcome: "applied",
      bindErrors: [bindError],
    });
  });
});

describe("dry run", () => {
  test("reports what would change and changes nothing", async () => {
    file = WEB.replace('"80"', '"81"');
    const report = await reloader.reload("command", true);
    expect(report).toMatchObject({
      outcome: "applied",
      isDryRun: true,
      changes: { listenersOpened: ["tcp 0.0.0.0:81"], listenersClosed: ["tcp 0.0.0.0:80"] },
    });
    expect(proxy.tables.length).toBe(1);
    expect(reloader.running.services[0]?.publish[0]?.published).toBe(80);
  });
});

describe("settings", () => {
  test("one that needs a restart is reported every time and keeps its running value", async () => {
    file = `[proxy]\nworkers = 7\n${WEB}`;
    for (let round = 0; round < 2; round++) {
      const report = await reloader.reload("command", false);
      expect(report.outcome).toBe("unchanged");
      expect(report.changes.settings).toEqual([
        { key: "proxy.workers", before: 0, after: 7, needsRestart: true },
      ]);
    }
  });

  test("it keeps its running value also when the rest of the file is applied", async () => {
    file = `[proxy]\nworkers = 7\n[log]\nlevel = "debug"\n${WEB}`;
    expect((await reloader.reload("command", false)).outcome).toBe("applied");
    expect(reloader.running.proxy.workers).toBe(0);
    expect(applied[0]?.log.level).toBe("debug");
  });
});

describe("order", () => {
  test("reloads at the same time run one after the other", async () => {
    const gate = Promise.withResolvers<void>();
    proxy.gate = gate.promise;
    file = WEB.replace('"80"', '"81"');
    const reports = Promise.all([reloader.reload("command", false), reloader.reload("signal", false)]);
    await clock.advance(0);
    expect(proxy.calls.filter((call) => call === "prepare").length).toBe(2); // the start and the first reload
    gate.resolve();
    expect((await reports).map((report) => report.outcome)).toEqual(["applied", "unchanged"]);
  });

  test("a reload after closing is refused with the reason", async () => {
    await tables.close();
    file = WEB.replace('"80"', '"81"');
    const report = await reloader.reload("command", false);
    expect(report.outcome).toBe("refused");
    expect(report.problems[0]?.message).toBe("cannot be applied: the node is draining");
  });
});

describe("names", () => {
  test("a reload waits for names it brings, so that no service is without tasks in between", async () => {
    const answer = Promise.withResolvers<HostAnswer>();
    names.set("web.test", answer.promise);
    file = WEB.replace("10.0.0.9", "web.test");
    const report = reloader.reload("command", false);
    await clock.advance(500);
    expect(proxy.tables.length).toBe(1);
    answer.resolve({ addresses: ["10.0.0.5"] });
    await report;
    expect(proxy.table.services[0]?.tasks.map((task) => task.address)).toEqual(["10.0.0.5"]);
  });

  test("a name that never answers holds a reload up for two seconds; its answer comes later by itself", async () => {
    const answer = Promise.withResolvers<HostAnswer>();
    names.set("web.test", answer.promise);
    file = WEB.replace("10.0.0.9", "web.test");
    const report = reloader.reload("command", false);
    await clock.advance(2_000);
    expect((await report).outcome).toBe("applied");
    expect(proxy.table.services[0]?.tasks).toEqual([]);
    answer.resolve({ addresses: ["10.0.0.5"] });
    await clock.advance(0);
    expect(proxy.table.services[0]?.tasks.map((task) => task.address)).toEqual(["10.0.0.5"]);
  });

  test("an answer that did not change makes no new table", async () => {
    names.set("web.test", { addresses: ["10.0.0.5"] });
    file = WEB.replace("10.0.0.9", "web.test");
    await reloader.reload("command", false);
    const before = proxy.tables.length;
    await clock.advance(60_000);
    expect(proxy.tables.length).toBe(before);
  });
});

describe("a file is refused", () => {
  const db = (port: number) => webService('tasks = ["127.0.0.1:81"]') + back(port);
  const back = (port: number) =>
    `[[services]]\nname = "back"\npublish = ["81"]\ntasks = ["127.0.0.1:${port}"]\n`;

  test("when a task of it loops back to its own port, in a dry run too", async () => {
    file = db(80);
    for (const isDryRun of [true, false]) {
      const { outcome, problems } = await reloader.reload("command", isDryRun);
      expect(outcome).toBe("refused");
      expect(problems.map(({ line, key }) => [line, key])).toEqual([
        [4, "services[0].tasks[0]"],
        [8, "services[1].tasks[0]"],
      ]);
      expect(problems[0]!.message).toContain(
        "loops back to its own published port: 80/tcp -> 127.0.0.1:81 (back on",
      );
    }
    expect(applied).toEqual([]);
    file = db(82);
    expect((await reloader.reload("command", false)).outcome).toBe("applied");
  });

  test("when it publishes more ports than there are descriptors for", async () => {
    proxy.excess = (table) => (table.services.length > 1 ? "2 ports are too many" : null);
    file = db(82);
    const { outcome, problems } = await reloader.reload("command", false);
    expect([outcome, problems[0]?.key, problems[0]?.message]).toEqual([
      "refused",
      "services",
      "2 ports are too many",
    ]);
  });
});

test("the file of keys that the configuration named last is the one to watch, right or wrong", async () => {
  expect(reloader.namedFiles).toEqual([]);
  const cluster = { ...configOf("[cluster]\ninsecure = true").cluster!, keysFile: "/keys" };
  readFile = () => ({ config: { ...configOf(WEB), cluster } });
  await reloader.reload("file", false);
  expect(reloader.namedFiles).toEqual(["/keys"]);
  readFile = () => ({ problems: [], keysFile: "/other" });
  await reloader.reload("file", false);
  expect(reloader.namedFiles).toEqual(["/other"]);
  readFile = () => ({ problems: [] }); // nothing of it can be read
  await reloader.reload("file", false);
  expect(reloader.namedFiles).toEqual(["/other"]);
  readFile = () => ({ config: configOf(WEB) });
  await reloader.reload("file", false);
  expect(reloader.namedFiles).toEqual([]);
});

test("the report names the variables of the file", async () => {
  readFile = () => ({ config: configOf(WEB), variables: ["A", "B"] });
  expect((await reloader.reload("command", false)).variables).toEqual(["A", "B"]);
});

import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { existsSync, rmSync, writeFileSync } from "node:fs";
import { isIP } from "node:net";
import { readConfig } from "../../../src/config/index.ts";
import { type Log, type Node, type NodeParts, startNode } from "../../../src/node/index.ts";
import type { ProxyOptions } from "../../../src/proxy/index.ts";
import { spec } from "../../support/catalog/catalog-records.ts";
import { inTime, MemoryGossip, until } from "../../support/gossip/memory-gossip.ts";
import { ClusterNode } from "../../support/node/cluster-node.ts";
import { configOf } from "../../support/node/config-of.ts";
import { FakeDrivers } from "../../support/node/fake-overlay.ts";
import { FakeProxy } from "../../support/node/fake-proxy.ts";
import { type TempDir, tempDir } from "../../support/os/temp-dir.ts";
import { ManualClock } from "../../support/time/manual-clock.ts";

const SERVICE = `
[[services]]
name = "web"
publish = ["80"]
tasks = ["10.0.0.9", "web.test"]
drain_timeout = "7s"
`;

let dir: TempDir;
let proxy: FakeProxy;
let clock: ManualClock;
let lines: string[];
let onFileChange: () => void;
let isWatching: boolean;

beforeEach(() => {
  dir = tempDir();
  proxy = new FakeProxy();
  clock = new ManualClock();
  lines = [];
});

afterEach(() => dir[Symbol.dispose]());

function write(services: string, head = ""): string {
  const text = `${head}\n[node]\nname = "edge-1"\ndata_dir = "${dir.file("data")}"\n[admin]\nsocket = "${dir.file("pm.sock")}"\n${services}`;
  writeFileSync(dir.file("pm.toml"), text);
  return text;
}

async function start(parts: Partial<NodeParts> = {}, head = ""): Promise<Node> {
  const config = configOf(write(SERVICE, head));
  const version = { version: "1.2.3", commit: null };
  const options = { file: dir.file("pm.toml"), config, version, log: recordingLog(), onFatal: () => {} };
  return await startNode(options, {
    startProxy: async () => proxy,
    gossip: new MemoryGossip(clock).transport,
    lookup: async (host) =>
      isIP(host) === 0 ? { error: "name not found", isAnswered: true } : { addresses: [host] },
    readNetwork: () => ({ hasIpv6: false, addresses: [] }),
    readUsableAddresses: () => [],
    clock,
    readConfig: (file, check) => readConfig(file, { check }),
    fileChangedAtMs: () => null,
    readDefaultRouteInterface: () => null,
    readOverlayInterfaces: () => new Set(),
    random: () => 0.5,
    libcryptoVersion: () => null,
    openDrivers: () => new FakeDrivers().open,
    watchPaths: new FakeDrivers().watchPaths,
    watchConfig({ onChange }) {
      onFileChange = onChange;
      isWatching = true;
      return { stop: () => (isWatching = false) };
    },
    ...parts,
  });
}

function recordingLog(): Log {
  const write = (fields: object | string, message?: string) => lines.push(message ?? String(fields));
  const writes = { debug: write, info: write, warn: write, error: write, fatal: write };
  return { level: "info", loss: null, isPretty: false, writeRecords: () => {}, ...writes };
}

async function ask(path: string, method = "GET"): Promise<unknown> {
  const response = await fetch(`http://portmesh${path}`, { unix: dir.file("pm.sock"), method });
  return await response.json();
}

describe("start", () => {
  test("the first table is running and the admin socket answers", async () => {
    const node = await start();
    expect(proxy.table.services[0]?.tasks.map((task) => task.name)).toEqual(["10.0.0.9"]);
    expect(await ask("/v1/version")).toEqual({ version: "1.2.3", commit: null });
    expect(await ask("/v1/status")).toMatchObject({
      node: "edge-1",
      state: "serving",
      config: { file: dir.file("pm.toml"), lastReload: null },
      names: [{ host: "web.test", error: "name not found", services: ["web"] }],
    });
    expect(lines).toContain("serving 1 service");
    await node.drainAndStop();
  });

  test("a step that fails takes back the ones before it", async () => {
    const startProxy = () => Promise.reject(new Error("no memory"));
    await expect(start({ startProxy })).rejects.toThrow("no memory");
    expect(existsSync(dir.file("pm.sock"))).toBe(false);
    expect(clock.timerCount).toBe(0);
  });

  test("a second node on the same socket is refused before it starts a proxy", async () => {
    const node = await start();
    let hasStarted = false;
    const startProxy = async () => {
      hasStarted = true;
      return new FakeProxy();
    };
    await expect(start({ startProxy })).rejects.toThrow("another node uses this socket");
    expect(hasStarted).toBe(false);
    await node.drainAndStop();
  });
});

describe("reload", () => {
  test("a file that is deleted right after the start is reported once, and again when it is deleted again", async () => {
    const node = await start();
    const refusals = () => lines.filter((line) => line.includes("it does not exist")).length;
    const change = async () => {
      onFileChange();
      await clock.advance(100);
    };
    rmSync(dir.file("pm.toml"));
    await clock.advance(1_000); // it is read once more then
    await until(clock, () => refusals() === 1);
    await change(); // of the watch, which waits longer
    await until(clock, () => node.status().config.lastReload?.outcome === "refused");
    expect(refusals()).toBe(1);
    write(SERVICE);
    await change();
    await until(clock, () => node.status().config.lastReload?.outcome === "unchanged");
    rmSync(dir.file("pm.toml"));
    await change();
    await until(clock, () => refusals() === 2);
    await node.drainAndStop();
  });

  test("a refused file is shown by status until it is valid again", async () => {
    const node = await start();
    write(SERVICE.replace('"80"', '"70000"'));
    expect(await ask("/v1/reload", "POST")).toMatchObject({ outcome: "refused" });
    expect(await ask("/v1/status")).toMatchObject({
      config: { lastReload: { outcome: "refused", trigger: "command" } },
    });
    expect(lines.filter((line) => line.includes("70000")).length).toBe(1);
    write(SERVICE);
    onFileChange();
    await clock.advance(0);
    expect(node.status().config.lastReload?.outcome).toBe("unchanged");
    await node.drainAndStop();
  });

  test("what the watch finds after a command has applied it is no news", async () => {
    const node = await start();
    write(SERVICE.replace('"80"', '"81"'));
    await node.reload(false);
    onFileChange();
    await clock.advance(0);
    expect(node.status().config.lastReload).toMatchObject({ outcome: "applied", trigger: "command" });
    await node.drainAndStop();
  });

  test("a dry run leaves no trace", async () => {
    const node = await start();
    write(SERVICE.replace('"80"', '"81"'));
    const before = [...lines];
    expect(await ask("/v1/reload?dry-run=1", "POST")).toMatchObject({ outcome: "applied", isDryRun: true });
    expect(lines).toEqual(before);
    expect(node.status().config.lastReload).toBeNull();
    await node.drainAndStop();
  });

  test("the connection records follow", async () => {
    const node = await start();
    expect(proxy.recorded).toEqual({ errors: true, every: 0 });
    write(SERVICE, '[log]\nconnections = "sampled:50"');
    await node.reload(false);
    expect(proxy.recorded).toEqual({ errors: true, every: 50 });
    await node.drainAndStop();
  });

  test("settings that wait for a restart stay in status", async () => {
    const node = await start();
    write(SERVICE, "[proxy]\nworkers = 3");
    await node.reload(false);
    expect(node.status().config.needsRestart).toEqual([
      { key: "proxy.workers", before: 0, after: 3, needsRestart: true },
    ]);
    await node.drainAndStop();
  });
});

test("drainAndStop drains, stops the proxy and leaves nothing behind", async () => {
  const node = await start();
  expect(await node.drainAndStop()).toBe(true);
  expect(proxy.calls.slice(-2)).toEqual(["drain", "stop"]);
  expect(existsSync(dir.file("pm.sock"))).toBe(false);
  expect(isWatching).toBe(false);
  expect(clock.timerCount).toBe(0);
});

describe("the mesh", () => {
  const nodes = async () => (await ask("/v1/nodes")) as { bindErrors: object[] }[];

  test("bind errors that the proxy reports are in the record of the node until they are gone", async () => {
    let onBindErrors: ProxyOptions["onBindErrors"] = () => {};
    const startProxy = async (options: ProxyOptions) => {
      onBindErrors = options.onBindErrors;
      return proxy;
    };
    const node = await start({ startProxy });
    const at = { protocol: "tcp" as const, address: "0.0.0.0", port: 80 };
    onBindErrors([{ service: "web", ...at, error: "address in use" }]);
    expect((await nodes())[0]!.bindErrors).toEqual([
      { service: "web", listener: "tcp 0.0.0.0:80", error: "address in use" },
    ]);
    onBindErrors([]);
    expect((await nodes())[0]!.bindErrors).toEqual([]);
    await node.drainAndStop();
  });

  test("a change by command while the node stops is kept, without an error", async () => {
    const node = await start();
    const draining = Promise.withResolvers<void>();
    proxy.drain = () => draining.promise.then(() => true);
    const stopped = node.drainAndStop();
    const { spec } = node.service("web")!;
    const publish = [{ ...spec.publish[0]!, published: 81 }];
    expect(
      await node.commands.createService({ name: "api", spec: { ...spec, publish }, tasks: [] }),
    ).toBeNull();
    expect(node.service("api")).not.toBeNull();
    draining.resolve();
    await stopped;
  });
});

describe("in a cluster", () => {
  const address = "192.0.2.1";
  const join = `[cluster]\nname = "prod"\ninsecure = true\nbind = "${address}:7946"\njoin = ["192.0.2.2:7946"]\n`;
  let gossip: MemoryGossip;
  let other: ClusterNode;

  beforeEach(async () => {
    gossip = new MemoryGossip(clock);
    const config = configOf(
      `[node]\nname = "other"\ndata_dir = "${dir.file("other")}"\n[cluster]\nname = "prod"\ninsecure = true\nbind = "192.0.2.2:7946"`,
    );
    const log = recordingLog();
    const node = { config, clock, log, address: "192.0.2.2", transport: gossip.transport };
    other = await inTime(clock, ClusterNode.start(node));
    other.serve();
  });

  afterEach(() => other.close());

  /** As the other node sees it; undefined: not at all. */
  function isDraining(): boolean | undefined {
    return other.catalog.nodes().get("edge-1")?.isDraining;
  }

  async function startMember(parts: Partial<NodeParts> = {}): Promise<Node> {
    const started = start({ gossip: gossip.transport, ...parts }, join);
    return await inTime(clock, started);
  }

  async function stop(node: Node): Promise<void> {
    await inTime(clock, node.drainAndStop());
  }

  test("others send it clients from when its ports are open until it says that it leaves, before they close", async () => {
    const seen: [string, boolean | undefined][] = [];
    const watched = ["prepare", "commit", "drain"] as const;
    for (const step of watched) {
      const run = proxy[step].bind(proxy) as (...args: never[]) => never;
      Object.assign(proxy, {
        [step]: (...args: never[]) => {
          seen.push([step, isDraining()]);
          return run(...args);
        },
      });
    }
    const node = await startMember();
    await until(clock, () => isDraining() === false);
    expect(seen.slice(0, 2)).toEqual([
      ["prepare", true], // it was heard of with the join, and not for its tasks
      ["commit", true],
    ]);
    await stop(node);
    expect(seen.at(-1)).toEqual(["drain", true]);
    await until(clock, () =>
      other.cluster.members().every(({ name, state }) => name === "other" || state === "left"),
    );
    other.close();
    expect(clock.timerCount).toBe(0);
  });

  test("a table that the proxy does not take is tried again, and the one that runs stays", async () => {
    const node = await startMember();
    proxy.prepareError = new Error("no descriptors");
    other.writes.write((writer) => writer.writeService("api", spec(81), 1));
    await until(clock, () => lines.some((line) => line.includes("cannot update the routing table")));
    expect(proxy.table.services.map(({ name }) => name)).toEqual(["web"]);
    proxy.prepareError = null;
    await until(clock, () => proxy.table.services.length === 2);
    await stop(node);
  });

  test("ports that could not be bound are tried again behind the change that is under way", async () => {
    let onRetryDue: ProxyOptions["onRetryDue"];
    const startProxy = async (options: ProxyOptions) => {
      ({ onRetryDue } = options);
      return proxy;
    };
    const node = await startMember({ startProxy });
    const { promise, resolve } = Promise.withResolvers<void>();
    proxy.gate = promise;
    other.writes.write((writer) => writer.writeService("api", spec(81), 1));
    await until(clock, () => proxy.calls.at(-1) === "prepare");
    const before = proxy.calls.length;
    onRetryDue!();
    await clock.advance(100);
    expect(proxy.calls.slice(before)).toEqual([]);
    resolve();
    await clock.advance(100);
    expect(proxy.calls.slice(before)).toEqual(["commit", "retryPorts"]);
    await stop(node);
  });
});

/**
 * Catalogs in a virtual network (test/support/catalog/catalog-network.ts): whatever is lost, late, cut off or restarted, all
 * end with the same table, and with the right one. SEED repeats a run. CATALOG_NODES is how many nodes the last test has
 * (default 64: memory; a table takes about 11 MB and all of them are in this process; 200 take 4 GB and half a minute).
 */
import { expect, test } from "bun:test";
import { Catalog } from "../../src/catalog/index.ts";
import { CatalogNetwork, rootHash } from "../support/catalog/catalog-network.ts";
import { declared, nodeRecord, spec, task } from "../support/catalog/catalog-records.ts";
import { Seeded } from "../support/random/seed.ts";

const LIMIT_MS = 60_000;
const seeded = Seeded.fromEnvironment();

function startNodes(network: CatalogNetwork, count: number): string[] {
  for (let index = 0; index < count; index++) network.start(`node-${index}`);
  return network.names;
}

function converge(network: CatalogNetwork): void {
  network.runUntil(() => network.hasConverged(), LIMIT_MS);
}

function taskNames(catalog: Catalog, service: string): string[] {
  return catalog.tasksOf(service).map(({ owner, name }) => `${owner} ${name}`);
}

/** One random write at one random node. */
function writeSomething(network: CatalogNetwork, random: Seeded): void {
  const writer = random.pick(network.names);
  const catalog = network.catalogs.get(writer)!;
  const service = `service-${random.below(12)}`;
  const name = `10.0.0.${random.below(6)}`;
  const writes = [
    () => catalog.writeService(service, spec(1000 + random.below(500)), network.timeOf(writer)),
    () => catalog.removeService(service),
    () => catalog.declare(declared(service, spec(1000 + random.below(500))), network.timeOf(writer)),
    () => catalog.declare(declared(service, spec(1000 + random.below(500)), { age: "kept" }), 0),
    () => catalog.undeclare(service),
    () =>
      catalog.writeTask(
        task(service, name, { weight: 1 + random.below(9), isDraining: random.below(2) > 0 }),
      ),
    () => catalog.writeTask(task(service, name, { origin: "api" })),
    () => catalog.removeTask(service, name),
    () => catalog.writeNode(nodeRecord({ version: String(random.below(9)) })),
    () => catalog.setDirective(random.pick(network.names), random.pick(["drain", null])),
  ];
  expect(random.pick(writes)()).toBeNull();
}

test("writes everywhere under loss, reordering, partitions and restarts end in one table", () => {
  for (let run = 0; run < 8; run++) {
    const random = seeded.fork(100 + run);
    const network = new CatalogNetwork(random, { loss: 0.3, maxDelayMs: 1500 });
    const names = startNodes(network, 6);
    const snapshots = new Map<string, string>();
    for (let step = 0; step < 150; step++) {
      writeSomething(network, random);
      network.run(50 * random.below(8));
      const victim = random.pick(names);
      const event = random.below(40);
      if (event === 0) network.split((name) => Number(name.slice(5)) % 2);
      if (event === 1) network.heal();
      if (event === 2) network.start(victim);
      if (event === 3)
        snapshots.set(victim, network.catalogs.get(victim)!.snapshot({ isFileKnown: true, members: null }));
      if (event === 4) {
        const restarted = new Catalog(victim);
        const snapshot = snapshots.get(victim);
        if (snapshot) expect(restarted.restore(snapshot, network.timeOf(victim)).problem).toBeNull();
        network.start(victim, restarted);
      }
    }
    network.heal();
    converge(network);
    const [first, ...others] = [...network.catalogs.values()];
    for (const other of others) {
      expect([...other.services()]).toEqual([...first!.services()]);
      expect(other.tasks()).toEqual(first!.tasks());
      expect([...other.nodes()]).toEqual([...first!.nodes()]);
    }
  }
});

test("a node that restarts without state has the tasks it has now, not those of its earlier life", () => {
  const network = new CatalogNetwork(seeded.fork(2));
  const [first, second] = startNodes(network, 5) as [string, string];
  const old = network.catalogs.get(first)!;
  for (let round = 0; round < 50; round++)
    old.writeTask(task("web", "10.0.0.1", { weight: 1 + (round % 9) }));
  old.writeTask(task("web", "10.0.0.2"));
  old.writeTask(task("web", "10.0.0.3", { weight: 7 }));
  converge(network);
  const restarted = new Catalog(first);
  restarted.writeTask(task("web", "10.0.0.3"));
  restarted.writeTask(task("web", "10.0.0.4"));
  network.start(first, restarted);
  converge(network);
  for (const catalog of network.catalogs.values()) {
    expect(taskNames(catalog, "web")).toEqual([`${first} 10.0.0.3`, `${first} 10.0.0.4`]);
    expect(catalog.tasksOf("web")[0]?.weight).toBe(1);
  }
  restarted.removeTask("web", "10.0.0.4");
  network.runUntil(() => taskNames(network.catalogs.get(second)!, "web").length === 1, LIMIT_MS);
});

test("leave, return and create within one gossip interval leave no tombstone behind anywhere", () => {
  const network = new CatalogNetwork(seeded.fork(3), { loss: 0.2, maxDelayMs: 500 });
  const [leaver] = startNodes(network, 6) as [string];
  network.catalogs.get(leaver)!.writeTask(task("web", "10.0.0.1"));
  converge(network);
  for (let round = 0; round < 10; round++) {
    network.stop(leaver);
    network.run(50);
    network.start(leaver).writeTask(task("web", "10.0.0.1", { weight: 1 + round }));
    network.run(50);
  }
  converge(network);
  for (const catalog of network.catalogs.values()) expect(catalog.tasksOf("web")[0]?.weight).toBe(10);
});

test("the records of nodes cut off are hidden at once, and back at once without being written again", () => {
  const network = new CatalogNetwork(seeded.fork(4));
  const [here, there] = startNodes(network, 4) as [string, string];
  for (const [name, catalog] of network.catalogs) catalog.writeTask(task("web", `${name}.internal`));
  converge(network);
  const catalog = network.catalogs.get(here)!;
  const stamp = catalog.tasksOf("web").find(({ owner }) => owner === there)!.stamp;
  network.split((name) => name === here);
  expect(taskNames(catalog, "web")).toEqual([`${here} ${here}.internal`]);
  network.run(30_000);
  network.heal();
  expect(catalog.tasksOf("web").length).toBe(4);
  expect(catalog.tasksOf("web").find(({ owner }) => owner === there)!.stamp).toEqual(stamp);
});

test("what was removed on one side of a partition stays removed when it heals", () => {
  const network = new CatalogNetwork(seeded.fork(5), { loss: 0.1 });
  const [here, there] = startNodes(network, 6) as [string, string];
  network.catalogs.get(here)!.writeService("web", spec(8080), network.nowMs);
  network.catalogs.get(there)!.writeTask(task("web", "10.0.0.1", { origin: "api" }));
  converge(network);
  network.split((name) => name === there);
  network.catalogs.get(here)!.removeService("web");
  network.run(3_600_000 / 100);
  expect(network.catalogs.get(there)!.services().has("web")).toBe(true);
  network.heal();
  converge(network);
  for (const catalog of network.catalogs.values()) {
    expect(catalog.services().size).toBe(0);
    expect(catalog.tasks()).toEqual([]); // its owner has removed it
  }
});

test("clocks that are wrong, differ and jump change nothing", () => {
  const network = new CatalogNetwork(seeded.fork(6), { loss: 0.1 });
  const names = startNodes(network, 5);
  const yearMs = 365 * 24 * 3_600_000;
  names.forEach((name, index) => network.clockErrorMs.set(name, (index - 2) * 10 * yearMs));
  network.catalogs.get(names[4]!)!.writeService("web", spec(8080), network.timeOf(names[4]!));
  network.catalogs.get(names[4]!)!.writeService("gone", spec(8081), network.timeOf(names[4]!));
  network.catalogs.get(names[3]!)!.writeTask(task("web", "10.0.0.1"));
  converge(network);
  network.catalogs.get(names[0]!)!.removeService("gone"); // ten years before it was written
  network.catalogs.get(names[0]!)!.writeService("web", spec(9090), network.timeOf(names[0]!));
  names.forEach((name, index) => network.clockErrorMs.set(name, (2 - index) * 10 * yearMs));
  converge(network);
  network.run(10_000);
  for (const catalog of network.catalogs.values()) {
    expect([...catalog.services().keys()]).toEqual(["web"]);
    expect(catalog.services().get("web")!.spec.publish[0]!.published).toBe(9090);
    expect(taskNames(catalog, "web")).toEqual([`${names[3]} 10.0.0.1`]);
  }
});

test("a dead node's records are forgotten after a day everywhere, and do not come back", () => {
  const network = new CatalogNetwork(seeded.fork(7));
  const [dead] = startNodes(network, 5) as [string];
  network.catalogs.get(dead)!.writeTask(task("web", "10.0.0.1"));
  converge(network);
  const emptyHash = rootHash(new Catalog("empty"));
  network.stop(dead);
  for (let minute = 0; minute < 24 * 60 - 1; minute++) {
    network.jump(60_000 - 50);
    network.run(50);
    if (minute === 700) network.start("late"); // the day has not begun anew for what it learns
  }
  network.run(10_000);
  expect([...network.catalogs.values()].map(rootHash)).not.toContain(emptyHash);
  for (let minute = 0; minute < 3; minute++) {
    network.jump(60_000 - 50);
    network.run(50);
  }
  network.run(20_000);
  expect(new Set([...network.catalogs.values()].map(rootHash))).toEqual(new Set([emptyHash]));
});

const DAY_MS = 24 * 3_600_000;

/** Time passes with a tick a minute: nothing is lost of a day, and it does not take one. */
function pass(network: CatalogNetwork, durationMs: number): void {
  for (let passedMs = 0; passedMs < durationMs; passedMs += 60_000) {
    network.jump(60_000 - 50);
    network.run(50);
  }
}

test("a service of two files stays while one declares it, and goes with the last, on both sides of a partition", () => {
  const network = new CatalogNetwork(seeded.fork(10), { loss: 0.1 });
  const [n1, n2, n3] = startNodes(network, 6) as [string, string, string];
  for (const name of [n1, n2]) network.catalogs.get(name)!.declare(declared("web", spec(80)), network.nowMs);
  converge(network);
  network.split((name) => name === n3);
  network.catalogs.get(n1)!.undeclare("web");
  network.run(30_000);
  expect([...network.catalogs.values()].map((catalog) => catalog.services().has("web"))).not.toContain(false);
  network.catalogs.get(n2)!.undeclare("web");
  network.run(30_000);
  expect(network.catalogs.get(n3)!.services().has("web")).toBe(true); // as far as it knows
  network.heal();
  converge(network);
  expect([...network.catalogs.values()].map((catalog) => catalog.services().size)).toEqual([
    0, 0, 0, 0, 0, 0,
  ]);
});

test("what a dead node declares stays for a day, or until it is forgotten, and is back with it", () => {
  const network = new CatalogNetwork(seeded.fork(11));
  const [dead, other, observer] = startNodes(network, 4) as [string, string, string];
  const declares = (name: string) => [...network.catalogs.get(name)!.services().keys()];
  for (const name of [dead, other])
    network.catalogs.get(name)!.declare(declared(`of-${name}`, spec(80)), network.nowMs);
  converge(network);
  network.stop(dead);
  network.stop(other);
  network.run(10_000);
  expect(declares(observer)).toEqual([`of-${dead}`, `of-${other}`]);
  network.catalogs.get(observer)!.setDirective(other, "forget");
  network.run(10_000);
  expect(declares("node-3")).toEqual([`of-${dead}`]);
  pass(network, DAY_MS + 60_000);
  expect([declares(observer), declares("node-3")]).toEqual([[], []]);
  for (const name of [dead, other]) {
    network.start(name).declare(declared(`of-${name}`, spec(80), { age: "pending" }), network.nowMs);
    network.runUntil(() => declares(observer).includes(`of-${name}`), LIMIT_MS);
  }
  converge(network);
});

test("a node that was away for three days brings nothing back: not what was removed, not what was forgotten", () => {
  const network = new CatalogNetwork(seeded.fork(12));
  const [remover, gone, away] = startNodes(network, 5) as [string, string, string];
  const catalog = network.catalogs.get(away)!;
  network.catalogs.get(remover)!.declare(declared("removed", spec(80)), network.nowMs);
  network.catalogs.get(gone)!.declare(declared("forgotten", spec(81)), network.nowMs);
  network.catalogs.get(gone)!.declare(declared("removed-too", spec(82)), network.nowMs);
  converge(network);
  const snapshot = catalog.snapshot({ isFileKnown: true, members: null });
  network.stop(away);
  network.catalogs.get(remover)!.undeclare("removed");
  network.catalogs.get(gone)!.undeclare("removed-too");
  network.run(5_000);
  network.stop(gone);
  pass(network, DAY_MS * 1.5);
  network.stop(remover); // nobody is left who could bury it again
  pass(network, DAY_MS * 1.5);
  const restarted = new Catalog(away);
  expect(restarted.restore(snapshot, network.nowMs).problem).toBeNull();
  expect(restarted.services().size).toBe(3);
  network.start(away, restarted);
  for (const observer of ["node-3", "node-4"]) {
    network.run(10_000);
    expect([...network.catalogs.get(observer)!.services().keys()]).toEqual([]);
  }
  pass(network, 5 * 60_000);
  expect([...restarted.services().keys()]).toEqual([]);
  converge(network);
});

test("nodes that declare one service differently agree which is in force, whatever is restarted", () => {
  const network = new CatalogNetwork(seeded.fork(13), { loss: 0.2, maxDelayMs: 500 });
  const names = startNodes(network, 5);
  for (const [index, name] of names.entries()) {
    network.catalogs.get(name)!.declare(declared("web", spec(8000 + index)), network.nowMs);
    converge(network);
  }
  network.catalogs.get(names[1]!)!.declare(declared("web", spec(9000)), network.nowMs); // an edit
  converge(network);
  for (const [index, name] of names.entries()) {
    const restarted = network.start(name); // without state, with the same file
    const port = index === 1 ? 9000 : 8000 + index;
    restarted.declare(declared("web", spec(port), { age: "pending" }), network.nowMs);
    converge(network);
    restarted.declare(declared("web", spec(port), { age: "kept" }), network.nowMs);
    converge(network);
  }
  for (const catalog of network.catalogs.values()) {
    const { spec, definitions, created } = catalog.services().get("web")!;
    expect([spec.publish[0]!.published, definitions.length, created.node]).toEqual([9000, 5, names[0]!]);
  }
});

test("both halves of a split change a service: every node learns which change was lost, and to which", () => {
  const network = new CatalogNetwork(seeded.fork(14), { loss: 0.2, maxDelayMs: 300 });
  const names = startNodes(network, 7);
  network.catalogs.get("node-0")!.writeService("web", spec(80), network.nowMs);
  converge(network);
  network.split((name) => Number(name.slice(5)) < 3);
  network.catalogs.get("node-1")!.writeService("web", spec(81), network.nowMs);
  const portAt = (name: string) =>
    network.catalogs.get(name)!.services().get("web")!.spec.publish[0]!.published;
  network.runUntil(() => portAt("node-2") === 81, LIMIT_MS);
  network.catalogs.get("node-2")!.writeService("web", spec(82), network.nowMs);
  network.catalogs.get("node-6")!.writeService("web", spec(91), network.nowMs);
  network.run(10_000);
  network.heal();
  const knows = (name: string) => network.catalogs.get(name)!.overwrittenOf("web").length > 0;
  network.runUntil(() => names.every(knows), LIMIT_MS);
  converge(network);
  network.runUntil(() => !network.hasNews(), LIMIT_MS);
  for (const catalog of network.catalogs.values()) {
    const changes = catalog.overwrittenOf("web").map(({ lost, by }) => [lost.stamp.node, by.stamp.node]);
    expect(changes).toEqual([["node-6", "node-2"]]);
    expect(catalog.takeOverwritten()).toHaveLength(1);
  }
});

test("a node that was away hears, with the service, which change was lost to it", () => {
  for (let run = 0; run < 10; run++) {
    const network = new CatalogNetwork(seeded.fork(50 + run));
    const [one, other, away] = startNodes(network, 3) as [string, string, string];
    network.catalogs.get(one)!.writeService("web", spec(80), network.nowMs);
    network.catalogs.get(one)!.writeService("old", spec(90), network.nowMs);
    converge(network);
    const late = network.catalogs.get(away)!;
    network.stop(away);
    network.split((name) => name);
    network.catalogs.get(one)!.writeService("web", spec(81), network.nowMs);
    network.catalogs.get(one)!.removeService("old");
    for (const port of [82, 83]) {
      network.catalogs.get(other)!.writeService("web", spec(port), network.nowMs);
      network.catalogs.get(other)!.writeService("old", spec(port + 10), network.nowMs);
    }
    network.heal();
    converge(network);
    network.runUntil(() => !network.hasNews(), LIMIT_MS);
    network.start(away, late);
    converge(network);
    network.run(1000);
    for (const service of ["web", "old"]) {
      expect(late.overwrittenOf(service)).toMatchObject([
        { lost: { stamp: { node: one } }, by: { stamp: { node: other } } },
      ]);
    }
    expect(late.takeOverwritten()).toHaveLength(2);
  }
});

test("a service too large for a packet reaches 30 nodes by anti-entropy within seconds", () => {
  const network = new CatalogNetwork(seeded.fork(8), { loss: 0.05 });
  const [writer] = startNodes(network, 30) as [string];
  network.run(10_000);
  const deny = Array.from({ length: 1000 }, (_, index) => `10.${index >> 8}.${index & 255}.0/24`);
  network.catalogs.get(writer)!.writeService("large", spec(8080, { deny }), network.nowMs);
  const tookMs = network.runUntil(() => network.hasConverged(), LIMIT_MS);
  expect(tookMs).toBeLessThan(20_000);
  expect(network.catalogs.get("node-29")!.services().get("large")!.spec.deny).toEqual(deny);
});

test("1,000 services and 10,000 tasks on many nodes converge within seconds and idle cheaply", () => {
  const nodeCount = Number(process.env.CATALOG_NODES ?? 64);
  const network = new CatalogNetwork(seeded.fork(9), { loss: 0.02, maxDelayMs: 100 });
  startNodes(network, nodeCount);
  const serviceCount = 1000;
  for (let s = 0; s < serviceCount; s++) {
    const owner = network.catalogs.get(`node-${s % nodeCount}`)!;
    owner.declare(declared(`service-${s}`, spec(10_000 + s)), network.nowMs);
    for (let t = 0; t < 10; t++) {
      owner.writeTask(task(`service-${(s * 7 + t) % serviceCount}`, `10.1.${s % 250}.${t}:80`));
    }
  }
  const tookMs = network.runUntil(() => network.hasConverged(), LIMIT_MS);
  const tableBytes = tableSize(network.catalogs.get("node-0")!);
  const perNode = (bytes: number) => bytes / nodeCount;
  const { streams, datagrams } = network.bytes;
  console.log(
    `${nodeCount} nodes: ${tookMs} ms; each sent ${kib(perNode(streams))} in streams, ` +
      `${kib(perNode(datagrams))} in datagrams; the table is ${kib(tableBytes)}`,
  );
  const last = network.catalogs.get(`node-${nodeCount - 1}`)!;
  expect([last.services().size, last.tasks().length]).toEqual([serviceCount, 10 * serviceCount]);
  expect(tookMs).toBeLessThan(20_000);
  expect(perNode(streams)).toBeLessThan(2 * tableBytes);

  network.runUntil(() => !network.hasNews(), 2 * LIMIT_MS);
  network.bytes.streams = 0;
  network.bytes.datagrams = 0;
  network.run(20_000);
  expect(network.bytes.streams).toBe(0);
  expect(perNode(network.bytes.datagrams) / 20).toBeLessThan(50); // bytes a second

  const revisions = [...network.catalogs.values()].map(({ revision }) => revision);
  network.catalogs.get("node-0")!.writeTask(task("service-0", "10.1.0.0:80", { isDraining: true }));
  const spreadMs = network.runUntil(() => network.hasConverged(), LIMIT_MS);
  console.log(`one change: ${spreadMs} ms, ${kib(network.bytes.datagrams + network.bytes.streams)} in all`);
  expect(spreadMs).toBeLessThan(10_000);
  expect([...network.catalogs.values()].map(({ revision }, index) => revision - revisions[index]!)).toEqual(
    revisions.map(() => 1),
  );
});

/** Bytes of all records in a snapshot-like encoding: what a transfer of the whole table has to carry. */
function tableSize(catalog: Catalog): number {
  const stampBytes = 16;
  const services = [...catalog.services().values()].map((service) => JSON.stringify(service).length);
  const tasks = catalog.tasks().map(({ service, name, owner, stamp, ...value }) => {
    return JSON.stringify(value).length + service.length + name.length + owner.length + stampBytes;
  });
  return [...services, ...tasks].reduce((sum, bytes) => sum + bytes, 0);
}

function kib(bytes: number): string {
  return `${Math.round(bytes / 1024)} KiB`;
}

/** A node joins a cluster of 200: what it works out is bounded, however many members and records it hears of. */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { Catalog } from "../../../../src/catalog/index.ts";
import { CLUSTER_TAG, PROTOCOL_TAG } from "../../../../src/membership/index.ts";
import { OUR_VERSIONS } from "../../../../src/membership/versions.ts";
import { addressOf } from "../../../../src/node/cluster/address.ts";
import { ClusterLog } from "../../../../src/node/cluster/cluster-log.ts";
import { KnownAddresses } from "../../../../src/node/cluster/known-addresses.ts";
import { Members } from "../../../../src/node/cluster/members.ts";
import { encodeMessage, encodeTags } from "../../../../src/wire/gossip/index.ts";
import { nodeRecord, spec, task } from "../../../support/catalog/catalog-records.ts";
import { inTime, MemoryGossip, until } from "../../../support/gossip/memory-gossip.ts";
import { ClusterNode } from "../../../support/node/cluster-node.ts";
import { configOf, webService } from "../../../support/node/config-of.ts";
import { recordingLog } from "../../../support/node/recording-log.ts";
import { type TempDir, tempDir } from "../../../support/os/temp-dir.ts";
import { seededRandom } from "../../../support/random/seeded-random.ts";
import { ManualClock } from "../../../support/time/manual-clock.ts";

/** The node that joins, its seed, and those that the seed knows. */
const NODES = 200;
const PORT = 7_946;
const META = encodeTags({ [PROTOCOL_TAG]: "1", [CLUSTER_TAG]: "prod" });
/** Joining, the records of the others in some messages, the own file: each may cause a pass or two. */
const MAX_PASSES = 25;
const MAX_TABLES = 8;

let dir: TempDir;
let clock: ManualClock;
let gossip: MemoryGossip;
let seed: Members;

beforeEach(() => {
  dir = tempDir();
  clock = new ManualClock();
  gossip = new MemoryGossip(clock);
});

afterEach(() => {
  seed.close();
  dir[Symbol.dispose]();
});

function configAt(name: string, host: string, join: string) {
  return configOf(`
[node]
name = "${name}"
data_dir = "${dir.file(name)}"
[cluster]
name = "prod"
insecure = true
bind = "${host}:${PORT}"
join = [${join}]
${webService('tasks = ["10.0.0.9"]')}`);
}

function hostOf(index: number): string {
  return `10.1.${index >> 8}.${index & 255}`;
}

/** Every other node but one is only heard of: the seed has their records, and they never answer. */
async function startSeed(): Promise<void> {
  const catalog = new Catalog("seed");
  const { log } = recordingLog();
  const config = configAt("seed", "192.0.2.1", "").cluster!;
  seed = await inTime(
    clock,
    Members.join({
      config,
      name: "seed",
      address: "192.0.2.1",
      source: null,
      clock,
      transport: gossip.transport,
      lookup: async (host) => ({ addresses: [host] }),
      random: seededRandom(1),
      log: new ClusterLog(log, clock),
      known: new KnownAddresses(),
      broadcasts: catalog,
      localState: () => catalog.digest(),
      onUserMessage: (payload) => catalog.onMessage(null, payload, clock.nowMs()),
      onRemoteState: (digest) => catalog.onDigest(null, digest, clock.nowMs()),
      onPortTest: () => null,
      onEventsAsked: () => null,
      onMembers: () => undefined,
      onFatal: (error) => {
        throw error;
      },
    }),
  );
  const names = Array.from({ length: NODES - 2 }, (_, index) => `n${index}`);
  catalog.setLive(["seed", ...names]);
  catalog.writeNode(nodeRecord());
  catalog.writeService("api", spec(81), 1);
  for (const [index, name] of names.entries()) {
    hear(name, index);
    const other = new Catalog(name);
    other.setLive([name]);
    other.writeNode(nodeRecord({ relay: { address: hostOf(index), port: 4789, udpPort: 7946 } }));
    other.writeTask(task("api", "10.0.0.7", { origin: "api" }));
    for (const payload of other.draw(1_000_000, 4)) catalog.onMessage(null, payload, clock.nowMs());
  }
}

function hear(node: string, index: number): void {
  const { ip, port } = addressOf(hostOf(index), PORT)!;
  const alive = encodeMessage({
    ...{ type: "alive", incarnation: 1, node, address: ip, port },
    ...{ meta: META, versions: OUR_VERSIONS },
  });
  seed.gossip!.run((machine, nowMs) => machine.onPacket([alive], addressOf("192.0.2.1", PORT)!, nowMs));
}

test("start and the catalog of 200 nodes take some passes and tables, not one for each", async () => {
  await startSeed();
  expect(seed.members().length).toBe(NODES - 1);
  const node = ClusterNode.start({
    config: configAt("a", "192.0.2.9", `"192.0.2.1:${PORT}"`),
    clock,
    log: recordingLog().log,
    address: "192.0.2.9",
    transport: gossip.transport,
  });
  const started = await inTime(clock, node);
  const tables = new Set<string>();
  started.reconciler.attach("tables", ({ routingSources }) => {
    tables.add(routingSources.map((source) => (typeof source === "number" ? source : "")).join());
  });
  started.serve();
  await until(clock, () => started.catalog.tasksOf("api").length === NODES - 2);
  expect(started.input().services.map(({ name, tasks }) => [name, tasks.length])).toEqual([
    ["web", 1],
    ["api", NODES - 2],
  ]);
  expect(started.cluster.members().length).toBe(NODES);

  expect(started.reconciler.passes).toBeLessThanOrEqual(MAX_PASSES);
  expect(tables.size).toBeLessThanOrEqual(MAX_TABLES);
  started.close();
});

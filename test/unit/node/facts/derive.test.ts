import { beforeEach, describe, expect, test } from "bun:test";
import { Catalog, MAX_BIND_ERRORS, type NodeRecord } from "../../../../src/catalog/index.ts";
import { type Derived, derive, routingInput, withConfig } from "../../../../src/node/facts/derive.ts";
import { type Facts, factsAtStart } from "../../../../src/node/facts/facts.ts";
import type { OverlayFacts } from "../../../../src/node/facts/overlay-facts.ts";
import type { RoutingInput } from "../../../../src/node/routing-input.ts";
import { declared, nodeRecord, spec, task } from "../../../support/catalog/catalog-records.ts";
import { configOf, webService } from "../../../support/node/config-of.ts";

const NOW_MS = 1_000;
const KEY = Buffer.alloc(32, 7).toString("base64");
const ALONE = `[node]\nname = "a"\n`;
const CLUSTER = `${ALONE}[cluster]\nname = "prod"\nkeys = ["${KEY}"]\n`;
const WEB = webService('tasks = ["10.0.0.9"]');

const OVERLAY: OverlayFacts = {
  announcement: {
    driver: "userspace",
    address: "10.200.1.1",
    vni: 4096,
    port: 4789,
    encrypt: true,
    publicKey: null,
  },
  udpPort: 7946,
  sharedUdpAddresses: ["0.0.0.0"],
  formerUdpPort: null,
  addresses: ["10.200.1.1"],
  acceptsClear: [],
  reached: new Map(),
};

let catalog: Catalog;
/** Another node, whose records are in the catalog. */
let other: Catalog;

beforeEach(() => {
  catalog = new Catalog("a");
  other = new Catalog("b");
  catalog.setLive(["a", "b"]);
  other.setLive(["a", "b"]);
});

function hear(): void {
  for (const payload of other.draw(1_000_000, 4)) catalog.onMessage("b", payload, NOW_MS);
}

function facts(toml: string, changes: Partial<Facts> = {}): Facts {
  const config = configOf(toml);
  const announced = config.cluster === null ? null : "192.0.2.1";
  const start = factsAtStart({
    config,
    path: "/etc/portmesh.toml",
    version: "1.2.3",
    catalog,
    network: { addresses: [{ interface: "eth0", address: "192.0.2.1" }], hasIpv6: false },
    announced,
  });
  return { ...start, overlay: announced === null ? null : OVERLAY, ...changes };
}

function derived(toml: string, changes: Partial<Facts> = {}): Derived & { readonly routing: RoutingInput } {
  const given = facts(toml, changes);
  return { ...derive(given), routing: routingInput(given, NOW_MS) };
}

describe("the record of this node", () => {
  test("says where it is reached, and what it listens on", () => {
    const { record } = derived(CLUSTER, { phase: "serving" });
    expect(record).toMatchObject({
      version: "1.2.3",
      relay: { address: "192.0.2.1", port: 4789, udpPort: 7946 },
      overlay: OVERLAY.announcement,
      isDraining: false,
      network: { addresses: [["eth0", "192.0.2.1"]], bind: [] },
    } satisfies Partial<NodeRecord>);
  });

  test.each([
    ["starting", false, true],
    ["serving", false, false],
    ["serving", true, true],
    ["leaving", false, true],
  ] as const)("while it is %s, told to drain %p: draining %p", (phase, isTold, isDraining) => {
    if (isTold) catalog.setDirective("a", "drain");
    expect(derived(ALONE, { phase }).record.isDraining).toBe(isDraining);
  });

  test("holds no more errors than a record may, closed ports last", () => {
    const error: [string, string, string] = ["web", "tcp 0.0.0.0:80", "x".repeat(1_000)];
    const closed = [{ service: "web", ports: ["81/tcp"] }];
    const both = derived(ALONE, { bindErrors: [error], reach: { closed, down: [] } }).record.bindErrors;
    expect(both.map(([, listener]) => listener)).toEqual(["tcp 0.0.0.0:80", "81/tcp"]);
    expect(both[0]![2].length).toBeLessThan(1_000);
    const bindErrors = Array.from({ length: MAX_BIND_ERRORS + 5 }, () => error);
    expect(derived(ALONE, { bindErrors }).record.bindErrors.length).toBe(MAX_BIND_ERRORS);
  });

  test("moves with the node's address", () => {
    const address = { announced: "192.0.2.7", isLocal: true, problem: null };
    const { record, members, overlay } = derived(CLUSTER, { address });
    expect(record.relay?.address).toBe("192.0.2.7");
    expect([members?.address, overlay?.address]).toEqual(["192.0.2.7", "192.0.2.7"]);
  });
});

describe("gossip", () => {
  test("leaves from the announced address while the machine has it", () => {
    const address = { announced: "192.0.2.1", isLocal: false, problem: "gone" };
    expect(derived(CLUSTER).members).toMatchObject({ source: "192.0.2.1", keys: [KEY], join: [] });
    expect(derived(CLUSTER, { address }).members!.source).toBeNull();
  });

  test("without a cluster there is none", () => {
    const { members, overlay, routing } = derived(ALONE);
    expect([members, overlay, routing.relay]).toEqual([null, null, null]);
  });
});

test("tasks by command whose service is gone are orphans; those of a file wait for it", () => {
  catalog.writeService("api", spec(81), 1);
  for (const origin of ["api", "file"] as const) catalog.writeTask(task("api", origin, { origin }));
  catalog.writeTask(task("gone", "x", { origin: "api" }));
  expect(derived(ALONE).orphans).toMatchObject([{ service: "gone", name: "x" }]);
  catalog.removeService("api");
  expect(derived(ALONE).orphans.map(({ name }) => name)).toEqual(["x"]); // api took its own along
});

test("a service of the file that another node defines later is superseded, by whom is said", () => {
  catalog.declare(declared("web", spec(80)), 1);
  expect(derived(ALONE).superseded.size).toBe(0);
  other.declare(declared("web", spec(8080), { file: "/b.toml" }), 2);
  other.declare(declared("web", spec(8081), { file: "/b.toml" }), 3);
  other.writeNode(nodeRecord());
  hear();
  const { superseded } = derived(ALONE);
  expect([...superseded].map(([name, { node, file }]) => [name, node, file])).toEqual([
    ["web", "b", "/b.toml"],
  ]);
});

describe("the routing input", () => {
  const relay = { address: "192.0.2.2", port: 4789, udpPort: 7946 };

  beforeEach(() => {
    other.writeNode(nodeRecord({ relay, labels: { zone: "eu" } }));
    hear();
  });

  test("has the services of the file, also those that the catalog does not have", () => {
    const { routing } = derived(CLUSTER + WEB);
    expect(routing.services.map(({ name, tasks }) => [name, tasks.length])).toEqual([["web", 1]]);
    expect(catalog.services().size).toBe(0);
  });

  test("reaches a node by its own address, and over the overlay once that answers", () => {
    expect(derived(CLUSTER).routing.peers).toEqual([
      { name: "b", zone: "eu", ...relay, isSealed: true, source: "192.0.2.1" },
    ]);
    const reached = new Map([["b", { address: "10.200.1.2", isEncrypted: true }]]);
    expect(derived(CLUSTER, { overlay: { ...OVERLAY, reached } }).routing.peers).toEqual([
      { name: "b", zone: "eu", ...relay, address: "10.200.1.2", isSealed: false, isOverlay: true },
    ]);
  });

  test("is another with another file; the facts are what they were", () => {
    const now = facts(CLUSTER + WEB);
    const next = withConfig(now, configOf(CLUSTER + WEB.replace('"80"', '"81"')));
    expect(routingInput(next, NOW_MS).services[0]!.publish[0]!.published).toBe(81);
    expect(routingInput(now, NOW_MS).services[0]!.publish[0]!.published).toBe(80);
  });

  test("has the same sources as long as no fact that it is made of has changed", () => {
    const now = facts(CLUSTER + WEB);
    const sources = (changes: Partial<Facts>) => derive({ ...now, ...changes }).routingSources;
    const isSame = (changes: Partial<Facts>) =>
      sources(changes).every((source, index) => source === sources({})[index]);
    expect(isSame({ writes: 7, bindErrors: [["web", "tcp 0.0.0.0:80", "taken"]] })).toBe(true);
    expect(isSame({ catalogRevision: 7 })).toBe(false);
    expect(isSame({ localChanges: 7 })).toBe(false);
    expect(isSame({ overlay: { ...OVERLAY } })).toBe(false);
  });
});

import { describe, expect, test } from "bun:test";
import type { ServiceTrace, TraceQuery } from "../../../src/admin/index.ts";
import { Catalog } from "../../../src/catalog/index.ts";
import { type TraceInput, traceRoute } from "../../../src/node/trace.ts";
import type { Task } from "../../../src/proxy/index.ts";
import { peerStatus, proxyStatus, serviceStatus, taskStatus } from "../../support/node/proxy-status.ts";
import { type TestService, tableOf } from "../../support/proxy/routing-table.ts";

const LOCAL: Partial<Task> = { name: "local", identity: "a local", address: "127.0.0.1" };
const ZONE: Partial<Task> = { name: "zone", identity: "b zone", node: "b", distance: "zone" };
const FAR: Partial<Task> = { name: "far", identity: "c far", node: "c", distance: "far" };
const PEERS = [peerStatus("b"), peerStatus("c", { address: "fd00::3" })];

interface Situation {
  readonly service?: Partial<TestService>;
  readonly proxy?: TraceInput["proxy"];
  /** Of this node; the service wants zone=eu when given. */
  readonly labels?: Readonly<Record<string, string>>;
  readonly client?: string;
}

function trace(tasks: readonly Partial<Task>[], situation: Situation = {}): ServiceTrace {
  const { service = {}, proxy = { ...proxyStatus(), peers: PEERS }, labels, client = null } = situation;
  const table = tableOf({ name: "web", protocol: "tcp", published: 80, tasks, ...service });
  const query: TraceQuery = { port: 80, protocol: "tcp", client };
  const input = {
    self: { name: "a", labels: labels ?? {} },
    bind: [],
    services: labels === undefined ? [] : [viewService],
    peers: [],
    relay: null,
    nodes: [],
  };
  const traced = traceRoute(query, {
    self: "a",
    catalog: new Catalog("a"),
    members: [],
    proxy,
    table,
    input,
  });
  expect([traced.node, traced.services.length]).toEqual(["a", 1]);
  return traced.services[0]!;
}

const viewService = {
  ...tableOf({ protocol: "tcp", published: 80, tasks: [] }).services[0]!,
  name: "web",
  publish: [],
  bind: null,
  nodes: { zone: "eu" },
  conflictingPorts: new Set<string>(),
  check: null,
  panic: true,
  slowStartMs: 0,
  tasks: [],
};

function passedOver({ candidates }: ServiceTrace): (string | null)[][] {
  return candidates.map(({ task, passedOver }) => [task, passedOver]);
}

function statusOf(...tasks: Parameters<typeof taskStatus>[]): TraceInput["proxy"] {
  const services = serviceStatus("web", { tasks: tasks.map((task) => taskStatus(...task)) });
  return { ...proxyStatus(services), peers: PEERS };
}

test("an unpublished port, or one of the other protocol, has no service", () => {
  const table = tableOf({ protocol: "udp", published: 80, tasks: [] });
  const input = {
    self: { name: "a", labels: {} },
    bind: [],
    services: [],
    peers: [],
    relay: null,
    nodes: [],
  };
  const sources = { self: "a", catalog: new Catalog("a"), members: [], proxy: proxyStatus(), table, input };
  const query = { port: 80, protocol: "tcp", client: null } as const;
  expect(traceRoute(query, sources)).toEqual({ ...query, node: "a", services: [] });
});

test("a server name picks one of the services that share the port", () => {
  const shared = (name: string, sni?: readonly string[]): TestService => ({
    name,
    protocol: "tcp",
    published: 443,
    tasks: [LOCAL],
    ports: [
      { protocol: "tcp", published: 443, target: 1, mode: "ingress", ...(sni !== undefined && { sni }) },
    ],
  });
  const input = {
    self: { name: "a", labels: {} },
    bind: [],
    services: [],
    peers: [],
    relay: null,
    nodes: [],
  };
  const sources = { self: "a", catalog: new Catalog("a"), members: [], proxy: proxyStatus(), input };
  const chosen = (table: TraceInput["table"], sni?: string) => {
    const query: TraceQuery = { port: 443, protocol: "tcp", client: null, sni };
    return traceRoute(query, { ...sources, table }).services.map(({ service }) => service);
  };
  const named = [shared("b", ["b.example"]), shared("all-b", ["*.b.example"])];
  const table = tableOf(shared("any"), ...named);
  expect(chosen(table)).toEqual(["any", "b", "all-b"]);
  expect(chosen(table, "b.example")).toEqual(["b"]);
  expect(chosen(table, "x.y.b.example")).toEqual(["all-b"]);
  expect(chosen(table, "c.example")).toEqual(["any"]);
  expect(chosen(tableOf(...named), "c.example")).toEqual([]);
});

test("a candidate is shown with the way to it", () => {
  const { candidates, listeners, target } = trace([{ ...LOCAL, port: 8081 }, ZONE, FAR], {
    service: { ports: [{ protocol: "tcp", published: 80, target: 8080, mode: "ingress" }] },
  });
  const via = Object.fromEntries(candidates.map(({ task, via }) => [task, via]));
  expect(via).toEqual({
    local: "127.0.0.1:8081",
    zone: "relay 10.0.0.2:4789",
    far: "relay [fd00::3]:4789",
  });
  expect(candidates.map(({ node }) => node).sort()).toEqual(["a", "b", "c"]);
  expect([listeners, target]).toEqual([["127.0.0.1:80"], 8080]);
});

describe("balance", () => {
  test("round-robin: one of those whose turn it may be", () => {
    const { pick, reason, candidates } = trace([LOCAL, FAR]);
    expect(["local", "far"]).toContain(pick!.task);
    expect(candidates.map(({ passedOver }) => passedOver)).toEqual([null, null]);
    expect(reason).toBe("in turn; each worker keeps its own turn, so any of the best tasks may be next");
  });

  test("least-connections: the one with the fewest, by weight", () => {
    const proxy = statusOf(
      ["local", { openConnections: 5 }],
      ["zone", { node: "b", openConnections: 3 }],
      ["far", { node: "c", openConnections: 8 }],
    );
    const service = { balance: "least-connections" as const };
    const { pick, reason } = trace([LOCAL, ZONE, FAR], { service, proxy });
    expect([pick, reason]).toEqual([{ node: "b", task: "zone" }, "fewest open connections: 3"]);
    expect(trace([LOCAL, ZONE, { ...FAR, weight: 10 }], { service, proxy }).pick?.task).toBe("far");
  });

  test("source-hash: always the same for a client, and several among many", () => {
    const service = { balance: "source-hash" as const };
    const clients = Array.from({ length: 50 }, (_, index) => `192.0.2.${index + 1}`);
    const picks = clients.map((client) => trace([LOCAL, ZONE, FAR], { service, client }).pick?.task);
    expect(clients.map((client) => trace([FAR, LOCAL, ZONE], { service, client }).pick?.task)).toEqual(picks);
    expect(new Set(picks)).toEqual(new Set(["local", "zone", "far"]));
    expect(trace([LOCAL], { service, client: "192.0.2.1" }).reason).toBe("by client address");
    expect(trace([LOCAL], { service }).reason).toBe("by client address: give one with --client");
  });

  test("random: any of them", () => {
    const { reason, pick } = trace([LOCAL], { service: { balance: "random" } });
    expect([pick?.task, reason]).toEqual(["local", "at random among the best tasks"]);
  });
});

describe("prefer", () => {
  const tasks = [FAR, ZONE, LOCAL];

  test("any: none comes first", () => {
    expect(passedOver(trace(tasks)).map(([, why]) => why)).toEqual([null, null, null]);
  });

  test("local: then those of the zone, then the rest", () => {
    expect(passedOver(trace(tasks, { service: { prefer: "local" } }))).toEqual([
      ["local", null],
      ["zone", "not the nearest: local tasks come first"],
      ["far", "not the nearest: local tasks come first"],
    ]);
  });

  test("zone: this node is in it", () => {
    const order = passedOver(trace(tasks, { service: { prefer: "zone" } }));
    expect(order.slice(0, 2).map(([, why]) => why)).toEqual([null, null]);
    expect(order[2]?.[0]).toBe("far");
    expect(order[2]?.[1]).toMatch(/^not the nearest: (local|zone) tasks come first$/);
  });

  test("a nearer one that fails gives way", () => {
    const { pick, candidates } = trace(tasks, {
      service: { prefer: "local" },
      proxy: statusOf(["local", { state: "failing" }]),
    });
    expect(pick?.task).toBe("zone");
    expect(candidates.find(({ task }) => task === "local")).toMatchObject({
      state: "failing",
      passedOver: "failing",
    });
  });
});

describe("a client is refused", () => {
  test.each([
    ["192.0.2.1", { deny: ["192.0.2.0/24"] }, "denied by 192.0.2.0/24"],
    ["192.0.2.1", { allow: ["10.0.0.0/8"] }, "no allow prefix matches"],
    ["192.0.2.1", { listenAddresses: [] }, "this node listens on no address for it"],
  ])("%#: from %s", (client, service, reason) => {
    const { pick, reason: why, candidates } = trace([LOCAL], { service, client });
    expect([pick, why]).toEqual([null, reason]);
    expect(candidates.length).toBe(1);
  });

  test("without a client allow and deny are not judged", () => {
    expect(trace([LOCAL], { service: { deny: ["0.0.0.0/0"] } }).pick?.task).toBe("local");
  });

  test("on a node the service does not want", () => {
    expect(trace([LOCAL], { labels: { zone: "us" } })).toMatchObject({
      pick: null,
      reason: "not on this node: nodes requires zone=eu",
    });
    expect(trace([LOCAL], { labels: { zone: "eu" } }).pick?.task).toBe("local");
  });

  test("when there is no task, or every one drains", () => {
    expect(trace([])).toMatchObject({ pick: null, reason: "the service has no task", candidates: [] });
    const drained = trace([{ ...LOCAL, isDraining: true }]);
    expect(drained).toMatchObject({ pick: null, reason: "every task is draining" });
    expect(passedOver(drained)).toEqual([["local", "draining"]]);
  });
});

describe("mode host", () => {
  const service = { ports: [{ protocol: "tcp", published: 80, target: 80, mode: "host" } as const] };

  test("only this node's tasks count", () => {
    const traced = trace([FAR, LOCAL], { service });
    expect([traced.mode, traced.pick?.task]).toEqual(["host", "local"]);
    expect(passedOver(traced)).toEqual([
      ["local", null],
      ["far", "mode host: only tasks of this node"],
    ]);
  });

  test("without one a client is refused, and the reason is not that they drain", () => {
    expect(trace([FAR], { service })).toMatchObject({ pick: null, reason: "no task runs on this node" });
  });
});

describe("a peer that is silent", () => {
  const peers = [peerStatus("b", { isReachable: false }), peerStatus("c")];

  test("its tasks are passed over", () => {
    const traced = trace([ZONE, FAR], { proxy: { ...proxyStatus(), peers } });
    expect(passedOver(traced)).toEqual([
      ["far", null],
      ["zone", "unreachable"],
    ]);
  });

  test("unless no other is left", () => {
    const traced = trace([ZONE, { ...FAR, isDraining: true }], { proxy: { ...proxyStatus(), peers } });
    expect(traced).toMatchObject({ pick: { node: "b", task: "zone" }, reason: "no other task is available" });
  });
});

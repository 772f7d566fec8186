import { beforeEach, describe, expect, test } from "bun:test";
import { Catalog } from "../../../src/catalog/index.ts";
import type { Member } from "../../../src/membership/index.ts";
import {
  bindErrorsOf,
  type ClusterSnapshot,
  nodeInfos,
  portConflicts,
  serviceInfo,
  serviceInfos,
} from "../../../src/node/listings.ts";
import { nodeRecord, spec, task } from "../../support/catalog/catalog-records.ts";
import { peerStatus, proxyStatus, serviceStatus, taskStatus } from "../../support/node/proxy-status.ts";

let catalog: Catalog;

beforeEach(() => {
  catalog = new Catalog("a");
  catalog.setLive(["a", "b"]);
  const other = new Catalog("b");
  catalog.writeService("web", spec(80), 1_000);
  catalog.writeTask(task("web", "10.0.0.9"));
  other.writeTask(task("web", "10.0.0.5"));
  other.writeNode(
    nodeRecord({
      labels: { zone: "eu", disk: "ssd" },
      relay: { address: "fd00::2", port: 4789 },
      bindErrors: [["web", "tcp 0.0.0.0:80", "permission denied"]],
    }),
  );
  for (const payload of other.draw(100_000, 4)) catalog.onMessage("b", payload, 1_000);
});

function seen(rest: Partial<ClusterSnapshot> = {}): ClusterSnapshot {
  return { self: "a", catalog, proxy: proxyStatus(), members: [], ...rest };
}

function member(name: string, rest: Partial<Member> = {}): Member {
  return {
    name,
    address: { ip: Uint8Array.of(10, 0, 0, 2), port: 7946 },
    tags: {},
    state: "alive",
    incarnation: 1,
    stateChangedMs: 0,
    rttMs: null,
    isPortmesh: true,
    ...rest,
  };
}

function states(rest: Partial<ClusterSnapshot>): string[] {
  return serviceInfos(seen(rest))[0]!.tasks.map(({ node, state, error }) =>
    error === null ? `${node} ${state}` : `${node} ${state}: ${error}`,
  );
}

describe("tasks", () => {
  test("are active while nothing is known against them", () => {
    expect(states({})).toEqual(["a active", "b active"]);
  });

  test("fail where the proxy says so, with its error", () => {
    const lastError = { message: "connection refused", at: 1 };
    const failing = taskStatus("10.0.0.9", { state: "failing", lastError });
    const recovered = taskStatus("10.0.0.5", { node: "b", lastError });
    expect(states({ proxy: proxyStatus(serviceStatus("web", { tasks: [failing, recovered] })) })).toEqual([
      "a failing: connection refused",
      "b active",
    ]);
  });

  test("a name with two addresses fails when both do", () => {
    const of = (...states: ("failing" | "active")[]) =>
      proxyStatus(
        serviceStatus("web", {
          tasks: states.map((state, index) => taskStatus("10.0.0.9", { state, address: `10.0.0.${index}` })),
        }),
      );
    expect(states({ proxy: of("failing", "active") })[0]).toBe("a active");
    expect(states({ proxy: of("failing", "failing") })[0]).toBe("a failing");
  });

  test("another node's task of the same name is not taken for one's own", () => {
    const failing = taskStatus("10.0.0.9", { state: "failing", node: "b" });
    expect(states({ proxy: proxyStatus(serviceStatus("web", { tasks: [failing] })) })[0]).toBe("a active");
  });

  test("of a silent node are unreachable, whatever else is true of them", () => {
    const proxy = { ...proxyStatus(), peers: [peerStatus("b", { isReachable: false })] };
    expect(states({ proxy })).toEqual(["a active", "b unreachable"]);
  });

  test("drain when they or their node do", () => {
    catalog.writeTask(task("web", "10.0.0.9", { isDraining: true }));
    expect(states({})).toEqual(["a draining", "b active"]);
    catalog.writeTask(task("web", "10.0.0.9"));
    catalog.writeNode(nodeRecord({ isDraining: true }));
    expect(states({})).toEqual(["a draining", "b active"]);
  });

  test("of nodes that are gone are not shown", () => {
    catalog.setLive(["a"]);
    expect(states({})).toEqual(["a active"]);
  });
});

describe("services", () => {
  test("show what was written and when", () => {
    const web = catalog.services().get("web")!;
    const { stamp } = web;
    expect(serviceInfo(web, seen())).toMatchObject({
      name: "web",
      origin: "api",
      stamp,
      created: stamp,
      createdAtMs: 1_000,
      updatedAtMs: 1_000,
      conflicts: [],
    });
  });

  test("show the ports they do not get, and from whom", () => {
    catalog.writeService("late", spec(80), 2_000);
    const conflict = { service: "late", protocol: "tcp", port: 80, with: "web" } as const;
    expect(portConflicts(catalog)).toEqual([conflict]);
    expect(serviceInfos(seen()).map(({ name, conflicts }) => [name, conflicts])).toEqual([
      ["late", [conflict]],
      ["web", []],
    ]);
  });
});

describe("nodes", () => {
  test("a node without a cluster sees itself, before its record too", () => {
    expect(nodeInfos(seen(), { zone: "us" })).toEqual([
      {
        name: "a",
        address: null,
        state: "alive",
        isSelf: true,
        isDraining: false,
        labels: { zone: "us" },
        zone: "us",
        tasks: 1,
        version: null,
        relay: null,
        rttMs: null,
        bindErrors: [],
      },
    ]);
  });

  test("members by name, with what their records say", () => {
    const ip = new Uint8Array(16).fill(0xfd, 0, 1).fill(2, 15);
    const members = [
      member("serf", { state: "left", isPortmesh: false }),
      member("b", { address: { ip, port: 7946 }, rttMs: 1.5, state: "suspect" }),
      member("a"),
      member("c", { state: "dead" }),
    ];
    const nodes = nodeInfos(seen({ members }), {});
    expect(nodes.map(({ name, state, isSelf }) => [name, state, isSelf])).toEqual([
      ["a", "alive", true],
      ["b", "suspect", false],
      ["c", "failed", false],
      ["serf", "left", false],
    ]);
    expect(nodes[1]).toMatchObject({
      address: "[fd00::2]:7946",
      relay: "[fd00::2]:4789",
      zone: "eu",
      tasks: 1,
      version: "0.1.0",
      rttMs: 1.5,
      bindErrors: [{ service: "web", listener: "tcp 0.0.0.0:80", error: "permission denied" }],
    });
    expect(nodes[3]).toMatchObject({ version: null, relay: null, labels: {}, tasks: 0 });
  });
});

test("bindErrorsOf: as announced to the others", () => {
  const error = { service: "dns", protocol: "udp", port: 53, error: "address in use" } as const;
  const [ipv4, ipv6] = [
    bindErrorsOf([{ ...error, address: "0.0.0.0" }]),
    bindErrorsOf([{ ...error, address: "::" }]),
  ];
  expect(ipv4).toEqual([["dns", "udp 0.0.0.0:53", "address in use"]]);
  expect(ipv6).toEqual([["dns", "udp [::]:53", "address in use"]]);
});

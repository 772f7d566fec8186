import { expect, test } from "bun:test";
import fc from "fast-check";
import { findConflicts, type ServiceRecord } from "../../../src/catalog/index.ts";
import { canBindsOverlap } from "../../../src/model/bind-rule.ts";
import type { PortSpec, ServiceSpec } from "../../../src/model/index.ts";
import { port, spec } from "../../support/catalog/catalog-records.ts";

function service(
  name: string,
  counter: number,
  publish: number | readonly PortSpec[],
  changes: Partial<ServiceSpec> = {},
): ServiceRecord {
  const created = { counter, node: "a" };
  return { name, spec: spec(publish, changes), created, createdAtMs: 0, updatedAtMs: 0 };
}

test("findConflicts: the older service keeps the port, the other learns which one and whose", () => {
  const older = service("zeta", 1, [port(80), port(443)]);
  const newer = service("alpha", 2, [port(443), port(8443)]);
  expect([...findConflicts([newer, older])]).toEqual([
    ["alpha", [{ protocol: "tcp", published: 443, keptBy: "zeta" }]],
  ]);
});

const names = (...sni: string[]) => [port(443, { sni })];

test.each([
  ["different names", names("a.example"), names("b.example", "c.example"), false],
  ["one name in common", names("a.example", "b.example"), names("c.example", "b.example"), true],
  ["a name and a wildcard above it", names("a.b.example"), names("*.b.example"), false],
  ["the same wildcard", names("*.b.example"), names("*.b.example"), true],
  ["two wildcards, one below the other", names("*.b.example"), names("*.a.b.example"), false],
  ["names and none", names("a.example"), [port(443)], false],
  ["none and none", [port(443)], [port(443)], true],
])("findConflicts by server name: %s", (_what, one, other, isConflict) => {
  const conflicts = findConflicts([service("one", 1, one), service("other", 2, other)]);
  expect([...conflicts.keys()]).toEqual(isConflict ? ["other"] : []);
});

test("findConflicts: a service that loses a port by one name keeps it from nobody by its others", () => {
  const older = service("one", 1, names("a.example"));
  const loser = service("two", 2, names("a.example", "b.example"));
  const third = service("three", 3, names("b.example"));
  expect([...findConflicts([older, loser, third]).keys()]).toEqual(["two"]);
});

test("findConflicts: of services written at the same count the lower node, then the lower name, keeps it", () => {
  const second = { ...service("a", 1, 80), created: { counter: 1, node: "y" } };
  const first = { ...service("b", 1, 80), created: { counter: 1, node: "x" } };
  const third = { ...service("c", 1, 80), created: { counter: 1, node: "y" } };
  expect([...findConflicts([third, second, first]).keys()]).toEqual(["a", "c"]);
});

test("findConflicts: a port lost to an older service is not kept from a third one elsewhere", () => {
  const everywhere = service("one", 1, 80, { bind: ["10.0.0.1"] });
  const loser = service("two", 2, 80, { bind: ["10.0.0.0/8"] });
  const third = service("three", 3, 80, { bind: ["10.0.0.2"] });
  expect([...findConflicts([everywhere, loser, third]).keys()]).toEqual(["two"]);
});

test.each([
  ["other protocol", [port(53, { protocol: "udp" })], {}, {}, false],
  ["other port", [port(54)], {}, {}, false],
  ["host mode", [port(53, { mode: "host" })], {}, {}, true],
  ["other addresses", [port(53)], { bind: ["10.0.0.1"] }, { bind: ["10.0.0.2"] }, false],
  ["one address and all", [port(53)], { bind: ["10.0.0.1"] }, { bind: null }, true],
  ["nodes that exclude each other", [port(53)], { nodes: { zone: "a" } }, { nodes: { zone: "b" } }, false],
  ["nodes that may be the same", [port(53)], { nodes: { zone: "a" } }, { nodes: { disk: "ssd" } }, true],
  ["all nodes and some", [port(53)], { nodes: { zone: "a" } }, {}, true],
] as const)("findConflicts: %s", (_what, ports, one, other, isConflict) => {
  const conflicts = findConflicts([service("one", 1, [port(53)], one), service("other", 2, ports, other)]);
  expect([...conflicts.keys()]).toEqual(isConflict ? ["other"] : []);
});

test("findConflicts: the same answer for every order of the services, and none among those that keep their ports", () => {
  const bind = fc.constantFrom(null, ["10.0.0.1"], ["10.0.0.0/8"], ["eth0"], ["::"]);
  const nodes = fc.constantFrom({}, { zone: "a" }, { zone: "b" });
  const services = fc
    .array(
      fc.record({ ports: fc.uniqueArray(fc.integer({ min: 1, max: 4 }), { minLength: 1 }), bind, nodes }),
      {
        maxLength: 8,
      },
    )
    .map((all) =>
      all.map(({ ports, ...rest }, index) =>
        service(
          `s${index}`,
          index % 3,
          ports.map((p) => port(p)),
          rest,
        ),
      ),
    );
  fc.assert(
    fc.property(services, (all) => {
      const conflicts = findConflicts(all);
      expect(findConflicts([...all].reverse())).toEqual(conflicts);
      const winners = all.map((one) => {
        const lost = new Set(conflicts.get(one.name)?.map(({ published }) => published));
        return {
          ...one,
          spec: { ...one.spec, publish: one.spec.publish.filter((p) => !lost.has(p.published)) },
        };
      });
      expect(findConflicts(winners).size).toBe(0);
    }),
  );
});

test.each([
  [null, ["10.0.0.1"], true],
  [[], ["10.0.0.1"], true],
  [["10.0.0.1"], ["10.0.0.1"], true],
  [["10.0.0.1"], ["10.0.0.0/24"], true],
  [["10.0.1.1"], ["10.0.0.0/24"], false],
  [["10.0.0.128/25"], ["10.0.0.0/25"], false],
  [["10.0.0.0/7"], ["11.255.0.0/16"], true],
  [["0.0.0.0"], ["10.0.0.1"], true],
  [["0.0.0.0"], ["::1"], false],
  [["::"], ["::1"], true],
  [["2001:db8::/33"], ["2001:db8:8000::/33"], false],
  [["eth0"], ["10.0.0.1"], true],
  [["eth0"], ["eth1"], false],
  [["eth0"], ["eth0"], true],
] as const)("canBindsOverlap: %j and %j: %p", (one, other, expected) => {
  expect(canBindsOverlap(one, other)).toBe(expected);
  expect(canBindsOverlap(other, one)).toBe(expected);
});

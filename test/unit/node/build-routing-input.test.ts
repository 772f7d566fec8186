import { expect, test } from "bun:test";
import {
  buildRoutingInput,
  type OwnedTask,
  type RoutingInputParts,
} from "../../../src/node/build-routing-input.ts";
import { nodeRecord, spec, task } from "../../support/catalog/catalog-records.ts";

function owned(owner: string, name: string, changes: Partial<OwnedTask> = {}): OwnedTask {
  return { ...task("web", name), owner, ...changes };
}

function input(changes: Partial<RoutingInputParts> = {}) {
  return buildRoutingInput({
    self: { name: "a", labels: {} },
    isSelfDraining: false,
    bind: [],
    relay: null,
    reach: (_, { relay }) => (relay === null ? null : { ...relay, udpPort: 4790, isSealed: true }),
    services: new Map([["web", { spec: spec(80) }]]),
    tasks: [],
    nodes: new Map(),
    conflicts: new Map(),
    fileOrder: [],
    ...changes,
  });
}

test("services come in the order of the file, others by name after them", () => {
  const services = new Map(["b", "a", "d", "c"].map((name) => [name, { spec: spec(80) }]));
  const { services: ordered } = input({ services, fileOrder: ["d", "gone", "b"] });
  expect(ordered.map(({ name }) => name)).toEqual(["d", "b", "a", "c"]);
});

test("a task drains when it or its node does", () => {
  const nodes = new Map([
    ["b", nodeRecord({ isDraining: true })],
    ["c", nodeRecord()],
  ]);
  const tasks = [owned("b", "x"), owned("c", "y"), owned("c", "z", { isDraining: true }), owned("d", "w")];
  expect(
    input({ nodes, tasks }).services[0]!.tasks.map(({ name, isDraining }) => [name, isDraining]),
  ).toEqual([
    ["x", true],
    ["y", false],
    ["z", true],
    ["w", false],
  ]);
});

test("tasks of services that do not exist are left out", () => {
  const [web] = input({ tasks: [owned("a", "x", { service: "gone" }), owned("a", "y")] }).services;
  expect(web!.tasks.map(({ name }) => name)).toEqual(["y"]);
});

test("peers are the other nodes that can be reached, with their zone", () => {
  const relay = (address: string) => ({ address, port: 4789 });
  const nodes = new Map([
    ["a", nodeRecord({ relay: relay("10.0.0.1") })],
    ["b", nodeRecord({ relay: relay("10.0.0.2"), labels: { zone: "eu" } })],
    ["c", nodeRecord({ relay: relay("10.0.0.3") })],
    ["alone", nodeRecord()],
  ]);
  expect(input({ nodes }).peers).toEqual([
    { name: "b", zone: "eu", address: "10.0.0.2", port: 4789, udpPort: 4790, isSealed: true },
    { name: "c", zone: null, address: "10.0.0.3", port: 4789, udpPort: 4790, isSealed: true },
  ]);
});

test("ports that an older service keeps are lost, by protocol", () => {
  const conflicts = new Map([["web", [{ protocol: "udp", published: 53, keptBy: "dns" } as const]]]);
  expect([...input({ conflicts }).services[0]!.conflictingPorts]).toEqual(["udp 53"]);
  expect([...input().services[0]!.conflictingPorts]).toEqual([]);
});

test("a node that stops serves with its own tasks until its ports are closed, one that is drained does not", () => {
  const sources = { nodes: new Map([["a", nodeRecord({ isDraining: true })]]), tasks: [owned("a", "x")] };
  const drains = (isSelfDraining: boolean) =>
    input({ ...sources, isSelfDraining }).services[0]!.tasks[0]!.isDraining;
  expect([drains(false), drains(true)]).toEqual([false, true]);
});

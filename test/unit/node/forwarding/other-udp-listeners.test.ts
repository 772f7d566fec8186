import { expect, test } from "bun:test";
import { otherUdpListeners } from "../../../../src/node/forwarding/other-udp-listeners.ts";
import type { InputNode, InputService, RoutingInput } from "../../../../src/node/routing-input.ts";
import { configOf, webService } from "../../../support/node/config-of.ts";
import { viewOf } from "../../../support/node/view-of.ts";

const RULES = viewOf(configOf(webService())).services[0]!;
const ADDRESSES = ["192.0.2.2", "2001:db8::2"];

/** `tasks` by node: "192.0.2.2:53", "dns.test". */
function service(
  publish: readonly string[],
  tasks: Readonly<Record<string, string>> = {},
  rules: Partial<InputService> = {},
): InputService {
  const list = (task: string) =>
    configOf(`[[services]]\nname = "x"\npublish = ${JSON.stringify(publish)}\ntasks = ["${task}"]\n`)
      .services[0]!;
  return {
    ...RULES,
    publish: list("192.0.2.9").publish,
    bind: null,
    nodes: {},
    conflictingPorts: new Set(),
    tasks: Object.entries(tasks).map(([node, task]) => ({ ...list(task).tasks[0]!, node })),
    ...rules,
  };
}

/** Services on n1, which is asked, and n2. */
function listeners(services: readonly InputService[], n2: Partial<InputNode> = {}) {
  const node = (name: string, addresses: readonly string[]): InputNode => ({
    name,
    labels: { role: name },
    bind: [],
    addresses: addresses.map((address) => ({ interface: "eth0", address })),
    taskAddresses: [],
    notListening: [],
  });
  const input: RoutingInput = {
    self: { name: "n1", labels: { role: "n1" } },
    bind: [],
    services,
    peers: [],
    relay: null,
    nodes: [node("n1", ["192.0.2.1"]), { ...node("n2", ADDRESSES), ...n2 }],
  };
  return otherUdpListeners(input);
}

/** "192.0.2.2:53" */
function places(...args: Parameters<typeof listeners>): string[] {
  return listeners(...args)
    .flatMap(({ addresses, ports }) =>
      addresses.flatMap((address) => ports.map((port) => `${address} ${port}`)),
    )
    .sort();
}

test("another node listens at all of its addresses, not on TCP ports", () => {
  expect(listeners([service(["53/udp", "54/udp", "80/tcp"])])).toEqual([
    { addresses: ADDRESSES, ports: [53, 54] },
  ]);
});

test("services that listen at the same addresses are reported together", () => {
  expect(listeners([service(["53/udp"]), service(["54/udp"])])).toEqual([
    { addresses: ADDRESSES, ports: [53, 54] },
  ]);
});

test("bind and nodes say where", () => {
  expect(places([service(["53/udp"], {}, { bind: ["192.0.2.0/24"] })])).toEqual(["192.0.2.2 53"]);
  expect(places([service(["53/udp"])], { bind: ["2001:db8::/32"] })).toEqual(["2001:db8::2 53"]);
  expect(places([service(["53/udp"], {}, { nodes: { role: "n1" } })])).toEqual([]);
  expect(places([service(["53/udp"], {}, { nodes: { role: "n2" } })])).toHaveLength(2);
});

test("a port that an older service has does not count", () => {
  expect(places([service(["53/udp"], {}, { conflictingPorts: new Set(["udp 53"]) })])).toEqual([]);
});

test("a port of mode host is listened on where its service has a task", () => {
  const host = (tasks: Record<string, string>) => {
    const { publish, ...rest } = service(["53:5353/udp"], tasks);
    return { ...rest, publish: publish.map((port) => ({ ...port, mode: "host" as const })) };
  };
  expect(places([host({ n1: "127.0.0.1" })])).toEqual([]);
  expect(places([host({ n2: "127.0.0.1" })])).toHaveLength(2);
});

test("an address that is left to a task is no source to drop", () => {
  expect(places([service(["53/udp"], { n2: "192.0.2.2" })])).toEqual(["2001:db8::2 53"]);
  expect(places([service(["53:54/udp", "54/udp"], { n2: "192.0.2.2" })])).toEqual([
    "192.0.2.2 53",
    "2001:db8::2 53",
    "2001:db8::2 54",
  ]);
  const { tasks, ...rest } = service(["53/udp"], { n2: "dns.test" });
  const taskAddresses = [[rest.name, tasks[0]!.name, "192.0.2.2"]] as const;
  expect(places([{ ...rest, tasks }], { taskAddresses })).toEqual(["2001:db8::2 53"]);
  expect(places([service(["53/udp"], { n1: "192.0.2.2" })])).toHaveLength(2);
});

test.each([
  ["udp 0.0.0.0:53", ["192.0.2.2 54", "2001:db8::2 53", "2001:db8::2 54"]],
  ["udp [::]:50-60", ["192.0.2.2 53", "192.0.2.2 54"]],
  ["udp 192.0.2.2:54", ["192.0.2.2 53", "2001:db8::2 53", "2001:db8::2 54"]],
  ["53-54/udp", []],
  ["54/udp", ["192.0.2.2 53", "2001:db8::2 53"]],
  ["tcp 0.0.0.0:53", ["192.0.2.2 53", "192.0.2.2 54", "2001:db8::2 53", "2001:db8::2 54"]],
  ["53/tcp", ["192.0.2.2 53", "192.0.2.2 54", "2001:db8::2 53", "2001:db8::2 54"]],
])("a node that reports %s listens at %p", (listener, expected) => {
  expect(places([service(["53/udp", "54/udp"])], { notListening: [listener] })).toEqual(expected);
});

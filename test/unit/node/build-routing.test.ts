import { describe, expect, test } from "bun:test";
import {
  buildRouting,
  dependsOnInterfaces,
  hostNames,
  type RoutingSources,
} from "../../../src/node/build-routing.ts";
import type { RoutingInput } from "../../../src/node/routing-input.ts";
import { configOf, webService } from "../../support/node/config-of.ts";
import { viewOf } from "../../support/node/view-of.ts";

const network = {
  hasIpv6: true,
  addresses: [
    { interface: "lo", address: "127.0.0.1" },
    { interface: "eth0", address: "192.0.2.2" },
    { interface: "eth0", address: "2001:db8::2" },
    { interface: "eth0", address: "fe80::2" },
    { interface: "eth1", address: "10.0.0.2" },
  ],
};

function routing(toml: string, rest: Partial<RoutingSources> = {}) {
  return buildRouting({
    input: viewOf(configOf(`[node]\nname = "n1"\n${toml}`)),
    network,
    addressesOf: () => [],
    ...rest,
  });
}

function listensOn(bind: string): readonly string[] {
  return routing(webService('tasks = ["10.0.0.9"]', bind)).table.services[0]!.listenAddresses;
}

describe("bind", () => {
  test.each([
    ["", ["0.0.0.0", "::"]],
    ['bind = ["192.0.2.99"]', ["192.0.2.99"]], // not there yet, perhaps a floating address: the proxy retries
    ['bind = ["eth0"]', ["192.0.2.2", "2001:db8::2"]],
    ['bind = ["10.0.0.0/8"]', ["10.0.0.2"]],
    ['bind = ["192.0.2.0/24", "eth0"]', ["192.0.2.2", "2001:db8::2"]],
    ['bind = ["fe80::/10"]', []],
    ['bind = ["0.0.0.0/0"]', ["0.0.0.0"]], // every address, also those to come
    ['bind = ["::/0", "0.0.0.0/0"]', ["::", "0.0.0.0"]],
  ])("%s listens on %p", (bind, addresses) => {
    expect(listensOn(bind)).toEqual(addresses);
  });

  test("without IPv6 in the kernel only IPv4 is listened on", () => {
    const { table } = routing(webService(), { network: { ...network, hasIpv6: false } });
    expect(table.services[0]?.listenAddresses).toEqual(["0.0.0.0"]);
  });

  test("a rule that matches nothing is a warning with the rule in it", () => {
    expect(routing(webService('bind = ["eth7"]')).warnings).toEqual([
      { service: "web", message: 'bind: "eth7" matches no address of this machine' },
    ]);
  });

  test("an address that two interfaces share belongs to the service that comes first", () => {
    const second = webService('bind = ["eth1"]').replace("web", "late");
    const shared = {
      hasIpv6: true,
      addresses: [...network.addresses, { interface: "eth1", address: "192.0.2.2" }],
    };
    const { table, warnings } = routing(webService('bind = ["eth0"]') + second, { network: shared });
    expect(table.services.map((service) => service.listenAddresses)).toEqual([
      ["192.0.2.2", "2001:db8::2"],
      ["10.0.0.2"],
    ]);
    expect(warnings).toEqual([
      { service: "late", message: 'cannot listen on 192.0.2.2: 80/tcp there belongs to "web"' },
    ]);
  });
});

describe("tasks", () => {
  const OURS = { node: null, distance: "local", weight: 1, isDraining: false } as const;
  const WEB = { name: "web.test", port: null, weight: 3, isDraining: true } as const;
  const toml = webService('tasks = ["10.0.0.9:81", { address = "web.test", weight = 3, drain = true }]');

  test("a name with several addresses is several tasks of that name", () => {
    const { table } = routing(toml, { addressesOf: () => ["10.0.0.5", "2001:db8::5"] });
    expect(table.services[0]?.tasks).toEqual([
      { ...OURS, name: "10.0.0.9:81", address: "10.0.0.9", port: 81, identity: "n1 10.0.0.9:81" },
      { ...OURS, ...WEB, address: "10.0.0.5", identity: "n1 web.test 10.0.0.5" },
      { ...OURS, ...WEB, address: "2001:db8::5", identity: "n1 web.test 2001:db8::5" },
    ]);
  });

  test("a name without an address yet is left out", () => {
    expect(routing(toml).table.services[0]?.tasks.map((task) => task.name)).toEqual(["10.0.0.9:81"]);
  });
});

describe("a task of this node at a published port", () => {
  const left = (address: string, task = address) => [{ address, service: "web", task }];
  const ports = (lines: string[], rest: Partial<RoutingSources> = {}) =>
    routing(webService(...lines), rest).table.services[0]!.ports.map(({ listenAddresses, leftToTasks }) => ({
      listenAddresses,
      leftToTasks,
    }));
  const V4 = ["127.0.0.1", "192.0.2.2", "10.0.0.2"];

  test.each([
    ["127.0.0.1", "127.0.0.1", ["192.0.2.2", "10.0.0.2", "::"]],
    ["127.0.0.1:80", "127.0.0.1", ["192.0.2.2", "10.0.0.2", "::"]],
    ["0.0.0.0", "127.0.0.1", ["192.0.2.2", "10.0.0.2", "::"]],
    ["127.0.0.9", "127.0.0.9", [...V4, "::"]], // the machine has all of 127.0.0.0/8
    ["192.0.2.2", "192.0.2.2", ["127.0.0.1", "10.0.0.2", "::"]],
    ["2001:db8::2", "2001:db8::2", ["0.0.0.0"]], // and link-local addresses are not listened on one by one
    ["[::1]:80", "::1", ["0.0.0.0", "2001:db8::2"]],
  ])("%s keeps its address", (task, address, listenAddresses) => {
    expect(ports([`tasks = ["${task}"]`])).toEqual([{ listenAddresses, leftToTasks: left(address, task) }]);
  });

  test.each(["10.0.0.9", "127.0.0.1:81", "[::1]:8080"])("%s is at none: wildcards stay", (task) => {
    expect(ports([`tasks = ["${task}"]`])).toEqual([{ listenAddresses: undefined, leftToTasks: undefined }]);
  });

  test("is found by the current addresses of its name", () => {
    const lines = ['tasks = ["db.test"]'];
    const addressesOf = () => ["::ffff:10.0.0.2", "10.0.0.99"];
    expect(ports(lines, { addressesOf })).toEqual([
      { listenAddresses: ["127.0.0.1", "192.0.2.2", "::"], leftToTasks: left("10.0.0.2", "db.test") },
    ]);
  });

  test("of another service counts too, and only of its protocol", () => {
    const other = '[[services]]\nname = "app"\npublish = ["8000:80/udp"]\ntasks = ["10.0.0.2"]\n';
    const web = webService('tasks = ["10.0.0.9"]').replace('"80"', '"80", "80/udp"');
    const [tcp, udp] = routing(web + other).table.services[0]!.ports;
    expect(tcp!.listenAddresses).toBeUndefined();
    expect(udp!.leftToTasks).toEqual([{ address: "10.0.0.2", service: "app", task: "10.0.0.2" }]);
  });

  test("keeps an address that bind names", () => {
    expect(ports(['tasks = ["10.0.0.2"]', 'bind = ["10.0.0.2", "192.0.2.2"]'])).toEqual([
      { listenAddresses: ["192.0.2.2"], leftToTasks: left("10.0.0.2") },
    ]);
  });

  test("makes the machine's addresses matter", () => {
    const depends = (task: string) =>
      dependsOnInterfaces(viewOf(configOf(webService(`tasks = ["${task}"]`))));
    expect([depends("10.0.0.9:80"), depends("10.0.0.9:81")]).toEqual([true, false]);
  });
});

test("buildRouting carries over every rule of a service", () => {
  const { table } = routing(
    webService(
      'balance = "source-hash"',
      'send_proxy = "v2"',
      'deny = ["10.0.0.0/8"]',
      'idle_timeout = "5s"',
    ),
  );
  expect(table.services[0]).toMatchObject({
    name: "web",
    balance: "source-hash",
    sendProxy: "v2",
    deny: ["10.0.0.0/8"],
    idleTimeoutMs: 5_000,
    ports: [{ protocol: "tcp", published: 80, target: 80 }],
  });
});

test("hostNames returns each name once and no address", () => {
  const config = configOf(webService('tasks = ["10.0.0.9", "a.test:1", "a.test:2", "[::1]:3"]'));
  expect(hostNames(viewOf(config))).toEqual(["a.test"]);
});

test.each([
  ["", false],
  ['bind = ["192.0.2.2", "::"]', false],
  ['bind = ["eth0"]', true],
  ['bind = ["10.0.0.0/8"]', true],
])("dependsOnInterfaces: %s is %p", (bind, expected) => {
  expect(dependsOnInterfaces(viewOf(configOf(webService(bind))))).toBe(expected);
});

test("a published UDP port makes the machine's addresses matter, and the proxy knows them", () => {
  const udp = '[[services]]\nname = "dns"\npublish = ["53/udp"]\n';
  expect(dependsOnInterfaces(viewOf(configOf(udp)))).toBe(true);
  expect(routing(udp).table.localAddresses).toEqual(network.addresses.map(({ address }) => address));
  expect(routing(webService()).table.localAddresses).toEqual([]);
});

describe("a cluster", () => {
  const alone = viewOf(
    configOf(`[node]\nname = "n1"\nlabels = { zone = "a" }\n${webService('tasks = ["10.0.0.9"]')}`),
  );
  const relay = {
    listenAddresses: ["192.0.2.2"],
    port: 4789,
    udpPort: 4790,
    acceptsClear: "always" as const,
    keys: ["00"],
  };
  const peers = [
    { name: "n2", zone: "a", address: "192.0.2.3", port: 4789, udpPort: 4789, isSealed: false },
    { name: "n3", zone: null, address: "192.0.2.4", port: 4790, udpPort: 4790, isSealed: false },
    { name: "n4", zone: "a", address: "192.0.2.5", port: 4789, udpPort: 4789, isSealed: false },
  ];
  const task = (node: string) =>
    ({ node, name: "web.test:1", host: "web.test", port: 1, weight: 2, isDraining: false }) as const;
  const service = alone.services[0]!;
  const input: RoutingInput = {
    ...alone,
    peers,
    relay,
    services: [{ ...service, tasks: [...service.tasks, task("n2"), task("n3"), task("gone")] }],
  };
  const routed = (changes: Partial<RoutingInput> = {}) =>
    buildRouting({ input: { ...input, ...changes }, network, addressesOf: () => ["10.9.9.9"] }).table;

  test("a task of another node is reached by its node and not resolved here", () => {
    expect(routed().services[0]!.tasks.slice(1)).toEqual([
      { node: "n2", distance: "zone", identity: "n2 web.test:1", ...REMOTE },
      { node: "n3", distance: "far", identity: "n3 web.test:1", ...REMOTE },
    ]);
  });
  const REMOTE = { name: "web.test:1", address: "web.test", port: 1, weight: 2, isDraining: false } as const;

  test("nodes with tasks are peers", () => {
    expect(routed().peers.map((peer) => peer.name)).toEqual(["n2", "n3"]);
    expect(routed().relay).toEqual({ node: "n1", ...relay });
  });

  test("without a relay there are only tasks of this node", () => {
    const table = routed({ relay: null });
    expect([table.peers, table.relay, table.services[0]!.tasks.length]).toEqual([[], null, 1]);
  });

  test("ports that an older service has are left out", () => {
    expect(
      routed({ services: [{ ...service, conflictingPorts: new Set(["tcp 80"]) }] }).services[0]!.ports,
    ).toEqual([]);
  });

  test("a node without the labels that a service asks for does not listen, and still runs its tasks", () => {
    const { tasks, listenAddresses } = routed({ services: [{ ...service, nodes: { zone: "b" } }] })
      .services[0]!;
    expect([tasks.length, listenAddresses]).toEqual([1, []]);
    expect(
      routed({ services: [{ ...service, nodes: { zone: "a" } }] }).services[0]!.listenAddresses,
    ).not.toEqual([]);
  });

  test("the same task has the same identity on its node and on others", () => {
    const elsewhere = { ...input, self: { name: "n2", labels: {} }, peers: [{ ...peers[1]!, name: "n1" }] };
    const identities = (table: ReturnType<typeof routed>) =>
      table.services[0]!.tasks.map(({ identity }) => identity).filter((identity) =>
        identity.startsWith("n1"),
      );
    expect(identities(routed(elsewhere))).toEqual(identities(routed()));
  });
});

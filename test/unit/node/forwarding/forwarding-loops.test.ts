import { describe, expect, test } from "bun:test";
import {
  addressesOnNodes,
  type ForwardingInput,
  findForwardingLoops,
} from "../../../../src/node/forwarding/forwarding-loops.ts";
import type { InputNode, InputService, RoutingInput } from "../../../../src/node/routing-input.ts";
import { configOf, webService } from "../../../support/node/config-of.ts";
import { viewOf } from "../../../support/node/view-of.ts";

const ADDRESSES = { n1: "192.0.2.1", n2: "192.0.2.2", n3: "192.0.2.3" } as const;
type NodeName = keyof typeof ADDRESSES;

interface ServiceText {
  /** "8080:80/udp" */
  readonly publish: readonly string[];
  /** By node: "192.0.2.2:80". */
  readonly tasks: Partial<Record<NodeName, readonly string[]>>;
  readonly bind?: readonly string[];
  readonly nodes?: Readonly<Record<string, string>>;
  readonly mode?: "host";
  readonly lost?: readonly string[];
}

const RULES = viewOf(configOf(webService())).services[0]!;

function serviceOf(name: string, text: ServiceText): InputService {
  const toml = (port: string) => {
    const { services } = configOf(`[[services]]\nname = "x"\npublish = ["${port}"]\ntasks = []\n`);
    return services[0]!.publish.map((each) => ({ ...each, mode: text.mode ?? each.mode }));
  };
  const tasks = Object.entries(text.tasks).flatMap(([node, addresses]) =>
    addresses.map((address) => {
      const list = `[[services]]\nname = "x"\npublish = ["1"]\ntasks = ["${address}"]\n`;
      return { ...configOf(list).services[0]!.tasks[0]!, node };
    }),
  );
  return {
    ...RULES,
    name,
    publish: text.publish.flatMap(toml),
    bind: text.bind ?? null,
    nodes: text.nodes ?? {},
    conflictingPorts: new Set(text.lost ?? []),
    tasks,
  };
}

function sources(
  services: Readonly<Record<string, ServiceText>>,
  changes: Partial<Record<NodeName, Partial<InputNode>>> = {},
  names: Readonly<Record<string, readonly string[]>> = {},
): ForwardingInput {
  const nodes = Object.entries(ADDRESSES).map(
    ([name, address]): InputNode => ({
      name,
      labels: { zone: name },
      bind: [],
      addresses: [{ interface: "eth0", address }],
      taskAddresses: [],
      notListening: [],
      ...changes[name as NodeName],
    }),
  );
  const [self] = nodes;
  const input: RoutingInput = {
    self: { name: "n1", labels: self!.labels },
    bind: self!.bind,
    services: Object.entries(services).map(([name, text]) => serviceOf(name, text)),
    peers: [],
    relay: null,
    nodes,
  };
  const network = {
    hasIpv6: true,
    addresses: [{ interface: "lo", address: "127.0.0.1" }, ...self!.addresses],
  };
  return { input, network, addressesOf: (host) => names[host] ?? [] };
}

/** "n1 web 192.0.2.2" */
function looped(...args: Parameters<typeof sources>): string[] {
  return findForwardingLoops(sources(...args)).map(({ node, service, task }) => `${node} ${service} ${task}`);
}

const pathOf = (...args: Parameters<typeof sources>) =>
  findForwardingLoops(sources(...args)).map(({ path }) => path);

describe("a task leads back", () => {
  test("when it is the same port on another node", () => {
    expect(pathOf({ db: { publish: ["5432"], tasks: { n1: ["192.0.2.2"] } } })).toEqual([
      "5432/tcp -> 192.0.2.2:5432 (db on n2)",
    ]);
  });

  test("when two nodes name each other, over two services", () => {
    const services = {
      a: { publish: ["80"], tasks: { n1: ["192.0.2.2:81"] } },
      b: { publish: ["81"], tasks: { n2: ["192.0.2.1:80"] } },
    };
    expect(pathOf(services)).toEqual([
      "80/tcp -> 192.0.2.2:81 (b on n2) -> 192.0.2.1:80 (a on n1)",
      "81/tcp -> 192.0.2.1:80 (a on n1) -> 192.0.2.2:81 (b on n2)",
    ]);
  });

  test("of another node, as seen from here", () => {
    expect(looped({ db: { publish: ["5432"], tasks: { n2: ["192.0.2.3"], n3: ["192.0.2.2"] } } })).toEqual([
      "n2 db 192.0.2.3",
      "n3 db 192.0.2.2",
    ]);
  });

  test("at one of several ports", () => {
    const services = { web: { publish: ["80", "8443:443"], tasks: { n1: ["192.0.2.2"] } } };
    expect(findForwardingLoops(sources(services)).map(({ published }) => published)).toEqual([80]);
  });

  test("at the ports of a range that are published", () => {
    const services = { rtp: { publish: ["100-109:105-114/udp"], tasks: { n1: ["192.0.2.2"] } } };
    expect(looped(services)).toEqual([]); // a chain: 100 -> 105 -> 110
    const same = { rtp: { publish: ["100-109/udp"], tasks: { n1: ["192.0.2.2"] } } };
    expect(looped(same)).toHaveLength(10);
  });

  test("over IPv6, and by an IPv4-mapped address", () => {
    const addresses = [...["2001:db8::2", ADDRESSES.n2].map((address) => ({ interface: "eth0", address }))];
    const tasks = { n1: ["2001:db8::2", "::ffff:192.0.2.2"] };
    expect(looped({ web: { publish: ["80"], tasks } }, { n2: { addresses } })).toHaveLength(2);
  });

  test("by its name, here and on another node that announces the addresses of its names", () => {
    const services = { web: { publish: ["80"], tasks: { n1: ["two.test"], n2: ["one.test"] } } };
    const names = { "two.test": ["192.0.2.2", "198.51.100.1"] };
    const n2 = { taskAddresses: [["web", "one.test", "192.0.2.1"]] } as const;
    expect(looped(services, { n2 }, names)).toEqual(["n1 web two.test", "n2 web one.test"]);
    expect(looped(services, {}, names)).toEqual(["n1 web two.test"]);
  });

  test("in mode host, where the node has a task to forward to", () => {
    const services = (n2: readonly string[]) => ({
      a: { publish: ["80"], mode: "host", tasks: { n1: ["192.0.2.2:80"], n2 } } as const,
    });
    expect(looped(services(["192.0.2.1:80"]))).toHaveLength(2);
    expect(looped(services([]))).toEqual([]); // n2 does not listen
    expect(looped(services(["127.0.0.1:9000"]))).toEqual([]); // n2 forwards to its own alone
  });

  test("where tasks of one node name each other's published ports", () => {
    const services = {
      a: { publish: ["80"], tasks: { n1: ["127.0.0.1:81"] } },
      b: { publish: ["81"], tasks: { n1: ["192.0.2.1:80"] } },
    };
    expect(looped(services)).toEqual(["n1 a 127.0.0.1:81", "n1 b 192.0.2.1:80"]);
  });
});

describe("a task does not lead back", () => {
  test.each<[string, Readonly<Record<string, ServiceText>>]>([
    [
      "to an address of its own node",
      { db: { publish: ["5432"], tasks: { n1: ["127.0.0.1", "192.0.2.1"] } } },
    ],
    ["to an address of no node", { db: { publish: ["5432"], tasks: { n1: ["198.51.100.1"] } } }],
    ["to a port that is not published", { db: { publish: ["5432"], tasks: { n1: ["192.0.2.2:5433"] } } }],
    ["to the other protocol", { dns: { publish: ["53:54/udp", "54:55"], tasks: { n1: ["192.0.2.2"] } } }],
    [
      "to a node that does not listen there: bind",
      { db: { publish: ["5432"], bind: ["10.0.0.0/8"], tasks: { n1: ["192.0.2.2"] } } },
    ],
    [
      "to a node that does not listen there: labels",
      { db: { publish: ["5432"], nodes: { zone: "n1" }, tasks: { n1: ["192.0.2.2"] } } },
    ],
    [
      "to an address that is left to a task there",
      { db: { publish: ["5432"], tasks: { n1: ["192.0.2.2"], n2: ["192.0.2.2:5432"] } } },
    ],
    [
      "to a port that the service has lost",
      { db: { publish: ["5432"], lost: ["tcp 5432"], tasks: { n1: ["192.0.2.2"] } } },
    ],
    [
      "along a chain that ends at a task",
      {
        a: { publish: ["80"], tasks: { n1: ["192.0.2.2:81"] } },
        b: { publish: ["81"], tasks: { n2: ["192.0.2.3:82"] } },
        c: { publish: ["82"], tasks: { n3: ["127.0.0.1:9000"] } },
      },
    ],
  ])("%s", (_, services) => {
    expect(looped(services)).toEqual([]);
  });

  test("to interfaces and addresses that proxy.bind of the node leaves out", () => {
    const services = { web: { publish: ["80"], tasks: { n1: ["192.0.2.2"] } } };
    expect(looped(services, { n2: { bind: ["eth1", "::"] } })).toEqual([]);
    expect(looped(services, { n2: { bind: ["eth0"] } })).toHaveLength(1);
    expect(looped(services, { n2: { bind: ["0.0.0.0"] } })).toHaveLength(1);
  });
});

test("of a circle only the tasks that do not lead on to a real one are left out", () => {
  const services = {
    a: { publish: ["80"], tasks: { n1: ["192.0.2.2:81"] } },
    b: { publish: ["81"], tasks: { n2: ["192.0.2.1:80", "127.0.0.1:9000"] } },
  };
  expect(looped(services)).toEqual(["n2 b 192.0.2.1:80"]);
});

test("every node finds the same", () => {
  const services = {
    a: { publish: ["80"], tasks: { n1: ["192.0.2.2:81"], n3: ["192.0.2.1:80"] } },
    b: { publish: ["81"], tasks: { n2: ["192.0.2.1:80"] } },
  };
  const here = sources(services);
  const n2 = here.input.nodes.find(({ name }) => name === "n2")!;
  const there = {
    ...here,
    input: { ...here.input, self: n2 },
    network: { hasIpv6: true, addresses: n2.addresses },
  };
  expect(findForwardingLoops(there)).toEqual(findForwardingLoops(here));
});

test("names that stand for an address of a node are announced with their addresses", () => {
  const services = {
    web: { publish: ["80"], tasks: { n1: ["two.test", "far.test", "own.test"], n2: ["x.test"] } },
  };
  const names = {
    "two.test": ["192.0.2.2", "198.51.100.1"],
    "far.test": ["198.51.100.2"],
    "own.test": ["127.0.0.1"],
    "x.test": ["192.0.2.1"],
  };
  expect(addressesOnNodes(sources(services, {}, names))).toEqual([
    ["web", "two.test", "192.0.2.2"],
    ["web", "two.test", "198.51.100.1"],
    ["web", "own.test", "127.0.0.1"],
  ]);
});

test("1,000 services with 10,000 tasks that all lead to others are checked fast", () => {
  const one = serviceOf("one", { publish: ["1"], tasks: { n1: ["192.0.2.2"] } });
  const services = Array.from({ length: 1_000 }, (_, index): InputService => {
    const port = (index + 1) % 1_000;
    const tasks = Array.from({ length: 10 }, (_, task) => ({
      ...one.tasks[0]!,
      name: `task-${task}`,
      node: task % 2 === 0 ? "n1" : "n2",
      host: ADDRESSES.n3,
      port: 1_000 + port,
    }));
    return { ...one, name: `s${index}`, publish: [{ ...one.publish[0]!, published: 1_000 + index }], tasks };
  });
  const given = sources({});
  const started = process.cpuUsage();
  expect(findForwardingLoops({ ...given, input: { ...given.input, services } })).toHaveLength(10_000);
  const { user, system } = process.cpuUsage(started);
  expect((user + system) / 1_000).toBeLessThan(3_000); // ms of CPU; about 50 on a quiet machine
});

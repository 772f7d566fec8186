import { describe, expect, test } from "bun:test";
import { compareConfigs, parseConfig } from "../../../src/config/index.ts";
import { configOf, problemsOf, service } from "./problems-of.ts";

const KEY = Buffer.alloc(32, 1).toString("base64");
const OTHER = Buffer.alloc(16, 2).toString("base64");

describe("[cluster]", () => {
  test("defaults", () => {
    expect(configOf(`[cluster]\nkeys = ["${KEY}"]`).cluster).toEqual({
      name: "portmesh",
      keys: [KEY],
      keysFile: null,
      join: [],
      bind: { host: "0.0.0.0", port: 7946 },
      profile: "lan",
      isInsecure: false,
    });
  });

  test("seeds and bind take the gossip port where none is given", () => {
    const text = `[cluster]\nkeys = ["${KEY}"]\njoin = ["a.test", "b.test:1", "[2001:db8::1]:2", "::1"]\nbind = "[::1]:3"`;
    expect(configOf(text).cluster).toMatchObject({
      join: [
        { host: "a.test", port: 7946 },
        { host: "b.test", port: 1 },
        { host: "2001:db8::1", port: 2 },
        { host: "::1", port: 7946 },
      ],
      bind: { host: "::1", port: 3 },
    });
  });

  test.each([
    ['keys = ["abc!"]', "a key that is not base64"],
    ['keys = ["YWJj"]', "a key of 3 bytes: 16, 24 or 32 are allowed"],
    ['bind = "edge.test:1"', '"edge.test" is a name: an IP address is required'],
    ['bind = "1.2.3:x"', '"1.2.3:x" is not IP:PORT or [IPv6]:PORT'],
    ['join = ["a b"]', '"a b" is not HOST, HOST:PORT or [IPv6]:PORT'],
  ])("%s is refused", (line, message) => {
    expect(problemsOf(`[cluster]\ninsecure = true\n${line}`).join()).toContain(message);
  });

  test.each(["", 'bind = "192.0.2.1"', 'bind = "[::]:7946"', "keys = []"])(
    "without keys, refused: %s",
    (line) => {
      expect(problemsOf(`[cluster]\n${line}`).join()).toContain("the output of `portmesh keygen`");
    },
  );

  test.each(['bind = "127.0.0.2"', 'bind = "[::1]:1"', "insecure = true"])(
    "without keys, allowed: %s",
    (line) => {
      expect(configOf(`[cluster]\n${line}`).cluster?.keys).toEqual([]);
    },
  );

  test("what only a cluster uses is refused without one", () => {
    const problems = problemsOf('[node]\nadvertise = "192.0.2.1"\n[overlay]\nport = 1');
    expect(problems).toHaveLength(2);
    expect(problems.join()).toContain("has no effect without [cluster]");
  });

  test("keys and seeds change without a restart, the rest with one; no key is shown", () => {
    const changes = compareConfigs(
      configOf(`[cluster]\nkeys = ["${KEY}"]`),
      configOf(`[cluster]\nkeys = ["${OTHER}", "${KEY}"]\nname = "b"\njoin = ["a"]`),
    );
    expect(changes.settings.map(({ key, needsRestart }) => [key, needsRestart])).toEqual([
      ["cluster.name", true],
      ["cluster.keys", false],
      ["cluster.join", false],
    ]);
    expect(JSON.stringify(changes)).not.toContain(KEY);
  });

  test("what goes from node to node is encrypted when there are keys, unless the file says otherwise", () => {
    const encrypts = (text: string) => configOf(text).overlay.encrypt;
    expect(encrypts(`[cluster]\nkeys = ["${KEY}"]`)).toBe(true);
    expect(encrypts(`[cluster]\nkeys = ["${KEY}"]\n[overlay]\nencrypt = false`)).toBe(false);
    expect(encrypts("[cluster]\ninsecure = true")).toBe(false);
    expect(problemsOf("[cluster]\ninsecure = true\n[overlay]\nencrypt = true").join()).toContain(
      "overlay.encrypt: cannot encrypt without cluster.keys",
    );
  });

  test.each([
    ["driver", '"vxlan"', "auto, kernel, userspace, none"],
    ["port", "65534", "1..65533"],
    ["vni", "16777216", "1..16777215"],
    ["subnet", '"10.200.0.0"', "not an IPv4 prefix"],
    ["subnet", '"fd00::/64"', "not an IPv4 prefix"],
    ["subnet", '"10.0.0.0/31"', "/31 is outside /8../30"],
  ])("overlay.%s = %s is refused", (key, value, message) => {
    expect(problemsOf(`[cluster]\ninsecure = true\n[overlay]\n${key} = ${value}`).join()).toContain(message);
  });

  test("a cluster that comes or goes is one change", () => {
    const { settings } = compareConfigs(configOf("services = []"), configOf(`[cluster]\nkeys = ["${KEY}"]`));
    expect(settings.map(({ key, needsRestart }) => [key, needsRestart])).toEqual([["cluster", true]]);
  });
});

describe("values in the place of keys are hidden, and their faults are reported all the same", () => {
  const NOT_HERE = "is not allowed here: cluster.keys is a list of strings, as `portmesh keygen` prints them";
  test.each([
    [`keys = "${KEY}"`, `cluster.keys: *** ${NOT_HERE}`],
    [`keys = { a = "${KEY}" }`, `cluster.keys: a table ${NOT_HERE}`],
    ["keys = [5]", `cluster.keys[0]: *** ${NOT_HERE}`],
    [`keys = ["${KEY.slice(1)}"]`, "cluster.keys[0]: a key that is not base64: `portmesh keygen` prints one"],
    [
      'keys = ["YWJj"]',
      "cluster.keys[0]: a key of 3 bytes: 16, 24 or 32 are allowed; `portmesh keygen` prints one",
    ],
    [`key = ["${KEY}"]`, 'cluster.key: unknown key: did you mean "keys"?'],
    [
      `"${KEY}" = true`,
      'cluster."***": unknown key: allowed here are name, keys, keys_file, join, bind, profile, insecure',
    ],
    [`name = "${KEY}"`, `cluster.name: *** ${NOT_HERE}`],
    ['name = "a b"', 'cluster.name: "a b" is not a service name: '],
  ])("%s", (line, expected) => {
    const problems = problemsOf(`[cluster]\ninsecure = true\n${line}`);
    expect(problems).toHaveLength(1);
    expect(problems[0]).toStartWith(`test.toml:3: ${expected}`);
  });

  test("a misspelt section, and a key in another one", () => {
    expect(problemsOf(`[Cluster]\nkeys = ["${KEY}"]`)).toEqual([
      'test.toml:1: Cluster: unknown key: did you mean "cluster"?',
    ]);
    const result = parseConfig(
      `[clusters]\nkeys = ["${KEY}"]\nname = "prod"\n[log]\nlevel = "${KEY}"`,
      "test.toml",
    );
    expect(result).toMatchObject({
      problems: [
        { key: "clusters", value: { keys: "***", name: "prod" } },
        { key: "log.level", value: "***" },
      ],
    });
  });

  test("labels are not secret, whatever they are called", () => {
    expect(problemsOf("[node]\nlabels = { key = 5, cluster = 6 }")).toEqual([
      "test.toml:2: node.labels.key: 5 is not a string",
      "test.toml:2: node.labels.cluster: 6 is not a string",
    ]);
  });
});

test("an unreachable address of this node is refused", () => {
  expect(problemsOf(`[node]\nadvertise = "0.0.0.0"\n[cluster]\ninsecure = true`)).toHaveLength(1);
});

test("labels are checked", () => {
  expect(problemsOf('[node]\nlabels = { "a b" = "x", c = 1 }')).toHaveLength(2);
});

test("services share a port where no node has both", () => {
  const two = (one: string, other: string) =>
    `${service(`nodes = ${one}`)}\n[[services]]\nname = "b"\npublish = ["8080"]\nnodes = ${other}`;
  expect(configOf(two('{ zone = "a" }', '{ zone = "b" }')).services).toHaveLength(2);
  expect(problemsOf(two('{ zone = "a" }', '{ disk = "b" }'))).toHaveLength(1);
});

describe("node.advertise", () => {
  const problemsWith = (advertise: string, bind = "0.0.0.0") =>
    problemsOf(`[node]\nadvertise = "${advertise}"\n[cluster]\nkeys = ["${KEY}"]\nbind = "${bind}"`).join();

  test.each([
    ["0.0.0.0", "stands for every address"],
    ["0.1.2.3", "is not the address of a machine"],
    ["224.0.0.1", "is a multicast address"],
    ["239.255.255.250", "is a multicast address"],
    ["240.0.0.1", "is reserved"],
    ["255.255.255.255", "is the broadcast address"],
    ["::ffff:224.0.0.1", "is a multicast address"],
    ["127.0.0.1", "is reachable from this machine only"],
    ["fe80::1", "is link-local"],
    ["fe80::1%eth0", "an address with an interface is valid on this machine only"],
    ["ff02::1", "is a multicast address"],
    ["::", "stands for every address"],
    ["100::1", "is discarded by routers"],
    ["edge.example.org", "is not an IP address of this node"],
    ["192.0.2.1:7946", "is not an IP address of this node"],
    ["2001:db8::1", '"2001:db8::1" is an IPv6 address, but cluster.bind "0.0.0.0" listens on IPv4 only'],
  ])("%s is refused: %s", (advertise, message) => {
    expect(problemsWith(advertise)).toContain(message);
  });

  test.each([
    ["192.0.2.1", "[::]:7946", "is an IPv4 address, but cluster.bind"],
    ["192.0.2.1", "[2001:db8::1]:7946", "is an IPv4 address, but cluster.bind"],
    ["2001:db8::1", "192.0.2.1:7946", "is an IPv6 address, but cluster.bind"],
    ["127.0.0.2", "192.0.2.1", "is reachable from this machine only"],
    ["::1", "[::]:7946", "is reachable from this machine only"],
  ])("%s is refused with cluster.bind %s: it %s", (advertise, bind, message) => {
    expect(problemsWith(advertise, bind)).toContain(message);
  });

  test.each([
    ["192.0.2.1", "0.0.0.0"],
    ["203.0.113.7", "10.0.0.7:7946"], // behind NAT
    ["169.254.3.4", "0.0.0.0"],
    ["2001:db8::1", "[::]:7946"],
    ["fd00::1", "[2001:db8::1]:7946"],
    ["127.0.0.2", "127.0.0.1"],
    ["::1", "[::1]:7946"],
  ])("%s is taken with cluster.bind %s", (advertise, bind) => {
    expect(problemsWith(advertise, bind)).toBe("");
  });
});

test.each([
  ["224.0.0.1:7946", "224.0.0.1 is a multicast address"],
  ["255.255.255.255", "255.255.255.255 is the broadcast address"],
  ["[ff02::1]:7946", "ff02::1 is a multicast address"],
  ["[fe80::1]:7946", "fe80::1 is link-local"],
])("cluster.bind %s, which would be announced, is refused: %s", (bind, message) => {
  const problems = problemsOf(`[cluster]\nkeys = ["${KEY}"]\nbind = "${bind}"`);
  expect(problems).toHaveLength(1);
  expect(problems[0]).toContain(message);
});

import { describe, expect, test } from "bun:test";
import { hostname } from "node:os";
import { countProblems, formatProblem, parseConfig } from "../../../src/config/index.ts";
import { configOf, problemsOf, service } from "./problems-of.ts";

describe("parseConfig: values", () => {
  test("a file that only says that there are no services is all defaults", () => {
    expect(configOf("services = []")).toEqual({
      node: { name: hostname(), advertise: null, labels: {}, dataDir: null, execChecks: false },
      cluster: null,
      overlay: { driver: "auto", port: 4789, vni: 4096, subnet: "10.200.0.0/16", encrypt: false },
      proxy: { workers: 0, bind: [] },
      admin: { socket: null, http: null },
      log: {
        level: "info",
        format: "auto",
        connections: "errors",
        connectionFormat: "auto",
        connectionRate: 5000,
      },
      services: [],
    });
  });

  test("a service gets its defaults", () => {
    expect(configOf(service("")).services).toEqual([
      {
        name: "web",
        publish: [{ protocol: "tcp", published: 8080, target: 80, mode: "ingress" }],
        tasks: [],
        balance: "round-robin",
        prefer: "any",
        sendProxy: "none",
        acceptProxy: [],
        allow: ["0.0.0.0/0", "::/0"],
        deny: [],
        bind: null,
        nodes: {},
        maxConnections: 0,
        idleTimeoutMs: 0,
        drainTimeoutMs: 30_000,
        check: null,
        panic: true,
        slowStartMs: 0,
        udp: { mode: "session", idleTimeoutMs: 90_000, maxSessions: 65_536, responses: 0 },
      },
    ]);
  });

  test("publish: every form, ranges expanded", () => {
    const text = `[[services]]
name = "a"
publish = ["80", "81:1/tcp", "53:54/udp", "90-92:190-192", {published = 99}, {published = 99, target = 9, protocol = "udp", mode = "host"}]`;
    const mode = "ingress";
    expect(configOf(text).services[0]!.publish).toEqual([
      { protocol: "tcp", published: 80, target: 80, mode },
      { protocol: "tcp", published: 81, target: 1, mode },
      { protocol: "udp", published: 53, target: 54, mode },
      { protocol: "tcp", published: 90, target: 190, mode },
      { protocol: "tcp", published: 91, target: 191, mode },
      { protocol: "tcp", published: 92, target: 192, mode },
      { protocol: "tcp", published: 99, target: 99, mode },
      { protocol: "udp", published: 99, target: 9, mode: "host" },
    ]);
  });

  const taskForms: [string, { host: string; port: number | null; weight?: number; isDraining?: boolean }][] =
    [
      ['"10.1.0.7"', { host: "10.1.0.7", port: null }],
      ['"10.1.0.7:8081"', { host: "10.1.0.7", port: 8081 }],
      ['"[2001:DB8::0:7]:80"', { host: "2001:db8::7", port: 80 }],
      ['"[::1]"', { host: "::1", port: null }],
      ['"2001:db8::7"', { host: "2001:db8::7", port: null }],
      ['"::ffff:10.0.0.1"', { host: "10.0.0.1", port: null }],
      ['"Web_1.internal.:80"', { host: "web_1.internal", port: 80 }],
      ['{ address = "db", weight = 256 }', { host: "db", port: null, weight: 256 }],
      ['{ address = "db:1", drain = true }', { host: "db", port: 1, isDraining: true }],
    ];
  test.each(taskForms)("task %s", (written, expected) => {
    const [task] = configOf(service(`tasks = [${written}]`)).services[0]!.tasks;
    const name = /"([^"]*)"/.exec(written)![1]!;
    expect(task).toEqual({ weight: 1, isDraining: false, name, ...expected });
  });

  test.each([
    "1.2.3",
    "256.1.1.1",
    "",
    "a b",
    "[10.0.0.1]:80",
    "[::1",
    "::1]:80",
    "x:",
    ":80",
    "fe80::1%eth0",
    "-a",
  ])("task %j is refused", (task) => {
    expect(problemsOf(service(`tasks = [${JSON.stringify(task)}]`))).toEqual([
      `test.toml:4: services[0].tasks[0]: ${JSON.stringify(task)} is not HOST, HOST:PORT or [IPv6]:PORT`,
    ]);
  });

  test("prefixes are canonical", () => {
    const text = service(
      'allow = ["10.1.2.3/8", "10.0.0.1", "2001:DB8::1/32", "::1", "::ffff:10.0.0.0/104"]',
    );
    expect(configOf(text).services[0]!.allow).toEqual([
      "10.0.0.0/8",
      "10.0.0.1/32",
      "2001:db8::/32",
      "::1/128",
      "10.0.0.0/8",
    ]);
  });

  test("bind is left to proxy.bind, overridden, and switched back to every address", () => {
    const services = (binds: string[]) =>
      binds.map((bind, i) => `[[services]]\nname = "s${i}"\npublish = ["${80 + i}"]\n${bind}\n`).join("");
    const text = `[proxy]\nbind = ["eth0", "192.0.2.9/24"]\n${services(["", 'bind = ["::1"]', "bind = []"])}`;
    expect(configOf(text).services.map((each) => each.bind)).toEqual([null, ["::1"], []]);
  });

  test.each([
    ["250ms", 250],
    ["2s", 2_000],
    ["5m", 300_000],
    ["1h", 3_600_000],
    ["1m30s", 90_000],
    ["0s", 0],
  ])("duration %s", (written, ms) => {
    expect(configOf(service(`idle_timeout = "${written}"`)).services[0]!.idleTimeoutMs).toBe(ms);
  });

  test("the result is frozen throughout", () => {
    const config = configOf(service('tasks = ["a"]'));
    expect(Object.isFrozen(config)).toBe(true);
    expect(Object.isFrozen(config.services[0]!.publish[0])).toBe(true);
    expect(Object.isFrozen(config.services[0]!.tasks)).toBe(true);
    expect(() => Object.assign(config.log, { level: "error" })).toThrow();
  });

  test("byte order mark and CRLF change nothing", () => {
    const text = service('tasks = ["a"]');
    expect(configOf(`\uFEFF${text.replaceAll("\n", "\r\n")}`)).toEqual(configOf(text));
  });

  test("without a known extension the first character distinguishes JSON from TOML", () => {
    expect(configOf('\n {"log":{"level":"warn"}}', "portmesh.conf").log.level).toBe("warn");
    expect(configOf('[log]\nlevel = "warn"', "portmesh.conf").log.level).toBe("warn");
  });
});

describe("parseConfig: a file that sets nothing", () => {
  const EMPTY = "empty: it sets no key; for a node without services of its own, set services = []";
  const texts: [string, string][] = [
    ["nothing", ""],
    ["a byte order mark", "\uFEFF"],
    ["blanks", " \t\r\n\n"],
    ["comments", "# [[services]]\n# name = 'web'\n"],
    ["a table without keys", "[proxy]\n"],
    ["tables without keys", "[proxy]\n[node.labels]\n[log]"],
    ["an inline table without keys", "log = {}"],
  ];
  test.each(texts)("%s is refused", (_, text) => {
    expect(problemsOf(text)).toEqual([`test.toml: ${EMPTY}`]);
    expect(problemsOf(text, "portmesh.conf")).toEqual([`portmesh.conf: ${EMPTY}`]);
  });

  test.each(["", "\uFEFF", "\n ", "{}", '\uFEFF{ "log": {}, "node": { "labels": {} } }'])(
    "JSON %j is refused",
    (text) => {
      expect(problemsOf(text, "a.json")).toEqual([`a.json: ${EMPTY}`]);
    },
  );

  test.each(["services = []", "[log]\nlevel = 'info'", "[proxy]\nbind = []"])("%j sets something", (text) => {
    expect(problemsOf(text)).toEqual([]);
  });

  test.each(["\0\0\0\0", '{"log": {"level": "in', "[log]\nlevel = 'in"])("%j is cut off", (text) => {
    expect(problemsOf(text, "portmesh.conf").join()).toContain("cannot parse");
  });
});

describe("parseConfig: problems", () => {
  const cases: [string, string, string[]][] = [
    ["unknown table", "[nod]", ['1: nod: unknown key: did you mean "node"?']],
    [
      "unknown key far from all",
      "[log]\ncolour = 1",
      [
        "2: log.colour: unknown key: allowed here are level, format, connections, connection_format, connection_rate",
      ],
    ],
    ["swapped letters", "[log]\nlevle = 1", ['2: log.levle: unknown key: did you mean "level"?']],
    [
      "dashes",
      service('idle-timeout = "1s"'),
      ['4: services[0].idle-timeout: unknown key: did you mean "idle_timeout"?'],
    ],
    ["missing keys", '[[services]]\nname = "a"', ["1: services[0].publish: missing: expected a list"]],
    [
      "nothing published",
      '[[services]]\nname = "a"\npublish = []',
      ["3: services[0].publish: empty: at least one entry is required"],
    ],
    ["number range", "[proxy]\nworkers = 65", ["2: proxy.workers: 65 is outside 0..64"]],
    ["fraction", "[proxy]\nworkers = 1.5", ["2: proxy.workers: 1.5 is not a whole number in 0..64"]],
    ["infinity", "[proxy]\nworkers = inf", ["2: proxy.workers: Infinity is not a whole number in 0..64"]],
    [
      "huge",
      "[proxy]\nworkers = 99999999999999999999",
      ["2: proxy.workers: 100000000000000000000 is outside 0..64"],
    ],
    [
      "choice",
      '[log]\nlevel = "loud"',
      ['2: log.level: "loud" is not one of trace, debug, info, warn, error'],
    ],
    [
      "date",
      "[node]\nname = 1979-05-27",
      [
        "2: node.name: a date is not a name: a letter or digit, then letters, digits, '_', '.' or '-', at most 128 characters",
      ],
    ],
    ["relative socket", '[admin]\nsocket = "run/x"', ['2: admin.socket: "run/x" is not an absolute path']],
    [
      "NUL in socket",
      '[admin]\nsocket = "/a\\u0000"',
      ['2: admin.socket: "/a\\u0000" contains a NUL character'],
    ],
    [
      "long socket",
      `[admin]\nsocket = "/${"ä".repeat(54)}"`,
      ["2: admin.socket: a path of 109 bytes is too long: a socket path has at most 107"],
    ],
    [
      "bind",
      '[proxy]\nbind = ["*"]',
      ['2: proxy.bind[0]: "*" is not an IP address, a CIDR prefix or an interface name'],
    ],
    [
      "mistyped address",
      '[proxy]\nbind = ["192.0.2.300"]',
      ['2: proxy.bind[0]: "192.0.2.300" is not an IP address, a CIDR prefix or an interface name'],
    ],
    [
      "prefix",
      service('deny = ["10.0.0.0/33"]'),
      ['4: services[0].deny[0]: "10.0.0.0/33" is not an IP address or a CIDR prefix like 192.0.2.0/24'],
    ],
    [
      "duration",
      service("idle_timeout = 30"),
      ['4: services[0].idle_timeout: 30 is not a duration like "250ms", "30s", "5m" or "1h30m"'],
    ],
    [
      "long duration",
      service('idle_timeout = "577h"'),
      ['4: services[0].idle_timeout: "577h" is outside 0s..576h'],
    ],
    [
      "empty duration",
      service('idle_timeout = ""'),
      ['4: services[0].idle_timeout: "" is not a duration like "250ms", "30s", "5m" or "1h30m"'],
    ],
    [
      "weight",
      service('tasks = [{address = "a", weight = 0}]'),
      ["4: services[0].tasks[0].weight: 0 is outside 1..256"],
    ],
    ["task port", service('tasks = ["a:70000"]'), ["4: services[0].tasks[0]: 70000 is outside 1..65535"]],
    [
      "task type",
      service("tasks = [1]"),
      ['4: services[0].tasks[0]: 1 is not a task address like "10.1.0.7:8081" or a table with address'],
    ],
    ["deep key", `${"a.".repeat(50)}a = 1`, ["1: nested 51 levels deep: at most 16 are allowed"]],
    ["TOML syntax", "[log]\nlevel = debug", ["2: cannot parse TOML: unexpected character"]],
    [
      "TOML key twice",
      "[log]\nlevel = 'info'\nlevel = 'warn'",
      ["3: cannot parse TOML: defining a key multiple times is invalid"],
    ],
    [
      "polluting key",
      "[log]\n__proto__ = {level = 'warn'}",
      [
        "2: log.__proto__: unknown key: allowed here are level, format, connections, connection_format, connection_rate",
      ],
    ],
  ];
  test.each(cases)("%s", (_, text, expected) => {
    expect(problemsOf(text)).toEqual(expected.map((line) => `test.toml:${line}`));
  });

  const publishCases: [string, string][] = [
    ['"70000:80"', "70000 is outside 1..65535"],
    ['"80:0"', "0 is outside 1..65535"],
    ['"65530-65540"', "65540 is outside 1..65535"],
    ['"80-82:1-2"', "3 published and 2 target ports: both ranges must have the same length"],
    ['"80-82:1"', "3 published and 1 target ports: both ranges must have the same length"],
    ['"82-80"', "82-80 runs backwards"],
    ['"80/sctp"', '"80/sctp" is not PUBLISHED:TARGET[/tcp|/udp]: "sctp" is not supported'],
    [
      '"127.0.0.1:8080:80"',
      '"127.0.0.1:8080:80" is not PUBLISHED:TARGET[/tcp|/udp]: for one address publish "8080:80" and set bind = ["127.0.0.1"]',
    ],
    [
      '"[2001:db8::1]:53/udp"',
      '"[2001:db8::1]:53/udp" is not PUBLISHED:TARGET[/tcp|/udp]: for one address publish "53/udp" and set bind = ["2001:db8::1"]',
    ],
    [
      '"localhost:8080:80"',
      '"localhost:8080:80" is not PUBLISHED:TARGET[/tcp|/udp]: publish "8080:80" and name the address or interface in bind',
    ],
    [
      '"eth0:53/udp"',
      '"eth0:53/udp" is not PUBLISHED:TARGET[/tcp|/udp]: publish "53/udp" and name the address or interface in bind',
    ],
    ['"8080:80:tcp"', '"8080:80:tcp" is not PUBLISHED:TARGET[/tcp|/udp]: write "8080:80/tcp"'],
    ['" 80"', '" 80" is not PUBLISHED:TARGET[/tcp|/udp]'],
    [
      "8080",
      '8080 is not a port like "8080:80" or a table with published and target: write it as text, "8080"',
    ],
  ];
  test.each(publishCases)("publish %s", (entry, message) => {
    expect(problemsOf(`[[services]]\nname = "a"\npublish = [${entry}]`)).toEqual([
      `test.toml:3: services[0].publish[0]: ${message}`,
    ]);
  });

  test("the protocol of a port may be in capitals", () => {
    const { publish } = configOf('[[services]]\nname = "a"\npublish = ["53/TCP", "53:54/Udp"]').services[0]!;
    expect(publish.map(({ protocol, target }) => `${target}/${protocol}`)).toEqual(["53/tcp", "54/udp"]);
  });

  test.each([
    ["publish = 8080", 'services[0].publish: 8080 is not a list: write ["8080"]'],
    ['publish = "8080:80"', 'services[0].publish: "8080:80" is not a list: write ["8080:80"]'],
    [
      'publish = ["80"]\ntasks = "127.0.0.1"',
      'services[0].tasks: "127.0.0.1" is not a list: write ["127.0.0.1"]',
    ],
  ])("one entry without brackets: %s", (lines, message) => {
    const problems = problemsOf(`[[services]]\nname = "a"\n${lines}`);
    expect(problems.map((problem) => problem.replace(/^test.toml:\d+: /, ""))).toEqual([message]);
  });

  const yaml =
    "test.%: YAML is not supported: write TOML, with a table [[services]] for each service, or JSON";
  test.each([
    ["toml", "services:\n  - name: web\n"],
    ["toml", "# my services\n\n---\ncluster:\n  keys: [secret]\n"],
    ["conf", "node: { name: n1 }\n"],
    ["yml", "- name: web\n"],
  ])("YAML is named: .%s %j", (extension, text) => {
    const result = parseConfig(text, `test.${extension}`);
    expect("problems" in result ? result.problems.map(formatProblem) : []).toEqual([
      yaml.replace("%", extension),
    ]);
  });

  test("a TOML file with a syntax error is not taken for YAML", () => {
    expect(problemsOf('[node]\nname = "a')[0]).toContain("cannot parse TOML");
  });

  test("all problems of a file at once, in file order, cross-checks included", () => {
    const text = `[node]
name = 5
[[services]]
name = "a"
publish = ["80", "nope"]
[[services]]
name = "a"
publish = [
  "80:81",
]
balance = "best"`;
    expect(problemsOf(text).map((line) => line.split(": ").slice(0, 2).join(" "))).toEqual([
      "test.toml:2 node.name",
      "test.toml:5 services[0].publish[1]",
      "test.toml:7 services[1].name",
      "test.toml:9 services[1].publish[0]",
      "test.toml:11 services[1].balance",
    ]);
  });

  test("a problem carries place and value", () => {
    const result = parseConfig('{\n  "proxy": {\n    "workers": 65 } }', "a.json");
    expect(result).toMatchObject({
      problems: [
        {
          file: "a.json",
          line: 3,
          column: 5,
          key: "proxy.workers",
          value: 65,
          message: "65 is outside 0..64",
        },
      ],
    });
  });

  const jsonCases: [string, string[]][] = [
    [
      '{"log":{"level":"info",\n"level":"warn"},"x":1}',
      [
        "2: log.level: given twice: first on line 1",
        "2: x: unknown key: allowed here are node, cluster, overlay, proxy, admin, log, services",
      ],
    ],
    ['{"log": {},}', ["1: cannot parse JSON: property name expected"]],
    ['{"log": {}} // no', ["1: cannot parse JSON: invalid comment token"]],
    ["[]", ["1: a list is not a table"]],
    ["null", ["1: null is not a table"]],
    ['{"log": null}', ["1: log: null is not a table"]],
    [
      '{"__proto__": {"log": {}}}',
      ["1: __proto__: unknown key: allowed here are node, cluster, overlay, proxy, admin, log, services"],
    ],
    [
      '{"a.b": 1}',
      ['1: "a.b": unknown key: allowed here are node, cluster, overlay, proxy, admin, log, services'],
    ],
    ['{"a":'.repeat(90_000), ["1: cannot parse: nested too deeply, or a string is too long"]],
  ];
  test.each(jsonCases)("JSON %#", (text, expected) => {
    expect(problemsOf(text, "a.json")).toEqual(expected.map((line) => `a.json:${line}`));
  });
});

describe("parseConfig: too much", () => {
  const lines = (count: number, line: (index: number) => string) =>
    Array.from({ length: count }, (_, index) => line(index)).join("\n");

  test.each([
    ["a.json", '{"a":'.repeat(200_000), "about 200000 values: at most 100000 are allowed"],
    ["a.toml", `a = ${"[".repeat(45_000)}${"]".repeat(45_000)}`, "nested"],
    ["a.toml", `a = [${"1,".repeat(2_000_000)}]`, "about 2000002 values: at most 100000 are allowed"],
    ["a.toml", `[log]\n${lines(150_000, (index) => `a${index} = 1`)}`, "about 150001 values"],
  ])("%s %#: one problem", (file, text, message) => {
    const problems = problemsOf(text, file);
    expect(problems).toHaveLength(1);
    expect(problems[0]).toContain(message);
  });

  test("comments do not count", () => {
    const text = `${lines(60_000, () => "  # a = [1, 2], {3}")}\nservices = []`;
    expect(problemsOf(text)).toEqual([]);
  });

  test("of many problems the first hundred in file order are listed, the others counted", () => {
    const services = '[[services]]\nname = "a"\npublish = ["1"]\n'.repeat(200);
    const result = parseConfig(`${services}[log]\n${lines(20_000, (index) => `a${index} = 1`)}`, "test.toml");
    if (!("problems" in result)) throw new Error("accepted");
    expect(result.problems).toHaveLength(101);
    expect(result.problems[0]).toMatchObject({ line: 5, key: "services[1].name" });
    expect(countProblems(result.problems)).toBe(20_000 + 2 * 199);
    expect(formatProblem(result.problems.at(-1)!)).toBe("test.toml: and 20298 more problems");
    const lineNumbers = result.problems.slice(0, 100).map(({ line }) => line);
    expect(lineNumbers).toEqual(lineNumbers.toSorted((a, b) => a - b));
  });

  const services = (count: number) =>
    lines(count, (index) => `[[services]]\nname = "s${index}"\npublish = ["${index + 1}"]`);

  test("as many services as a catalog takes", () => {
    expect(configOf(services(4096)).services).toHaveLength(4096);
  });

  test("more services than a catalog takes", () => {
    expect(problemsOf(services(4097))).toEqual([
      "test.toml:1: services: 4097 services: a file has at most 4096",
    ]);
  });
});

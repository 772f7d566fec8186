import { describe, expect, test } from "bun:test";
import { effectiveConfig, parseConfig } from "../../../src/config/index.ts";
import { configOf, problemsOf, surroundings } from "./problems-of.ts";

const HOW = "write ${NAME} or ${NAME:-default} for a variable, $$ for a dollar sign";

/** The label `x` of a node whose file says so. */
function label(text: string, environment: Record<string, string> = {}): string | undefined {
  const file = JSON.stringify({ node: { labels: { x: text } } });
  return configOf(file, "test.json", { environment }).node.labels.x;
}

function faultOf(text: string, environment: Record<string, string> = {}): string[] {
  return problemsOf(`[node]\nlabels = { x = ${JSON.stringify(text)} }`, "test.toml", { environment });
}

describe("a reference", () => {
  test.each([
    ["${A}", "1"],
    ["<${A}${A}>", "<11>"],
    ["${A:-2}", "1"],
    ["${EMPTY}", ""],
    ["${EMPTY:-2}", "2"],
    ["${NONE:-2}", "2"],
    ["${NONE:-}", ""],
    ["${NONE:-a:-b c}", "a:-b c"],
    ["${NONE:-$$5}", "$5"],
    ["$$", "$"],
    ["$${A}", "${A}"],
    ["$$$${A}", "$${A}"],
    ["$$${A}", "$1"],
    ["$${", "${"],
    ["no variable }", "no variable }"],
  ])("%s is %p", (text, expected) => {
    expect(label(text, { A: "1", EMPTY: "" })).toBe(expected);
  });

  test.each([
    [
      "${NONE}",
      "environment variable NONE is not set: set it before portmesh starts, or write ${NONE:-default}",
    ],
    [
      "${constructor}",
      "environment variable constructor is not set: set it before portmesh starts, or write ${constructor:-default}",
    ],
    ["a$", `$ alone: ${HOW}`],
    ["$A", `$ alone: ${HOW}`],
    ["${", `\${ without a closing }: ${HOW}`],
    ["${A", `\${ without a closing }: ${HOW}`],
    ["${}", `no variable name between \${ and }: ${HOW}`],
    ["${1A}", `no variable name between \${ and }: ${HOW}`],
    ["${A-2}", `no variable name between \${ and }: ${HOW}`],
    ["${A:?no}", `no variable name between \${ and }: ${HOW}`],
    ["${ A }", `no variable name between \${ and }: ${HOW}`],
    ["${A:-${B}}", `the default of \${A} contains $: a default cannot contain a variable; ${HOW}`],
    ["${A:-$B}", `the default of \${A} contains $: a default cannot contain a variable; ${HOW}`],
  ])("%s is a fault with line and key", (text, message) => {
    expect(faultOf(text, { A: "1" })).toEqual([`test.toml:2: node.labels.x: ${message}`]);
  });

  test("values are not expanded again, and cannot break the syntax", () => {
    for (const value of ["${B}", "$B", 'a"] }, [[services]], name = "b', "\\", "]", "#"]) {
      expect(label("${A}", { A: value, B: "no" })).toBe(value);
    }
  });

  test("names of keys are not expanded", () => {
    expect(
      problemsOf('[node]\nlabels = { "${A}" = "x" }', "test.toml", { environment: { A: "b" } }),
    ).toHaveLength(1);
  });

  test("a variable without quotes: the syntax error says so", () => {
    expect(problemsOf("[proxy]\nworkers = ${WORKERS}").join()).toEndWith(
      '; a variable needs quotes around it: "${NAME}"',
    );
    expect(problemsOf('{"proxy": {\n"workers": ${WORKERS}}}', "test.json").join()).toEndWith(
      'a variable needs quotes around it: "${NAME}"',
    );
  });
});

describe("values of every kind", () => {
  const environment = { N: "3", YES: "true", PORT: "8080", HOST: "10.0.0.1", LEVEL: "debug", TIME: "5s" };
  const text = `
[cluster]
insecure = "\${YES}"
join = ["\${HOST}", "\${HOST}:\${PORT}"]
[proxy]
workers = "\${N}"
[log]
level = "\${LEVEL:-info}"
[[services]]
name = "web-\${N}"
publish = ["\${PORT}:80", { published = "\${N}", mode = "host" }]
tasks = ["\${HOST}", { address = "\${HOST}:1", weight = "\${N}", drain = "\${YES}" }]
max_connections = "\${N}000"
drain_timeout = "\${TIME}"
`;

  test("strings, numbers, true and false, in lists and tables", () => {
    const { cluster, proxy, log, services } = configOf(text, "test.toml", { environment });
    expect([cluster!.isInsecure, proxy.workers, log.level]).toEqual([true, 3, "debug"]);
    expect(cluster!.join).toEqual([
      { host: "10.0.0.1", port: 7946 },
      { host: "10.0.0.1", port: 8080 },
    ]);
    expect(services[0]).toMatchObject({
      name: "web-3",
      publish: [
        { published: 8080, target: 80 },
        { published: 3, target: 3, mode: "host" },
      ],
      tasks: [{ host: "10.0.0.1" }, { host: "10.0.0.1", port: 1, weight: 3, isDraining: true }],
      maxConnections: 3000,
      drainTimeoutMs: 5_000,
    });
  });

  test("what it is from is said where it is wrong", () => {
    const wrong = { ...environment, N: "3000", LEVEL: "loud" };
    expect(problemsOf(text, "test.toml", { environment: wrong })).toEqual([
      "test.toml:6: proxy.workers: 3000 is outside 0..64 (from ${N})",
      'test.toml:8: log.level: "loud" is not one of trace, debug, info, warn, error (from ${LEVEL})',
      "test.toml:12: services[0].tasks[1].weight: 3000 is outside 1..256 (from ${N})",
    ]);
  });

  test.each(["03", "3.5", "3e2", "0x3", " 3", "", "yes"])("%p is not a number", (N) => {
    const problems = problemsOf('[proxy]\nworkers = "${N}"', "test.toml", { environment: { N } });
    expect(problems.join()).toContain("is not a whole number in 0..64 (from ${N})");
  });

  test("without a variable a text is no number", () => {
    expect(problemsOf('[proxy]\nworkers = "3"').join()).toContain("is not a whole number");
  });
});

test("a bomb of references is a problem, not an out-of-memory", () => {
  const big = "x".repeat(100_000);
  const labels = Array.from({ length: 50 }, (_, index) => `l${index} = "${"${A}".repeat(500)}"`).join("\n");
  const problems = problemsOf(`[node.labels]\n${labels}`, "test.toml", { environment: { A: big } });
  const tooLong = "the variables of this file expand to more than 4194304 characters";
  expect(problems.filter((problem) => problem.endsWith(tooLong))).toHaveLength(1);
  expect(problems.join("\n").length).toBeLessThan(100_000);
});

describe("secrets from variables", () => {
  const SECRET = "hunter2-hunter2";
  const environment = { DB_PASSWORD: SECRET, KEY: Buffer.alloc(32, 5).toString("base64"), ZONE: "eu" };
  const read = (text: string) => parseConfig(text, "test.toml", undefined, surroundings({ environment }));

  test("config shows other values, and masks those of variables that are named like a secret", () => {
    const result = read(`[node]\nlabels = { a = "\${DB_PASSWORD}", b = "x\${DB_PASSWORD}", c = "\${ZONE}" }
[cluster]\nkeys = ["\${KEY}"]`);
    if ("problems" in result) throw new Error("wrong");
    const shown = effectiveConfig(result.config, result.secrets);
    expect(shown).toMatchObject({
      node: { labels: { a: "***", b: "x***", c: "eu" } },
      cluster: { keys: ["***"] },
    });
    expect(result.variables).toEqual(["DB_PASSWORD", "KEY", "ZONE"]);
    expect(result.holdsKeys).toBeUndefined();
    expect(result.config.cluster!.keys).toEqual([environment.KEY]);
  });

  test.each([
    "log = { level = VALUE }",
    "node = { name = VALUE }",
    "services = [{ name = VALUE, publish = ['80'] }]",
  ])("no message has one: %s", (line) => {
    const text = line.replace("VALUE", '"a b ${DB_PASSWORD}"');
    const result = read(text);
    expect(JSON.stringify(result)).not.toContain("hunter2");
    expect(result).toMatchObject({ problems: [{ value: "***" }] });
    expect(JSON.stringify(result)).toContain("${DB_PASSWORD}");
  });

  test.each(["CREDENTIALS_DIRECTORY", "KEY_FILE", "secret_path"])(
    "%s says where a secret is: it is shown",
    (name) => {
      const around = surroundings({ environment: { [name]: "/run/credentials/portmesh.service" } });
      const text = `[log]\nlevel = "\${${name}}"`;
      expect(JSON.stringify(parseConfig(text, "a.toml", undefined, around))).toContain(
        "/run/credentials/portmesh.service",
      );
    },
  );

  test("nor has the message about another value", () => {
    const service = `[[services]]\nname = "\${DB_PASSWORD}"\npublish = ["80"]\n`;
    const problems = read(`${service}[[services]]\nname = "b"\npublish = ["80"]\n`);
    expect(JSON.stringify(problems)).toContain(
      'already published by services[0].publish[0] (line 3) of \\"***\\"',
    );
  });

  test("a key in the place of the name of a variable is not quoted", () => {
    const pasted = "q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQ";
    expect(problemsOf(`[cluster]\nkeys = ["\${${pasted}}"]`).join()).not.toContain(pasted);
  });

  test("a default in the file is in the file", () => {
    const result = read(`[cluster]\nkeys = ["\${NONE:-${environment.KEY}}"]`);
    expect(result).toMatchObject({ holdsKeys: true });
  });
});

test("effectiveConfig: a dollar sign is written so that it is read as one", () => {
  const config = configOf('[node]\nname = "n"\nlabels = { x = "$${A} $$5" }');
  expect(effectiveConfig(config)).toMatchObject({ node: { labels: { x: "$${A} $$5" } } });
});

describe("PORTMESH_NODE_NAME", () => {
  const nameOf = (text: string, PORTMESH_NODE_NAME: string) =>
    configOf(text, "test.toml", { environment: { PORTMESH_NODE_NAME } }).node.name;

  test("is the name of a node whose file has none", () => {
    expect(nameOf("services = []", "edge-7")).toBe("edge-7");
    expect(nameOf('[node]\nname = "edge-1"', "edge-7")).toBe("edge-1");
    expect(nameOf('[node]\nname = "${PORTMESH_NODE_NAME}-a"', "edge-7")).toBe("edge-7-a");
    expect(nameOf("services = []", "")).not.toBe("");
  });

  test("a wrong one is a problem that names it", () => {
    const problems = problemsOf("[node]\nlabels = {}\n[log]\nlevel = 'warn'", "test.toml", {
      environment: { PORTMESH_NODE_NAME: "a b\n" },
    });
    expect(problems[0]).toStartWith('test.toml:1: node.name: PORTMESH_NODE_NAME: "a b\\n" is not a name: ');
    expect(problems).toHaveLength(1);
  });
});

/** The configuration parser with text nobody would write: it answers, and never throws. */
import { expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { type Config, effectiveConfig, formatProblem, parseConfig } from "../../src/config/index.ts";

const folder = join(import.meta.dir, "../../config");
const examples = readdirSync(folder)
  .filter((name) => /\.(toml|json)$/.test(name) && !name.includes("schema"))
  .map((name) => readFileSync(join(folder, name), "utf8"));
const files = fc.constantFrom("a.toml", "a.json", "a.conf");

/** Both outcomes are used to the end: a configuration is printed and read again, problems are printed. */
function exercise(text: string, file: string): void {
  const result = parseConfig(text, file);
  if ("config" in result) expectFixedPoint(result.config);
  else expect(result.problems.map(formatProblem).join("\n")).not.toBe("");
}

function expectFixedPoint(config: Config): void {
  const effective = effectiveConfig(config) as { cluster?: { keys: readonly string[] } };
  if (config.cluster !== null) effective.cluster!.keys = config.cluster.keys; // masked
  const again = parseConfig(JSON.stringify(effective), "effective.json");
  expect("config" in again && again.config).toEqual(config);
  expect("config" in again && effectiveConfig(again.config)).toEqual(effectiveConfig(config));
}

test("parseConfig: arbitrary text", () => {
  fc.assert(fc.property(fc.string({ unit: "binary" }), files, exercise), { numRuns: 1_000 });
});

test("parseConfig: text made of the file's own words", () => {
  const words = examples.flatMap((text) => text.split(/(\s+|[[\]{}=,"])/));
  const text = fc.array(fc.constantFrom(...words, "\0", "\r", "__proto__", "[[", "'''"), { maxLength: 60 });
  fc.assert(
    fc.property(text, files, (parts, file) => exercise(parts.join(""), file)),
    { numRuns: 1_000 },
  );
});

test("parseConfig: examples with one piece replaced", () => {
  const edit = fc.record({
    text: fc.constantFrom(...examples),
    at: fc.double({ min: 0, max: 1, noNaN: true }),
    length: fc.nat(20),
    insert: fc.oneof(
      fc.string({ maxLength: 5 }),
      fc.constantFrom("0", "70000", "[", "}", '"', "\n", "-1", "::1", "/0"),
    ),
  });
  fc.assert(
    fc.property(edit, files, ({ text, at, length, insert }, file) => {
      const start = Math.floor(at * text.length);
      exercise(text.slice(0, start) + insert + text.slice(start + length), file);
    }),
    { numRuns: 1_000 },
  );
});

test("parseConfig: any JSON value in any key", () => {
  const keys = fc.constantFrom(
    "node",
    "cluster",
    "labels",
    "proxy",
    "admin",
    "log",
    "services",
    "name",
    "publish",
    "tasks",
    "udp",
    "bind",
    "__proto__",
  );
  const { value } = fc.letrec((tie) => ({
    value: fc.oneof(
      { maxDepth: 5 },
      fc.constantFrom("80", "53/udp", "a", "::1", "1s", "", 0, -0, 1e300, null, true, 1.5),
      fc.array(tie("value"), { maxLength: 4 }),
      fc.dictionary(keys, tie("value"), { maxKeys: 4 }),
    ),
  }));
  fc.assert(
    fc.property(value, (json) => exercise(JSON.stringify(json), "a.json")),
    { numRuns: 1_000 },
  );
});

test("effectiveConfig: a fixed point for every valid configuration", () => {
  const port = fc.integer({ min: 1, max: 65_000 });
  const publish = fc
    .record({
      published: port,
      target: port,
      count: fc.integer({ min: 1, max: 5 }),
      protocol: fc.constantFrom("tcp", "udp"),
    })
    .map(
      ({ published: p, target: t, count: n, protocol }) => `${p}-${p + n - 1}:${t}-${t + n - 1}/${protocol}`,
    );
  const address = fc.oneof(fc.ipV4(), fc.ipV6(), fc.domain());
  const duration = fc.integer({ min: 1, max: 10_000_000 }).map((ms) => `${ms}ms`);
  const prefix = fc.oneof(
    fc.ipV4(),
    fc.ipV6(),
    fc.tuple(fc.ipV4(), fc.nat(32)).map((pair) => pair.join("/")),
  );
  const task = fc.oneof(
    address,
    fc.record({ address, weight: fc.integer({ min: 1, max: 256 }), drain: fc.boolean() }),
  );
  const service = fc.record({
    name: fc.stringMatching(/^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,62}$/),
    publish: fc.array(publish, { minLength: 1, maxLength: 4 }),
    tasks: fc.array(task, { maxLength: 4 }),
    balance: fc.constantFrom("round-robin", "least-connections", "source-hash", "random"),
    allow: fc.array(prefix, { maxLength: 3 }),
    bind: fc.array(prefix, { maxLength: 3 }),
    drain_timeout: duration,
  });
  let accepted = 0;
  fc.assert(
    fc.property(service, fc.array(prefix, { maxLength: 2 }), (one, bind) => {
      const result = parseConfig(JSON.stringify({ proxy: { bind }, services: [one] }), "a.json");
      if ("problems" in result) return; // ports may clash
      accepted++;
      expectFixedPoint(result.config);
    }),
    { numRuns: 500 },
  );
  expect(accepted).toBeGreaterThan(100);
});

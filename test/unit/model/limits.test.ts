import { expect, test } from "bun:test";
import { Catalog } from "../../../src/catalog/index.ts";
import { parseConfig } from "../../../src/config/index.ts";
import {
  DEFAULT_RULES,
  describeFault,
  MAX_LABELS,
  MAX_LIST_ENTRIES,
  serviceSpec,
} from "../../../src/model/index.ts";
import { declarationsOf } from "../../../src/node/facts/declarations.ts";
import { nodeRecord, port, spec } from "../../support/catalog/catalog-records.ts";

const many = (count: number, make: (index: number) => string) =>
  Array.from({ length: count }, (_, i) => make(i));
const prefixes = (count: number) => many(count, (index) => `10.${index >> 8}.${index & 255}.0/24`);
/** The longest a prefix can be written. */
const longPrefixes = (count: number) =>
  many(count, (index) => `2001:db8:ffff:ffff:ffff:ffff:ffff:${(0x1000 + index).toString(16)}/128`);
const labels = (count: number, value = "x") =>
  Object.fromEntries(many(count, (index) => `label-${index}`).map((key) => [key, value]));

/** What is wrong with a file that has this in its only service, or in [node]. */
function problems(service: object, node: object = {}): string[] {
  const file = { node: { name: "a", ...node }, services: [{ name: "web", publish: ["80"], ...service }] };
  const result = parseConfig(JSON.stringify(file), "test.json");
  if ("problems" in result) return result.problems.map(({ key, message }) => `${key}: ${message}`);
  const catalog = new Catalog("a");
  const { services } = declarationsOf(result.config, "x".repeat(255));
  const refusals = [...services].map(([name, spec]) =>
    catalog.declare({ name, spec, file: "x".repeat(255), age: "newest" }, 1),
  );
  refusals.push(catalog.writeNode(nodeRecord({ labels: result.config.node.labels })));
  for (const refusal of refusals) if (refusal !== null) throw new Error(`the catalog refuses it: ${refusal}`);
  return [];
}

test.each([
  ["deny", { deny: prefixes(MAX_LIST_ENTRIES) }, { deny: prefixes(1_100) }],
  ["allow", { allow: longPrefixes(MAX_LIST_ENTRIES) }, { allow: prefixes(1_025) }],
  ["accept_proxy", { accept_proxy: prefixes(1) }, { accept_proxy: prefixes(2_000) }],
  ["bind", { bind: prefixes(MAX_LIST_ENTRIES) }, { bind: prefixes(1_025) }],
  ["publish", { publish: ["1000-17383"] }, { publish: ["1000-18000"] }],
  [
    "publish",
    { publish: many(1_500, (i) => `${i * 2 + 1}`) },
    { publish: many(1_700, (i) => `${i * 2 + 1}`) },
  ],
  ["publish", { publish: many(9_000, (i) => `${i + 1}`) }, { publish: many(17_001, (i) => `${i + 1}`) }],
  ["nodes", { nodes: labels(MAX_LABELS) }, { nodes: labels(70) }],
  ["nodes", { nodes: labels(20, "x".repeat(128)) }, { nodes: labels(20, "ü".repeat(128)) }],
  ["nodes", { nodes: { zone: 'a"ü' } }, { nodes: { zone: "a\nb" } }],
  ["deny", { deny: longPrefixes(600) }, { deny: longPrefixes(900), allow: longPrefixes(800) }],
])(
  "a file whose %s the check accepts the catalog accepts; more is refused at the key",
  (key, right, wrong) => {
    expect(problems(right)).toEqual([]);
    const found = problems(wrong);
    expect(found).toHaveLength(1);
    expect(found[0]).toStartWith(`services[0].${key}: `);
  },
);

test("labels of the node are limited as those of services", () => {
  expect(problems({}, { labels: labels(MAX_LABELS, "x".repeat(100)) })).toEqual([]);
  expect(problems({}, { labels: labels(70) })).toEqual(["node.labels: 70 labels: at most 64 are allowed"]);
  expect(problems({}, { labels: { zone: "a\u0007" } })[0]).toStartWith("node.labels: the value of zone");
});

test("a file has at most 4,096 services and 10,000 tasks", () => {
  const services = many(4_097, (index) => `{"name":"s${index}","publish":["${index + 1}"]}`);
  const told = parseConfig(`{"services":[${services.join()}]}`, "test.json");
  expect(told).toMatchObject({
    problems: [{ key: "services", message: expect.stringContaining("4097 services") }],
  });
  expect(problems({ tasks: many(10_001, (index) => `10.${index >> 8}.1.${index & 255}`) })).toEqual([
    "services: 10001 tasks in all: a node has at most 10000",
  ]);
});

test("what a request may make, the catalog accepts, too", () => {
  const most = spec(many(1_600, String).map((_, index) => port(index * 2 + 1)));
  expect(serviceSpec.safeParse(most).success).toBe(true);
  expect(new Catalog("a").writeService("web", most, 1)).toBeNull();
  const more = spec(80, { deny: prefixes(1_100) });
  expect(describeFault(serviceSpec.safeParse(more).error!)).toBe(
    "deny: 1100 entries: at most 1024 are allowed",
  );
  expect(new Catalog("a").writeService("web", more, 1)).toBe(
    "cannot write service web: spec.deny: 1100 entries: at most 1024 are allowed",
  );
});

test("a file that says nothing of a rule has the default", () => {
  const result = parseConfig('services = [{ name = "web", publish = ["80"] }]', "test.toml");
  if ("problems" in result) throw new Error("the file is refused");
  const { name: _name, tasks: _tasks, publish: _publish, ...rules } = result.config.services[0]!;
  expect(rules).toEqual(DEFAULT_RULES);
});

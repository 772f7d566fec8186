/**
 * `portmesh check`, requests and the catalog agree on what a service is: a service that one of them accepts, all of them
 * accept, and the catalog gives it back as the file had it. So nothing that a file may say is missing on other nodes.
 */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { createBody } from "../../../src/admin/request-schema.ts";
import { Catalog } from "../../../src/catalog/index.ts";
import { parseConfig } from "../../../src/config/index.ts";
import {
  type ClientLimits,
  collapsePorts,
  DEFAULT_RULES,
  expandRanges,
  formatRate,
  MAX_CLIENT_RATE,
  MAX_CONNECTIONS,
  MAX_DURATION_MS,
  MAX_LABEL_VALUE_LENGTH,
  MAX_LABELS,
  MAX_LIST_ENTRIES,
  MAX_PORTS_PER_SERVICE,
  MAX_TASK_NAME_LENGTH,
  MAX_UDP_RESPONSES,
  MAX_UDP_SESSIONS,
  NO_CLIENT_LIMITS,
  type PortRange,
  type PortSpec,
  parseTaskAddress,
  type ServiceSpec,
} from "../../../src/model/index.ts";
import { declarationsOf } from "../../../src/node/facts/declarations.ts";

interface Candidate {
  readonly name: string;
  readonly spec: ServiceSpec;
  /** As an operator writes them. */
  readonly tasks: readonly { readonly address: string; readonly weight: number }[];
}

/** Both protocols, so that no option is without effect. */
const PUBLISH: readonly PortSpec[] = (["tcp", "udp"] as const).map((protocol) => ({
  protocol,
  published: 8080,
  target: 80,
  mode: "ingress",
}));

function candidate(
  changes: Partial<ServiceSpec> = {},
  rest: Partial<Omit<Candidate, "spec">> = {},
): Candidate {
  return { name: "web", tasks: [], ...rest, spec: { publish: PUBLISH, ...DEFAULT_RULES, ...changes } };
}

/** Options that have their default are left out. */
function inFile({ name, spec, tasks }: Candidate): string {
  const { udp, ...rules } = DEFAULT_RULES;
  const { perClient = NO_CLIENT_LIMITS } = spec;
  const given = <T>(key: string, value: T, normal: T, spell: (value: T) => unknown = (same) => same) =>
    Bun.deepEquals(value, normal) ? {} : { [key]: spell(value) };
  const ms = (value: number) => `${value}ms`;
  const udpOptions = {
    ...given("mode", spec.udp.mode, udp.mode),
    ...given("idle_timeout", spec.udp.idleTimeoutMs, udp.idleTimeoutMs, ms),
    ...given("max_sessions", spec.udp.maxSessions, udp.maxSessions),
    ...given("max_sessions_per_client", perClient.maxSessions, 0),
    ...given("responses", spec.udp.responses, udp.responses),
  };
  const service = {
    name,
    publish: collapsePorts(spec.publish).flatMap((range) => spellRange(range)),
    tasks: tasks.map(({ address, weight }) => ({ address, weight })),
    ...given("balance", spec.balance, rules.balance),
    ...given("prefer", spec.prefer, rules.prefer),
    ...given("send_proxy", spec.sendProxy, rules.sendProxy),
    ...given("accept_proxy", spec.acceptProxy, rules.acceptProxy),
    ...given("allow", spec.allow, rules.allow),
    ...given("deny", spec.deny, rules.deny),
    ...given("bind", spec.bind, rules.bind),
    nodes: spec.nodes,
    ...given("max_connections", spec.maxConnections, rules.maxConnections),
    ...given("max_connections_per_client", perClient.maxConnections, 0),
    ...given("rate_per_client", perClient.rate, null, (rate) => formatRate(rate!)),
    ...given("client_prefix", perClient.prefix, NO_CLIENT_LIMITS.prefix),
    ...given("idle_timeout", spec.idleTimeoutMs, rules.idleTimeoutMs, ms),
    ...given("drain_timeout", spec.drainTimeoutMs, rules.drainTimeoutMs, ms),
    ...given("udp", udpOptions, {}),
  };
  return JSON.stringify({ node: { name: "a" }, services: [service] });
}

function spellRange(range: PortRange): unknown[] {
  if (range.mode === "host" || range.sni !== undefined) return expandRanges([range]);
  const { protocol, published, target, count } = range;
  const side = (first: number) => (count === 1 ? `${first}` : `${first}-${first + count - 1}`);
  return [`${side(published)}:${side(target)}/${protocol}`];
}

/** What is wrong for the file, the API and the catalog; null: nothing. */
function judge(service: Candidate): { file: string | null; api: string | null; catalog: string | null } {
  const { name, spec } = service;
  const tasks = service.tasks.map(({ address, weight }) => {
    const parsed = parseTaskAddress(address);
    const place =
      "error" in parsed ? { host: address, port: null } : { host: parsed.host, port: parsed.port };
    return { name: address, ...place, weight };
  });
  const request = createBody.safeParse({ name, spec, tasks });
  const catalog = new Catalog("a");
  return {
    file: readFile(service),
    api: request.error?.issues[0]?.message ?? null,
    catalog: catalog.transaction((writer) => {
      writer.declare({ name, spec, file: "x".repeat(255), age: "newest" }, 1);
      for (const task of tasks)
        writer.writeTask({ ...task, service: name, isDraining: false, origin: "file" });
    }),
  };
}

/** Reads the file, and if it is accepted, hands it to a catalog and takes it back out of the catalog's bytes. */
function readFile(service: Candidate): string | null {
  const result = parseConfig(inFile(service), "test.json");
  if ("problems" in result) return result.problems.map(({ key, message }) => `${key}: ${message}`).join("; ");
  const { services, tasks } = declarationsOf(result.config, "/etc/portmesh.toml");
  const catalog = new Catalog("a");
  const refusal = catalog.transaction((writer) => {
    for (const [name, spec] of services) writer.declare({ name, spec, file: "f", age: "newest" }, 1);
    for (const task of tasks) writer.writeTask(task);
  });
  if (refusal !== null) throw new Error(`the file is accepted, the catalog refuses it: ${refusal}`);
  const other = new Catalog("a");
  expect(other.restore(catalog.snapshot({ isFileKnown: true, members: null }), 1).problem).toBeNull();
  for (const [name, spec] of services) expect(other.services().get(name)?.spec).toEqual(spec);
  return null;
}

const many = <T>(count: number, make: (index: number) => T) =>
  Array.from({ length: count }, (_, i) => make(i));
const ports = (count: number): PortSpec[] =>
  many(count, (index) => ({
    protocol: "tcp" as const,
    published: index + 1,
    target: index + 1,
    mode: "ingress" as const,
  }));
const prefixes = (count: number) => many(count, (index) => `10.${index >> 8}.${index & 255}.0/24`);
const labels = (count: number, value = "x") =>
  Object.fromEntries(many(count, (index) => [`label-${index}`, value]));
const udp = (changes: Partial<ServiceSpec["udp"]>) => ({ udp: { ...DEFAULT_RULES.udp, ...changes } });
const limits = (changes: Partial<ClientLimits>) => ({
  perClient: { ...NO_CLIENT_LIMITS, maxConnections: 1, ...changes },
});
const rate = (count: number, perMs = 1000) => limits({ rate: { count, perMs } });
const clientPrefix = (ipv4: number, ipv6: number) => limits({ prefix: { ipv4, ipv6 } });
const names = (count: number) => many(count, (index) => `n${index}.example`);
/** With both protocols. */
const named443 = (sni: readonly string[], count = 1) =>
  candidate({
    publish: [
      PUBLISH[1]!,
      ...many(count, (index) => ({ ...PUBLISH[0]!, published: 443 + index, target: 443 + index, sni })),
    ],
  });
const named = (length: number) => candidate({}, { name: "w".repeat(length) });
const task = (address: string, weight = 1) => candidate({}, { tasks: [{ address, weight }] });
const DNS_NAME = [63, 63, 63, 61].map((length) => "x".repeat(length)).join(".");

/** Of each limit what is just accepted, and what is just refused. */
test.each<[string, Candidate, Candidate]>([
  ["service name", named(63), named(64)],
  [
    "ports",
    candidate({ publish: ports(MAX_PORTS_PER_SERVICE) }),
    candidate({ publish: ports(MAX_PORTS_PER_SERVICE + 1) }),
  ],
  ["no port", candidate({ publish: ports(1) }), candidate({ publish: [] })],
  ["a port twice", candidate(), candidate({ publish: [PUBLISH[0]!, { ...PUBLISH[0]!, target: 81 }] })],
  [
    "last port",
    candidate({ publish: [{ ...PUBLISH[0]!, published: 65_535, target: 65_535 }] }),
    candidate({ publish: [{ ...PUBLISH[0]!, published: 65_536 }] }),
  ],
  [
    "target port",
    candidate({ publish: [{ ...PUBLISH[0]!, target: 1 }] }),
    candidate({ publish: [{ ...PUBLISH[0]!, target: 0 }] }),
  ],
  ["PROXY header of version 1", candidate({ sendProxy: "v2" }), candidate({ sendProxy: "v1" })],
  [
    "accept_proxy",
    candidate({ acceptProxy: prefixes(MAX_LIST_ENTRIES) }),
    candidate({ acceptProxy: prefixes(MAX_LIST_ENTRIES + 1) }),
  ],
  [
    "allow",
    candidate({ allow: prefixes(MAX_LIST_ENTRIES) }),
    candidate({ allow: prefixes(MAX_LIST_ENTRIES + 1) }),
  ],
  [
    "deny",
    candidate({ deny: prefixes(MAX_LIST_ENTRIES) }),
    candidate({ deny: prefixes(MAX_LIST_ENTRIES + 1) }),
  ],
  [
    "bind",
    candidate({ bind: prefixes(MAX_LIST_ENTRIES) }),
    candidate({ bind: prefixes(MAX_LIST_ENTRIES + 1) }),
  ],
  ["prefix length", candidate({ deny: ["10.0.0.0/32", "::/128"] }), candidate({ deny: ["10.0.0.0/33"] })],
  ["mapped prefix", candidate({ deny: ["::ffff:0:0/96"] }), candidate({ deny: ["::ffff:0:0/95"] })],
  ["interface name", candidate({ bind: ["e".repeat(15)] }), candidate({ bind: ["e".repeat(16)] })],
  ["interface or address", candidate({ bind: ["eth0.1"] }), candidate({ bind: ["10.0.0"] })],
  ["labels", candidate({ nodes: labels(MAX_LABELS) }), candidate({ nodes: labels(MAX_LABELS + 1) })],
  [
    "label key",
    candidate({ nodes: { ["k".repeat(63)]: "" } }),
    candidate({ nodes: { ["k".repeat(64)]: "" } }),
  ],
  [
    "label value",
    candidate({ nodes: labels(1, "x".repeat(MAX_LABEL_VALUE_LENGTH)) }),
    candidate({ nodes: labels(1, "x".repeat(MAX_LABEL_VALUE_LENGTH + 1)) }),
  ],
  [
    "label value, not ASCII",
    candidate({ nodes: labels(1, "ü".repeat(MAX_LABEL_VALUE_LENGTH)) }),
    candidate({ nodes: labels(1, "\u{1f600}".repeat(MAX_LABEL_VALUE_LENGTH + 1)) }),
  ],
  ["control character", candidate({ nodes: { zone: "\u00a0" } }), candidate({ nodes: { zone: "\u0085" } })],
  [
    "half of a surrogate pair",
    candidate({ nodes: { zone: "\u{1f600}" } }),
    candidate({ nodes: { zone: "\ud83d" } }),
  ],
  [
    "key __proto__",
    candidate({ nodes: { proto: "x" } }),
    candidate({ nodes: JSON.parse('{"__proto__":"x"}') }),
  ],
  [
    "bytes of labels",
    candidate({ nodes: labels(10, "ü".repeat(128)) }),
    candidate({ nodes: labels(11, "ü".repeat(128)) }),
  ],
  [
    "bytes of lists",
    candidate({ allow: longPrefixes(600), deny: longPrefixes(500) }),
    candidate({ allow: longPrefixes(900), deny: longPrefixes(800) }),
  ],
  ["single ports", candidate({ publish: sparse(1_616) }), candidate({ publish: sparse(1_617) })],
  [
    "max_connections",
    candidate({ maxConnections: MAX_CONNECTIONS }),
    candidate({ maxConnections: MAX_CONNECTIONS + 1 }),
  ],
  ["server names", named443(names(MAX_LIST_ENTRIES)), named443(names(MAX_LIST_ENTRIES + 1))],
  ["no server name", named443(["a.example"]), named443([])],
  ["a server name", named443(["*.a.example"]), named443(["192.0.2.1"])],
  ["a server name twice", named443(["a.example", "*.a.example"]), named443(["a.example", "a.example"])],
  ["server names over all ports", named443(names(1_024), 16), named443(names(1_024), 17)],
  [
    "max_connections_per_client",
    candidate(limits({ maxConnections: MAX_CONNECTIONS })),
    candidate(limits({ maxConnections: MAX_CONNECTIONS + 1 })),
  ],
  [
    "udp.max_sessions_per_client",
    candidate(limits({ maxSessions: MAX_UDP_SESSIONS })),
    candidate(limits({ maxSessions: MAX_UDP_SESSIONS + 1 })),
  ],
  ["rate_per_client", candidate(rate(MAX_CLIENT_RATE)), candidate(rate(MAX_CLIENT_RATE + 1))],
  ["rate_per_client, none", candidate(rate(1, 60_000)), candidate(rate(0, 60_000))],
  ["client_prefix.ipv4", candidate(clientPrefix(32, 1)), candidate(clientPrefix(33, 1))],
  ["client_prefix.ipv6", candidate(clientPrefix(1, 128)), candidate(clientPrefix(1, 129))],
  ["client_prefix, none", candidate(clientPrefix(1, 1)), candidate(clientPrefix(0, 1))],
  [
    "idle_timeout",
    candidate({ idleTimeoutMs: MAX_DURATION_MS }),
    candidate({ idleTimeoutMs: MAX_DURATION_MS + 1 }),
  ],
  [
    "drain_timeout",
    candidate({ drainTimeoutMs: MAX_DURATION_MS }),
    candidate({ drainTimeoutMs: MAX_DURATION_MS + 1 }),
  ],
  ["drain_timeout, negative", candidate({ drainTimeoutMs: 0 }), candidate({ drainTimeoutMs: -1 })],
  ["udp.idle_timeout", candidate(udp({ idleTimeoutMs: 1 })), candidate(udp({ idleTimeoutMs: 0 }))],
  [
    "udp.idle_timeout, long",
    candidate(udp({ idleTimeoutMs: MAX_DURATION_MS })),
    candidate(udp({ idleTimeoutMs: MAX_DURATION_MS + 1 })),
  ],
  [
    "udp.max_sessions",
    candidate(udp({ maxSessions: MAX_UDP_SESSIONS })),
    candidate(udp({ maxSessions: MAX_UDP_SESSIONS + 1 })),
  ],
  ["udp.max_sessions, none", candidate(udp({ maxSessions: 1 })), candidate(udp({ maxSessions: 0 }))],
  [
    "udp.responses",
    candidate(udp({ responses: MAX_UDP_RESPONSES })),
    candidate(udp({ responses: MAX_UDP_RESPONSES + 1 })),
  ],
  ["weight", task("10.0.0.1", 256), task("10.0.0.1", 257)],
  ["weight, none", task("10.0.0.1", 1), task("10.0.0.1", 0)],
  ["task port", task("10.0.0.1:65535"), task("10.0.0.1:65536")],
  ["length of a DNS name", task(`${DNS_NAME}.:65535`), task(`x${DNS_NAME}:1`)],
  [
    "task name",
    task(`[::1]:${"0".repeat(MAX_TASK_NAME_LENGTH - 8)}80`),
    task(`[::1]:${"0".repeat(MAX_TASK_NAME_LENGTH - 7)}80`),
  ],
  ["DNS name, not ASCII", task("kelvin.test"), task("\u212aelvin.test")],
])("%s: file, API and catalog have the same limit", (_what, right, wrong) => {
  expect(judge(right)).toEqual({ file: null, api: null, catalog: null });
  expect(judge(wrong)).toEqual({
    file: expect.any(String),
    api: expect.any(String),
    catalog: expect.any(String),
  });
});

/** The longest a prefix can be written. */
function longPrefixes(count: number): string[] {
  return many(count, (index) => `2001:db8:ffff:ffff:ffff:ffff:ffff:${(0x1000 + index).toString(16)}/128`);
}

function sparse(count: number): PortSpec[] {
  return many(count, (index) => ({
    protocol: "tcp" as const,
    published: 2 * index + 1,
    target: 80,
    mode: "ingress" as const,
  }));
}

/** Mostly what is right. */
const mostly = <T>(right: fc.Arbitrary<T>, wrong: fc.Arbitrary<T>) =>
  fc.oneof({ weight: 12, arbitrary: right }, { weight: 1, arbitrary: wrong });
const between = (min: number, max: number) =>
  mostly(fc.integer({ min, max }), fc.constantFrom(min - 1, max + 1));
const text = fc.string({ maxLength: 20, unit: "binary" });
const odd = fc.oneof(
  text,
  fc.constantFrom("10.1", "fe80::1%eth0", "::1.2.3.4", "x:1", "10.0.0.0/40", "1.2.3.04"),
);
const prefix = mostly(
  fc.constantFrom(
    "10.0.0.1",
    "10.0.0.5/8",
    "::1",
    "2001:DB8::1/33",
    "::ffff:10.0.0.1",
    "::ffff:1.2.3.4/100",
    "::/0",
  ),
  odd,
);
const bindRule = mostly(fc.oneof(prefix, fc.constantFrom("eth0", "br-1.2@x")), odd);
const address = mostly(
  fc.constantFrom(
    "10.0.0.1",
    "10.0.0.1:80",
    "[2001:DB8::1]:80",
    "2001:db8::1",
    "Web.Internal.:1",
    "a_b",
    "::ffff:10.0.0.2",
  ),
  odd,
);
const port = fc.record({
  protocol: fc.constantFrom("tcp" as const, "udp" as const),
  published: between(1, 65_535),
  target: between(1, 65_535),
  mode: fc.constantFrom("ingress" as const, "host" as const),
});
const services: fc.Arbitrary<Candidate> = fc
  .record({
    changes: fc.record(
      {
        publish: fc.array(port, { maxLength: 4 }),
        balance: mostly(fc.constantFrom("random" as const), fc.constant("fastest" as "random")),
        sendProxy: fc.constantFrom("none" as const, "v1" as const, "v2" as const),
        acceptProxy: fc.array(prefix, { maxLength: 2 }),
        deny: fc.array(prefix, { maxLength: 2 }),
        bind: fc.option(fc.array(bindRule, { maxLength: 2 })),
        nodes: fc.dictionary(mostly(fc.constantFrom("zone", "a.b/c"), text), text, { maxKeys: 2 }),
        drainTimeoutMs: between(0, MAX_DURATION_MS),
      },
      { requiredKeys: [] },
    ),
    tasks: fc.array(fc.record({ address, weight: between(1, 256) }), { maxLength: 2 }),
  })
  .map(({ changes, tasks }) => candidate(changes as Partial<ServiceSpec>, { tasks }));

test("file, API and catalog accept the same services", () => {
  let accepted = 0;
  fc.assert(
    fc.property(services, (service) => {
      const { file, api, catalog } = judge(service);
      if (file === null) accepted++;
      // a task twice is for the file to refuse: elsewhere the later one counts
      const isTwice = file?.includes("is the same task as") === true;
      const isUseless = file?.includes("has no effect") === true;
      if (isTwice || isUseless) return;
      expect({ api: api === null, catalog: catalog === null }).toEqual({
        api: file === null,
        catalog: file === null,
      });
    }),
    { numRuns: 1_000 },
  );
  expect(accepted).toBeGreaterThan(100);
});

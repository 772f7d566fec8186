import { expect, test } from "bun:test";
import { decode, encode } from "@msgpack/msgpack";
import fc from "fast-check";
import type { NodeRecord, ServiceRecord, TaskRecord } from "../../../src/catalog/index.ts";
import { checkKey, decodeRecord, encodeRecord, taskKey } from "../../../src/catalog/record-codec.ts";
import { areSpecsEqual } from "../../../src/model/index.ts";
import { nodeRecord, port, spec, task } from "../../support/catalog/catalog-records.ts";

/** With an end of the overlay that differs in this from a right one. */
function nodeWith(changes: object) {
  const overlay = { driver: "none", address: null, vni: 1, port: 4789, encrypt: true, publicKey: null };
  return { ...nodeRecord(), overlay: { ...overlay, ...changes } };
}

const label = fc.stringMatching(/^[a-z][a-z0-9_./-]{0,9}$/);
const text = fc.string({ maxLength: 20, unit: "grapheme" }).filter((value) => !/\p{Cc}/u.test(value));
const ports = fc
  .uniqueArray(fc.integer({ min: 1, max: 300 }), { minLength: 1, maxLength: 30 })
  .chain((numbers) =>
    fc.tuple(
      ...numbers.map((published) =>
        fc
          .record({
            protocol: fc.constantFrom("tcp" as const, "udp" as const),
            published: fc.constant(published),
            target: fc.oneof(fc.constant(published + 1), fc.integer({ min: 1, max: 65_535 })),
            mode: fc.constantFrom("ingress" as const, "host" as const),
            names: fc.constantFrom(undefined, ["a.example"], ["a.example", "*.b.example"]),
          })
          .map(({ names, ...port }) =>
            names === undefined || port.protocol === "udp" ? port : { ...port, sni: names },
          ),
      ),
    ),
  );

const serviceSpec = fc.record({
  publish: ports,
  balance: fc.constantFrom("round-robin" as const, "source-hash" as const),
  allow: fc.constantFrom(["::/0"], ["10.0.0.0/8", "192.0.2.1/32"], []),
  bind: fc.constantFrom(null, [], ["eth0", "::1", "10.0.0.0/8"]),
  nodes: fc.dictionary(label, text),
  maxConnections: fc.nat(2 ** 31 - 1),
});

test("service records come back as they were, ports in their order", () => {
  fc.assert(
    fc.property(serviceSpec, fc.nat(), (changes, time) => {
      const record: ServiceRecord = {
        name: "web",
        spec: spec(changes.publish, changes),
        created: { counter: 1 + time, node: "edge-1" },
        createdAtMs: time,
        updatedAtMs: time + 1,
      };
      const encoded = encodeRecord("service", record);
      expect(decodeRecord("service", "web", encoded)).toEqual({ record });
      const declaration = { ...record, changed: { counter: time, node: "edge-2" }, file: "/etc/ü.toml" };
      const value = encodeRecord("declaration", declaration);
      expect(decodeRecord("declaration", "web", value)).toEqual({ record: declaration });
    }),
  );
});

test("task and node records come back as they were, in any alphabet", () => {
  const task = fc.record<TaskRecord>({
    service: fc.constant("web"),
    name: fc.constantFrom("127.0.0.1", "[2001:db8::7]:80", "web.internal"),
    host: fc.constantFrom("127.0.0.1", "2001:db8::7", "web.internal", "my_container"),
    port: fc.option(fc.integer({ min: 1, max: 65_535 })),
    weight: fc.integer({ min: 1, max: 256 }),
    isDraining: fc.boolean(),
    origin: fc.constantFrom("file", "api"),
  });
  const older = fc.record<NodeRecord>({
    labels: fc.dictionary(label, text),
    relay: fc.option(fc.record({ address: fc.constantFrom("10.0.0.1", "fd00::1"), port: fc.constant(4789) })),
    overlay: fc.option(
      fc.record({
        driver: fc.constantFrom("kernel" as const, "userspace" as const, "none" as const),
        address: fc.constantFrom("10.200.0.1", null),
        vni: fc.integer({ min: 1, max: 2 ** 24 - 1 }),
        port: fc.integer({ min: 1, max: 65_535 }),
        encrypt: fc.boolean(),
        publicKey: fc.constantFrom("0a".repeat(32), null),
      }),
    ),
    isDraining: fc.boolean(),
    version: text,
    bindErrors: fc.array(fc.tuple(text, text, text), { maxLength: 5 }),
    downTasks: fc.array(
      fc.record({
        service: fc.constantFrom("web", "dns-1"),
        task: fc.constantFrom("10.1.0.7", "[fd00::1]:80", "web.internal:8081"),
        ports: fc.constantFrom([], ["tcp 80"], ["udp 53", "tcp 65535"]),
      }),
      { maxLength: 5 },
    ),
  });
  const address = fc.constantFrom("10.0.0.1", "fd00::1");
  const announced = fc.record({
    network: fc.record({
      addresses: fc.array(fc.tuple(fc.constantFrom("eth0", ""), address), { maxLength: 5 }),
      bind: fc.array(fc.constantFrom("eth0", "10.0.0.0/8", "::"), { maxLength: 3 }),
    }),
    taskAddresses: fc.array(fc.tuple(fc.constant("web"), fc.constant("web.test:80"), address), {
      maxLength: 3,
    }),
  });
  const node = fc.oneof(
    older,
    fc.tuple(older, announced).map(([record, more]) => ({ ...record, ...more })),
  );
  fc.assert(
    fc.property(task, node, (task, node) => {
      const key = taskKey(task.service, task.name);
      expect(decodeRecord("task", key, encodeRecord("task", task))).toEqual({ record: task });
      expect(decodeRecord("node", "", encodeRecord("node", node))).toEqual({ record: node });
    }),
  );
});

test("neighbouring ports are one run, and only those that continue each other", () => {
  const range = [
    port(80, { target: 80 }),
    port(81, { target: 81 }),
    port(82, { target: 82, mode: "host" as const }),
  ];
  const record = { name: "web", spec: spec(range), createdAtMs: 0, updatedAtMs: 0 } as const;
  const encoded = encodeRecord("service", { ...record, created: { counter: 1, node: "a" } });
  expect((decode(encoded) as { spec: { publish: unknown } }).spec.publish).toEqual([
    ["tcp", 80, 80, 2, "ingress"],
    ["tcp", 82, 82, 1, "host"],
  ]);
});

test("areSpecsEqual: the order of labels is no difference, every field is", () => {
  const one = spec(80, { nodes: { a: "1", b: "2" } });
  expect(areSpecsEqual(one, spec(80, { nodes: { b: "2", a: "1" } }))).toBe(true);
  const others = [
    { balance: "random" as const },
    { bind: [] },
    { deny: ["10.0.0.0/8"] },
    { publish: [port(80, { mode: "host" as const })] },
    { udp: { ...one.udp, mode: "packet" as const } },
    { drainTimeoutMs: 1 },
    { nodes: {} },
  ];
  for (const changes of others) expect(areSpecsEqual(one, { ...one, ...changes })).toBe(false);
});

const NOT_A_LABEL =
  "labels.a b: not a label: a letter or digit, then letters, digits, '_', '.', '/' or '-', at most 63 characters";

test.each([
  ["task", taskKey("web", "x"), { ...task("web", "x"), weight: 257 }, "weight: 257 is outside 1..256"],
  ["task", taskKey("web", "x"), { ...task("web", "x"), isDraining: 1 }, "isDraining: 1 is not true or false"],
  [
    "task",
    taskKey("web", "x"),
    { ...task("web", "x"), host: "::1%eth0" },
    'host: "::1%eth0" is not an IP address or a DNS name',
  ],
  ["node", "", { ...nodeRecord(), labels: { a: "x", "a b": "y" } }, NOT_A_LABEL],
  [
    "node",
    "",
    { ...nodeRecord(), labels: { a: "\u0007" } },
    "labels: the value of a contains a control character",
  ],
  ["node", "", { ...nodeRecord(), labels: ["a"] }, "labels: a list is not a table of labels"],
  [
    "node",
    "",
    { ...nodeRecord(), relay: { address: "web.internal", port: 1 } },
    'relay.address: "web.internal" is not an IP address',
  ],
  [
    "node",
    "",
    { ...nodeRecord(), relay: { address: "10.0.0.1", port: 1, udpPort: 65_536 } },
    "relay.udpPort: 65536 is outside 1..65535",
  ],
  [
    "node",
    "",
    nodeWith({ driver: "vxlan" }),
    'overlay.driver: "vxlan" is not one of kernel, userspace, none',
  ],
  ["node", "", nodeWith({ address: "fd00::1" }), 'overlay.address: "fd00::1" is not an IPv4 address'],
  ["node", "", nodeWith({ vni: 2 ** 24 }), "overlay.vni: 16777216 is outside 1..16777215"],
  ["node", "", nodeWith({ publicKey: "00" }), 'overlay.publicKey: "00" is not hex of 32 bytes'],
  [
    "node",
    "",
    { ...nodeRecord(), bindErrors: Array(65).fill(["", "", ""]) },
    "bindErrors: has 65 entries: at most 64 are allowed",
  ],
  [
    "node",
    "",
    { ...nodeRecord(), downTasks: [["web", "10.1.0.7", ["tcp 0"]]] },
    'downTasks[0][2][0]: "tcp 0" is not a port like "tcp 8080"',
  ],
  [
    "node",
    "",
    { ...nodeRecord(), downTasks: Array(1025).fill(["web", "x", []]) },
    "downTasks: has 1025 entries: at most 1024 are allowed",
  ],
  ["directive", "a", { directive: "restart" }, 'directive: "restart" is not one of drain, forget'],
] as const)("decodeRecord: %s %j is kept and not read", (kind, key, value, fault) => {
  expect(decodeRecord(kind, key, encode(value))).toEqual({ record: null, fault });
});

test.each([
  ["nothing", ""],
  ["nil", "c0"],
  ["a list", "90"],
  ["a text", "a178"],
  ["a map that ends early", "81a178"],
  ["something behind the map", "8000"],
  ["a key that is a list", "819000"],
  ["a map of four billion entries", "dfffffffff"],
  ["a timestamp", "d6ff00000000"],
  ["the key __proto__", `81a9${Buffer.from("__proto__").toString("hex")}80`],
])("decodeRecord: %s is not a record", (_what, value) => {
  for (const kind of ["directive", "unknown 7"] as const) {
    expect(decodeRecord(kind, "a", Uint8Array.fromHex(value))).toEqual({ problem: "is not a msgpack map" });
  }
});

test("decodeRecord: a record of an unknown kind is kept and not read", () => {
  const fault = "its kind is of a newer version";
  expect(decodeRecord("unknown 7", "a", encode({ any: ["thing"] }))).toEqual({ record: null, fault });
});

test("decodeRecord: values nested sixty thousand deep, without an overflow", () => {
  const deep = Uint8Array.of(0x81, 0xa1, 0x78, ...new Uint8Array(60_000).fill(0x91), 0xc0);
  expect(decodeRecord("directive", "a", deep)).toMatchObject({ record: null });
  const nested = (key: string) =>
    Uint8Array.of(0x81, 0xa0 | key.length, ...Buffer.from(key), ...deep.subarray(3));
  for (const key of ["labels", "relay", "bindErrors"]) {
    expect(decodeRecord("node", "", nested(key))).toMatchObject({ record: null });
  }
});

test.each([{}, { udpPort: 7946 }])("decodeRecord: a node that takes relays, with %j", (udp) => {
  const record = nodeRecord({ relay: { address: "10.0.0.1", port: 4789, ...udp } });
  expect(decodeRecord("node", "", encodeRecord("node", record))).toEqual({ record });
});

test("decodeRecord: a label called __proto__ is refused and changes no object", () => {
  const hostile = encode({ ...nodeRecord(), labels: JSON.parse('{"__proto__":"x"}') });
  expect(decodeRecord("node", "", hostile)).toEqual({ problem: "is not a msgpack map" });
});

test.each([
  ["service", "web.v2_x-1", true],
  ["service", "-web", false],
  ["service", "w".repeat(64), false],
  ["task", "web\x00[::1]:80", true],
  ["task", "web", false],
  ["task", "web\0a\0b", false],
  ["task", "\0a", false],
  ["node", "", true],
  ["node", "x", false],
  ["directive", "edge-1", true],
  ["directive", "edge 1", false],
] as const)("checkKey: %s %j: %p", (kind, key, isValid) => {
  expect(checkKey(kind, key) === null).toBe(isValid);
});

test("decodeRecord: a node of a version without an overlay has said nothing of one", () => {
  const { overlay: _, ...earlier } = nodeRecord();
  expect(decodeRecord("node", "", encode(earlier))).toEqual({ record: nodeRecord() });
});

test("a version that knows tcp and udp only cannot read a service with server names, and ignores it", () => {
  const publish = [port(443, { sni: ["a.example"] }), port(80)];
  const times = { created: { counter: 1, node: "a" }, createdAtMs: 0, updatedAtMs: 0 };
  const value = encodeRecord("service", { name: "web", spec: spec(publish), ...times });
  const { spec: fields } = decode(value) as { spec: { publish: unknown[] } };
  expect(fields.publish).toEqual([
    ["tls", 443, 80, 1, "ingress", ["a.example"]],
    ["tcp", 80, 80, 1, "ingress"],
  ]);
  const wrong = {
    ...(decode(value) as object),
    spec: { ...fields, publish: [["tls", 443, 443, 1, "ingress", []]] },
  };
  expect(decodeRecord("service", "web", encode(wrong))).toMatchObject({ record: null });
});

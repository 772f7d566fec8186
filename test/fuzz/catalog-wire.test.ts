/**
 * The decoders of the catalog on arbitrary, mutated and hostile bytes. FUZZ_RUNS sets how many (default 60000),
 * FUZZ_SEED repeats a run. Checked every time: no exception, no record in the table that its own writer would not have
 * been allowed to write, every answer is a message, and two catalogs that have seen it all still agree afterwards.
 */
import { expect, setDefaultTimeout, test } from "bun:test";
import { decode, encode } from "@msgpack/msgpack";
import { Catalog } from "../../src/catalog/index.ts";
import type { EntryKind } from "../../src/catalog/kinds.ts";
import { decodeRecord, encodeRecord, taskKey } from "../../src/catalog/record-codec.ts";
import { decodeMessage, ENCODING_VERSION, MAX_MESSAGE_BYTES } from "../../src/catalog/sync-messages.ts";
import { CatalogNetwork } from "../support/catalog/catalog-network.ts";
import { declared, nodeRecord, port, spec, task } from "../support/catalog/catalog-records.ts";
import { Seeded } from "../support/random/seed.ts";
import { seededRandom } from "../support/random/seeded-random.ts";

const RUNS = Number(process.env.FUZZ_RUNS ?? 60_000);
const SEED = Number(process.env.FUZZ_SEED ?? Date.now() % 2 ** 32);
const NOW_MS = 1_700_000_000_000;

const random = seededRandom(SEED);
setDefaultTimeout(120_000 + RUNS); // far above what a run takes, also beside other tests
console.log(`FUZZ_SEED=${SEED} FUZZ_RUNS=${RUNS}`);

function below(limit: number): number {
  return Math.floor(random() * limit);
}

function pick<T>(items: readonly T[]): T {
  return items[below(items.length)]!;
}

function filledCatalog(name: string): Catalog {
  const catalog = new Catalog(name);
  catalog.setLive(["a", "b", "c"]);
  catalog.writeService("web", spec([port(8080), port(53, { protocol: "udp" })]), NOW_MS);
  catalog.declare(declared("web", spec(8082)), NOW_MS);
  catalog.declare(declared("dns", spec(53), { age: "pending" }), NOW_MS);
  catalog.declare(declared("old", spec(54)), NOW_MS);
  catalog.undeclare("old");
  catalog.writeService("gone", spec(8081), NOW_MS);
  catalog.removeService("gone");
  catalog.writeTask(task("web", `${name}.internal:80`));
  catalog.writeTask(task("web", "10.0.0.2", { origin: "api", isDraining: true }));
  catalog.removeTask("web", "10.0.0.2");
  catalog.writeNode(nodeRecord({ labels: { zone: "eu-1" }, relay: { address: "10.0.0.1", port: 4789 } }));
  catalog.setDirective("c", "drain");
  return catalog;
}

/** One message of every type, as two catalogs that differ really send them. */
function captureMessages(): Uint8Array[] {
  const messages: Uint8Array[] = [];
  const [a, b] = [filledCatalog("a"), filledCatalog("b")];
  messages.push(...a.draw(1400, 4), ...b.draw(300, 4), a.digest());
  let sends = a.tick(NOW_MS, ["b"], random);
  for (let turn = 0; turn < 10 && sends.length > 0; turn++) {
    messages.push(...sends.map(({ payload }) => payload));
    sends = sends.flatMap(({ to, payload }) => (to === "a" ? a : b).onMessage(null, payload, NOW_MS));
  }
  return messages;
}

/** First bytes of msgpack values: nil, small and huge lists, maps, texts and bins, extensions, integers. */
const HEADS = [
  0, 1, 0x7f, 0x80, 0x81, 0x90, 0x91, 0xa0, 0xa1, 0xc0, 0xc1, 0xc3, 0xc4, 0xc6, 0xc7, 0xcb, 0xcf, 0xd3, 0xd6,
  0xd9, 0xdb, 0xdd, 0xdf, 0xff,
];

function mutated(bytes: Uint8Array): Uint8Array {
  const copy = Uint8Array.from(bytes);
  for (let count = below(5); count > 0; count--) {
    const at = below(copy.length);
    if (random() < 0.4) copy[at]! ^= 1 << below(8);
    else copy[at] = random() < 0.5 ? below(256) : pick(HEADS);
  }
  if (random() < 0.2) return copy.subarray(0, below(copy.length + 1));
  if (random() < 0.1) return Uint8Array.from([...copy, ...copy.subarray(below(copy.length))]);
  return copy;
}

/** Every visible record is what its own encoding says. */
function checkTable(catalog: Catalog): void {
  const check = <K extends EntryKind>(
    kind: K,
    key: string,
    record: Parameters<typeof encodeRecord<K>>[1],
  ) => {
    const decoded = decodeRecord<K>(kind, key, encodeRecord(kind, record));
    const fault = "problem" in decoded ? decoded.problem : "fault" in decoded ? decoded.fault : null;
    if (fault !== null) throw new Error(`${kind} ${JSON.stringify(key)}: ${fault}`);
  };
  for (const service of catalog.services().values()) check("service", service.name, service);
  for (const service of catalog.ownDeclarations().values()) check("declaration", service.name, service);
  for (const one of catalog.tasks()) check("task", taskKey(one.service, one.name), one);
  for (const node of catalog.nodes().values()) check("node", "", node);
  catalog.conflicts();
}

test("catalog messages: arbitrary and mutated bytes never throw and never break a table", () => {
  const corpus = captureMessages();
  expect(new Set(corpus.map((bytes) => bytes[0]))).toEqual(new Set([10, 11, 12, 13, 14]));
  const catalogs = [filledCatalog("a"), filledCatalog("b")];
  const seen = { readable: 0, unreadable: 0, answers: 0 };
  for (let run = 0; run < RUNS; run++) {
    const isNoise = random() < 0.1;
    const noise = Uint8Array.from({ length: below(60) }, () => below(256));
    if (noise.length > 1 && random() < 0.7) noise.set([10 + below(5), ENCODING_VERSION]);
    const payload = isNoise ? noise : mutated(pick(corpus));
    seen[typeof decodeMessage(payload, 0) === "string" ? "unreadable" : "readable"]++;
    const from = pick([null, "a", "b", "c"]);
    for (const catalog of catalogs) {
      for (const effect of catalog.onMessage(from, payload, NOW_MS + run)) {
        seen.answers++;
        if (effect.payload.length > MAX_MESSAGE_BYTES) throw new Error(`run ${run}: an answer too long`);
        const answer = decodeMessage(effect.payload, 0);
        if (typeof answer === "string") throw new Error(`run ${run}: an answer that is ${answer}`);
      }
    }
    if (run % 64 === 0) catalogs.forEach(checkTable);
  }
  expect(Math.min(seen.readable, seen.unreadable, seen.answers)).toBeGreaterThan(RUNS / 50);
  const network = new CatalogNetwork(new Seeded(SEED));
  network.nowMs = NOW_MS + RUNS;
  for (const catalog of catalogs) network.start(catalog.self, catalog);
  network.runUntil(() => network.hasConverged(), 120_000);
});

const HOSTILE: readonly unknown[] = [
  null,
  true,
  -1,
  0,
  1.5,
  70_000,
  2 ** 60,
  "",
  "x",
  "__proto__",
  "\u0000",
  "0.0.0.0/0",
  "10.0.0.0/99",
  [],
  {},
  [[]],
  ["tcp", 1, 1, 65_535, "ingress"],
  ["tcp", 1, 1, 65_536, "ingress"],
  [["tcp", 1, 1, 9, "ingress"]],
  { length: 5 },
];

/** The value with some members replaced, removed or added, at any depth. */
function distorted(value: unknown): unknown {
  if (random() < 0.08) return pick(HOSTILE);
  if (Array.isArray(value)) {
    const items = value.map(distorted);
    return random() < 0.1 ? [...items, pick(HOSTILE)] : items;
  }
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).filter(() => random() > 0.02);
  if (random() < 0.1) entries.push([pick(["extra", "constructor", "toString"]), pick(HOSTILE)]);
  return Object.fromEntries(entries.map(([key, member]) => [key, distorted(member)]));
}

/** Of records with hostile parts that no encoder writes. */
function spliced(value: Uint8Array): Uint8Array {
  const deep = new Uint8Array(below(60_000)).fill(pick([0x91, 0x81, 0x90]));
  const part = pick([deep, encode({ a: 1 }), Uint8Array.of(0xdf, 0xff, 0xff, 0xff, 0xff), PROTO_KEY]);
  const at = below(value.length + 1);
  return Uint8Array.from([...value.subarray(0, at), ...part, ...value.subarray(at + below(2))]);
}

const PROTO_KEY = Uint8Array.of(0x81, 0xa9, ...Buffer.from("__proto__"), 0x80);

test("decodeRecord: whatever msgpack it is given, it never throws, and what it reads it encodes and reads again", () => {
  const seeds = [
    ["service", "web", encodeRecord("service", filledCatalog("a").services().get("web")!)],
    ["declaration", "web", encodeRecord("declaration", filledCatalog("a").ownDeclarations().get("web")!)],
    ["task", taskKey("web", "10.0.0.1"), encodeRecord("task", task("web", "10.0.0.1", { port: 80 }))],
    [
      "node",
      "",
      encodeRecord("node", nodeRecord({ labels: { zone: "a" }, bindErrors: [["web", "tcp", "no"]] })),
    ],
    ["directive", "c", encodeRecord("directive", { directive: "forget" })],
  ] as const;
  const seen = { accepted: 0, unreadable: 0, refused: 0 };
  for (let run = 0; run < RUNS; run++) {
    const [kind, key, value] = pick(seeds);
    let attempt = encode(distorted(decode(value)));
    const luck = random();
    if (luck < 0.1) attempt = attempt.subarray(0, below(attempt.length));
    else if (luck < 0.2) attempt = Uint8Array.from(mutated(attempt));
    else if (luck < 0.22) attempt = Uint8Array.from(spliced(attempt));
    const decoded = decodeRecord<EntryKind>(kind, key, attempt);
    if (decodeRecord("unknown 9", key, attempt) === null) throw new Error("no answer");
    if ("problem" in decoded) {
      seen.refused++;
      continue;
    }
    if (decoded.record === null) {
      seen.unreadable++;
      continue;
    }
    seen.accepted++;
    const again = encodeRecord<EntryKind>(kind, decoded.record);
    const reread = decodeRecord<EntryKind>(kind, key, again);
    const isSame = "record" in reread && Bun.deepEquals(reread.record, decoded.record);
    if (!isSame) throw new Error(`run ${run}: ${attempt.toHex()} became ${again.toHex()}`);
    if ((Object.prototype as Record<string, unknown>).a !== undefined)
      throw new Error("a prototype was changed");
  }
  expect(Math.min(seen.accepted, seen.unreadable, seen.refused)).toBeGreaterThan(RUNS / 50);
});

test("snapshots: mutated ones are restored or refused, and never throw", () => {
  const state = { isFileKnown: true, members: ["10.0.0.1:7946"] };
  const text = filledCatalog("a").snapshot(state);
  const bytes = new TextEncoder().encode(text);
  const seen = { restored: 0, refused: 0 };
  /** What a catalog holds that has started from this file; null: it refused it. */
  const restart = (catalog: Catalog, file: string) => {
    const { problem, isFileKnown, members } = catalog.restore(file, NOW_MS);
    return problem === null ? catalog.snapshot({ isFileKnown, members }) : null;
  };
  const whole = restart(new Catalog("a"), text);
  for (let run = 0; run < RUNS / 20; run++) {
    const attempt = new TextDecoder().decode(mutated(bytes));
    const catalog = new Catalog("a");
    const restored = restart(catalog, attempt);
    if (restored !== null && restored !== whole) throw new Error(`run ${run}: restored ${attempt}`);
    if (restored === null && catalog.services().size > 0) throw new Error(`run ${run}: half restored`);
    seen[restored === null ? "refused" : "restored"]++;
  }
  expect(Math.min(seen.restored, seen.refused)).toBeGreaterThan(RUNS / 400);
});

import { expect, test } from "bun:test";
import { Catalog, type Effect } from "../../../src/catalog/index.ts";
import { decodeMessage, MAX_MESSAGE_BYTES, type Message } from "../../../src/catalog/sync-messages.ts";
import { rootHash } from "../../support/catalog/catalog-network.ts";
import { spec, task } from "../../support/catalog/catalog-records.ts";

const NOW_MS = 1_700_000_000_000;
const middle = () => 0.5;

function newCatalog(name: string): Catalog {
  const catalog = new Catalog(name);
  catalog.setLive(["a", "b", "c", "d", "e"]);
  catalog.tick(NOW_MS, [], middle);
  return catalog;
}

interface Sent extends Effect {
  readonly from: string;
  readonly type: Message["type"];
}

/** Carries effects between the catalogs until nothing is sent any more; what was sent, in order. */
function exchange(
  catalogs: readonly Catalog[],
  from: Catalog,
  effects: readonly Effect[],
  nowMs: number,
): Sent[] {
  const sent: Sent[] = [];
  let waiting = effects.map((effect) => ({ from: from.self, effect }));
  while (waiting.length > 0) {
    if (sent.length > 1000) throw new Error("the exchange does not end");
    const { from: sender, effect } = waiting.shift()!;
    sent.push({ ...effect, from: sender, type: typeOf(effect.payload) });
    const to = catalogs.find(({ self }) => self === effect.to)!;
    const answers = to.onMessage(sender, effect.payload, nowMs);
    waiting = [...waiting, ...answers.map((answer) => ({ from: to.self, effect: answer }))];
  }
  return sent;
}

function typeOf(payload: Uint8Array): Message["type"] {
  const message = decodeMessage(payload, 0);
  if (typeof message === "string") throw new Error(message);
  return message.type;
}

function fill(catalog: Catalog, count: number): void {
  const refusal = catalog.transaction((writer) => {
    for (let index = 0; index < count; index++) writer.writeTask(task("web", `10.1.0.7:${index}`));
  });
  expect(refusal).toBeNull();
}

test("AntiEntropy: equal tables cost one datagram, and a second one only until the first sync", () => {
  const [a, b] = [newCatalog("a"), newCatalog("b")];
  const first = exchange([a, b], a, a.tick(NOW_MS, ["b"], middle), NOW_MS);
  expect(first.map(({ type, reliable, from }) => [type, reliable, from])).toEqual([
    ["root", false, "a"],
    ["root", false, "b"],
  ]);
  expect([a.hasSynced, b.hasSynced]).toEqual([true, true]);
  const second = exchange([a, b], a, a.tick(NOW_MS + 6000, ["b"], middle), NOW_MS + 6000);
  expect(second.map(({ type }) => type)).toEqual(["root"]);
  expect(second[0]!.payload.length).toBeLessThan(30);
});

test("AntiEntropy: of a difference only the partition that has it is compared, and only the entry sent", () => {
  const [a, b] = [newCatalog("a"), newCatalog("b")];
  fill(a, 500);
  for (let index = 0; index < 100; index++) a.writeService(`s${index}`, spec(1000 + index), NOW_MS);
  exchange([a, b], a, a.tick(NOW_MS, ["b"], middle), NOW_MS);
  expect(rootHash(b)).toBe(rootHash(a));
  a.writeService("s5", spec(9999), NOW_MS);
  const sent = exchange([a, b], b, b.tick(NOW_MS + 6000, ["a"], middle), NOW_MS + 6000);
  expect(sent.map(({ type, from, reliable }) => `${from} ${type} ${reliable ? "tcp" : "udp"}`)).toEqual([
    "b root udp",
    "a parts tcp",
    "b summary tcp",
    "a entries tcp",
  ]);
  expect(sent.slice(2).reduce((sum, { payload }) => sum + payload.length, 0)).toBeLessThan(1500);
  expect(rootHash(b)).toBe(rootHash(a));
});

test("AntiEntropy: a whole table of 10,000 tasks comes in pages", () => {
  const [a, b] = [newCatalog("a"), newCatalog("b")];
  fill(a, 10_000);
  const sent = exchange([a, b], b, b.tick(NOW_MS, ["a"], middle), NOW_MS);
  const pages = sent.filter(({ type, from }) => type === "entries" && from === "a");
  expect(pages.length).toBeGreaterThan(3);
  for (const { payload } of sent) expect(payload.length).toBeLessThanOrEqual(MAX_MESSAGE_BYTES);
  expect(b.tasks().length).toBe(10_000);
  expect(rootHash(b)).toBe(rootHash(a));
});

test("AntiEntropy: 64 services of the largest size come in pages too, in both directions", () => {
  const [a, b] = [newCatalog("a"), newCatalog("b")];
  const deny = Array.from(
    { length: 1024 },
    (_, index) => `2001:db8:${index.toString(16)}:1111:2222:3333:4444:5555/128`,
  );
  for (let index = 0; index < 64; index++) {
    const writer = index % 2 === 0 ? a : b;
    expect(writer.writeService(`s${index}`, spec(1000 + index, { deny }), NOW_MS)).toBeNull();
  }
  let nowMs = NOW_MS;
  for (let round = 0; round < 6 && rootHash(a) !== rootHash(b); round++) {
    nowMs += 10_000;
    const sent = exchange([a, b], a, a.tick(nowMs, ["b"], middle), nowMs);
    for (const { payload } of sent) expect(payload.length).toBeLessThanOrEqual(MAX_MESSAGE_BYTES);
  }
  expect(rootHash(b)).toBe(rootHash(a));
  expect(b.services().size).toBe(64);
});

test("AntiEntropy: the complete set of an owner makes the asker drop what is not in it at once", () => {
  const [life1, a, b] = [newCatalog("a"), newCatalog("a"), newCatalog("b")];
  fill(life1, 3);
  exchange([life1, b], b, b.tick(NOW_MS, ["a"], middle), NOW_MS);
  expect(b.tasks().length).toBe(3);
  a.writeTask(task("web", "10.1.0.7:1"));
  const nowMs = NOW_MS + 6000;
  const steps = b.tick(nowMs, ["a"], middle);
  const parts = a.onMessage("b", steps[0]!.payload, nowMs);
  const summary = b.onMessage("a", parts[0]!.payload, nowMs);
  const complete = a.onMessage("b", summary[0]!.payload, nowMs);
  const answers = b.onMessage("a", complete[0]!.payload, nowMs);
  expect(b.tasks().length).toBeLessThan(2); // the others are gone before their owner buries them
  exchange([a, b], b, answers, nowMs);
  exchange([a, b], b, b.tick(nowMs + 6000, ["a"], middle), nowMs + 6000);
  expect(b.tasks().map(({ name }) => name)).toEqual(["10.1.0.7:1"]);
  expect(rootHash(b)).toBe(rootHash(a));
});

test("AntiEntropy: two rounds at a time do not fetch the same partition twice", () => {
  const [a, b, c] = [newCatalog("a"), newCatalog("b"), newCatalog("c")];
  fill(a, 200);
  exchange([a, b], b, b.tick(NOW_MS, ["a"], middle), NOW_MS);
  const rootA = a.onDigest("c", c.digest(), NOW_MS);
  const rootB = b.onDigest("c", c.digest(), NOW_MS);
  const first = c.onMessage("a", rootA[0]!.payload, NOW_MS);
  const second = c.onMessage("b", rootB[0]!.payload, NOW_MS);
  expect(first.map(({ payload }) => typeOf(payload))).toEqual(["summary"]);
  expect(second).toEqual([]);
});

test("AntiEntropy: a round without an answer ends after ten seconds, and a new one may begin", () => {
  const [a, b] = [newCatalog("a"), newCatalog("b")];
  fill(a, 1);
  const lost = b.onMessage("a", a.onDigest("b", b.digest(), NOW_MS)[0]!.payload, NOW_MS);
  expect(typeOf(lost[0]!.payload)).toBe("summary");
  b.tick(NOW_MS + 9000, [], middle);
  expect(b.counters.syncs.timedOut).toBe(0);
  b.tick(NOW_MS + 11_000, [], middle);
  expect(b.counters.syncs.timedOut).toBe(1);
  exchange([a, b], b, b.tick(NOW_MS + 12_000, ["a"], middle), NOW_MS + 12_000);
  expect(b.tasks().length).toBe(1);
});

test("AntiEntropy: what a peer always refuses does not keep the two busy", () => {
  const [a, b] = [newCatalog("a"), newCatalog("b")];
  fill(a, 1);
  exchange([a, b], a, a.tick(NOW_MS, ["b"], middle), NOW_MS);
  b.onMemberFailed("e");
  b.setDirective("e", "forget");
  const e = newCatalog("e");
  e.writeTask(task("web", "10.9.9.9"));
  for (const payload of e.draw(1400, 1)) a.onMessage(null, payload, NOW_MS); // e lives as far as a knows
  let nowMs = NOW_MS + 20_000;
  exchange([a, b], a, a.tick(nowMs, ["b"], middle), nowMs);
  let count = 0;
  for (let step = 0; step < 600; step++) {
    nowMs += 100;
    count += exchange([a, b], a, a.tick(nowMs, ["b"], middle), nowMs).length;
  }
  expect(rootHash(a)).not.toBe(rootHash(b));
  expect(count).toBeLessThan(110); // a minute: 12 rounds of up to 6 messages, and a busy start
});

test("AntiEntropy: who has learned something asks again after a second, who has not after five", () => {
  const [a, b] = [newCatalog("a"), newCatalog("b")];
  const intervalOf = (catalog: Catalog, fromMs: number): number => {
    for (let ms = 100; ms < 10_000; ms += 100)
      if (catalog.tick(fromMs + ms, ["c"], middle).length > 0) return ms;
    throw new Error("it asks nobody");
  };
  exchange([a, b], a, a.tick(NOW_MS, ["b"], middle), NOW_MS);
  expect(intervalOf(a, NOW_MS)).toBe(5000);
  fill(b, 1);
  exchange([a, b], a, a.tick(NOW_MS + 10_000, ["b"], middle), NOW_MS + 10_000);
  expect(a.tasks().length).toBe(1);
  expect(intervalOf(a, NOW_MS + 10_000)).toBe(1000);
});

test("AntiEntropy: of two digests that cross in a push/pull exchange the lower name answers one", () => {
  const [a, b] = [newCatalog("a"), newCatalog("b")];
  fill(a, 1);
  const [digestA, digestB] = [a.digest(), b.digest()];
  expect(b.onDigest("a", digestA, NOW_MS)).toEqual([]);
  exchange([a, b], a, a.onDigest("b", digestB, NOW_MS), NOW_MS);
  expect(b.tasks().length).toBe(1);
});

test("AntiEntropy: news too large for a packet does not wait for the interval", () => {
  const [a, b] = [newCatalog("a"), newCatalog("b")];
  exchange([a, b], a, a.tick(NOW_MS, ["b"], middle), NOW_MS);
  expect(a.tick(NOW_MS + 100, ["b"], middle)).toEqual([]);
  const deny = Array.from({ length: 200 }, (_, index) => `10.0.${index}.0/24`);
  a.writeService("large", spec(80, { deny }), NOW_MS);
  expect(a.draw(1400, 4)).toEqual([]);
  exchange([a, b], a, a.tick(NOW_MS + 200, ["b"], middle), NOW_MS + 200);
  expect(b.services().get("large")?.spec.deny.length).toBe(200);
});

test("AntiEntropy: at most 16 rounds a second are answered", () => {
  const [a, b] = [newCatalog("a"), newCatalog("b")];
  fill(a, 1);
  const answers = Array.from({ length: 40 }, () => a.onMessage(null, b.digest(), NOW_MS).length);
  expect(answers.reduce((sum, count) => sum + count, 0)).toBe(16);
  expect(a.onMessage(null, b.digest(), NOW_MS + 1000).length).toBe(1);
});

test("AntiEntropy: a message that names another sender than it came from is ignored", () => {
  const [a, b] = [newCatalog("a"), newCatalog("b")];
  fill(a, 1);
  expect(a.onMessage("c", b.digest(), NOW_MS)).toEqual([]);
  expect(a.onMessage("b", a.digest(), NOW_MS)).toEqual([]);
});

import { expect, test } from "bun:test";
import { BroadcastQueue, PAYLOAD_OVERHEAD_BYTES } from "../../../src/catalog/broadcast-queue.ts";
import type { EntryHead } from "../../../src/catalog/entry.ts";
import { entryHead } from "../../../src/catalog/entry-codec.ts";
import { Catalog } from "../../../src/catalog/index.ts";
import { decodeMessage } from "../../../src/catalog/sync-messages.ts";
import { spec } from "../../support/catalog/catalog-records.ts";

function entry(key: string, counter = 1, size = 100): EntryHead {
  return entryHead("service", key, { counter, node: "a" }, new Uint8Array(size), 0);
}

function keysOf(payloads: readonly Uint8Array[]): string[] {
  return payloads.flatMap((payload) => {
    const message = decodeMessage(payload, 0);
    if (typeof message === "string" || message.type !== "updates") throw new Error("no updates");
    return message.entries.map(({ key, stamp }) => `${key}@${stamp.counter}`);
  });
}

test("BroadcastQueue: own entries go first, relayed ones take the room that is left", () => {
  const queue = new BroadcastQueue();
  for (let index = 0; index < 50; index++) queue.add(entry(`relayed-${index}`), false, 0);
  for (let index = 0; index < 5; index++) queue.add(entry(`own-${index}`), true, 0);
  const drawn = keysOf(queue.draw(1400, 4, 0));
  expect(drawn.slice(0, 5)).toEqual([0, 1, 2, 3, 4].map((index) => `own-${index}@1`));
  expect(drawn.length).toBeGreaterThan(7);
});

test("BroadcastQueue: each entry is drawn as often as the limit says, the least drawn first", () => {
  const queue = new BroadcastQueue();
  for (let index = 0; index < 30; index++) queue.add(entry(`s${index}`), true, 0);
  const counts = new Map<string, number>();
  for (let draw = 0; queue.length > 0; draw++) {
    if (draw > 100) throw new Error("it never gets empty");
    for (const key of keysOf(queue.draw(1400, 3, 0))) counts.set(key, (counts.get(key) ?? 0) + 1);
    const all = [...counts.values(), ...(counts.size < 30 ? [0] : [])];
    expect(Math.max(...all) - Math.min(...all)).toBeLessThanOrEqual(1);
  }
  expect([...counts.values()]).toEqual(Array(30).fill(3));
});

test("BroadcastQueue: payloads keep to the budget, whatever it is", () => {
  for (let budgetBytes = 0; budgetBytes < 1500; budgetBytes += 13) {
    const queue = new BroadcastQueue();
    for (let index = 0; index < 20; index++) queue.add(entry(`s${index}`, 1, index * 40), index % 2 > 0, 0);
    const bytes = queue
      .draw(budgetBytes, 4, 0)
      .reduce((sum, { length }) => sum + length + PAYLOAD_OVERHEAD_BYTES, 0);
    expect(bytes).toBeLessThanOrEqual(budgetBytes);
  }
});

test("BroadcastQueue: a newer version takes the place of the older and is sent anew", () => {
  const queue = new BroadcastQueue();
  queue.add(entry("web", 1), true, 0);
  queue.draw(1400, 2, 0);
  queue.add(entry("web", 2), false, 0); // somebody else has changed it since
  expect(queue.length).toBe(1);
  expect([1, 2, 3].map(() => keysOf(queue.draw(1400, 2, 0)))).toEqual([["web@2"], ["web@2"], []]);
});

test("BroadcastQueue: a write of this node takes the place of what was to be relayed of the same row, and the reverse", () => {
  const queue = new BroadcastQueue();
  queue.add(entry("web", 1), false, 0);
  queue.add(entry("web", 2), true, 0);
  expect(queue.length).toBe(1);
  queue.add(entry("web", 3), false, 0);
  expect(queue.length).toBe(1);
  expect(keysOf(queue.draw(1400, 1, 0))).toEqual(["web@3"]);
});

test("BroadcastQueue: what is too large for a packet is refused and takes its older version along", () => {
  const queue = new BroadcastQueue();
  expect(queue.add(entry("web", 1), true, 0)).toBe(true);
  expect(queue.add(entry("web", 2, 2000), true, 0)).toBe(false);
  expect(queue.length).toBe(0);
});

test("BroadcastQueue: an entry that fits into no packet for long is dropped, and holds nothing up meanwhile", () => {
  const queue = new BroadcastQueue();
  queue.add(entry("large", 1, 900), true, 0);
  queue.add(entry("small"), true, 0);
  expect(keysOf(queue.draw(500, 1, 0))).toEqual(["small@1"]);
  queue.expire(19_000);
  expect(queue.length).toBe(1);
  queue.expire(21_000);
  expect(queue.length).toBe(0);
});

test("BroadcastQueue: at the bound the entries sent most often make room", () => {
  const queue = new BroadcastQueue();
  queue.add(entry("first"), true, 0);
  queue.draw(1400, 9, 0);
  for (let index = 0; index < 4096; index++) queue.add(entry(`s${index}`), true, 0);
  expect(queue.length).toBe(4096);
  expect(keysOf(queue.draw(1400, 9, 0))[0]).toBe("s0@1");
});

test("BroadcastQueue: a flood of others does not hold a write of this node up", () => {
  const [flooded, other] = [new Catalog("a"), new Catalog("b")];
  for (let index = 0; index < 300; index++) other.writeService(`s${index}`, spec(1000 + index), 0);
  while (other.hasNews) for (const payload of other.draw(1400, 1)) flooded.onMessage(null, payload, 0);
  flooded.writeService("mine", spec(80), 0);
  expect(keysOf(flooded.draw(1400, 4))[0]).toMatch(/^mine@/);
});

/** The hash table of sessions against a Map with text keys, which is the dull way to do the same. */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { SessionTable, type TableEntry } from "../../../../src/proxy/udp/session-table.ts";

class Entry implements TableEntry<Entry> {
  nextInBucket: Entry | null = null;

  constructor(
    readonly key: Int32Array,
    readonly hash: number,
  ) {}
}

/** Few different words, so that keys repeat and share beginnings. */
const word = fc.oneof(fc.constantFrom(0, 1, -1, 0x7fffffff), fc.integer({ min: 0, max: 40 }));
const key = fc.array(word, { minLength: 1, maxLength: 4 }).map((words) => Int32Array.from(words));
const step = fc.record({ isRemoval: fc.boolean(), key });

class Both {
  readonly table: SessionTable<Entry>;
  readonly map = new Map<string, Entry>();

  constructor(seed: number) {
    this.table = new SessionTable(seed);
  }

  find(key: Int32Array): Entry | null {
    const padded = Int32Array.from([...key, 12345]);
    return this.table.find(padded, key.length, this.table.hash(padded, key.length));
  }

  apply({ isRemoval, key }: { isRemoval: boolean; key: Int32Array }): void {
    const known = this.map.get(key.join());
    expect(this.find(key)).toBe(known ?? null);
    if (isRemoval && known !== undefined) {
      this.table.remove(known);
      this.table.remove(known);
      this.map.delete(key.join());
    } else if (!isRemoval && known === undefined) {
      const entry = new Entry(key, this.table.hash(key, key.length));
      this.table.add(entry);
      this.map.set(key.join(), entry);
    }
  }

  check(): void {
    expect(this.table.size).toBe(this.map.size);
    expect(new Set(this.table)).toEqual(new Set(this.map.values()));
    for (const [, entry] of this.map) expect(this.find(entry.key)).toBe(entry);
  }
}

test("SessionTable finds, adds and removes what a Map does", () => {
  fc.assert(
    fc.property(fc.integer(), fc.array(step, { maxLength: 300 }), (seed, steps) => {
      const both = new Both(seed);
      for (const one of steps) both.apply(one);
      both.check();
    }),
  );
});

test("SessionTable grows", () => {
  const both = new Both(7);
  for (let i = 0; i < 5000; i++) both.apply({ isRemoval: false, key: Int32Array.of(2 | (i << 16), i * 3) });
  both.check();
});

test("SessionTable lets go of entries while they are iterated", () => {
  const both = new Both(1);
  for (let i = 0; i < 500; i++) both.apply({ isRemoval: false, key: Int32Array.of(i) });
  let seen = 0;
  for (const entry of both.table) {
    both.table.remove(entry);
    seen++;
  }
  expect([seen, both.table.size]).toEqual([500, 0]);
});

test("SessionTable's seed decides the hash", () => {
  const words = Int32Array.of(1, 2, 3);
  expect(new SessionTable(1).hash(words, 3)).not.toBe(new SessionTable(2).hash(words, 3));
});

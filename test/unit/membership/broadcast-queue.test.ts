import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { BroadcastQueue } from "../../../src/membership/broadcast-queue.ts";

const MANY = 10_000;

function message(label: number, length = 1): Uint8Array {
  return new Uint8Array(length).fill(label);
}

function labels(drawn: readonly Uint8Array[]): number[] {
  return drawn.map((bytes) => bytes[0]!);
}

describe("order", () => {
  test("the least sent first, of those the newest", () => {
    const queue = new BroadcastQueue(10, 100);
    for (const label of [1, 2, 3]) queue.add(null, message(label));
    expect(labels(queue.draw(2, 0, MANY))).toEqual([3, 2]);
    expect(labels(queue.draw(2, 0, MANY))).toEqual([1, 3]);
    queue.add(null, message(4));
    expect(labels(queue.draw(4, 0, MANY))).toEqual([4, 2, 1, 3]);
  });

  test("a smaller one takes the room that a larger one does not fit into", () => {
    const queue = new BroadcastQueue(10, 100);
    queue.add(null, message(1, 5));
    queue.add(null, message(2, 50));
    expect(labels(queue.draw(20, 2, MANY))).toEqual([1]);
    expect(labels(queue.draw(100, 2, MANY))).toEqual([2, 1]);
  });
});

describe("budget", () => {
  test("counts what each costs besides its bytes", () => {
    const queue = new BroadcastQueue(10, 100);
    for (const label of [1, 2]) queue.add(null, message(label, 10));
    expect(queue.draw(23, 2, MANY).length).toBe(1);
    expect(queue.draw(24, 2, MANY).length).toBe(2);
    expect(queue.draw(11, 2, MANY).length).toBe(0);
    expect(queue.draw(-5, 2, MANY).length).toBe(0);
  });

  test("holds no more than asked for", () => {
    const queue = new BroadcastQueue(10, 100);
    for (const label of [1, 2, 3]) queue.add(null, message(label));
    expect(labels(queue.draw(MANY, 0, MANY, 2))).toEqual([3, 2]);
    expect(queue.draw(MANY, 0, MANY, 0)).toEqual([]);
  });

  test("what could never leave is refused, and what it replaces stays", () => {
    const queue = new BroadcastQueue(10, 100);
    expect(queue.add("a", message(1, 100))).toBe(true);
    expect(queue.add("a", message(2, 101))).toBe(false);
    expect(labels(queue.draw(MANY, 0, MANY))).toEqual([1]);
  });
});

describe("replacement and completion", () => {
  test("a newer message of the same key replaces the older one, and is fresh", () => {
    const queue = new BroadcastQueue(10, 100);
    const gone: string[] = [];
    queue.add("a", message(1), () => gone.push("first"));
    queue.draw(MANY, 0, MANY);
    queue.add("b", message(2));
    queue.add("a", message(3), () => gone.push("second"));
    expect(gone).toEqual(["first"]);
    expect(labels(queue.draw(MANY, 0, MANY))).toEqual([3, 2]);
    expect(queue.length).toBe(2);
  });

  test("is gone after as many transmissions as the limit, and says so once", () => {
    const queue = new BroadcastQueue(10, 100);
    let gone = 0;
    queue.add("a", message(1), () => gone++);
    for (const expected of [0, 0, 1]) {
      expect(queue.draw(MANY, 0, 3).length).toBe(1);
      expect(gone).toBe(expected);
    }
    expect(queue.draw(MANY, 0, 3)).toEqual([]);
    queue.add("a", message(2));
    expect(gone).toBe(1);
  });

  test("a full queue lets go of the oldest of those sent most often", () => {
    const queue = new BroadcastQueue(3, 100);
    const gone: number[] = [];
    for (const label of [1, 2]) queue.add(null, message(label), () => gone.push(label));
    queue.draw(1, 0, MANY); // 2
    queue.add(null, message(3), () => gone.push(3));
    queue.add(null, message(4), () => gone.push(4));
    expect(gone).toEqual([2]);
    queue.add(null, message(5));
    expect(gone).toEqual([2, 1]);
    expect(queue.length).toBe(3);
  });
});

test("behaves as a list sorted again before each draw", () => {
  const step = fc.oneof(
    fc.record({ add: fc.option(fc.integer({ min: 0, max: 5 })), length: fc.integer({ min: 1, max: 9 }) }),
    fc.record({ draw: fc.integer({ min: 0, max: 30 }) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const queue = new BroadcastQueue(8, 100);
      const oracle = new SortedList(8);
      steps.forEach((one, index) => {
        if ("draw" in one) {
          expect(labels(queue.draw(one.draw, 1, 4))).toEqual(labels(oracle.draw(one.draw, 1, 4)));
        } else {
          const key = one.add === null ? null : String(one.add);
          queue.add(key, message(index, one.length));
          oracle.add(key, message(index, one.length));
        }
        expect(queue.length).toBe(oracle.entries.length);
      });
    }),
  );
});

/** The dull version. */
class SortedList {
  entries: { key: string | null; bytes: Uint8Array; transmits: number; order: number }[] = [];
  #order = 0;

  constructor(readonly maxLength: number) {}

  add(key: string | null, bytes: Uint8Array): void {
    this.entries = this.entries.filter((entry) => key === null || entry.key !== key);
    this.#sort();
    if (this.entries.length >= this.maxLength) {
      const most = this.entries.at(-1)!.transmits;
      const oldest = this.entries.filter((entry) => entry.transmits === most).at(-1)!;
      this.entries = this.entries.filter((entry) => entry !== oldest);
    }
    this.entries.push({ key, bytes, transmits: 0, order: this.#order++ });
  }

  draw(budgetBytes: number, overheadBytes: number, limit: number): Uint8Array[] {
    this.#sort();
    let left = budgetBytes;
    const drawn = this.entries.filter((entry) => {
      const cost = entry.bytes.length + overheadBytes;
      if (cost > left) return false;
      left -= cost;
      return true;
    });
    for (const entry of drawn) entry.transmits++;
    this.entries = this.entries.filter((entry) => entry.transmits < limit);
    return drawn.map((entry) => entry.bytes);
  }

  #sort(): void {
    this.entries.sort((a, b) => a.transmits - b.transmits || b.order - a.order);
  }
}

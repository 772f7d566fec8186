/** Arming, cancelling and expiring, in order and from inside a deadline; checked against a sorted array. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { Deadlines, Waiting } from "../../../src/sys/deadline-list.ts";

class Item extends Waiting {
  readonly expiredAt: number[] = [];

  constructor(readonly then: (item: Item, nowMs: number) => void = () => {}) {
    super();
  }

  onDeadline(nowMs: number): void {
    this.expiredAt.push(nowMs);
    this.then(this, nowMs);
  }
}

describe("DeadlineList", () => {
  test("calls what is due, oldest first, once", () => {
    const deadlines = new Deadlines();
    const order: string[] = [];
    const [first, second, third] = ["first", "second", "third"].map(
      (name) => new Item(() => order.push(name)),
    ) as [Item, Item, Item];
    deadlines.list(100).arm(first, 0);
    deadlines.list(100).arm(second, 10);
    deadlines.list(100).arm(third, 20);
    deadlines.expire(99);
    expect(order).toEqual([]);
    deadlines.expire(110);
    expect(order).toEqual(["first", "second"]);
    deadlines.expire(1000);
    expect(order).toEqual(["first", "second", "third"]);
    expect(deadlines.untilNext(1000)).toBe(-1);
  });

  test("arming anew moves an item to the end, also from another list", () => {
    const deadlines = new Deadlines();
    const item = new Item();
    deadlines.list(100).arm(item, 0);
    deadlines.list(100).arm(item, 50);
    deadlines.expire(100);
    expect(item.expiredAt).toEqual([]);
    deadlines.list(500).arm(item, 100);
    expect(deadlines.list(100).head).toBeNull();
    deadlines.expire(600);
    expect(item.expiredAt).toEqual([600]);
  });

  test("cancelling takes out the head, the tail, the middle, and what does not wait", () => {
    for (const gone of [0, 1, 2]) {
      const deadlines = new Deadlines();
      const items = [new Item(), new Item(), new Item()];
      for (const item of items) deadlines.list(10).arm(item, 0);
      deadlines.list(10).cancel(items[gone]!);
      deadlines.list(10).cancel(items[gone]!);
      deadlines.list(10).cancel(new Item());
      deadlines.expire(10);
      expect(items.map((item) => item.expiredAt.length)).toEqual([0, 1, 2].map((i) => (i === gone ? 0 : 1)));
    }
  });

  test("a deadline may arm itself anew and cancel others that are due", () => {
    const deadlines = new Deadlines();
    const list = deadlines.list(10);
    const victim = new Item();
    const item = new Item((self, nowMs) => {
      list.cancel(victim);
      list.arm(self, nowMs);
    });
    list.arm(item, 0);
    list.arm(victim, 0);
    deadlines.expire(10);
    deadlines.expire(19);
    deadlines.expire(20);
    expect(item.expiredAt).toEqual([10, 20]);
    expect(victim.expiredAt).toEqual([]);
  });
});

describe("Deadlines", () => {
  test("untilNext rounds up and is never negative", () => {
    const deadlines = new Deadlines();
    expect(deadlines.untilNext(0)).toBe(-1);
    deadlines.list(1000).arm(new Item(), 0);
    deadlines.list(50).arm(new Item(), 0.25);
    expect(deadlines.untilNext(0)).toBe(51);
    expect(deadlines.untilNext(50)).toBe(1);
    expect(deadlines.untilNext(70)).toBe(0);
  });

  test("agrees with a sorted array under random use", () => {
    const step = fc.record({
      action: fc.constantFrom("arm", "cancel", "expire"),
      item: fc.nat(5),
      durationMs: fc.constantFrom(10, 20, 40),
      laterMs: fc.nat(15),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const deadlines = new Deadlines();
        const items = Array.from({ length: 6 }, () => new Item());
        const dueMs = new Map<Item, number>();
        let nowMs = 0;
        for (const { action, item: index, durationMs, laterMs } of steps) {
          const item = items[index]!;
          nowMs += laterMs;
          if (action === "arm") {
            deadlines.list(durationMs).arm(item, nowMs);
            dueMs.set(item, nowMs + durationMs);
          } else if (action === "cancel") {
            item.waitingIn?.cancel(item);
            dueMs.delete(item);
          } else {
            const before = items.map(({ expiredAt }) => expiredAt.length);
            deadlines.expire(nowMs);
            const told = items.filter(({ expiredAt }, i) => expiredAt.length > before[i]!);
            const due = items.filter((one) => (dueMs.get(one) ?? Number.POSITIVE_INFINITY) <= nowMs);
            expect(told).toEqual(due);
            for (const one of due) dueMs.delete(one);
          }
          const earliestMs = Math.min(...dueMs.values());
          expect(deadlines.untilNext(nowMs)).toBe(dueMs.size === 0 ? -1 : Math.max(0, earliestMs - nowMs));
        }
      }),
    );
  });
});

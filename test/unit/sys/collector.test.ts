import { expect, test } from "bun:test";
import { Collector } from "../../../src/sys/collector.ts";

test("collects once there is enough, and again when there is as much more", () => {
  let made = 0;
  let collections = 0;
  const collector = new Collector(
    () => made,
    () => collections++,
  );
  const after: number[] = [];
  for (; made < 5_000; made += 500) {
    collector.onTurnEnd();
    after.push(collections);
  }
  expect(after).toEqual([0, 0, 0, 1, 1, 1, 2, 2, 2, 3]);
});

test("what nobody holds is gone then", async () => {
  const garbage = Array.from({ length: 10_000 }, (_, index) => new WeakRef({ index }));
  await new Promise(setImmediate); // until then a weak reference holds what it was made with
  new Collector(() => 5_000).onTurnEnd();
  expect(garbage.filter((ref) => ref.deref() !== undefined).length).toBeLessThan(1_000);
});

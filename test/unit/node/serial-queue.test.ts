import { expect, test } from "bun:test";
import { SerialQueue } from "../../../src/node/serial-queue.ts";

test("work runs one after the other, in order, and goes on after a failure", async () => {
  const queue = new SerialQueue();
  const first = Promise.withResolvers<void>();
  const log: string[] = [];
  const results = [
    queue.run(async () => {
      await first.promise;
      log.push("first");
    }),
    queue.run(async () => {
      log.push("second");
      throw new Error("broken");
    }),
    queue.run(async () => log.push("third")),
  ];
  first.resolve();
  const outcomes = await Promise.allSettled(results);
  expect(log).toEqual(["first", "second", "third"]);
  expect(outcomes.map((outcome) => outcome.status)).toEqual(["fulfilled", "rejected", "fulfilled"]);
});

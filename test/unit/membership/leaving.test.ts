import { expect, test } from "bun:test";
import { Leaving } from "../../../src/membership/leaving.ts";

class Fixture {
  readonly steps: string[] = [];
  hasOthers = true;
  onIntentSent: () => void = () => undefined;
  onDeathSent: () => void = () => undefined;
  readonly leaving = new Leaving({
    hasOthers: () => this.hasOthers,
    announceIntent: (onSent) => {
      this.steps.push("intent");
      this.onIntentSent = onSent;
    },
    announceDeath: (_nowMs, onSent) => {
      this.steps.push("death");
      this.onDeathSent = onSent;
    },
    onDone: () => this.steps.push("done"),
  });

  tick(nowMs: number): string[] {
    this.leaving.tick(nowMs);
    return this.steps.splice(0);
  }
}

test("the intent, then the death when it is sent, then a second of grace", () => {
  const fixture = new Fixture();
  expect(fixture.tick(0)).toEqual([]);
  fixture.leaving.begin(1_000);
  fixture.leaving.begin(1_000);
  expect(fixture.tick(1_100)).toEqual(["intent"]);
  fixture.onIntentSent();
  expect(fixture.tick(1_200)).toEqual(["death"]);
  fixture.onDeathSent();
  expect(fixture.tick(1_300)).toEqual([]);
  fixture.onDeathSent(); // replaced by something newer: no reason to hurry
  expect(fixture.leaving.nextDeadlineMs).toBe(2_300);
  expect(fixture.tick(2_299)).toEqual([]);
  expect(fixture.tick(2_300)).toEqual(["done"]);
  expect(fixture.leaving.nextDeadlineMs).toBe(Number.POSITIVE_INFINITY);
});

test("what is never sent often enough is waited for 5 seconds", () => {
  const fixture = new Fixture();
  fixture.leaving.begin(0);
  expect(fixture.tick(4_999)).toEqual(["intent"]);
  expect(fixture.tick(5_000)).toEqual(["death"]);
  expect(fixture.tick(9_999)).toEqual([]);
  fixture.tick(10_000);
  expect(fixture.tick(11_000)).toEqual(["done"]);
});

test("alone there is nothing to wait for", () => {
  const fixture = new Fixture();
  fixture.hasOthers = false;
  fixture.leaving.begin(0);
  expect([...fixture.tick(0), ...fixture.tick(0), ...fixture.tick(0)]).toEqual(["intent", "death", "done"]);
});

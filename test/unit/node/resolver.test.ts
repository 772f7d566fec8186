import { beforeEach, expect, test } from "bun:test";
import { type NameStatus, Resolver } from "../../../src/node/resolver.ts";
import type { HostAnswer } from "../../../src/sys/lookup-host.ts";
import { ManualClock, settle } from "../../support/time/manual-clock.ts";

let clock: ManualClock;
let answers: Map<string, HostAnswer | Promise<HostAnswer>>;
let asked: string[];
let changes: NameStatus[];
let resolver: Resolver;

beforeEach(() => {
  clock = new ManualClock();
  answers = new Map();
  asked = [];
  changes = [];
  resolver = new Resolver({
    clock,
    lookup: async (host) => {
      asked.push(host);
      return answers.get(host) ?? { error: "name not found", isAnswered: true };
    },
    onChange: (status) => changes.push(status),
  });
});

test("a name is asked at once and again every five seconds; only a new answer is a change", async () => {
  answers.set("a.test", { addresses: ["10.0.0.1"] });
  resolver.keep(["a.test"]);
  await clock.advance(4_999);
  expect(asked.length).toBe(1);
  await clock.advance(1);
  expect(asked.length).toBe(2);
  expect(changes.length).toBe(1);
  answers.set("a.test", { addresses: ["10.0.0.2"] });
  await clock.advance(5_000);
  expect(resolver.addressesOf("a.test")).toEqual(["10.0.0.2"]);
  expect(changes.length).toBe(2);
});

test("while no server answers for a name it is asked every second, the last good answer stays, and the failure has a start", async () => {
  answers.set("a.test", { addresses: ["10.0.0.1"] });
  resolver.keep(["a.test"]);
  await clock.advance(4_000);
  answers.set("a.test", { error: "no answer", isAnswered: false });
  const answeredAt = clock.nowMs() - 4_000;
  await clock.advance(1_000);
  const failingSince = clock.nowMs();
  await clock.advance(2_000);
  expect(asked.length).toBe(4);
  expect(changes.length).toBe(2);
  expect(resolver.status()).toEqual([
    { host: "a.test", addresses: ["10.0.0.1"], error: "no answer", failingSince, answeredAt },
  ]);
  answers.set("a.test", { addresses: ["10.0.0.1"] });
  await clock.advance(1_000);
  expect(resolver.status()[0]).toMatchObject({ error: null, failingSince: null });
  expect(changes.length).toBe(3);
});

test("a name that no longer exists has no addresses, and is asked every second", async () => {
  answers.set("a.test", { addresses: ["10.0.0.1"] });
  resolver.keep(["a.test"]);
  await clock.advance(4_000);
  answers.delete("a.test");
  await clock.advance(1_000);
  const goneAt = clock.nowMs();
  expect(resolver.addressesOf("a.test")).toEqual([]);
  expect(resolver.status()).toEqual([
    { host: "a.test", addresses: [], error: "name not found", failingSince: goneAt, answeredAt: goneAt },
  ]);
  answers.set("a.test", { error: "no answer", isAnswered: false });
  await clock.advance(1_000);
  expect(resolver.status()[0]).toMatchObject({ addresses: [], failingSince: goneAt, answeredAt: goneAt });
  answers.set("a.test", { addresses: ["10.0.0.2"] });
  await clock.advance(1_000);
  expect(resolver.addressesOf("a.test")).toEqual(["10.0.0.2"]);
  expect(changes.map(({ addresses }) => addresses.join())).toEqual(["10.0.0.1", "", "", "10.0.0.2"]);
});

test("names that are no longer kept are forgotten, also one whose answer is under way", async () => {
  const late = Promise.withResolvers<HostAnswer>();
  answers.set("a.test", late.promise);
  answers.set("b.test", { addresses: ["10.0.0.2"] });
  resolver.keep(["a.test", "b.test"]);
  await settle();
  resolver.keep([]);
  late.resolve({ addresses: ["10.0.0.1"] });
  await clock.advance(10_000);
  expect(resolver.status()).toEqual([]);
  expect(asked).toEqual(["a.test", "b.test"]);
  expect(clock.timerCount).toBe(0);
});

test("allAnswered waits for first answers, good or bad", async () => {
  const late = Promise.withResolvers<HostAnswer>();
  answers.set("a.test", late.promise);
  resolver.keep(["a.test", "missing.test"]);
  let isDone = false;
  const answered = resolver.allAnswered(2_000).then(() => (isDone = true));
  await clock.advance(1_000);
  expect(isDone).toBe(false);
  late.resolve({ addresses: ["10.0.0.1"] });
  await answered;
});

test("allAnswered gives up after its time", async () => {
  answers.set("a.test", new Promise(() => undefined));
  resolver.keep(["a.test"]);
  const answered = resolver.allAnswered(2_000);
  await clock.advance(2_000);
  await answered;
});

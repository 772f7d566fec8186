import { beforeEach, expect, test } from "bun:test";
import { LookupLimit } from "../../../src/node/lookup-limit.ts";
import type { HostAnswer } from "../../../src/sys/lookup-host.ts";
import { ManualClock, settle } from "../../support/time/manual-clock.ts";

const OK: HostAnswer = { addresses: ["10.0.0.1"] };
const SILENT: HostAnswer = { error: "no answer", isAnswered: false };
const TIMEOUT_MS = 10_000;

let clock: ManualClock;
let limit: LookupLimit;
let running: Map<string, number>;
let answers: Map<string, HostAnswer>;
let most: number;

/** Names of "silent…" take 10 s, others 1 ms. */
beforeEach(() => {
  clock = new ManualClock();
  running = new Map();
  answers = new Map();
  most = 0;
  const ask = async (host: string): Promise<HostAnswer> => {
    running.set(host, clock.nowMs());
    most = Math.max(most, running.size);
    const isSilent = host.startsWith("silent");
    await new Promise<void>((resolve) => clock.after(isSilent ? TIMEOUT_MS : 1, resolve));
    running.delete(host);
    return isSilent ? SILENT : OK;
  };
  limit = new LookupLimit(ask, clock);
});

function askAll(hosts: readonly string[]): void {
  for (const host of hosts) void limit.lookup(host).then((answer) => answers.set(host, answer));
}

function names(prefix: string, count: number): string[] {
  return Array.from({ length: count }, (_, i) => `${prefix}-${i}`);
}

test("names without an answer delay one that can be resolved by less than a second", async () => {
  askAll([...names("silent", 40), "good"]);
  await clock.advance(1_000);
  expect([...answers]).toEqual([["good", OK]]);
  await clock.advance(TIMEOUT_MS);
  expect(answers.size).toBe(41);
});

test("however many there are, lookups leave a part of the pool to others", async () => {
  askAll(names("silent", 1_000));
  await clock.advance(TIMEOUT_MS - 1);
  expect(most).toBe(112);
  await clock.advance(10 * TIMEOUT_MS);
  expect(answers.size).toBe(1_000);
  expect(running.size).toBe(0);
});

test("once they are known, no number of silent names delays a new one", async () => {
  askAll(names("silent", 112));
  await clock.advance(2 * TIMEOUT_MS);
  expect(running.size).toBe(0);
  askAll(names("silent", 112));
  await clock.advance(2_000);
  expect(running.size).toBe(64);
  askAll(["good"]);
  await clock.advance(1);
  expect(answers.get("good")).toEqual(OK);
});

test("many names at once are asked a few at a time", async () => {
  askAll(names("good", 1_000));
  await settle();
  expect(running.size).toBe(16);
  await clock.advance(1_000);
  expect(most).toBe(16);
  expect(answers.size).toBe(1_000);
});

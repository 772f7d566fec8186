/** How long a connect may take, by what connects to the same place have taken. */
import { expect, test } from "bun:test";
import { ConnectTime, patienceMs, stepFrom } from "../../../../src/proxy/table/connect-time.ts";

function patienceAfter(...tookMs: number[]): number {
  const time = new ConnectTime();
  tookMs.forEach((ms, i) => time.add(ms, i * 100));
  return patienceMs(time.timeoutMs);
}

const times = (count: number, tookMs: number) => Array<number>(count).fill(tookMs);

test("to a place near by, five seconds", () => {
  expect(patienceAfter(...times(20, 1))).toBe(5_000);
});

test("to one that is far away, as long as five SYNs need", () => {
  expect(patienceAfter(...times(20, 300))).toBe(15_000);
  expect(patienceAfter(...times(20, 1_200))).toBe(60_000);
});

test("to one where SYNs get lost, the longer the more of them", () => {
  expect(patienceAfter(...times(20, 20), 1_020)).toBe(60_000);
  expect(patienceAfter(20, 20, 1_020, 20, 3_020, 20, 20, 7_020, 20, 20)).toBe(60_000);
  expect(patienceAfter(...times(20, 20), 1_020, ...times(30, 20))).toBe(5_000);
});

test("to one without a connection yet, half a minute", () => {
  expect(patienceAfter()).toBe(32_000);
});

test("in steps, the last of which is the longest", () => {
  expect([0, 5, 6, 99].map((wanted) => stepFrom([5, 10], wanted))).toEqual([5, 5, 10, 10]);
});

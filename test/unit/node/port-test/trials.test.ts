/** How long the tests of a node's ports take at most, by how far away it is. */
import { expect, test } from "bun:test";
import { timeoutMsOf } from "../../../../src/node/port-test/trials.ts";

test("some round trips and a second, within bounds; one that has not been measured may be far away", () => {
  expect([1, 600, 1200, 60_000].map((rttMs) => timeoutMsOf({ rttMs }))).toEqual([1_500, 3_400, 5_000, 5_000]);
  expect(timeoutMsOf({ rttMs: null })).toBe(5_000);
});

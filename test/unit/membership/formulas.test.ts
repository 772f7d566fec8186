import { expect, test } from "bun:test";
import {
  expectedConfirmations,
  minSuspicionMs,
  pushPullFactor,
  retransmitLimit,
  suspicionTimeoutMs,
} from "../../../src/membership/formulas.ts";
import { PROFILES } from "../../../src/membership/index.ts";

/** members, least and longest suspicion, with one confirmation of two, transmissions, push/pull factor: memberlist's LAN values. */
const LAN_TABLE: readonly (readonly [number, number, number, number, number, number])[] = [
  [4, 4_000, 24_000, 11_381, 4, 1],
  [9, 4_000, 24_000, 11_381, 4, 1],
  [16, 4_816, 28_896, 13_703, 8, 1],
  [32, 6_020, 36_120, 17_129, 8, 1],
  [64, 7_224, 43_344, 20_554, 8, 2],
  [100, 8_000, 48_000, 22_762, 12, 3],
  [128, 8_428, 50_568, 23_980, 12, 3],
  [256, 9_632, 57_792, 27_406, 12, 4],
  [1000, 12_000, 72_000, 34_144, 16, 6],
];

test.each([...LAN_TABLE])(
  "%p members have the values of memberlist",
  (n, minMs, maxMs, oneMs, limit, factor) => {
    const profile = PROFILES.lan;
    expect(minSuspicionMs(profile, n)).toBe(minMs);
    expect(minMs * profile.suspicionMaxTimeoutMult).toBe(maxMs);
    const expected = expectedConfirmations(profile, n);
    expect(expected).toBe(2);
    expect([0, 1, 2, 3].map((count) => suspicionTimeoutMs(minMs, maxMs, count, expected))).toEqual([
      maxMs,
      oneMs,
      minMs,
      minMs,
    ]);
    expect(retransmitLimit(profile, n)).toBe(limit);
    expect(pushPullFactor(n)).toBe(factor);
  },
);

test.each([1, 2, 3])("%p members cannot confirm: the suspicion is short from its start", (n) => {
  const minMs = minSuspicionMs(PROFILES.lan, n);
  expect(minMs).toBe(4_000);
  expect(expectedConfirmations(PROFILES.lan, n)).toBe(0);
  expect(suspicionTimeoutMs(minMs, 6 * minMs, 0, 0)).toBe(minMs);
});

test("a cluster of none or one has finite values", () => {
  expect([0, 1].map((n) => minSuspicionMs(PROFILES.lan, n))).toEqual([4_000, 4_000]);
  expect([0, 1].map((n) => retransmitLimit(PROFILES.lan, n))).toEqual([0, 4]);
  expect([0, 1].map(pushPullFactor)).toEqual([1, 1]);
});

test("the factor of push/pull grows by one for each doubling above 32", () => {
  expect([32, 33, 64, 65, 128, 129, 256, 257].map(pushPullFactor)).toEqual([1, 2, 2, 3, 3, 4, 4, 5]);
});

test("without dynamic suspicion nobody is waited for", () => {
  expect(expectedConfirmations({ ...PROFILES.lan, hasDynamicSuspicion: false }, 100)).toBe(0);
});

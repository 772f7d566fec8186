import { expect, test } from "bun:test";
import fc from "fast-check";
import {
  DEFAULT_RULES,
  formatRate,
  NO_CLIENT_LIMITS,
  parseRate,
  perClient,
  RATE_PATTERN,
  serviceSpec,
} from "../../../src/model/index.ts";

test.each([
  ["20/s", { count: 20, perMs: 1000 }],
  ["600/m", { count: 600, perMs: 60_000 }],
  ["1000000/s", { count: 1_000_000, perMs: 1000 }],
  ["1000001/s", null],
  ["0/s", null],
  ["20", null],
  ["20/h", null],
  ["-1/s", null],
  ["1.5/s", null],
  [" 20/s", null],
])("parseRate(%j)", (text, rate) => {
  expect(parseRate(text)).toEqual(rate);
  if (rate !== null) expect(text).toMatch(new RegExp(RATE_PATTERN));
});

test("formatRate writes what parseRate reads", () => {
  const rates = fc.record({
    count: fc.integer({ min: 1, max: 1_000_000 }),
    perMs: fc.constantFrom(1000, 60_000),
  });
  fc.assert(fc.property(rates, (rate) => expect(parseRate(formatRate(rate))).toEqual(rate)));
});

test("limits that limit nothing are none", () => {
  const prefix = { ipv4: 24, ipv6: 48 };
  expect(perClient({ ...NO_CLIENT_LIMITS, prefix })).toEqual({});
  const limits = { ...NO_CLIENT_LIMITS, maxSessions: 1, prefix };
  expect(perClient(limits)).toEqual({ perClient: limits });
  const publish = [{ protocol: "tcp", published: 80, target: 80, mode: "ingress" }];
  const idle = { ...DEFAULT_RULES, publish, perClient: NO_CLIENT_LIMITS };
  expect(serviceSpec.parse(idle)).not.toHaveProperty("perClient");
});

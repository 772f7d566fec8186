import { describe, expect, test } from "bun:test";
import { ExchangeLimiter, type LimiterSlot } from "../../../src/sys/exchange-limiter.ts";

const OPTIONS = {
  maxAccepted: 4,
  maxBytes: 1_000,
  graceMs: 3_000,
  minBytesPerSec: 100,
  maxBytesPerSec: 10_000,
  freeBytes: 50,
};

function limiterWith() {
  const limiter = new ExchangeLimiter(OPTIONS);
  const ended: string[] = [];
  const open = (name: string, host: string, nowMs: number, isAccepted = true): LimiterSlot =>
    limiter.open({ host, isAccepted, onLimit: (reason) => ended.push(`${name} ${reason}`) }, nowMs);
  return { limiter, ended, open };
}

describe("connections", () => {
  test("one too many: the address with most loses its longest silent one", () => {
    const { limiter, ended, open } = limiterWith();
    open("node", "10.0.0.1", 0);
    const early = open("a", "10.9.9.9", 1);
    open("b", "10.9.9.9", 2);
    open("c", "10.9.9.9", 3);
    limiter.received(early, 1, 4);
    open("d", "10.9.9.9", 5);
    expect(ended).toEqual(["b too-many-connections"]);
    expect(limiter.accepted).toBe(4);
  });

  test("of an address each, the longest silent one", () => {
    const { ended, open } = limiterWith();
    for (let i = 0; i < 6; i++) open(`c${i}`, `10.0.0.${i}`, i);
    expect(ended).toEqual(["c0 too-many-connections", "c1 too-many-connections"]);
  });

  test("authenticated ones stay while there are others", () => {
    const { limiter, ended, open } = limiterWith();
    for (let i = 0; i < 3; i++) limiter.answering(open(`m${i}`, "10.0.0.1", i), 10, true, i);
    open("stranger", "10.9.9.9", 5);
    open("new", "10.8.8.8", 6);
    expect(ended).toEqual(["stranger too-many-connections"]);
  });

  test("dialed ones do not count and are not closed for them", () => {
    const { limiter, ended, open } = limiterWith();
    for (let i = 0; i < 10; i++) open(`dialed${i}`, "10.0.0.1", 0, false);
    for (let i = 0; i < 4; i++) open(`c${i}`, "10.0.0.2", 1);
    expect(ended).toEqual([]);
    expect(limiter.accepted).toBe(4);
  });

  test("closing twice counts once", () => {
    const { limiter, open } = limiterWith();
    const slot = open("a", "10.0.0.1", 0);
    limiter.received(slot, 10, 0);
    limiter.close(slot);
    limiter.close(slot);
    expect([limiter.accepted, limiter.heldBytes]).toEqual([0, 0]);
  });
});

describe("bytes", () => {
  test("too many of all together: the address that holds most gives way, its longest silent first", () => {
    const { limiter, ended, open } = limiterWith();
    const node = open("node", "10.0.0.1", 0);
    expect(limiter.received(node, 300, 0)).toBe(true);
    const [a, b] = [open("a", "10.9.9.9", 1), open("b", "10.9.9.9", 1, false)];
    limiter.received(a, 300, 10);
    limiter.received(b, 300, 20);
    expect(limiter.received(b, 200, 30)).toBe(true);
    expect(ended).toEqual(["a too-many-bytes"]);
    expect(limiter.heldBytes).toBe(800);
    expect(limiter.received(a, 1, 40)).toBe(false);
  });

  test("the one that asks for too much may be the one that ends", () => {
    const { limiter, ended, open } = limiterWith();
    const slot = open("a", "10.0.0.1", 0);
    expect(limiter.received(slot, 1_001, 0)).toBe(false);
    expect(ended).toEqual(["a too-many-bytes"]);
    expect(limiter.heldBytes).toBe(0);
  });

  test("an answer takes the place of what was received", () => {
    const { limiter, ended, open } = limiterWith();
    const slot = open("a", "10.0.0.1", 0);
    limiter.received(slot, 900, 0);
    expect(limiter.answering(slot, 950, false, 1)).toBe(true);
    expect(limiter.heldBytes).toBe(950);
    const other = open("b", "10.0.0.2", 2);
    limiter.answering(other, 100, false, 2);
    expect(ended).toEqual(["a too-many-bytes"]);
  });
});

describe("slow ones", () => {
  test("silence is forgiven for the grace only", () => {
    const { limiter, ended, open } = limiterWith();
    open("a", "10.0.0.1", 0);
    limiter.sweep(3_000);
    expect(ended).toEqual([]);
    limiter.sweep(3_001);
    expect(ended).toEqual(["a too-slow"]);
  });

  test("a trickle is measured on average, a fast one lives", () => {
    const { limiter, ended, open } = limiterWith();
    const [slow, fast] = [open("slow", "10.0.0.1", 0), open("fast", "10.0.0.2", 0)];
    for (let nowMs = 0; nowMs <= 6_000; nowMs += 1_000) {
      limiter.received(slow, 10, nowMs);
      limiter.received(fast, 100, nowMs);
      limiter.sweep(nowMs);
    }
    expect(ended).toEqual(["slow too-slow"]);
  });

  test("dialed ones may think before they answer, and no peer is hurried to take an answer", () => {
    const { limiter, ended, open } = limiterWith();
    const dialed = open("dialed", "10.0.0.1", 0, false);
    limiter.answering(open("answered", "10.0.0.2", 0), 100, false, 0);
    limiter.sweep(9_000);
    expect(ended).toEqual([]);
    limiter.received(dialed, 1, 9_000);
    for (let nowMs = 9_500; nowMs <= 12_500; nowMs += 500) limiter.sweep(nowMs);
    expect(ended).toEqual(["dialed too-slow"]);
  });

  test("while this process stood still, nobody was slow: what they have sent may be unread", () => {
    const { limiter, ended, open } = limiterWith();
    limiter.sweep(0);
    const slot = open("a", "10.0.0.1", 100);
    open("silent", "10.0.0.2", 100);
    limiter.sweep(500);
    limiter.sweep(9_000);
    limiter.received(slot, 200, 9_001);
    for (let nowMs = 9_500; nowMs <= 11_000; nowMs += 500) limiter.sweep(nowMs);
    expect(ended).toEqual([]);
    for (let nowMs = 11_500; nowMs <= 12_000; nowMs += 500) limiter.sweep(nowMs);
    expect(ended).toEqual(["silent too-slow"]);
  });
});

test("all together are read no faster than allowed, the first bytes of each excepted", () => {
  const { limiter, open } = limiterWith();
  const [a, b] = [open("a", "10.0.0.1", 0), open("b", "10.0.0.2", 0)];
  limiter.received(a, 400, 1_000);
  expect(limiter.pauseMs(a, 1_000)).toBe(0);
  limiter.received(a, 300, 1_000);
  limiter.received(a, 200, 1_000);
  expect(limiter.pauseMs(a, 1_000)).toBe(0);
  limiter.received(b, 50, 1_000);
  expect(limiter.pauseMs(b, 1_000)).toBe(0);
  limiter.close(a);
  const c = open("c", "10.0.0.3", 1_000);
  for (let i = 0; i < 3; i++) {
    limiter.received(c, 900, 1_000);
    limiter.answering(c, 0, false, 1_000);
  }
  expect(limiter.pauseMs(c, 1_000)).toBe(110);
  expect(limiter.pauseMs(c, 1_200)).toBe(0);
});

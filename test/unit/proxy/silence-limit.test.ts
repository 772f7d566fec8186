/** How long a node may be silent, by how far away it is. */
import { describe, expect, test } from "bun:test";
import { SilenceLimit } from "../../../src/proxy/tcp/relay/silence-limit.ts";

function limitAfter(isWan: boolean, ...rttsMs: number[]): number {
  const limit = new SilenceLimit(isWan);
  rttsMs.forEach((rttMs, i) => limit.onBeat(rttMs, i * 250));
  return limit.ms;
}

describe("on a LAN", () => {
  test("half a second, at first and of a node that is near", () => {
    expect(limitAfter(false)).toBe(500);
    expect(limitAfter(false, ...Array(20).fill(1))).toBe(500);
  });

  test("a node that turns out to be far away is known with its second beat", () => {
    expect(limitAfter(false, 600)).toBe(1000);
    expect(limitAfter(false, 600, 600)).toBe(600 + 4 * 300);
    expect(limitAfter(false, ...Array(60).fill(600))).toBe(800);
  });

  test("a node that was stopped does not make the limit longer for good", () => {
    expect(limitAfter(false, 1, 1, 1, 30_000, 1)).toBe(500);
  });

  test("jitter makes it longer, up to a ceiling", () => {
    const jitter = Array.from({ length: 100 }, (_, i) => (i % 2 === 0 ? 20 : 480));
    expect(limitAfter(false, ...jitter)).toBeGreaterThan(1000);
    const limit = new SilenceLimit(false);
    for (let i = 0; i < 20; i++) limit.onSilence();
    expect(limit.ms).toBe(3000);
  });
});

test("with profile wan, two seconds at least, and more until a node has been heard", () => {
  expect(limitAfter(true)).toBe(6000);
  expect(limitAfter(true, ...Array(60).fill(600))).toBe(2000);
  const near = limitAfter(true, ...Array(60).fill(1));
  expect(near).toBe(2000);
});

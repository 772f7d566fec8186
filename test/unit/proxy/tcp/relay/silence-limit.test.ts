/** How long a node may be silent, by how far away it is. */
import { describe, expect, test } from "bun:test";
import { SilenceLimit } from "../../../../../src/proxy/tcp/relay/silence-limit.ts";

function limitAfter(isWan: boolean, ...rttsMs: number[]): number {
  const limit = new SilenceLimit(isWan);
  rttsMs.forEach((rttMs, i) => limit.onBeat(rttMs, false, i * 250));
  return limit.ms;
}

describe("on a LAN", () => {
  test("half a second of a node that is near, and time for a second SYN until it has been heard", () => {
    expect(limitAfter(false)).toBe(1500);
    expect(limitAfter(false, ...Array(20).fill(1))).toBe(500);
  });

  test("a node that is far away is known with its first beat, or by the connection that it goes over", () => {
    expect(limitAfter(false, 600)).toBe(600 + 4 * 300);
    const limit = new SilenceLimit(false);
    limit.onConnected(0, 0);
    expect(limit.ms).toBe(1500);
    limit.onConnected(600, 0);
    expect(limit.ms).toBe(600 + 4 * 300);
    limit.onConnected(1, 250); // it has been measured
    expect(limit.ms).toBe(600 + 4 * 300);
    expect(limitAfter(false, 1, 600, 600)).toBeGreaterThan(600);
    expect(limitAfter(false, ...Array(60).fill(600))).toBe(800);
  });

  test("a node that was stopped does not make the limit longer for good", () => {
    expect(limitAfter(false, 1, 1, 1, 30_000, 1)).toBe(500);
  });

  test("beats that were sent again make it longer, up to a ceiling, and those in time shorter again", () => {
    const limit = new SilenceLimit(false);
    for (let i = 0; i < 8; i++) limit.onBeat(i % 2 === 0 ? 20 : 2_000, true, i * 500);
    expect(limit.ms).toBe(3000);
    for (let i = 0; i < 60; i++) limit.onBeat(20, false, 4_000 + i * 250);
    expect(limit.ms).toBe(500);
    limit.onBeat(60_000, true, 20_000); // a machine that was stopped
    for (let i = 0; i < 30; i++) limit.onBeat(20, false, 20_000 + i * 250);
    expect(limit.ms).toBe(500);
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

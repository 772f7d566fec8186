import { afterEach, expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { PipePool } from "../../../../../src/proxy/tcp/flow/pipe-pool.ts";
import type { PipeEnds } from "../../../../../src/sys/pipe.ts";
import { PLENTY } from "../../../../support/os/descriptor-plenty.ts";

const taken: [PipePool, PipeEnds][] = [];
afterEach(() => {
  for (const [pool, pipe] of taken.splice(0)) pool.discard(pipe);
});

function take(pool: PipePool, count: number): PipeEnds[] {
  return Array.from({ length: count }, () => pool.take()!);
}

function descriptors(): number {
  return readdirSync("/proc/self/fd").length;
}

test("PipePool hands out the pipe that came back last", () => {
  const pool = new PipePool(8, PLENTY);
  const [a, b] = take(pool, 2) as [PipeEnds, PipeEnds];
  pool.giveBack(a);
  pool.giveBack(b);
  expect(take(pool, 2)).toEqual([b, a]);
  taken.push([pool, a], [pool, b]);
});

test("PipePool opens no more than its limit, and again after one was discarded", () => {
  const pool = new PipePool(2, PLENTY);
  const [a, b] = take(pool, 2) as [PipeEnds, PipeEnds];
  expect(pool.take()).toBeNull();
  pool.discard(a);
  const [c] = take(pool, 1) as [PipeEnds];
  expect(pool.take()).toBeNull();
  pool.giveBack(b);
  expect(pool.take()).toBe(b);
  taken.push([pool, b], [pool, c]);
});

test("PipePool closes what comes back beyond a few", () => {
  const before = descriptors();
  const pool = new PipePool(100, PLENTY);
  const pipes = take(pool, 40);
  expect(descriptors()).toBe(before + 80);
  for (const pipe of pipes) pool.giveBack(pipe);
  const idle = (descriptors() - before) / 2;
  expect(idle).toBeGreaterThan(0);
  expect(idle).toBeLessThan(40);
  for (const pipe of take(pool, idle)) taken.push([pool, pipe]);
  expect(descriptors()).toBe(before + 2 * idle);
});

import { expect, test } from "bun:test";
import { BlockPool } from "../../../../../src/proxy/tcp/flow/block-pool.ts";
import { residentBytesOf } from "../../../../support/os/process-stats.ts";

const MEBIBYTE = 1024 * 1024;
const BLOCK_BYTES = 131_112; // no multiple of a page

test("BlockPool.discardFree returns the memory of free blocks, and leaves the others alone", () => {
  const pool = new BlockPool(BLOCK_BYTES);
  const blocks = Array.from({ length: 500 }, () => pool.take());
  for (const { arena, offset } of blocks) arena.bytes.fill(7, offset, offset + BLOCK_BYTES);
  const held = blocks.filter((_, index) => index % 10 === 0);
  for (const block of blocks) if (!held.includes(block)) pool.giveBack(block);
  const before = residentBytesOf(process.pid);
  pool.discardFree();
  expect(before - residentBytesOf(process.pid)).toBeGreaterThan(40 * MEBIBYTE);
  for (const { arena, offset } of held) {
    const bytes = arena.bytes.subarray(offset, offset + BLOCK_BYTES);
    expect(bytes.every((byte) => byte === 7)).toBe(true);
  }
});

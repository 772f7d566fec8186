import { read } from "bun:ffi";
import { expect, test } from "bun:test";
import { Arena } from "../../../src/sys/arena.ts";
import { SysError } from "../../../src/sys/errno.ts";

test("Arena hands out zeroed, aligned parts that do not overlap", () => {
  const arena = new Arena(4096);
  const sizes = [1, 64, 65, 28, 128];
  const offsets = sizes.map((size) => arena.take(size));
  expect(offsets).toEqual([0, 64, 128, 256, 320]);
  for (const [i, offset] of offsets.entries()) {
    expect(arena.bytes.subarray(offset, offset + sizes[i]!).every((byte) => byte === 0)).toBe(true);
    arena.bytes.fill(0xff, offset, offset + sizes[i]!);
  }
});

test("Arena can be used up to its last byte, and says when it is", () => {
  const arena = new Arena(100);
  expect(arena.take(64)).toBe(0);
  expect(() => arena.take(37)).toThrow(new RangeError("arena of 100 bytes is used up"));
  expect(arena.take(36)).toBe(64);
  expect(() => arena.take(1)).toThrow(RangeError);
});

test("Arena: its views and its addresses are the same memory", () => {
  const arena = new Arena(4096);
  const offset = arena.take(8);
  arena.view.setUint32(offset, 0x01020304, true);
  expect([...arena.bytes.subarray(offset, offset + 4)]).toEqual([4, 3, 2, 1]);
  expect(arena.int32[offset / 4]).toBe(0x01020304);
  expect(read.u32(arena.address(offset), 0)).toBe(0x01020304);
  expect(arena.address(100)).toBe((arena.base + 100) as never);
});

test("Arena: memory that the kernel does not give is an error with its code", () => {
  expect(() => new Arena(0)).toThrow(SysError);
});

test("Arena.discard zeroes the whole pages among the bytes and nothing beside them", () => {
  const arena = new Arena(8 * 65_536);
  arena.bytes.fill(7);
  arena.discard(100, 4 * 65_536);
  expect(arena.bytes.subarray(65_536, 4 * 65_536).every((byte) => byte === 0)).toBe(true);
  expect(arena.bytes.subarray(0, 101).every((byte) => byte === 7)).toBe(true);
  expect(arena.bytes.subarray(4 * 65_536 + 100).every((byte) => byte === 7)).toBe(true);
  arena.discard(5 * 65_536 + 1, 10); // no whole page
  expect(arena.bytes[5 * 65_536 + 1]).toBe(7);
});

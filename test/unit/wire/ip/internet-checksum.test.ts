import { expect, test } from "bun:test";
import fc from "fast-check";
import { foldSmall, sumBytes, sumHeader, swap } from "../../../../src/wire/ip/internet-checksum.ts";
import { slowSum } from "../../../support/overlay/plain-frames.ts";

/** Slow, of any sum. */
function fold(sum: number): number {
  while (sum > 0xffff) sum = (sum % 0x1_0000) + Math.floor(sum / 0x1_0000);
  return sum;
}

const MEMORY_BYTES = 131_072;

test("sums are those of RFC 1071, whatever the alignment", () => {
  const memory = new ArrayBuffer(MEMORY_BYTES);
  const bytes = new Uint8Array(memory);
  const words = new Int32Array(memory);
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 5000 }), fc.nat(70), (data, at) => {
      bytes.fill(0xee, 0, at + data.length + 8);
      bytes.set(data, at);
      const sum = sumBytes(bytes, words, at, data.length);
      // the same but for the order of bytes; all ones and zero are the same number
      expect(swap(sum) % 0xffff).toBe(slowSum(data) % 0xffff);
      if (data.length % 2 === 0) expect(fold(sumHeader(bytes, at, data.length)) % 0xffff).toBe(sum % 0xffff);
    }),
    { numRuns: 500 },
  );
});

test("64 KiB of ones do not overflow", () => {
  const memory = new ArrayBuffer(MEMORY_BYTES);
  const bytes = new Uint8Array(memory).fill(0xff);
  expect(sumBytes(bytes, new Int32Array(memory), 0, 65_536)).toBe(0xffff);
  expect(sumBytes(bytes, new Int32Array(memory), 1, 65_535)).toBe(0xff);
});

test("foldSmall is fold where it may be used", () => {
  fc.assert(
    fc.property(fc.nat(0x7fff_ffff), (sum) => {
      expect(foldSmall(sum)).toBe(fold(sum));
    }),
  );
});

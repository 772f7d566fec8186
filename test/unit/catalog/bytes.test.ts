import { expect, test } from "bun:test";
import fc from "fast-check";
import { ByteReader, ByteWriter } from "../../../src/catalog/bytes.ts";

test("varints: every number up to 2^53 - 1 comes back, in its shortest form", () => {
  fc.assert(
    fc.property(fc.maxSafeNat(), (value) => {
      const writer = new ByteWriter();
      writer.varint(value);
      expect(writer.length).toBe(Math.max(1, Math.ceil(value.toString(2).length / 7)));
      const reader = new ByteReader(writer.bytes());
      expect([reader.varint(), reader.isBroken, reader.remaining]).toEqual([value, false, 0]);
    }),
    { examples: [[0], [127], [128], [2 ** 32], [Number.MAX_SAFE_INTEGER]] },
  );
});

test.each([
  ["a longer form", [0x81, 0x00]],
  ["no end", [0x80, 0x80]],
  ["2^53", [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x10]],
  ["nine bytes", [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01]],
])("varints: %s is broken", (_what, bytes) => {
  const reader = new ByteReader(Uint8Array.from(bytes));
  expect([reader.varint(), reader.isBroken, reader.remaining]).toEqual([0, true, 0]);
});

test("texts, fingerprints and hashes come back from a writer that had to grow", () => {
  const writer = new ByteWriter();
  for (let index = 0; index < 300; index++) {
    writer.text("x".repeat(index));
    writer.fingerprint(2 ** 48 - 1 - index);
    writer.uint32(2 ** 32 - 1 - index);
  }
  const reader = new ByteReader(writer.bytes());
  for (let index = 0; index < 300; index++) {
    expect(reader.text(299).length).toBe(index);
    expect(reader.fingerprint()).toBe(2 ** 48 - 1 - index);
    expect(reader.uint32()).toBe(2 ** 32 - 1 - index);
  }
  expect([reader.isBroken, reader.remaining]).toEqual([false, 0]);
});

test("a text longer than allowed and a count larger than what is left are broken", () => {
  const writer = new ByteWriter();
  writer.text("abcd");
  expect(new ByteReader(writer.bytes()).text(4)).toBe("abcd");
  const tooLong = new ByteReader(writer.bytes());
  expect([tooLong.text(3), tooLong.isBroken]).toEqual(["", true]);
  const count = new ByteReader(Uint8Array.of(3, 0, 0, 0, 0, 0));
  expect([count.count(2), count.isBroken]).toEqual([0, true]);
});

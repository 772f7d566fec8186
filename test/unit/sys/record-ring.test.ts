import { describe, expect, test } from "bun:test";
import { createRing, RingReader, RingWriter } from "../../../src/sys/record-ring.ts";

const CAPACITY = 1024;

function ringOf(capacity = CAPACITY) {
  const shared = createRing(capacity);
  return { writer: new RingWriter(shared), reader: new RingReader(shared) };
}

/** Writes a record with its length and a number in each word; false: dropped. */
function write(writer: RingWriter, length: number, value: number): boolean {
  const at = writer.reserve(length);
  if (at < 0) return false;
  writer.bytes.fill(value, at, at + length);
  writer.commit();
  return true;
}

function readAll(reader: RingReader, max = Number.POSITIVE_INFINITY): number[] {
  const values: number[] = [];
  reader.take(max, (at) => values.push(reader.bytes[at]!));
  return values;
}

describe("record ring", () => {
  test("hands records over in order, each once", () => {
    const { writer, reader } = ringOf();
    for (const value of [1, 2, 3]) write(writer, 20, value);
    expect(readAll(reader)).toEqual([1, 2, 3]);
    expect(readAll(reader)).toEqual([]);
    expect(writer.usedBytes).toBe(0);
  });

  test("content begins where a float64 may be", () => {
    const { writer } = ringOf();
    for (const length of [1, 7, 8, 9, 100]) {
      expect(writer.reserve(length) % 8).toBe(0);
      writer.commit();
    }
  });

  test("a record that does not fit is dropped and counted, those before it stay", () => {
    const { writer, reader } = ringOf();
    let written = 0;
    while (write(writer, 100, written)) written++;
    expect(write(writer, 100, 99)).toBe(false);
    expect(readAll(reader)).toEqual(Array.from({ length: written }, (_, index) => index));
    expect([reader.takeDropped(), reader.takeDropped()]).toEqual([2, 0]);
    expect(write(writer, 100, 7)).toBe(true);
    expect(readAll(reader)).toEqual([7]);
  });

  test("what is reserved and not committed is not there", () => {
    const { writer, reader } = ringOf();
    writer.reserve(16);
    expect(readAll(reader)).toEqual([]);
    write(writer, 16, 5);
    expect(readAll(reader)).toEqual([5]);
  });

  test("the reader stops after so many and says that there are more", () => {
    const { writer, reader } = ringOf();
    for (let value = 0; value < 5; value++) write(writer, 8, value);
    expect(reader.take(3, () => {})).toBe(true);
    expect(readAll(reader)).toEqual([3, 4]);
    expect(reader.take(3, () => {})).toBe(false);
  });

  test("records of any length survive many turns around the ring", () => {
    const { writer, reader } = ringOf();
    const expected: number[] = [];
    const read: number[] = [];
    let seed = 1;
    for (let round = 0; round < 20_000; round++) {
      seed = (seed * 1_103_515_245 + 12_345) & 0x7fffffff;
      if (write(writer, 1 + ((seed >> 8) % 300), round & 0xff)) expected.push(round & 0xff);
      if (seed % 3 === 0) read.push(...readAll(reader, 1 + (seed % 5)));
    }
    read.push(...readAll(reader));
    expect(read).toEqual(expected);
    expect(expected.length).toBeGreaterThan(5_000);
  });

  test("positions pass 2^32", () => {
    const shared = createRing(CAPACITY);
    new Int32Array(shared).fill(-64, 0, 2); // 64 bytes before it
    const writer = new RingWriter(shared);
    const reader = new RingReader(shared);
    for (let value = 0; value < 10; value++) {
      expect(write(writer, 40, value)).toBe(true);
      expect(readAll(reader)).toEqual([value]);
    }
  });
});

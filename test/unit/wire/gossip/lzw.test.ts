import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { lzwDecompress } from "../../../../src/wire/gossip/lzw.ts";
import {
  ACK,
  ACK_LZW_WITH_CLEAR,
  ACK_LZW_WITHOUT_CLEAR,
  hex,
  latin1,
} from "../../../support/gossip/gossip-vectors.ts";
import { lzwCompress } from "../../../support/gossip/lzw-encoder.ts";
import { lzwOracle } from "../../../support/gossip/lzw-oracle.ts";
import { seededRandom } from "../../../support/random/seeded-random.ts";

const MIB = 2 ** 20;

function noise(bytes: number, values: number): Uint8Array {
  const random = seededRandom(bytes * values);
  return Uint8Array.from({ length: bytes }, () => Math.floor(random() * values));
}

/** Codes packed as on the wire; `width` as the reader of them will expect it. */
function pack(codes: readonly (readonly [code: number, width: number])[]): Uint8Array {
  const bits = codes.flatMap(([code, width]) => Array.from({ length: width }, (_, bit) => (code >> bit) & 1));
  const bytes = new Uint8Array(Math.ceil(bits.length / 8));
  bits.forEach((bit, index) => {
    bytes[index >> 3]! |= bit << (index & 7);
  });
  return bytes;
}

describe("vectors", () => {
  test("with and without a clear code in front", () => {
    expect(lzwDecompress(ACK_LZW_WITH_CLEAR, 100)).toEqual(ACK);
    expect(lzwDecompress(ACK_LZW_WITHOUT_CLEAR, 100)).toEqual(ACK);
    expect(lzwCompress(ACK).toHex()).toBe(ACK_LZW_WITH_CLEAR.toHex());
  });

  test("nothing", () => {
    expect(lzwCompress(new Uint8Array()).toHex()).toBe("000302"); // clear, end
    expect(lzwDecompress(hex("000302"), 100)).toEqual(new Uint8Array());
  });

  test("a code that is being defined by itself", () => {
    const compressed = lzwCompress(latin1("aaaaaaa"));
    expect(lzwDecompress(compressed, 100)).toEqual(latin1("aaaaaaa"));
    expect(compressed.length).toBe(7); // clear, a, aa, aaa, a, end
  });
});

describe("round trip", () => {
  test("any bytes, as the slow decoder reads them", () => {
    const input = fc.oneof(
      fc.uint8Array({ maxLength: 2000 }),
      fc.array(fc.constantFrom(0, 1, 2), { maxLength: 5000 }).map((values) => Uint8Array.from(values)),
    );
    fc.assert(
      fc.property(input, (bytes) => {
        const compressed = lzwCompress(bytes);
        expect(lzwDecompress(compressed, MIB)).toEqual(bytes);
        expect(lzwOracle(compressed)).toEqual([...bytes]);
      }),
    );
  });

  test.each([
    ["noise", 20_000, 256],
    ["few values", 60_000, 3],
    ["zeros", 300_000, 1],
  ])("more codes than the table has: %s", (_name, length, values) => {
    const bytes = noise(length, values);
    const compressed = lzwCompress(bytes);
    expect(lzwDecompress(compressed, MIB)).toEqual(bytes);
    expect(lzwOracle(compressed)).toEqual([...bytes]);
  });

  test("every length up to where codes get wider and the table is cleared", () => {
    const bytes = noise(4200, 256);
    for (const length of [...range(0, 520), ...range(750, 775), ...range(1780, 1800), ...range(3820, 3860)]) {
      const input = bytes.subarray(0, length);
      expect(lzwDecompress(lzwCompress(input), MIB)).toEqual(input);
    }
  });
});

describe("a table that is full and not cleared", () => {
  // As encoders other than Go's do: 3839 literals fill it, then codes go on at 12 bits.
  const literals = noise(4000, 256);
  const widthAt = (index: number) => [512, 1024, 2048].filter((limit) => 257 + index >= limit).length + 9;
  const codes = [...literals].map((code, index) => [code, widthAt(index)] as const);

  test("is used on", () => {
    const packed = pack([...codes, [4095, 12], [258, 12], [257, 12]]);
    const expected = [...literals, literals[3837]!, literals[3838]!, literals[0]!, literals[1]!];
    expect(lzwDecompress(packed, MIB)).toEqual(Uint8Array.from(expected));
    expect(lzwOracle(packed)).toEqual(expected);
  });

  test("is empty after a clear code", () => {
    const packed = pack([...codes, [256, 12], [7, 9], [258, 9], [257, 9]]);
    expect(lzwDecompress(packed, MIB)).toEqual(Uint8Array.of(...literals, 7, 7, 7));
    expect(lzwDecompress(pack([...codes, [256, 12], [7, 9], [259, 9], [257, 9]]), MIB)).toBe("damaged");
  });
});

describe("refused", () => {
  test.each([
    ["nothing", ""],
    ["no end code", "0005083a05254c1e366fc29001566a4a99384ede2408"],
    ["a code that is not defined yet", "00ff"],
    ["a string as the first code", "02f703"],
  ])("%s", (_name, bytes) => {
    expect(lzwDecompress(hex(bytes), 100)).toBe("damaged");
  });

  test("more than the cap, before it is made", () => {
    const bomb = lzwCompress(new Uint8Array(4 * MIB));
    expect(bomb.length).toBeLessThan(10_000);
    expect(lzwDecompress(bomb, MIB)).toBe("too-large");
    expect(lzwDecompress(bomb, 4 * MIB - 1)).toBe("too-large");
    expect(lzwDecompress(bomb, 4 * MIB)).toHaveLength(4 * MIB);
  });
});

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, index) => from + index);
}

import { expect, test } from "bun:test";
import { hkdfSync } from "node:crypto";
import fc from "fast-check";
import { Hkdf } from "../../../src/wire/index.ts";

function range(from: number, to: number): Uint8Array {
  return Uint8Array.from({ length: to - from }, (_, index) => from + index);
}

test.each([
  // RFC 5869, appendix A.1 to A.3
  [
    new Uint8Array(22).fill(0x0b),
    range(0, 13),
    range(0xf0, 0xfa),
    42,
    "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
  ],
  [
    range(0x00, 0x50),
    range(0x60, 0xb0),
    range(0xb0, 0x100),
    82,
    "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87",
  ],
  [
    new Uint8Array(22).fill(0x0b),
    new Uint8Array(),
    new Uint8Array(),
    42,
    "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8",
  ],
])("vector %#", (secret, salt, info, bytes, expected) => {
  expect(new Hkdf(secret, salt).expand(bytes, info).toHex()).toBe(expected);
  expect(new Hkdf(secret, salt).expand(bytes, info.subarray(0, 3), info.subarray(3)).toHex()).toBe(expected);
});

test("the same as node:crypto's, text as UTF-8, one object for several outputs", () => {
  const input = fc.tuple(
    fc.uint8Array({ minLength: 1 }),
    fc.string({ unit: "grapheme" }),
    fc.string(),
    fc.integer({ min: 1, max: 200 }),
  );
  fc.assert(
    fc.property(input, ([secret, salt, info, bytes]) => {
      const hkdf = new Hkdf(secret, salt);
      hkdf.expand(40, "something else");
      const expected = new Uint8Array(hkdfSync("sha256", secret, salt, info, bytes));
      expect(hkdf.expand(bytes, info)).toEqual(expected);
    }),
  );
});

import { expect, test } from "bun:test";
import { decodeWhole, encodeValue } from "../../../src/wire/index.ts";

test("encodeValue: a value that cannot be encoded does not affect the next one", () => {
  expect(() => encodeValue(["begun", () => {}])).toThrow("Unrecognized object");
  expect(Buffer.from(encodeValue([1, "two"])).toHex()).toBe("9201a374776f");
});

test("encodeValue: what was encoded before stays as it is", () => {
  const first = encodeValue("first");
  encodeValue("second");
  expect(decodeWhole(first)).toBe("first");
});

test("encodeValue: a value within another that is being encoded", () => {
  const outer = {
    get inner() {
      return encodeValue("inner");
    },
    last: 1,
  };
  const decoded = decodeWhole(encodeValue(outer)) as { inner: Uint8Array; last: number };
  expect(decodeWhole(decoded.inner)).toBe("inner");
  expect(decoded.last).toBe(1);
});

test("decodeWhole: a value that is refused half-way does not affect the next one", () => {
  const proto = Buffer.from("__proto__").toHex();
  expect(decodeWhole(Buffer.from(`92 81a178 81a9${proto} 01 02`.replaceAll(" ", ""), "hex"))).toBeUndefined();
  expect(decodeWhole(encodeValue([1, { a: 2 }]))).toEqual([1, { a: 2 }]);
});

/** Expected values pin the hashes: they decide where clients go, on every node and in every version. */
import { expect, test } from "bun:test";
import { hashClient, hashText } from "../../../../src/proxy/balance/index.ts";
import { parseIp } from "../../../../src/wire/index.ts";

function hashOf(text: string): number {
  const { family, bytes } = parseIp(text)!;
  return hashClient(family, Uint8Array.of(1, 2, 3, ...bytes, 4), 3);
}

test("hashClient of IPv4 is MurmurHash3_x86_32 of its 4 bytes, seed 0", () => {
  // Reference vectors: "test" and "\x21\x43\x65\x87".
  expect(hashClient(4, new TextEncoder().encode("test"), 0)).toBe(0xba6bd213);
  expect(hashClient(4, Uint8Array.of(0x21, 0x43, 0x65, 0x87), 0)).toBe(0xf55b516b);
});

test("hashClient of a v4-mapped address is that of the IPv4 address", () => {
  expect(hashOf("::ffff:192.0.2.1")).toBe(hashOf("192.0.2.1"));
  expect(hashOf("::192.0.2.1")).not.toBe(hashOf("192.0.2.1"));
});

test("hashClient differs for neighbouring addresses, in all words", () => {
  const texts = ["10.0.0.1", "10.0.0.2", "11.0.0.1", "::1", "::2", "::1:0:0:1", "0:0:1::1", "1::1", "2::1"];
  expect(new Set(texts.map(hashOf)).size).toBe(texts.length);
});

test("hashText spreads and is stable", () => {
  const names = Array.from({ length: 1000 }, (_, i) => `10.0.${i >> 8}.${i & 255}:8080`);
  expect(new Set(names.map(hashText)).size).toBe(1000);
  // Murmur3's fmix32 of 0xe40c292c, the FNV-1a of "a".
  expect(hashText("a")).toBe(444641715);
});

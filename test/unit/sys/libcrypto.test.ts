import { describe, expect, test } from "bun:test";
import { createCipheriv } from "node:crypto";
import fc from "fast-check";
import { libcrypto } from "../../support/overlay/gcm.ts";

const TAG_BYTES = 16;
const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
const text = fc.oneof(fc.uint8Array({ maxLength: 40 }), fc.uint8Array({ maxLength: 8192, size: "max" }));
const bound = fc.option(fc.uint8Array({ maxLength: 64 }));

/** Ciphertext and tag, by another implementation. */
function oracle(key: Uint8Array, nonce: Uint8Array, bound: Uint8Array | null, plaintext: Uint8Array): string {
  const cipher = createCipheriv("aes-256-gcm", key, nonce, { authTagLength: TAG_BYTES });
  if (bound !== null) cipher.setAAD(bound);
  return Buffer.concat([cipher.update(plaintext), cipher.final(), cipher.getAuthTag()]).toString("hex");
}

describe.skipIf(libcrypto === null)("Libcrypto", () => {
  const gcm = libcrypto!;

  function seal(key: Uint8Array, nonce: Uint8Array, bound: Uint8Array | null, ...parts: Uint8Array[]) {
    const sealing = gcm.startSeal(key, nonce, bound);
    const ciphertext = Buffer.concat(parts.map((part) => sealing.update(part).slice()));
    return { ciphertext, tag: sealing.tag().slice() };
  }

  test("seals as AES-256-GCM does, in one part or two, and opens what it has sealed", () => {
    fc.assert(
      fc.property(bytes(32), bytes(12), bound, text, fc.double({ min: 0, max: 1 }), (...given) => {
        const [key, nonce, bound, plaintext, share] = given;
        const cut = Math.floor(plaintext.length * (Number.isNaN(share) ? 0 : share));
        const { ciphertext, tag } = seal(
          key,
          nonce,
          bound,
          plaintext.subarray(0, cut),
          plaintext.subarray(cut),
        );
        expect(ciphertext.toHex() + tag.toHex()).toBe(oracle(key, nonce, bound, plaintext));
        expect(gcm.open(key, nonce, bound, ciphertext, tag)?.toHex()).toBe(plaintext.toHex());
      }),
    );
  });

  test("a key or a message that is done leaves nothing behind for the next one", () => {
    const [one, other] = [new Uint8Array(32).fill(1), new Uint8Array(32).fill(2)];
    const nonce = new Uint8Array(12);
    const text = new Uint8Array(100).fill(7);
    gcm.startSeal(one, nonce, text).update(text); // given up
    for (const key of [other, one, other]) {
      const { ciphertext, tag } = seal(key, nonce, null, text);
      expect(ciphertext.toHex() + tag.toHex()).toBe(oracle(key, nonce, null, text));
      expect(gcm.open(key === one ? other : one, nonce, null, ciphertext, tag)).toBe(null);
      expect(gcm.open(key, nonce, null, ciphertext, tag)?.toHex()).toBe(text.toHex());
    }
  });

  test("opens nothing of which any bit has changed", () => {
    const [key, nonce, head] = [new Uint8Array(32).fill(3), new Uint8Array(12), Uint8Array.of(1, 2)];
    const { ciphertext, tag } = seal(key, nonce, head, Uint8Array.of(1, 2, 3));
    const flip = (part: Uint8Array, bit: number) => part.with(bit >> 3, part[bit >> 3]! ^ (1 << (bit & 7)));
    for (let bit = 0; bit < 16; bit++) {
      expect(gcm.open(key, nonce, flip(head, bit), ciphertext, tag)).toBe(null);
      expect(gcm.open(key, nonce, head, flip(new Uint8Array(ciphertext), bit), tag)).toBe(null);
      expect(gcm.open(key, nonce, head, ciphertext, flip(tag, bit * 8))).toBe(null);
    }
    expect(gcm.open(key, nonce, null, ciphertext, tag)).toBe(null);
    for (const length of [0, 1, TAG_BYTES - 1])
      expect(gcm.open(key, nonce, head, ciphertext, tag.subarray(0, length))).toBe(null);
    expect(gcm.open(key, nonce.with(11, 1), head, ciphertext, tag)).toBe(null);
    expect(gcm.open(key, nonce, head, ciphertext, tag)).toEqual(Uint8Array.of(1, 2, 3));
  });

  test("takes messages of maxBytes and refuses longer ones", () => {
    const [key, nonce] = [new Uint8Array(32), new Uint8Array(12)];
    const longest = new Uint8Array(gcm.maxBytes).fill(9);
    const { ciphertext, tag } = seal(key, nonce, null, longest);
    expect(ciphertext.toHex() + tag.toHex()).toBe(oracle(key, nonce, null, longest));
    expect(() => seal(key, nonce, null, longest, Uint8Array.of(1))).toThrow(RangeError);
    expect(() => gcm.open(key, nonce, null, new Uint8Array(gcm.maxBytes + 1), tag)).toThrow(RangeError);
    expect(gcm.open(key, nonce, null, ciphertext, tag)?.toHex()).toBe(longest.toHex());
  });

  test("takes no other length of key and nonce", () => {
    const [key, nonce] = [new Uint8Array(32), new Uint8Array(12)];
    for (const length of [0, 16, 31, 33])
      expect(() => gcm.startSeal(new Uint8Array(length), nonce, null)).toThrow(RangeError);
    for (const length of [0, 11, 13])
      expect(() => gcm.startSeal(key, new Uint8Array(length), null)).toThrow(RangeError);
  });

  test("says whose it is", () => {
    expect(gcm.version).toMatch(/^\w+ \d+\.\d+/);
  });
});

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { type EncryptionVersion, open, seal } from "../../../../src/wire/gossip/encryption.ts";
import { Keyring } from "../../../../src/wire/gossip/index.ts";
import { hex, LEAVE, latin1 } from "../../../support/gossip/gossip-vectors.ts";

const KEY = hex("000102030405060708090a0b0c0d0e0f");
const NONCE = hex("101112131415161718191a1b");
const NONE = new Uint8Array();
const CIPHERTEXT = "c1ada7e97d20db4d7bbcf6bca9448a4c54dd00ee599a6a1bcba44d74c56970";
const RING = Keyring.of([KEY])!;

test.each<[string, EncryptionVersion, Uint8Array, string]>([
  ["version 1", 1, NONE, `01 101112131415161718191a1b ${CIPHERTEXT} cd3b438953886fc5f43ede90ad3f278b`],
  ["version 0", 0, NONE, `00 101112131415161718191a1b ${CIPHERTEXT}ac 8073a133bd80ce77e7d9fcb810e48693`],
  [
    "version 1 with additional data",
    1,
    latin1("lab"),
    `01 101112131415161718191a1b ${CIPHERTEXT} ad1c665082080b0b6e68317432b970a6`,
  ],
  [
    "version 1 behind a stream's header",
    1,
    hex("0a0000003c"),
    `01 101112131415161718191a1b ${CIPHERTEXT} 05bf501fa08daf10447a6473baff053a`,
  ],
])("vector: %s", (_name, version, additionalData, sealed) => {
  expect(seal(LEAVE, { key: KEY, nonce: NONCE, additionalData, version }).toHex()).toBe(hex(sealed).toHex());
  expect(open(hex(sealed), RING, additionalData)).toEqual(LEAVE);
});

describe("seal and open", () => {
  const keyBytes = fc.constantFrom(16, 24, 32);

  test("round trip with every key length, version and any additional data", () => {
    const version = fc.constantFrom<EncryptionVersion>(0, 1);
    fc.assert(
      fc.property(keyBytes, fc.uint8Array(), fc.uint8Array(), version, (length, plain, additionalData, v) => {
        const key = new Uint8Array(length).fill(length);
        const sealed = seal(plain, { key, nonce: NONCE, additionalData, version: v });
        expect(open(sealed, Keyring.of([KEY, key])!, additionalData)).toEqual(plain);
        const paddedBytes = v === 0 ? 16 * (Math.floor(plain.length / 16) + 1) : plain.length;
        expect(sealed.length).toBe(29 + paddedBytes);
      }),
    );
  });

  test("any changed byte but the version's own is refused", () => {
    const sealed = seal(LEAVE, { key: KEY, nonce: NONCE, additionalData: NONE });
    for (let at = 0; at < sealed.length; at++) {
      const forged = sealed.slice();
      forged[at]! ^= 0x10;
      expect(open(forged, RING, NONE)).toBeNull();
    }
    expect(open(sealed, RING, latin1("other"))).toBeNull();
    expect(open(sealed, Keyring.of([new Uint8Array(16)])!, NONE)).toBeNull();
  });

  test("too short, or of another version, is refused", () => {
    const sealed = seal(NONE, { key: KEY, nonce: NONCE, additionalData: NONE });
    expect(sealed).toHaveLength(29);
    expect(open(sealed, RING, NONE)).toEqual(NONE);
    for (let end = 0; end < sealed.length; end++)
      expect(open(sealed.subarray(0, end), RING, NONE)).toBeNull();
    expect(open(Uint8Array.of(2, ...sealed.subarray(1)), RING, NONE)).toBeNull();
  });

  test("version 1 passed off as version 0 is refused for its padding", () => {
    const plain = new Uint8Array(32).fill(17);
    const sealed = seal(plain, { key: KEY, nonce: NONCE, additionalData: NONE });
    expect(open(sealed, RING, NONE)).toEqual(plain);
    sealed[0] = 0;
    expect(open(sealed, RING, NONE)).toBeNull();
  });
});

describe("keyring", () => {
  const [a, b, c] = [1, 2, 3].map((n) => new Uint8Array(32).fill(n)) as [Uint8Array, Uint8Array, Uint8Array];

  test("takes keys of 16, 24 and 32 bytes, and at least one", () => {
    expect(Keyring.of([])).toBeNull();
    for (const length of [0, 15, 17, 31, 33]) expect(Keyring.of([a, new Uint8Array(length)])).toBeNull();
    for (const length of [16, 24, 32]) expect(Keyring.of([new Uint8Array(length)])).not.toBeNull();
  });

  test("rotates without ever changing", () => {
    const first = Keyring.of([a, a])!;
    const both = first.adding(b)!;
    const turned = both.using(b)!;
    const last = turned.without(a)!;
    expect([first, both, turned, last].map(({ keys }) => keys)).toEqual([[a], [a, b], [b, a], [b]]);
    expect(turned.primary).toEqual(b);
    expect(both.adding(b)!.keys).toEqual([a, b]);
  });

  test("refuses to use what it has not, and to lose what it uses", () => {
    const ring = Keyring.of([a, b])!;
    expect(ring.using(c)).toBeNull();
    expect(ring.without(a)).toBeNull();
    expect(ring.without(c)).toBeNull();
    expect(ring.adding(new Uint8Array(5))).toBeNull();
  });

  test("keeps its own copies", () => {
    const key = Buffer.from(a);
    const ring = Keyring.of([key])!;
    key.fill(9);
    expect(ring.primary).toEqual(a);
  });

  test("opens with any key, seals with the first", () => {
    const sealed = seal(LEAVE, { key: b, nonce: NONCE, additionalData: NONE });
    expect(open(sealed, Keyring.of([a, b])!, NONE)).toEqual(LEAVE);
    expect(open(sealed, Keyring.of([a, c])!, NONE)).toBeNull();
  });
});

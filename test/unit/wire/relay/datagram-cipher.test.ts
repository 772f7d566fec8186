import { describe, expect, test } from "bun:test";
import { hkdfSync } from "node:crypto";
import fc from "fast-check";
import {
  DatagramCipher,
  deriveSealedRelayKeys,
  PairSecret,
  RELAY_DATA,
  RELAY_ENCRYPTED,
  RELAY_OPEN,
  SEALED_BYTES,
  SEALED_HEAD_BYTES,
  writeSealedHead,
} from "../../../../src/wire/index.ts";
import { GCM, GCMS } from "../../../support/overlay/gcm.ts";

const KEY = Uint8Array.from({ length: 32 }, (_, index) => index);
const RELAY_ID = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8);

/** Header and data apart from each other, as they are sent; in one piece, as they come. */
function sealed(
  cipher: DatagramCipher,
  header: Uint8Array,
  data: Uint8Array,
  counter = 5,
  at = 0,
): Uint8Array {
  const dataAt = at + SEALED_BYTES + header.length + 20;
  const bytes = new Uint8Array(dataAt + data.length);
  const type = header.length > 0 ? RELAY_OPEN : RELAY_DATA;
  writeSealedHead(type, RELAY_ID, header.length, counter, 9, bytes, at, RELAY_ENCRYPTED);
  bytes.set(header, at + SEALED_BYTES);
  bytes.set(data, dataAt);
  cipher.seal(bytes, at, header.length, dataAt, data.length);
  return Uint8Array.of(...bytes.subarray(at, at + SEALED_BYTES + header.length), ...bytes.subarray(dataAt));
}

describe.each(GCMS)("DatagramCipher %s", (_, gcm) => {
  test("opens what it has sealed, wherever it is", () => {
    const bytes = fc.uint8Array({ maxLength: 100 });
    fc.assert(
      fc.property(
        bytes,
        bytes,
        fc.integer({ min: 1, max: 2 ** 53 - 1 }),
        fc.nat(30),
        (header, data, counter, at) => {
          const datagram = sealed(new DatagramCipher(KEY, gcm), header, data, counter, at);
          const around = Uint8Array.of(...new Uint8Array(at), ...datagram, 7);
          expect(new DatagramCipher(KEY, gcm).open(around, at, datagram.length)).toBe(true);
          const plain = around.subarray(at + SEALED_BYTES, at + datagram.length);
          expect(plain.toHex()).toBe(Uint8Array.of(...header, ...data).toHex());
          expect(around.at(-1)).toBe(7);
        },
      ),
    );
  });

  test("seals as AES-256-GCM does: the counter is the nonce, the head is beside it", async () => {
    const plain = Buffer.from("header and data");
    const datagram = sealed(
      new DatagramCipher(KEY, gcm),
      plain.subarray(0, 6),
      plain.subarray(6),
      2 ** 40 + 3,
    );
    const key = await crypto.subtle.importKey("raw", KEY, "AES-GCM", false, ["encrypt"]);
    const iv = new Uint8Array(12);
    new DataView(iv.buffer).setBigUint64(4, 2n ** 40n + 3n);
    const additionalData = datagram.slice(0, SEALED_HEAD_BYTES);
    const options = { name: "AES-GCM", iv, additionalData: new Uint8Array(additionalData) };
    const expected = new Uint8Array(await crypto.subtle.encrypt(options, key, plain));
    expect(datagram.subarray(SEALED_BYTES).toHex()).toBe(expected.subarray(0, plain.length).toHex());
    expect(datagram.subarray(SEALED_HEAD_BYTES, SEALED_BYTES).toHex()).toBe(
      expected.subarray(plain.length).toHex(),
    );
  });

  test("refuses a datagram of which any bit has changed, and leaves it as it is", () => {
    const datagram = sealed(new DatagramCipher(KEY, gcm), Uint8Array.of(1), Uint8Array.of(2, 3));
    for (let bit = 0; bit < datagram.length * 8; bit++) {
      const changed = datagram.with(bit >> 3, datagram[bit >> 3]! ^ (1 << (bit & 7)));
      const before = changed.toHex();
      expect(new DatagramCipher(KEY, gcm).open(changed, 0, changed.length)).toBe(false);
      expect(changed.toHex()).toBe(before);
    }
    expect(new DatagramCipher(KEY.with(0, 9), gcm).open(datagram, 0, datagram.length)).toBe(false);
    expect(new DatagramCipher(KEY, gcm).open(datagram, 0, datagram.length - 1)).toBe(false);
  });
});

describe("deriveSealedRelayKeys", () => {
  const [relayKey, secret] = [new Uint8Array(32).fill(0x5a), new Uint8Array(32).fill(0x17)];
  const exchange = {
    relayId: RELAY_ID,
    nonce: new Uint8Array(16).fill(1),
    entryPublicKey: new Uint8Array(32).fill(2),
    exitPublicKey: new Uint8Array(32).fill(3),
  };

  function datagram(seal: { seal: DatagramCipher["seal"] }): string {
    const bytes = new Uint8Array(SEALED_BYTES + 1);
    writeSealedHead(RELAY_DATA, RELAY_ID, 0, 1, 9, bytes, 0, RELAY_ENCRYPTED);
    seal.seal(bytes, 0, 0, SEALED_BYTES, 1);
    return bytes.toHex();
  }

  function toExit(other: Partial<typeof exchange> = {}, key = relayKey, shared = secret): string {
    return datagram(
      deriveSealedRelayKeys(key, new PairSecret(key, shared, GCM), { ...exchange, ...other }).toExit,
    );
  }

  test("makes keys as HKDF does, one for each direction", () => {
    const keys = deriveSealedRelayKeys(relayKey, new PairSecret(relayKey, secret, GCM), exchange);
    for (const [label, seal] of [
      ["to exit", keys.toExit],
      ["to entry", keys.toEntry],
    ] as const) {
      const said = [exchange.relayId, exchange.nonce, exchange.entryPublicKey, exchange.exitPublicKey];
      const info = Buffer.concat([Buffer.from(`portmesh sealed udp relay ${label}\0`), ...said]);
      const key = new Uint8Array(hkdfSync("sha256", secret, relayKey, info, 32));
      expect(datagram(seal)).toBe(datagram(new DatagramCipher(key, GCM)));
    }
  });

  test("everything that was said, the relay key and the secret count", () => {
    const others = [
      toExit(),
      toExit({ relayId: RELAY_ID.with(0, 0) }),
      toExit({ nonce: exchange.nonce.with(0, 0) }),
      toExit({ entryPublicKey: exchange.exitPublicKey, exitPublicKey: exchange.entryPublicKey }),
      toExit({}, relayKey.with(0, 0)),
      toExit({}, relayKey, secret.with(0, 0)),
    ];
    expect(new Set(others).size).toBe(others.length);
  });
});

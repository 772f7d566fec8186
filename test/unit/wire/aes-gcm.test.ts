import { expect, test } from "bun:test";
import { Libcrypto } from "../../../src/sys/libcrypto.ts";
import { Gcm } from "../../../src/wire/index.ts";

const KEY = new Uint8Array(32);
const NONCE = new Uint8Array(12);

function sealWith(gcm: Gcm, bytes: number): Uint8Array {
  return gcm.for(bytes).startSeal(KEY, NONCE, null).update(new Uint8Array(bytes));
}

test.each([2048, 16_384, 65_536])("Gcm.release frees the memory of a message of %d bytes", (bytes) => {
  const gcm = new Gcm(null);
  const sealed = sealWith(gcm, bytes);
  const { buffer } = sealed;
  gcm.release(sealed);
  expect([sealed.length, buffer.byteLength]).toEqual([0, 0]);
});

test("Gcm.release does not touch short messages, nor memory that holds anything else", () => {
  const gcm = new Gcm(Libcrypto.open());
  const part = new Uint8Array(10_000).fill(1).subarray(0, 9000);
  for (const message of [sealWith(new Gcm(null), 100), sealWith(gcm, 4096), part]) {
    const { length } = message;
    gcm.release(message);
    expect(message).toHaveLength(length);
  }
  expect(sealWith(gcm, 4096)).toHaveLength(4096);
});

import { expect, test } from "bun:test";
import { createHmac } from "node:crypto";
import { relayKeys } from "../../../../src/node/facts/relay-keys.ts";

const KEY = Buffer.alloc(32, 7).toString("base64");
const OTHER = Buffer.alloc(32, 8).toString("base64");

test("they are HKDF-SHA-256 of the cluster's key with its name as salt", () => {
  // RFC 5869, written out: one block of output is enough for 32 bytes
  const extracted = createHmac("sha256", "prod").update(Buffer.alloc(32, 7)).digest();
  const expanded = createHmac("sha256", extracted).update("portmesh relay\x01").digest("hex");
  expect(relayKeys([KEY], "prod")).toEqual([expanded]);
});

test("the order is that of the cluster's keys: the first signs", () => {
  const [one, other] = relayKeys([KEY, OTHER], "prod");
  expect(relayKeys([OTHER, KEY], "prod")).toEqual([other!, one!]);
});

test("other keys, other names and no key at all have nothing in common", () => {
  const keys = [
    ...relayKeys([KEY, OTHER], "prod"),
    ...relayKeys([KEY], "test"),
    ...relayKeys([], "prod"),
    ...relayKeys([], "test"),
  ];
  expect(new Set(keys).size).toBe(5);
  for (const key of keys) expect(key).toMatch(/^[0-9a-f]{64}$/);
});

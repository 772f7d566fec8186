import { expect, test } from "bun:test";
import { NodeKeys } from "../../../../src/node/overlay/node-keys.ts";

const KEYS = [Buffer.alloc(32, 1).toString("base64"), Buffer.alloc(32, 2).toString("base64")];

test("two nodes find the same secrets, one for each key of the cluster", () => {
  const [a, b] = [new NodeKeys(), new NodeKeys()];
  const secrets = a.secretsWith(b.publicKey, KEYS, "prod")!;
  expect(b.secretsWith(a.publicKey, KEYS, "prod")).toEqual(secrets);
  expect(new Set(secrets).size).toBe(2);
  for (const secret of secrets) expect(secret).toMatch(/^[0-9a-f]{64}$/);
  expect(b.secretsWith(a.publicKey, KEYS.toReversed(), "prod")).toEqual(secrets.toReversed());
});

test("another node, another start, another cluster key or name: other secrets", () => {
  const [a, b, c] = [new NodeKeys(), new NodeKeys(), new NodeKeys()];
  const first = a.secretsWith(b.publicKey, KEYS, "prod")!;
  const others = [
    a.secretsWith(c.publicKey, KEYS, "prod"),
    c.secretsWith(b.publicKey, KEYS, "prod"),
    a.secretsWith(b.publicKey, [Buffer.alloc(32, 3).toString("base64")], "prod"),
    a.secretsWith(b.publicKey, KEYS, "test"),
  ];
  for (const secrets of others) expect(secrets!.some((secret) => first.includes(secret))).toBe(false);
});

test("a public key that makes the secret known to everybody is refused", () => {
  expect(new NodeKeys().secretsWith("00".repeat(32), KEYS, "prod")).toBeNull();
});

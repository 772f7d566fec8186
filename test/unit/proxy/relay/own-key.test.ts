import { expect, test } from "bun:test";
import { OwnKey, OwnKeys } from "../../../../src/proxy/relay/own-key.ts";
import { KeyPair } from "../../../../src/sys/key-pair.ts";
import { GREETING_BYTES, HELLO_BYTES, RECORD_STREAM } from "../../../../src/wire/index.ts";
import { GCM } from "../../../support/overlay/gcm.ts";

const RELAY_KEY = new Uint8Array(32).fill(1);
const HOUR_MS = 3_600_000;

test("two key pairs agree, and no third key with them", () => {
  const [one, two, third] = [new KeyPair(), new KeyPair(), new KeyPair()];
  expect(one.publicKey).toHaveLength(32);
  expect(one.agree(two.publicKey)!).toEqual(two.agree(one.publicKey)!);
  expect(one.agree(third.publicKey)!).not.toEqual(one.agree(two.publicKey)!);
});

test("a key whose secret all would know, or that is none, has no secret", () => {
  const pair = new KeyPair();
  expect(pair.agree(new Uint8Array(32))).toBe(null);
  expect(pair.agree(new Uint8Array(32).with(0, 1))).toBe(null);
  expect(pair.agree(new Uint8Array(31))).toBe(null);
});

test("what two workers share opens what one of them seals, for each relay key another", () => {
  const [entry, exit] = [new OwnKey(GCM), new OwnKey(GCM)];
  const [greeting, hello] = [new Uint8Array(GREETING_BYTES), new Uint8Array(HELLO_BYTES)];
  const keysAt = (exitRelayKey: Uint8Array) => [
    entry.secretWith(exit.publicKey, RELAY_KEY)!.keysFor("entry", "exit", greeting, hello),
    exit.secretWith(entry.publicKey, exitRelayKey)!.keysFor("exit", "exit", greeting, hello),
  ];
  for (const relayKey of [RELAY_KEY, RELAY_KEY.with(0, 2)]) {
    const [sending, receiving] = keysAt(relayKey);
    const record = new Uint8Array(21);
    sending!.sealer.seal(RECORD_STREAM, Uint8Array.of(1), 0, 1, record, 0);
    const isOpen = receiving!.opener.open(record, 0, 21, new Uint8Array(1), 0);
    expect(isOpen).toBe(relayKey === RELAY_KEY);
  }
});

test("a secret is made once, and their number is bounded", () => {
  const own = new OwnKey(GCM);
  const { publicKey } = new KeyPair();
  const first = own.secretWith(publicKey, RELAY_KEY);
  expect(own.secretWith(publicKey, RELAY_KEY)).toBe(first!);
  for (let i = 0; i < 4_096; i++)
    own.secretWith(
      publicKey,
      new Uint8Array(32)
        .with(0, i)
        .with(1, i >> 8)
        .with(2, 9),
    );
  expect(own.secretWith(publicKey, RELAY_KEY)).not.toBe(first!);
});

test("a worker's key is made when it is needed and replaced after an hour; the old one still works", () => {
  const keys = new OwnKeys();
  const first = keys.current(5);
  expect(keys.current(5 + HOUR_MS - 1)).toBe(first);
  const second = keys.current(5 + HOUR_MS);
  expect(second.publicKey).not.toEqual(first.publicKey);
  expect(first.secretWith(second.publicKey, RELAY_KEY)).not.toBe(null);
});

import { describe, expect, test } from "bun:test";
import { hkdfSync } from "node:crypto";
import {
  GREETING_BYTES,
  greetingChallenge,
  greetingPublicKey,
  HELLO_BYTES,
  HelloProver,
  helloPublicKey,
  PairSecret,
  RECORD_STREAM,
  RELAY_SEALED,
  type RecordKeys,
  RecordOpener,
  writeGreeting,
} from "../../../../src/wire/index.ts";
import { GCM } from "../../../support/overlay/gcm.ts";

const RELAY_KEY = new Uint8Array(32).fill(0x5a);
const SECRET = new Uint8Array(32).fill(0x17);
const EXIT = "exit-1";
const NONCE = Uint8Array.from({ length: 16 }, (_, index) => index);
const PUBLIC_KEY = new Uint8Array(32).fill(0xcd);

function greeting(challenge = 0x11): Uint8Array {
  const out = new Uint8Array(GREETING_BYTES);
  writeGreeting(new Uint8Array(16).fill(challenge), new Uint8Array(32).fill(0xab), out, 0);
  return out;
}

function hello(prover = new HelloProver(RELAY_KEY, EXIT), answered = greeting()): Uint8Array {
  const out = new Uint8Array(HELLO_BYTES);
  expect(prover.write(answered, NONCE, PUBLIC_KEY, out, 0)).toBe(HELLO_BYTES);
  return out;
}

test("a greeting: version, challenge, public key", () => {
  expect(greeting().toHex()).toBe(`02${"11".repeat(16)}${"ab".repeat(32)}`);
  expect(greetingChallenge(greeting()).toHex()).toBe("11".repeat(16));
  expect(greetingPublicKey(greeting()).toHex()).toBe("ab".repeat(32));
});

describe("HelloProver", () => {
  test("writes type, nonce, public key and proof", () => {
    const written = hello();
    expect(written[0]).toBe(RELAY_SEALED);
    expect(written.subarray(1, 17)).toEqual(NONCE);
    expect(helloPublicKey(written, 0)).toEqual(PUBLIC_KEY);
    const proof = new Bun.CryptoHasher("sha256", RELAY_KEY)
      .update(`portmesh sealed tcp relay\0${EXIT}\0`)
      .update(greeting())
      .update(written.subarray(0, 49))
      .digest("hex");
    expect(written.subarray(49).toHex()).toBe(proof.slice(0, 32));
  });

  test("knows its own again, at any place", () => {
    const around = new Uint8Array(HELLO_BYTES + 9);
    around.set(hello(), 5);
    expect(new HelloProver(RELAY_KEY, EXIT).isProved(greeting(), around, 5)).toBe(true);
  });

  test("refuses one with any bit changed, of another greeting, key, or exit node", () => {
    const [prover, written] = [new HelloProver(RELAY_KEY, EXIT), hello()];
    for (let bit = 0; bit < HELLO_BYTES * 8; bit++) {
      const changed = written.with(bit >> 3, written[bit >> 3]! ^ (1 << (bit & 7)));
      expect(prover.isProved(greeting(), changed, 0)).toBe(false);
    }
    for (let bit = 0; bit < GREETING_BYTES * 8; bit++) {
      const other = greeting().with(bit >> 3, greeting()[bit >> 3]! ^ (1 << (bit & 7)));
      expect(prover.isProved(other, written, 0)).toBe(false);
    }
    expect(new HelloProver(RELAY_KEY.with(0, 1), EXIT).isProved(greeting(), written, 0)).toBe(false);
    expect(new HelloProver(RELAY_KEY, "exit-2").isProved(greeting(), written, 0)).toBe(false);
  });
});

describe("PairSecret", () => {
  /** What the sealer seals is opened by a key that HKDF makes. */
  function isKeyOf({ sealer }: RecordKeys, label: string): boolean {
    const info = Buffer.concat([
      Buffer.from(`portmesh sealed tcp relay ${label}\0${EXIT}\0`),
      greeting(),
      hello(),
    ]);
    const key = new Uint8Array(hkdfSync("sha256", SECRET, RELAY_KEY, info, 32));
    const record = new Uint8Array(21);
    sealer.seal(RECORD_STREAM, Uint8Array.of(1), 0, 1, record, 0);
    return new RecordOpener(key, GCM).open(record, 0, 21, new Uint8Array(1), 0);
  }

  function keys(
    side: "entry" | "exit",
    { relayKey = RELAY_KEY, secret = SECRET, to = EXIT, challenge = 0x11 } = {},
  ) {
    return new PairSecret(relayKey, secret, GCM).keysFor(side, to, greeting(challenge), hello());
  }

  function opens(from: RecordKeys, to: RecordKeys): boolean {
    const record = new Uint8Array(21);
    from.sealer.seal(RECORD_STREAM, Uint8Array.of(1), 0, 1, record, 0);
    return to.opener.open(record, 0, 21, new Uint8Array(1), 0);
  }

  test("makes keys as HKDF does, one for each direction", () => {
    expect(isKeyOf(keys("entry"), "to exit")).toBe(true);
    expect(isKeyOf(keys("exit"), "to entry")).toBe(true);
    expect(isKeyOf(keys("exit"), "to exit")).toBe(false);
  });

  test("both sides open what the other seals, and not what they have sealed themselves", () => {
    expect([opens(keys("entry"), keys("exit")), opens(keys("exit"), keys("entry"))]).toEqual([true, true]);
    expect([opens(keys("entry"), keys("entry")), opens(keys("exit"), keys("exit"))]).toEqual([false, false]);
  });

  test("it does not open with another relay key, secret, exit node or greeting", () => {
    const others = [
      { relayKey: RELAY_KEY.with(3, 0) },
      { secret: SECRET.with(3, 0) },
      { to: "exit-2" },
      { challenge: 0x12 },
    ];
    for (const other of others) expect(opens(keys("entry"), keys("exit", other))).toBe(false);
  });
});

import { describe, expect, test } from "bun:test";
import { createHmac } from "node:crypto";
import fc from "fast-check";
import {
  decodeRelayDatagram,
  deriveClearRelayKeys,
  ERROR_MALFORMED,
  errorCodeOf,
  HandshakeTagger,
  isReadyTag,
  PROOF_AT,
  RELAY_CHALLENGE,
  RELAY_CLOSE,
  RELAY_CONFIRM,
  RELAY_DATA,
  RELAY_ENCRYPTED,
  RELAY_ERROR,
  RELAY_HELLO,
  RELAY_OPEN,
  RELAY_OPENED,
  RELAY_PING,
  RELAY_PONG,
  RELAY_READY,
  RELAY_RESET,
  RelayDatagram,
  relayIdMatches,
  relayIdOf,
  SEALED_BYTES,
  SECOND_TAG_AT,
  Tagger,
  writeHandshake,
  writeReadyTag,
  writeSealedHead,
} from "../../../../src/wire/index.ts";

const RELAY_ID = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 0xf8);
const NAME = new TextEncoder().encode("edge-1");
const NONE = new Uint8Array(0);

function decode(bytes: Uint8Array, at = 0, length = bytes.length - at): RelayDatagram | null {
  const datagram = new RelayDatagram();
  return decodeRelayDatagram(bytes, at, length, datagram) ? datagram : null;
}

function handshake(type: number, name: Uint8Array = NONE): Uint8Array {
  const out = new Uint8Array(400);
  return out.subarray(0, writeHandshake(type, RELAY_ID, name, out, 0));
}

interface Sealed {
  readonly counter?: number;
  readonly session?: number;
  readonly header?: string;
  readonly data?: string | readonly number[];
}

function sealed(type: number, { counter = 1, session = 7, header = "", data = "" }: Sealed = {}): Uint8Array {
  const rest = Buffer.concat([
    Buffer.from(header),
    typeof data === "string" ? Buffer.from(data) : Buffer.from(data),
  ]);
  const bytes = new Uint8Array(SEALED_BYTES + rest.length);
  writeSealedHead(type, RELAY_ID, header.length, counter, session, bytes, 0);
  bytes.set(rest, SEALED_BYTES);
  return bytes;
}

describe("handshake datagrams", () => {
  test.each([
    [
      "HELLO",
      RELAY_HELLO,
      NAME,
      `01010006010203040506 07f8${"00".repeat(16)}${Buffer.from(NAME).toString("hex")}`,
    ],
    ["CHALLENGE", RELAY_CHALLENGE, NONE, `0201000001020304050607f8${"00".repeat(16)}`],
    [
      "CONFIRM",
      RELAY_CONFIRM,
      NAME,
      `0301000601020304050607f8${"00".repeat(32)}${Buffer.from(NAME).toString("hex")}`,
    ],
    ["READY", RELAY_READY, NONE, `0401000001020304050607f8${"00".repeat(32)}`],
    ["RESET", RELAY_RESET, NONE, "0501000001020304050607f8"],
  ])("%s has these bytes and is read back", (_, type, name, hex) => {
    const bytes = handshake(type, name);
    expect(bytes.toHex()).toBe(hex.replace(" ", ""));
    const datagram = decode(bytes)!;
    expect(datagram).toMatchObject({
      type,
      isSealed: false,
      relayIdHigh: 0x01020304,
      relayIdLow: 0x050607f8,
    });
    expect(bytes.slice(datagram.headerAt, datagram.headerAt + datagram.headerLength)).toEqual(name);
    expect(relayIdOf(bytes, 0)).toEqual(RELAY_ID);
    expect(relayIdMatches(bytes, datagram, RELAY_ID)).toBe(true);
    expect(relayIdMatches(bytes, datagram, RELAY_ID.toReversed())).toBe(false);
  });

  test("no reply to an unknown sender is longer than the request", () => {
    const shortest = Uint8Array.of(65);
    expect(handshake(RELAY_CHALLENGE).length).toBeLessThanOrEqual(handshake(RELAY_HELLO, shortest).length);
    expect(handshake(RELAY_READY).length).toBeLessThanOrEqual(handshake(RELAY_CONFIRM, shortest).length);
    expect(handshake(RELAY_RESET).length).toBeLessThanOrEqual(SEALED_BYTES);
  });

  test.each([
    ["too short for a relay id", handshake(RELAY_RESET).subarray(0, 11)],
    ["empty", NONE],
    ["of type 0", handshake(RELAY_RESET).with(0, 0)],
    ["of an unknown type", sealed(RELAY_PING, { session: 0 }).with(0, 13)],
    ["of another version", handshake(RELAY_RESET).with(1, 3)],
    ["of version 0", handshake(RELAY_RESET).with(1, 0)],
    ["an encrypted HELLO with a name", handshake(RELAY_HELLO, NAME).with(1, RELAY_ENCRYPTED)],
    ["an encrypted READY without a public key", handshake(RELAY_READY).with(1, RELAY_ENCRYPTED)],
    ["a HELLO without a name", handshake(RELAY_HELLO)],
    ["a HELLO with 256 bytes of name", handshake(RELAY_HELLO, new Uint8Array(256))],
    ["a HELLO that is cut short", handshake(RELAY_HELLO, NAME).subarray(0, 33)],
    ["a HELLO with a byte more", Uint8Array.of(...handshake(RELAY_HELLO, NAME), 0)],
    ["a CONFIRM without a name", handshake(RELAY_CONFIRM)],
    ["a CHALLENGE with a name", handshake(RELAY_CHALLENGE, NAME)],
    ["a CHALLENGE with a byte more", Uint8Array.of(...handshake(RELAY_CHALLENGE), 0)],
    ["a READY that is cut short", handshake(RELAY_READY).subarray(0, 43)],
    ["a RESET with data", Uint8Array.of(...handshake(RELAY_RESET), 0)],
  ])("malformed: %s", (_, bytes) => {
    expect(decode(bytes)).toBeNull();
  });
});

describe("sealed datagrams", () => {
  test("OPEN has these bytes and is read back", () => {
    const bytes = sealed(RELAY_OPEN, {
      counter: 0x1f_0000_0000_0001,
      session: 0xfffffffe,
      header: "HEAD",
      data: "payload",
    });
    expect(bytes.toHex()).toBe(
      `0601000401020304050607f8001f000000000001fffffffe${"00".repeat(16)}484541447061796c6f6164`,
    );
    expect(decode(bytes)).toMatchObject({
      type: RELAY_OPEN,
      isSealed: true,
      counter: 0x1f_0000_0000_0001,
      session: 0xfffffffe,
      headerAt: 40,
      headerLength: 4,
      dataAt: 44,
      dataLength: 7,
    });
  });

  test("data may be empty", () => {
    expect(decode(sealed(RELAY_DATA))).toMatchObject({ dataAt: 40, dataLength: 0 });
    expect(decode(sealed(RELAY_OPEN, { header: "H" }))).toMatchObject({ dataAt: 41, dataLength: 0 });
  });

  test.each([
    ["an OPEN without a header", sealed(RELAY_OPEN)],
    ["an OPEN of session 0", sealed(RELAY_OPEN, { header: "H", session: 0 })],
    ["an OPEN whose header does not fit", sealed(RELAY_OPEN, { header: "HEAD" }).subarray(0, 43)],
    ["DATA with a header", sealed(RELAY_DATA, { header: "H" })],
    ["DATA of session 0", sealed(RELAY_DATA, { session: 0 })],
    ["DATA without a whole head", sealed(RELAY_DATA).subarray(0, 39)],
    ["counter 0", sealed(RELAY_DATA, { counter: 0 })],
    ["a counter past 2^53", sealed(RELAY_DATA, { counter: 2 ** 53 })],
    ["OPENED with data", sealed(RELAY_OPENED, { data: "x" })],
    ["OPENED of session 0", sealed(RELAY_OPENED, { session: 0 })],
    ["CLOSE with data", sealed(RELAY_CLOSE, { data: "x" })],
    ["ERROR without a code", sealed(RELAY_ERROR)],
    ["ERROR with two codes", sealed(RELAY_ERROR, { data: [1, 1] })],
    ["ERROR of session 0", sealed(RELAY_ERROR, { data: [1], session: 0 })],
    ["PING with data", sealed(RELAY_PING, { session: 0, data: "x" })],
    ["PONG of a session", sealed(RELAY_PONG)],
  ])("malformed: %s", (_, bytes) => {
    expect(decode(bytes)).toBeNull();
  });

  test.each([
    ["CLOSE of a session", sealed(RELAY_CLOSE)],
    ["CLOSE of the relay", sealed(RELAY_CLOSE, { session: 0 })],
    ["ERROR", sealed(RELAY_ERROR, { data: [5] })],
    ["PING", sealed(RELAY_PING, { session: 0 })],
    ["OPENED", sealed(RELAY_OPENED)],
  ])("well-formed: %s", (_, bytes) => {
    expect(decode(bytes)).not.toBeNull();
  });
});

describe("tags", () => {
  const key = Uint8Array.from({ length: 32 }, (_, i) => i);

  test("are the first 16 bytes of HMAC-SHA-256 over everything but themselves", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.uint8Array({ maxLength: 40 }), (data, header) => {
        const bytes = new Uint8Array(600);
        writeSealedHead(RELAY_OPEN, RELAY_ID, header.length, 5, 9, bytes, 3);
        bytes.set(header, 3 + SEALED_BYTES);
        bytes.set(data, 300);
        new Tagger(key).seal(bytes, 3, header.length, 300, data.length);
        const expected = createHmac("sha256", key).update(bytes.subarray(3, 27)).update(header).update(data);
        expect(bytes.slice(27, 43).toHex()).toBe(expected.digest().subarray(0, 16).toString("hex"));
        const whole = Uint8Array.of(...bytes.subarray(3, 43), ...header, ...data);
        expect(new Tagger(key).open(whole, 0, whole.length)).toBe(true);
      }),
    );
  });

  test("do not match when any bit of the datagram, or the key, is another", () => {
    const tagger = new Tagger(key);
    const bytes = sealed(RELAY_OPEN, { header: "HEAD", data: "payload" });
    tagger.seal(bytes, 0, 4, 44, 7);
    expect(tagger.open(bytes, 0, bytes.length)).toBe(true);
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const changed = bytes.with(bit >> 3, bytes[bit >> 3]! ^ (1 << (bit & 7)));
      expect(tagger.open(changed, 0, changed.length)).toBe(false);
    }
    expect(tagger.open(bytes, 0, bytes.length - 1)).toBe(false);
    expect(new Tagger(key.with(0, 1)).open(bytes, 0, bytes.length)).toBe(false);
  });

  test.each([
    ["HELLO", RELAY_HELLO, PROOF_AT],
    ["CONFIRM", RELAY_CONFIRM, SECOND_TAG_AT],
  ])("of %s cover all of it and the node it is meant for", (_, type, tagAt) => {
    const tagger = new HandshakeTagger(key, "exit-1");
    const bytes = handshake(type, NAME);
    tagger.write(bytes, 0, bytes.length, tagAt);
    expect(tagger.matches(bytes, 0, bytes.length, tagAt)).toBe(true);
    for (let i = 0; i < bytes.length; i++) {
      const changed = bytes.with(i, bytes[i]! ^ 0x10);
      expect(tagger.matches(changed, 0, changed.length, tagAt)).toBe(false);
    }
    expect(new HandshakeTagger(key, "exit-2").matches(bytes, 0, bytes.length, tagAt)).toBe(false);
    expect(new HandshakeTagger(key.with(9, 0), "exit-1").matches(bytes, 0, bytes.length, tagAt)).toBe(false);
  });

  test("of READY are by a key of the relay's own", () => {
    const nonce = new Uint8Array(16).fill(3);
    const keys = deriveClearRelayKeys(key, RELAY_ID, nonce);
    const bytes = handshake(RELAY_READY);
    bytes.set(nonce, PROOF_AT);
    writeReadyTag(keys.ready, bytes, 0, bytes.length);
    expect(isReadyTag(deriveClearRelayKeys(key, RELAY_ID, nonce).ready, bytes, 0, bytes.length)).toBe(true);
    expect(
      isReadyTag(deriveClearRelayKeys(key, RELAY_ID, nonce.with(0, 0)).ready, bytes, 0, bytes.length),
    ).toBe(false);
    expect(
      isReadyTag(deriveClearRelayKeys(key, RELAY_ID.with(0, 0), nonce).ready, bytes, 0, bytes.length),
    ).toBe(false);
    expect(isReadyTag(keys.ready, bytes.with(5, 0), 0, bytes.length)).toBe(false);
  });

  test("a relay has different keys for each direction and for READY", () => {
    const keys = deriveClearRelayKeys(key, RELAY_ID, new Uint8Array(16));
    const tags = [keys.ready, keys.toExit, keys.toEntry].map((tagger) => {
      const bytes = sealed(RELAY_DATA);
      tagger.seal(bytes, 0, 0, 40, 0);
      return bytes.slice(24, 40).toHex();
    });
    expect(new Set(tags).size).toBe(3);
  });
});

test("errorCodeOf: what is no code stands for a malformed one", () => {
  const bytes = Uint8Array.of(0, 1, ERROR_MALFORMED, 6, 255);
  const codes = [...bytes.keys()].map((dataAt) =>
    errorCodeOf(bytes, Object.assign(new RelayDatagram(), { dataAt })),
  );
  expect(codes).toEqual([ERROR_MALFORMED, 1, ERROR_MALFORMED, ERROR_MALFORMED, ERROR_MALFORMED]);
});

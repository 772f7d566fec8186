import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  encodeMessage,
  encodePushPull,
  encodeSerfState,
  encodeStreamUser,
  frameStream,
  Keyring,
  StreamReader,
  type StreamReaderOptions,
} from "../../../../src/wire/gossip/index.ts";
import {
  ACK,
  COMPRESSED_ACK,
  hex,
  LEAVE,
  PING,
  PUSH_PULL_HEAD,
  PUSH_PULL_USER_STATE_BYTES,
} from "../../../support/gossip/gossip-vectors.ts";
import { compressIfShorter, lzwCompress } from "../../../support/gossip/lzw-encoder.ts";
import { pushPull } from "../../../support/random/arbitrary-gossip.ts";

const RING = Keyring.of([hex("000102030405060708090a0b0c0d0e0f")])!;
const NONCE = hex("101112131415161718191a1b");
const PLAIN = { keyring: null, nonce: () => NONCE };
const SEALED = { ...PLAIN, keyring: RING };
const PUSH_PULL = Uint8Array.of(...PUSH_PULL_HEAD, ...new Uint8Array(PUSH_PULL_USER_STATE_BYTES));
const ERROR = encodeMessage({ type: "error", text: "no" });

function uint32(value: number): number[] {
  return [24, 16, 8, 0].map((shift) => (value >>> shift) & 255);
}

/** All at once. */
function read(bytes: Uint8Array, options: Partial<StreamReaderOptions> = {}) {
  return new StreamReader({ keyring: null, ...options }).push(bytes);
}

/** In pieces; fails the test when it completes before the last one. */
function readPieces(bytes: Uint8Array, pieceBytes: number, options: StreamReaderOptions) {
  const reader = new StreamReader(options);
  const piece = new Uint8Array(pieceBytes); // used again and again, as a socket's buffer is
  for (let at = 0; ; at += pieceBytes) {
    const part = bytes.subarray(at, at + pieceBytes);
    piece.set(part);
    const progress = reader.push(piece.subarray(0, part.length));
    if (at + pieceBytes >= bytes.length) return progress;
    expect(progress).toEqual({ status: "incomplete" });
  }
}

function failure(reason: string) {
  return { status: "failed", reason } as never;
}

describe("frames", () => {
  test("vector: encrypted", () => {
    const frame = hex(`0a 0000003c 01 101112131415161718191a1b
      c1ada7e97d20db4d7bbcf6bca9448a4c54dd00ee599a6a1bcba44d74c56970 05bf501fa08daf10447a6473baff053a`);
    expect(frameStream(LEAVE, SEALED).toHex()).toBe(frame.toHex());
  });

  test("vector: a compressed ack", () => {
    expect(read(COMPRESSED_ACK)).toEqual({ status: "complete", message: ACK });
    expect(readPieces(COMPRESSED_ACK, 1, { keyring: null })).toEqual({ status: "complete", message: ACK });
  });

  test.each([
    ["push/pull", PUSH_PULL],
    ["ping", PING],
    ["ack", ACK],
    ["user message", encodeStreamUser(new Uint8Array(300))],
    ["empty user message", encodeStreamUser(new Uint8Array())],
    ["error", ERROR],
  ])("%s: in pieces of every size, plain, compressed, encrypted", (_name, message) => {
    for (const keyring of [null, RING]) {
      for (const compress of [false, true]) {
        const inner = compress ? compressIfShorter(message) : message;
        const frame = frameStream(inner, { keyring, nonce: () => NONCE });
        for (const pieceBytes of [1, 2, 3, 7, 100, 1000, 100_000]) {
          expect(readPieces(frame, pieceBytes, { keyring })).toEqual({ status: "complete", message });
        }
      }
    }
  });

  test("any push/pull ends where it ends", () => {
    fc.assert(
      fc.property(pushPull, fc.integer({ min: 1, max: 50 }), (exchange, pieceBytes) => {
        const message = encodePushPull(exchange);
        expect(readPieces(message, pieceBytes, { keyring: null })).toEqual({ status: "complete", message });
      }),
    );
  });

  test("bytes behind the frame, and pushes after it, are ignored", () => {
    for (const [keyring, options] of [
      [null, PLAIN],
      [RING, SEALED],
    ] as const) {
      const reader = new StreamReader({ keyring });
      const done = reader.push(Uint8Array.of(...frameStream(ACK, options), 1, 2, 3));
      expect(done).toEqual({ status: "complete", message: ACK });
      expect(reader.push(PING)).toBe(done);
    }
  });

  test("after a failure it stays failed", () => {
    const reader = new StreamReader({ keyring: null });
    expect(reader.push(hex("f4"))).toEqual(failure("label"));
    expect(reader.push(ACK)).toEqual(failure("label"));
  });

  test("nothing is incomplete", () => {
    expect(read(new Uint8Array())).toEqual({ status: "incomplete" });
  });
});

describe("refused at the first byte", () => {
  test.each([
    ["a label", "f4", null, "label"],
    ["a label, with keys", "f4", RING, "label"],
    ["an encrypted frame without keys", "0a", null, "encrypted"],
    ["a plain push/pull with keys", "06", RING, "not-encrypted"],
    ["a plain compressed message with keys", "09", RING, "not-encrypted"],
    ["a plain error with keys", "0d", RING, "not-encrypted"],
    ["an alive", "04", null, "unknown-type"],
    ["a TLS handshake", "16", null, "unknown-type"],
    ["a TLS handshake, with keys", "16", RING, "unknown-type"],
  ] as const)("%s", (_name, bytes, keyring, reason) => {
    expect(read(hex(bytes), { keyring })).toEqual(failure(reason));
  });
});

describe("refused when it is known", () => {
  test("a damaged or foreign encrypted frame", () => {
    const frame = frameStream(PING, SEALED);
    const other = Keyring.of([new Uint8Array(16)])!;
    expect(read(frame, { keyring: other })).toEqual(failure("cannot-decrypt"));
    frame[30]! ^= 1;
    expect(read(frame, { keyring: RING })).toEqual(failure("cannot-decrypt"));
    expect(read(hex("0a00000000"), { keyring: RING })).toEqual(failure("cannot-decrypt"));
  });

  test("a frame whose header was changed: it is authenticated", () => {
    const frame = frameStream(PING, SEALED);
    const longer = Uint8Array.of(...frame, 0);
    longer[4]!++;
    expect(read(longer, { keyring: RING })).toEqual(failure("cannot-decrypt"));
  });

  test.each([
    ["an encrypted message of no bytes", "", "malformed"],
    ["an encrypted alive", "0480", "unknown-type"],
  ] as const)("%s", (_name, inner, reason) => {
    expect(read(frameStream(hex(inner), SEALED), { keyring: RING })).toEqual(failure(reason));
  });

  test("compressed twice", () => {
    const lzw = lzwCompress(COMPRESSED_ACK);
    const twice = Uint8Array.of(...hex(`0982a4416c676f00a3427566da00`), lzw.length, ...lzw);
    expect(read(twice)).toEqual(failure("unknown-type"));
  });

  test.each([
    ["a body that is no msgpack", "00c1", "malformed"],
    ["a push/pull header that is no map", "0601", "malformed"],
    ["a negative count of members", "0681a54e6f646573ff", "malformed"],
    ["a count of members nobody has", "0681a54e6f646573ce7fffffff", "malformed"],
    ["a member that is no msgpack", "0681a54e6f64657302c1", "malformed"],
    ["a negative length of a user message", "0881aa557365724d73674c656eff", "malformed"],
    ["a huge length of a user message", "0881aa557365724d73674c656ece7fffffff", "too-large"],
    ["a huge user state", "0681ac5573657253746174654c656ecf7fffffffffffffff", "too-large"],
    ["a huge value in a ping", "0081a15adbffffffff", "too-large"],
    ["a huge array in a ping", "0081a15addffffffff", "too-large"],
    ["a huge map of maps", "00dfffffffffdfffffffff", "too-large"],
    ["a huge compressed message", "0982a4416c676f00a3427566db01400001", "too-large"],
    ["damaged compression", "0982a4416c676f00a3427566a300ffff", "bad-compression"],
    ["a compressed message of no bytes", "0982a4416c676f00a3427566a3000302", "malformed"],
  ] as const)("%s", (_name, bytes, reason) => {
    expect(read(hex(bytes))).toEqual(failure(reason));
  });

  test("a huge encrypted frame", () => {
    expect(read(hex("0a00800001"), { keyring: RING })).toEqual(failure("too-large"));
    expect(read(hex("0a00800000"), { keyring: RING })).toEqual({ status: "incomplete" });
  });

  test.each([
    ["a ping", 0, 4 * 1024],
    ["an ack", 2, 4 * 1024],
    ["an error", 13, 4 * 1024],
    ["a user message", 8, 288 * 1024],
    ["a push/pull", 6, 8 * 2 ** 20],
  ])("each kind has a limit: %s", (_name, type, maxBytes) => {
    // One field of raw bytes that nobody knows, so the message ends with it.
    const filling = new Uint8Array(maxBytes + 1);
    for (let i = 0; i < filling.length; i++) filling[i] = (Math.imul(i, 2_654_435_761) >>> 24) & 7;
    const withField = (totalBytes: number) => {
      const message = filling.slice(0, totalBytes);
      message.set([type, 0x81, 0xa1, 0x5a, 0xdb, ...uint32(totalBytes - 9)]);
      return message;
    };
    const announced = withField(maxBytes + 1).subarray(0, 9);
    expect(read(announced)).toEqual(failure("too-large"));
    expect(read(withField(maxBytes)).status).toBe("complete");
    const sealed = (bytes: number) => frameStream(withField(bytes), SEALED);
    expect(read(sealed(maxBytes + 1), { keyring: RING })).toEqual(failure("too-large"));
    const packed = (bytes: number) => compressIfShorter(withField(bytes));
    expect(read(packed(maxBytes + 1))).toEqual(failure("too-large"));
    expect(read(packed(maxBytes)).status).toBe("complete");
  });

  test("what 10,000 members with the largest tags say to each other passes", () => {
    const names = Array.from({ length: 10_000 }, (_, i) => `node-${i}.some-zone.example.internal`);
    const members = names.map((name, i) => ({
      name,
      address: Uint8Array.from({ length: 16 }, () => i & 255),
      port: 7946,
      meta: new Uint8Array(512),
      incarnation: 2 ** 31,
      state: "alive" as const,
      versions: Uint8Array.of(1, 5, 2, 2, 5, 5),
    }));
    const statusLTimes = new Map(names.map((name) => [name, 2 ** 40]));
    const times = { ltime: 1, eventLTime: 1, queryLTime: 1 };
    const userState = encodeSerfState({
      ...times,
      events: [],
      statusLTimes,
      leftMembers: names.slice(0, 1_000),
      digest: new Uint8Array(64),
    });
    const message = encodePushPull({ isJoin: true, members, userState });
    expect(message.length).toBeGreaterThan(6 * 2 ** 20);
    expect(read(frameStream(message, SEALED), { keyring: RING }).status).toBe("complete");
  });

  test("what is above the caps, and not what is at them", () => {
    const message = encodeStreamUser(new Uint8Array(1000));
    const atCap = { maxFrameBytes: message.length };
    expect(read(message, atCap).status).toBe("complete");
    expect(read(message, { maxFrameBytes: message.length - 1 })).toEqual(failure("too-large"));
    const compressed = compressIfShorter(message);
    expect(read(compressed, { maxMessageBytes: message.length }).status).toBe("complete");
    expect(read(compressed, { maxMessageBytes: message.length - 1 })).toEqual(failure("too-large"));
  });

  test("a bomb", () => {
    const bomb = compressIfShorter(encodeStreamUser(new Uint8Array(2 ** 20)));
    expect(bomb.length).toBeLessThan(4096);
    expect(read(bomb, { maxMessageBytes: 2 ** 19 })).toEqual(failure("too-large"));
  });

  test("nesting without end, byte by byte, is looked at once", () => {
    const reader = new StreamReader({ keyring: null, maxFrameBytes: 300_000 });
    reader.push(hex("0681a15a"));
    const one = hex("91");
    let progress = reader.push(one);
    let pushes = 1;
    for (; progress.status === "incomplete"; pushes++) progress = reader.push(one);
    expect(progress).toEqual(failure("too-large"));
    expect(pushes).toBeGreaterThan(299_000);
  });
});

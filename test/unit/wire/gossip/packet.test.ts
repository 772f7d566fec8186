import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { decodeCompound, encodeCompound } from "../../../../src/wire/gossip/compound.ts";
import {
  COMPOUND_PART_BYTES,
  framePacket,
  Keyring,
  type OpenedPacket,
  openPacket,
  type PacketOptions,
  packetOverheadBytes,
} from "../../../../src/wire/gossip/index.ts";
import {
  ACK,
  ALIVE_P1,
  ALIVE_S1,
  CHECKED_COMPOUND,
  COMPRESSED_ACK,
  hex,
  LEAVE,
  PING,
} from "../../../support/gossip/gossip-vectors.ts";
import { compressIfShorter } from "../../../support/gossip/lzw-encoder.ts";

const RING = Keyring.of([new Uint8Array(16).fill(1), new Uint8Array(32).fill(2)])!;
const PLAIN: PacketOptions = {
  keyring: null,
  nonce: () => {
    throw new Error("a plain packet needs no nonce");
  },
  withCrc: false,
};

function opened(messages: Uint8Array[]): OpenedPacket {
  return { messages, truncatedParts: 0, problem: null };
}

function openPlain(datagram: Uint8Array): OpenedPacket {
  return openPacket(datagram, { keyring: null });
}

/** `message` with `layers` layers around it. */
function nest(message: Uint8Array, layers: number): Uint8Array {
  return layers === 0 ? message : encodeCompound([nest(message, layers - 1)]);
}

describe("framePacket and openPacket", () => {
  test("the packet of a serf agent: checksum, compound of two", () => {
    expect(openPlain(CHECKED_COMPOUND)).toEqual(opened([ALIVE_S1, ALIVE_P1]));
    const packet = framePacket([ALIVE_S1, ALIVE_P1], { ...PLAIN, withCrc: true });
    expect(packet.toHex()).toBe(CHECKED_COMPOUND.toHex());
  });

  test("one plain message is the packet", () => {
    expect(framePacket([PING], PLAIN)).toEqual(PING);
    expect(openPlain(PING)).toEqual(opened([PING]));
  });

  test("a compressed message", () => {
    expect(openPlain(COMPRESSED_ACK)).toEqual(opened([ACK]));
  });

  test("round trip of every combination of layers", () => {
    const message = fc.uint8Array({ minLength: 1, maxLength: 200 }).map((bytes) => {
      bytes[0] = 8;
      return bytes;
    });
    fc.assert(
      fc.property(
        fc.array(message, { minLength: 1, maxLength: 127 }),
        fc.boolean(),
        fc.boolean(),
        fc.boolean(),
        (messages, isEncrypted, withCrc, compress) => {
          const keyring = isEncrypted ? RING : null;
          const inner = compress ? [compressIfShorter(encodeCompound(messages))] : messages;
          const packet = framePacket(inner, { keyring, nonce: () => new Uint8Array(12), withCrc });
          expect(openPacket(packet, { keyring })).toEqual(opened(messages));
        },
      ),
    );
  });

  test("its size is what the overhead says", () => {
    const messages = [PING, LEAVE];
    const parts = messages.reduce((sum, { length }) => sum + length + COMPOUND_PART_BYTES, 0);
    for (const keyring of [null, RING]) {
      const packet = framePacket(messages, { ...PLAIN, keyring, nonce: () => new Uint8Array(12) });
      expect(packet.length).toBe(packetOverheadBytes(keyring) + parts);
    }
  });

  test("refuses to make what no member could read", () => {
    expect(() => framePacket([], PLAIN)).toThrow("no messages");
    expect(() => framePacket(new Array(128).fill(PING), PLAIN)).toThrow("at most 127");
    expect(() => framePacket([PING, new Uint8Array(65536)], PLAIN)).toThrow("at most 65535");
  });
});

describe("openPacket", () => {
  test("nested layers, up to four", () => {
    const compressed = compressIfShorter(Uint8Array.of(8, ...new Uint8Array(500)));
    expect(openPlain(encodeCompound([PING, COMPRESSED_ACK, encodeCompound([LEAVE, compressed])]))).toEqual(
      opened([PING, ACK, LEAVE, Uint8Array.of(8, ...new Uint8Array(500))]),
    );
    expect(openPlain(nest(PING, 4))).toEqual(opened([PING]));
    expect(openPlain(nest(PING, 5))).toEqual({ messages: [], truncatedParts: 0, problem: "too-deep" });
  });

  test("a compound of no parts", () => {
    expect(openPlain(hex("0700"))).toEqual(opened([]));
  });

  test("a compound of 255 parts", () => {
    const packet = Uint8Array.of(7, 255, ...new Array(255).fill([0, 1]).flat(), ...new Array(255).fill(11));
    expect(openPlain(packet).messages).toHaveLength(255);
  });

  test("a truncated compound keeps the parts that fit", () => {
    expect(openPlain(hex("0703 0001 0002 0001 0b 0d"))).toEqual({
      messages: [hex("0b")],
      truncatedParts: 2,
      problem: null,
    });
    expect(openPlain(hex("07ff 0001"))).toEqual({ messages: [], truncatedParts: 255, problem: null });
  });

  test("a checksum is known outermost only", () => {
    const checked = framePacket([PING], { ...PLAIN, withCrc: true });
    expect(openPlain(checked)).toEqual(opened([PING]));
    expect(openPlain(encodeCompound([checked]))).toEqual(opened([checked]));
  });

  test.each([
    ["too-short", ""],
    ["too-short", "07"],
    ["too-short", "0c61676707"],
    ["label", "f4036c616261"],
    ["bad-crc", "0c000000000b"],
    ["bad-compression", "0980"],
    ["bad-compression", "0982a4416c676f01a342756643000302"],
    ["bad-compression", "0982a4416c676f00a3427566a300ffff"],
    ["too-short", "0982a4416c676f00a3427566a3000302"],
  ] as const)("%s: %s", (problem, bytes) => {
    expect(openPlain(hex(bytes))).toEqual({ messages: [], truncatedParts: 0, problem });
  });

  test("a problem in one part leaves the others", () => {
    const packet = encodeCompound([PING, nest(LEAVE, 4), hex("0980"), new Uint8Array(), LEAVE]);
    expect(openPlain(packet)).toEqual({ messages: [PING, LEAVE], truncatedParts: 0, problem: "too-deep" });
  });

  test("an encrypted packet, any key, no plain one", () => {
    const keyring = Keyring.of([RING.keys[1]!])!;
    const packet = framePacket([PING], { ...PLAIN, keyring, nonce: () => new Uint8Array(12) });
    expect(openPacket(packet, { keyring: RING })).toEqual(opened([PING]));
    packet[20]! ^= 1;
    expect(openPacket(packet, { keyring: RING }).problem).toBe("cannot-decrypt");
    expect(openPacket(PING, { keyring: RING }).problem).toBe("cannot-decrypt");
    expect(openPacket(hex("01ff"), { keyring: RING }).problem).toBe("too-short");
    expect(openPacket(hex("f4036c616261"), { keyring: RING }).problem).toBe("label");
  });

  test("a bomb is defused, however it is packed", () => {
    const zeros = (bytes: number) => {
      const message = new Uint8Array(bytes);
      message[0] = 8;
      return compressIfShorter(message);
    };
    expect(openPlain(zeros(2 ** 21))).toMatchObject({ messages: [], problem: "too-large" });
    // Each part is allowed, all together are not.
    const many = openPlain(encodeCompound(new Array(10).fill(zeros(12_000))));
    expect(many.problem).toBe("too-large");
    expect(many.messages).toHaveLength(5);
    const twice = openPlain(compressIfShorter(encodeCompound(new Array(100).fill(zeros(60_000)))));
    expect(twice.problem).toBe("too-large");
    expect(twice.messages.length).toBeLessThan(20);
  });

  test("tiny parts by the thousand are too many", () => {
    const tiny = encodeCompound(new Array(127).fill(hex("0b")));
    const packet = compressIfShorter(encodeCompound(new Array(100).fill(tiny)));
    const result = openPlain(packet);
    expect(result.problem).toBe("too-many-messages");
    expect(result.messages).toHaveLength(1024);
  });
});

test("decodeCompound: the lengths without any part", () => {
  expect(decodeCompound(hex("0702 0000 0000"))).toEqual({ parts: [hex(""), hex("")], truncated: 0 });
  expect(decodeCompound(hex("0702 0000 00"))).toEqual({ parts: [], truncated: 2 });
});

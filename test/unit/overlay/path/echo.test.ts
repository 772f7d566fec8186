/** Probes and answers as bytes, and whose they are. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  decodeEcho,
  ECHO_ANSWER,
  ECHO_BYTES,
  ECHO_HEADERS_BYTES,
  ECHO_PROBE,
  type Echo,
  EchoTagger,
  encodeEcho,
} from "../../../../src/overlay/path/echo.ts";

const SECRET = "11".repeat(32);
const OLDER_SECRET = "22".repeat(32);

const anyEcho: fc.Arbitrary<Echo> = fc.record({
  type: fc.constantFrom(ECHO_PROBE, ECHO_ANSWER),
  size: fc.integer({ min: ECHO_BYTES + ECHO_HEADERS_BYTES, max: 9000 }),
  id: fc.integer({ min: 0, max: 2 ** 31 - 1 }),
  isInUse: fc.boolean(),
  run: fc.uint8Array({ minLength: 8, maxLength: 8 }),
  sender: fc.uint8Array({ minLength: 4, maxLength: 4 }),
});

function datagramOf(echo: Echo): Uint8Array {
  const bytes = new Uint8Array(echo.type === ECHO_PROBE ? echo.size - ECHO_HEADERS_BYTES : ECHO_BYTES);
  encodeEcho(echo, bytes);
  return bytes;
}

test("every field is where the picture has it", () => {
  const echo: Echo = {
    type: ECHO_ANSWER,
    size: 0x0102,
    id: 0x03040506,
    isInUse: true,
    run: Uint8Array.from([7, 8, 9, 10, 11, 12, 13, 14]),
    sender: Uint8Array.from([10, 200, 0, 1]),
  };
  expect(datagramOf(echo).toHex()).toBe(`02010102830405060708090a0b0c0d0e0ac80001${"00".repeat(16)}`);
});

test("what is written is what is read", () => {
  fc.assert(fc.property(anyEcho, (echo) => expect(decodeEcho(datagramOf(echo))).toEqual(echo)));
});

test("a probe of another length than it says, an answer with more than a head, other versions are nothing", () => {
  fc.assert(
    fc.property(anyEcho, fc.integer({ min: 1, max: ECHO_BYTES }), (echo, change) => {
      const bytes = datagramOf(echo);
      const longer = new Uint8Array(bytes.length + change);
      longer.set(bytes);
      expect(decodeEcho(longer)).toBeNull();
      expect(decodeEcho(bytes.subarray(0, bytes.length - change))).toBeNull();
      bytes[1]! ^= change;
      expect(decodeEcho(bytes)).toBeNull();
    }),
  );
});

test("decodeEcho takes any bytes", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
      const echo = decodeEcho(bytes);
      if (echo !== null) expect(datagramOf(echo).subarray(0, 20)).toEqual(bytes.subarray(0, 20));
    }),
    { numRuns: 20_000 },
  );
});

describe("EchoTagger", () => {
  test("takes what any secret of the pair has tagged, and nothing that was changed", () => {
    const [sender, receiver] = [new EchoTagger([OLDER_SECRET]), new EchoTagger([SECRET, OLDER_SECRET])];
    fc.assert(
      fc.property(anyEcho, fc.integer({ min: 0, max: ECHO_BYTES * 8 - 1 }), (echo, bit) => {
        const bytes = datagramOf(echo);
        sender.write(bytes);
        expect(receiver.matches(bytes)).toBe(true);
        bytes[bit >> 3]! ^= 1 << (bit & 7);
        expect(receiver.matches(bytes)).toBe(false);
      }),
    );
  });

  test("sends with the first secret", () => {
    const bytes = datagramOf(fc.sample(anyEcho, { numRuns: 1, seed: 1 })[0]!);
    new EchoTagger([SECRET, OLDER_SECRET]).write(bytes);
    expect(new EchoTagger([SECRET]).matches(bytes)).toBe(true);
    expect(new EchoTagger([OLDER_SECRET]).matches(bytes)).toBe(false);
  });

  test("with a secret nothing goes without a tag, without one nothing with", () => {
    const bytes = datagramOf(fc.sample(anyEcho, { numRuns: 1, seed: 1 })[0]!);
    expect(new EchoTagger([SECRET]).matches(bytes)).toBe(false);
    expect(new EchoTagger([]).matches(bytes)).toBe(false);
    expect(new EchoTagger(null).matches(bytes)).toBe(true);
    new EchoTagger([SECRET]).write(bytes);
    expect(new EchoTagger(null).matches(bytes)).toBe(false);
  });
});

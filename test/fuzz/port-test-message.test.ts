/** What members may send of tests of ports: any bytes are read or refused, and what is written reads as it was. */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { decodePortTest, encodePortTest, type PortTestMessage } from "../../src/node/port-test/message.ts";
import { report, trial } from "../support/node/port-test.ts";

const RUN = "0123456789abcdef";
const MESSAGES: readonly PortTestMessage[] = [
  { type: "start", from: "n1", run: RUN, isPushed: true, timeoutMs: 1_500 },
  { type: "started" },
  { type: "refused", reason: "busy", isBusy: true },
  { type: "mark", from: "n1", run: RUN, isFresh: false },
  { type: "collect", from: "n1", run: RUN },
  report({ trials: [trial(), trial({ outcome: "silent", isInside: true })], problems: ["it is down"] }),
];

test("what is written reads as it was", () => {
  for (const message of MESSAGES) expect(decodePortTest(encodePortTest(message))).toEqual(message);
});

test("damaged messages and any other bytes are refused or read, and never throw", () => {
  const damaged = fc
    .tuple(fc.constantFrom(...MESSAGES), fc.nat(), fc.nat({ max: 255 }))
    .map(([message, at, byte]) => {
      const bytes = encodePortTest(message);
      bytes[at % bytes.length] = byte;
      return bytes;
    });
  const cut = fc
    .tuple(fc.constantFrom(...MESSAGES), fc.nat())
    .map(([message, at]) => encodePortTest(message).subarray(0, at % 200));
  fc.assert(
    fc.property(fc.oneof(damaged, cut, fc.uint8Array()), (bytes) => {
      const read = decodePortTest(bytes);
      return read === null || MESSAGES.some(({ type }) => type === read.type);
    }),
    { numRuns: 2_000 },
  );
});

test("names with control characters, ports out of range and lists without end are refused", () => {
  const bad = (change: object) => {
    const text = JSON.stringify({ ...report({ trials: [trial()] }), ...change });
    return decodePortTest(Buffer.concat([Uint8Array.of(20, 1), Buffer.from(text)]));
  };
  expect(bad({})).not.toBeNull();
  expect(bad({ from: "n1\u001b[2J" })).toBeNull();
  expect(bad({ trials: [{ ...trial(), port: 70_000 }] })).toBeNull();
  expect(bad({ trials: Array(17).fill(trial()) })).toBeNull();
  expect(bad({ run: "zz" })).toBeNull();
});

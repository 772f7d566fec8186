import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { decodeMessage, encodeMessage, type GossipMessage } from "../../../../src/wire/gossip/index.ts";
import {
  ACK,
  ALIVE_P1,
  ALIVE_S1,
  hex,
  LEAVE,
  latin1,
  PING,
  SERF_VERSIONS,
  WEB_TAGS,
} from "../../../support/gossip/gossip-vectors.ts";
import { gossipMessage } from "../../../support/random/arbitrary-gossip.ts";

const USER: GossipMessage = { type: "user", payload: Uint8Array.of(10, 0xff) };
const LOOPBACK = Uint8Array.of(127, 0, 0, 1);

const CAPTURED: readonly (readonly [string, Uint8Array, GossipMessage])[] = [
  [
    "ping",
    PING,
    { type: "ping", seq: 1, node: "p1", source: { address: LOOPBACK, port: 0x461a, node: "s1" } },
  ],
  ["leave", LEAVE, { type: "dead", incarnation: 1, node: "la", from: "la" }],
  ["ack", ACK, { type: "ack", seq: 9, payload: null }],
  [
    "alive with tags",
    ALIVE_S1,
    {
      type: "alive",
      incarnation: 1,
      node: "s1",
      address: LOOPBACK,
      port: 0x461a,
      meta: WEB_TAGS,
      versions: SERF_VERSIONS,
    },
  ],
  [
    "alive without meta",
    ALIVE_P1,
    {
      type: "alive",
      incarnation: 1,
      node: "p1",
      address: LOOPBACK,
      port: 0x461b,
      meta: new Uint8Array(),
      versions: Uint8Array.of(1, 5, 2, 2, 5, 4),
    },
  ],
];

test.each(CAPTURED)("decodeMessage: captured %s", (_name, bytes, message) => {
  expect(decodeMessage(bytes)).toEqual(message);
  expect(decodeMessage(encodeMessage(message))).toEqual(message);
});

test.each<[GossipMessage, string]>([
  [{ type: "nack", seq: 300 }, "0b81a55365714e6fcd012c"],
  [{ type: "error", text: "no" }, "0d81a54572726f72a26e6f"],
  [{ type: "user", payload: Uint8Array.of(10, 0xff) }, "080aff"],
  [{ type: "ack", seq: 9, payload: new Uint8Array() }, "0282a75061796c6f6164c400a55365714e6f09"],
  [
    { type: "suspect", incarnation: 2 ** 32 - 1, node: "b", from: "a" },
    "0383a446726f6da161ab496e6361726e6174696f6eceffffffffa44e6f6465a162",
  ],
  [
    {
      type: "indirect-ping",
      seq: 128,
      target: LOOPBACK,
      port: 256,
      node: "t",
      wantsNack: true,
      source: { address: LOOPBACK, port: 7, node: "" },
    },
    `0187a44e61636bc3a44e6f6465a174a4506f7274cd0100a55365714e6fcc80
     aa536f7572636541646472c4047f000001aa536f75726365506f727407a6546172676574c4047f000001`,
  ],
  [{ type: "ping", seq: 0, node: "", source: null }, "0082a44e6f6465a0a55365714e6f00"],
])("encodeMessage: %j", (message, bytes) => {
  expect(encodeMessage(message).toHex()).toBe(hex(bytes).toHex());
  expect(decodeMessage(encodeMessage(message))).toEqual(message);
});

test("decodeMessage reads what encodeMessage writes", () => {
  fc.assert(
    fc.property(gossipMessage, (message) => expect(decodeMessage(encodeMessage(message))).toEqual(message)),
  );
});

test.each([
  ["Uint8Array", (bytes: Uint8Array) => bytes.slice()],
  ["Buffer", (bytes: Uint8Array) => Buffer.from(bytes)], // whose slice() is a view
])("decodeMessage keeps its own memory: %s", (_name, copy) => {
  for (const [, bytes, message] of [...CAPTURED, ["user", hex("080aff"), USER] as const]) {
    const packet = copy(bytes);
    const decoded = decodeMessage(packet);
    packet.fill(0);
    expect(decoded).toStrictEqual(message);
  }
});

describe("decodeMessage accepts what other members may send", () => {
  const ack = (body: string) => decodeMessage(hex(`02${body}`));
  const key = { payload: "a75061796c6f6164", seq: "a55365714e6f" };

  test.each([
    ["keys in another order", `82 ${key.seq} 09 ${key.payload} a17a`],
    ["str 8 for bytes", `82 ${key.payload} d9017a ${key.seq} 09`],
    ["raw 16 for bytes", `82 ${key.payload} da00017a ${key.seq} 09`],
    ["raw 32 for bytes", `82 ${key.payload} db000000017a ${key.seq} 09`],
    ["bin 8 for bytes", `82 ${key.payload} c4017a ${key.seq} 09`],
    ["bin 16 for bytes", `82 ${key.payload} c500017a ${key.seq} 09`],
    ["bin 32 for bytes", `82 ${key.payload} c6000000017a ${key.seq} 09`],
    ["an array of integers for bytes", `82 ${key.payload} 91cc7a ${key.seq} 09`],
    ["signed 8 bits", `82 ${key.payload} a17a ${key.seq} d009`],
    ["signed 16 bits", `82 ${key.payload} a17a ${key.seq} d10009`],
    ["signed 32 bits", `82 ${key.payload} a17a ${key.seq} d200000009`],
    ["signed 64 bits", `82 ${key.payload} a17a ${key.seq} d30000000000000009`],
    ["unsigned 64 bits", `82 ${key.payload} a17a ${key.seq} cf0000000000000009`],
    ["a map 16", `de0002 ${key.payload} a17a ${key.seq} 09`],
    ["a map 32", `df00000002 ${key.payload} a17a ${key.seq} 09`],
    [
      "an unknown key with a nested value",
      `83 a15a 92 81a161c0 dd00000001cb0000000000000000 ${key.payload} a17a ${key.seq} 09`,
    ],
    ["an unknown key with an extension", `83 a15a d801${"00".repeat(16)} ${key.payload} a17a ${key.seq} 09`],
    ["an unknown key with a malformed timestamp", `83 a15a d5ff0000 ${key.payload} a17a ${key.seq} 09`],
    ["an unknown key with a map of numbers", `83 a15a 82 01a161 01c0 ${key.payload} a17a ${key.seq} 09`],
    [
      "an unknown key __proto__",
      `83 a9${latin1("__proto__").toHex()} 81a15a01 ${key.payload} a17a ${key.seq} 09`,
    ],
    [
      "an unknown binary key __proto__",
      `83 c409${latin1("__proto__").toHex()} 81a15a01 ${key.payload} a17a ${key.seq} 09`,
    ],
    ["an unknown key that is not UTF-8", `83 a2c328 01 ${key.payload} a17a ${key.seq} 09`],
    ["a key as bin 8", `82 c4075061796c6f6164 a17a ${key.seq} 09`],
    ["a key as str 8", `82 d9075061796c6f6164 a17a ${key.seq} 09`],
    ["the same key again", `83 ${key.seq} 08 ${key.payload} a17a ${key.seq} 09`],
    ["bytes behind the message", `82 ${key.payload} a17a ${key.seq} 09 ffff`],
  ])("%s", (_name, body) => {
    expect(ack(body)).toEqual({ type: "ack", seq: 9, payload: latin1("z") });
  });

  test("missing keys and nil are zero values", () => {
    expect(ack("80")).toEqual({ type: "ack", seq: 0, payload: null });
    expect(ack("c0")).toEqual({ type: "ack", seq: 0, payload: null });
    expect(ack(`81${key.seq}c0`)).toEqual({ type: "ack", seq: 0, payload: null });
    expect(decodeMessage(hex("03 83 a446726f6dc0 ab496e6361726e6174696f6ec0 a44e6f6465c0"))).toEqual({
      type: "suspect",
      incarnation: 0,
      node: "",
      from: "",
    });
  });

  test("names in UTF-8 come back as they were", () => {
    const name = "\ufeffnode-é-\u{1f310}\0";
    const message: GossipMessage = { type: "dead", incarnation: 1, node: name, from: name };
    expect(decodeMessage(encodeMessage(message))).toEqual(message);
    expect(encodeMessage(message).toHex()).toContain(Buffer.from(name).toString("hex"));
  });

  test("a ping without address or port has no source", () => {
    expect(decodeMessage(hex("0081aa536f75726365506f727407"))).toMatchObject({ type: "ping", source: null });
    expect(decodeMessage(hex("0081aa536f7572636541646472a47f000001"))).toMatchObject({ source: null });
  });
});

describe("decodeMessage refuses", () => {
  test.each([
    ["nothing", ""],
    ["a type without body", "02"],
    ["a type that is not for packets", "0683a44a6f696ec3"],
    ["an unknown type", "6380"],
    ["a sequence number above 32 bits", "0281a55365714e6fcf0000000100000000"],
    ["a negative sequence number", "0281a55365714e6fff"],
    ["a text for a number", "0281a55365714e6fa139"],
    ["a number for a text", "0d81a54572726f7201"],
    ["a number for bytes", "0281a75061796c6f616401"],
    ["an extension for bytes", "0281a75061796c6f6164d40100"],
    ["a sequence number with a fraction", "0281a55365714e6fcb3ff8000000000000"],
    ["a sequence number that is not one", "0281a55365714e6fcb7ff8000000000000"],
    ["a name that is not UTF-8", "0381a44e6f6465a2c328"],
    ["a name in an overlong form", "0381a44e6f6465a2c1a1"],
    ["a name of half a surrogate pair", "0381a44e6f6465a3eda0bd"],
    ["an array of numbers above 255 for bytes", "0281a75061796c6f616491cd0100"],
    ["a map that ends early", "0282a55365714e6f09"],
    ["a value that ends early", "0281a55365714e6fcd01"],
    ["a length beyond the end", "0281a75061796c6f6164dbffffffff00"],
    ["a map of four billion entries", "02dfffffffff"],
    ["an array of four billion numbers", "0281a75061796c6f6164ddffffffff01"],
    ["a key that is a number", "028101a131"],
    ["the unassigned descriptor", "0281a15ac1"],
    ["an alive with an address of 5 bytes", "0481a441646472a57f00000100"],
    ["an alive without an address", "0480"],
    ["an indirect ping without a target", "0180"],
    ["a port above 16 bits", "0481a4506f7274ce00010000"],
  ])("%s", (_name, bytes) => {
    expect(decodeMessage(hex(bytes))).toBeNull();
  });

  test("values nested a hundred thousand deep, without an overflow", () => {
    const nested = Uint8Array.of(2, 0x81, 0xa1, 0x5a, ...new Uint8Array(100_000).fill(0x91));
    expect(decodeMessage(nested)).toBeNull();
    expect(decodeMessage(Uint8Array.of(...nested, 0xc0))).toEqual({ type: "ack", seq: 0, payload: null });
  });

  test("every captured message cut short", () => {
    for (const [, bytes] of CAPTURED) {
      for (let end = 0; end < bytes.length; end++) expect(decodeMessage(bytes.subarray(0, end))).toBeNull();
    }
  });
});

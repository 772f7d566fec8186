import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  decodeSerfMessage,
  decodeSerfState,
  encodeSerfMessage,
  encodeSerfState,
  type SerfMessage,
  type SerfState,
} from "../../../../src/wire/gossip/index.ts";
import { hex, latin1 } from "../../../support/gossip/gossip-vectors.ts";

type Encodable = Parameters<typeof encodeSerfMessage>[0];

const MAX_LTIME = Number.MAX_SAFE_INTEGER;

describe("messages", () => {
  test.each<[Encodable, string]>([
    [
      { type: "leave-intent", ltime: 7, node: "a", prune: false },
      "0083a54c54696d6507a44e6f6465a161a55072756e65c2",
    ],
    [{ type: "join-intent", ltime: 300, node: "a" }, "0182a54c54696d65cd012ca44e6f6465a161"],
    [
      { type: "user-event", ltime: 2 ** 40, name: "n", payload: latin1("p"), coalesce: true },
      "0384a24343c3a54c54696d65cf0000010000000000a44e616d65a16ea75061796c6f6164c40170",
    ],
    [
      { type: "query-response", ltime: 1, id: 2 ** 32 - 1, from: "a", flags: 1, payload: new Uint8Array() },
      "0585a5466c61677301a446726f6da161a24944ceffffffffa54c54696d6501a75061796c6f6164c400",
    ],
  ])("%j", (message, bytes) => {
    expect(encodeSerfMessage(message).toHex()).toBe(bytes);
    expect(decodeSerfMessage(hex(bytes))).toEqual(message);
  });

  test("a query, with fields that are of no interest here", () => {
    const query =
      hex(`04 8b a441646472 a47f000001 a746696c74657273 91 a4 00 91a161 a5466c616773 03 a24944 cd1234
      a54c54696d65 05 a44e616d65 a4 75707469 a75061796c6f6164 a178 a4506f7274 cd1f0a
      ab52656c6179466163746f72 00 aa536f757263654e6f6465 a2 7131 a754696d656f7574 d300000003b9aca000`);
    expect(decodeSerfMessage(query)).toEqual({
      type: "query",
      ltime: 5,
      id: 0x1234,
      flags: 3,
      name: "upti",
      payload: latin1("x"),
      address: Uint8Array.of(127, 0, 0, 1),
      port: 7946,
      sourceNode: "q1",
      timeoutNs: 16_000_000_000,
    });
  });

  test("round trip", () => {
    const ltime = fc.maxSafeNat();
    const text = fc.string({ unit: "binary", maxLength: 40 });
    const payload = fc.uint8Array({ maxLength: 100 });
    const u32 = fc.nat(2 ** 31 - 1);
    const message: fc.Arbitrary<Encodable> = fc.oneof(
      fc.record({ type: fc.constant("leave-intent" as const), ltime, node: text, prune: fc.boolean() }),
      fc.record({ type: fc.constant("join-intent" as const), ltime, node: text }),
      fc.record({
        type: fc.constant("user-event" as const),
        ltime,
        name: text,
        payload,
        coalesce: fc.boolean(),
      }),
      fc.record({
        type: fc.constant("query-response" as const),
        ltime,
        id: u32,
        from: text,
        flags: u32,
        payload,
      }),
    );
    fc.assert(
      fc.property(message, (value: SerfMessage) => {
        expect(decodeSerfMessage(encodeSerfMessage(value as Encodable))).toEqual(value);
      }),
      { numRuns: 30 },
    );
  }, 30_000);

  test("a time too large for a number is the largest", () => {
    const ltime = (value: string) => decodeSerfMessage(hex(`01 81 a54c54696d65 ${value}`))?.ltime;
    expect(ltime("cfffffffffffffffff")).toBe(MAX_LTIME);
    expect(ltime("cf0020000000000000")).toBe(MAX_LTIME);
    expect(ltime("cf001fffffffffffff")).toBe(MAX_LTIME);
    expect(ltime("cf001ffffffffffffe")).toBe(MAX_LTIME - 1);
    expect(ltime("d37fffffffffffffff")).toBe(MAX_LTIME);
    expect(ltime("d3ffffffffffffffff")).toBeUndefined();
  });

  test("a negative timeout is read", () => {
    const timeout = (value: string) => decodeSerfMessage(hex(`04 81 a754696d656f7574 ${value}`));
    expect(timeout("d3fffffffffffffffe")).toMatchObject({ timeoutNs: -2 });
    expect(timeout("d38000000000000000")).toMatchObject({ timeoutNs: Number.MIN_SAFE_INTEGER });
    expect(timeout("d1ff00")).toMatchObject({ timeoutNs: -256 });
    expect(timeout("d080")).toMatchObject({ timeoutNs: -128 });
    expect(timeout("e0")).toMatchObject({ timeoutNs: -32 });
  });

  test.each(["", "02", "0280", "0680", "0980", "0a80", "00", "0081", "00a0", "0381a74c54696d65"])(
    "%s is none",
    (bytes) => {
      expect(decodeSerfMessage(hex(bytes))).toBeNull();
    },
  );
});

describe("push/pull state", () => {
  const STATE: SerfState = {
    ltime: 3,
    eventLTime: 1,
    queryLTime: 2,
    events: [],
    statusLTimes: new Map([["s1", 3]]),
    leftMembers: ["gone"],
    digest: new Uint8Array(),
  };
  const PARTS = [
    "aa4576656e744c54696d6501",
    "a64576656e747390",
    "a54c54696d6503",
    "ab4c6566744d656d6265727391a4676f6e65",
    "aa51756572794c54696d6502",
    "ac5374617475734c54696d657381a2733103",
  ];

  test("as agents read it", () => {
    expect(encodeSerfState(STATE).toHex()).toBe(`0286${PARTS.join("")}`);
    expect(decodeSerfState(encodeSerfState(STATE))).toEqual(STATE);
  });

  test("our digest rides along, its key in byte order", () => {
    const withDigest = { ...STATE, digest: Uint8Array.of(1, 2) };
    const digest = `ae${latin1("PortmeshDigest").toHex()}c4020102`;
    const expected = [...PARTS.slice(0, 4), digest, ...PARTS.slice(4)].join("");
    expect(encodeSerfState(withDigest).toHex()).toBe(`0287${expected}`);
    expect(decodeSerfState(encodeSerfState(withDigest))).toEqual(withDigest);
  });

  test("an agent's 512 event slots, empty and not", () => {
    const slot =
      "82 a64576656e7473 92 82a44e616d65a16ea75061796c6f6164c0 82a44e616d65a16da75061796c6f6164a178 a54c54696d6509";
    const events = `a64576656e7473 dc0200 ${"c0".repeat(510)} ${slot} c0`;
    const bytes = hex(`0286 ${PARTS.with(1, events).join("")}`);
    expect(decodeSerfState(bytes)).toEqual({
      ...STATE,
      events: [
        { ltime: 9, name: "n", payload: new Uint8Array() },
        { ltime: 9, name: "m", payload: latin1("x") },
      ],
    });
    expect(decodeSerfState(hex(`0286 ${PARTS.with(1, "a64576656e7473c0").join("")}`))).toEqual(STATE);
  });

  test("each event of ours is an element of its own", () => {
    const events = [
      { ltime: 4, name: "n", payload: latin1("p") },
      { ltime: 4, name: "n", payload: new Uint8Array() },
    ];
    const element = (payload: string) =>
      `82a64576656e74739182a44e616d65a16ea75061796c6f6164${payload}a54c54696d6504`;
    const bytes = encodeSerfState({ ...STATE, events });
    expect(bytes).toEqual(
      hex(`0286 ${PARTS.with(1, `a64576656e747392 ${element("c40170")} ${element("c400")}`).join("")}`),
    );
    expect(decodeSerfState(bytes)?.events).toEqual(events);
  });

  test("more events than anybody remembers are refused: a byte each, they would be as many objects", () => {
    const events = (count: number) =>
      hex(
        `0281 a64576656e7473 91 81 a64576656e7473 dd${count.toString(16).padStart(8, "0")} ${"80".repeat(count)}`,
      );
    expect(decodeSerfState(events(8_192))?.events.length).toBe(8_192);
    expect(decodeSerfState(events(8_193))).toBeNull();
  });

  test("an unknown field of more values than any state has is refused, however it is nested", () => {
    const unknown = (count: number, value: string) =>
      hex(`0281 a158 dd${count.toString(16).padStart(8, "0")} ${value.repeat(count)}`);
    expect(decodeSerfState(unknown(2 ** 17, "80"))).not.toBeNull();
    expect(decodeSerfState(unknown(2 ** 18, "80"))).toBeNull();
    expect(decodeSerfState(unknown(2 ** 17, "9180"))).toBeNull();
    expect(decodeSerfState(hex(`0281 a158 ${"91".repeat(2 ** 18)} c0`))).toBeNull();
  });

  test("nil for every list is empty", () => {
    const bytes = hex(
      "0284 a64576656e7473c0 ab4c6566744d656d62657273c0 ac5374617475734c54696d6573c0 a54c54696d65c0",
    );
    expect(decodeSerfState(bytes)).toMatchObject({
      ltime: 0,
      events: [],
      leftMembers: [],
      statusLTimes: new Map(),
    });
  });

  test("names such as __proto__ are names", () => {
    const state = { ...STATE, statusLTimes: new Map([["__proto__", 5]]), leftMembers: ["__proto__"] };
    expect(decodeSerfState(encodeSerfState(state))).toEqual(state);
  });

  test("names that are not UTF-8 are left out, the others count", () => {
    const names = "ab4c6566744d656d6265727392 a2c328 a4676f6e65";
    const ltimes = "ac5374617475734c54696d6573 83 a2c3a8 07 a2c328 08 a2c1a1 09";
    const bytes = hex(`0286 ${PARTS.with(3, names).with(5, ltimes).join("")}`);
    expect(decodeSerfState(bytes)).toEqual({ ...STATE, statusLTimes: new Map([["è", 7]]) });
  });

  test.each([
    ["a list of members that is a text", "ab4c6566744d656d62657273 a161"],
    ["events that are a map", "a64576656e7473 80"],
    ["a time that is a text", "ac5374617475734c54696d6573 81 a161 a131"],
    ["a negative time", "ac5374617475734c54696d6573 81 a161 ff"],
    ["times that are a list", "ac5374617475734c54696d6573 90"],
    ["a body that is a number", "00"],
  ])("%s is null", (_name, field) => {
    expect(decodeSerfState(hex(field === "00" ? "0200" : `0281 ${field}`))).toBeNull();
  });

  test("cut short anywhere is null, and so is what is not serf's", () => {
    const bytes = encodeSerfState(STATE);
    for (let end = 0; end < bytes.length; end++) expect(decodeSerfState(bytes.subarray(0, end))).toBeNull();
    expect(decodeSerfState(hex("0180"))).toBeNull();
    expect(
      decodeSerfState(hex(`0281 ab4c6566744d656d62657273 dd00100000 ${"a0".repeat(2 ** 20)}`)),
    ).toBeNull();
  });
});

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  decodePushPull,
  decodeStreamUser,
  encodePushPull,
  encodeStreamUser,
  type PushPull,
} from "../../../../src/wire/gossip/index.ts";
import {
  hex,
  PUSH_PULL_HEAD,
  PUSH_PULL_USER_STATE_BYTES,
  SERF_VERSIONS,
  WEB_TAGS,
} from "../../../support/gossip/gossip-vectors.ts";
import { pushPull } from "../../../support/random/arbitrary-gossip.ts";

const USER_STATE = new Uint8Array(PUSH_PULL_USER_STATE_BYTES).fill(0xab);
const CAPTURED = Uint8Array.of(...PUSH_PULL_HEAD, ...USER_STATE);
const EXCHANGE: PushPull = {
  isJoin: true,
  members: [
    {
      name: "s1",
      address: Uint8Array.of(127, 0, 0, 1),
      port: 0x461a,
      meta: WEB_TAGS,
      incarnation: 1,
      state: "alive",
      versions: SERF_VERSIONS,
    },
  ],
  userState: USER_STATE,
};

describe("push/pull", () => {
  test("as a serf agent sends it", () => {
    expect(decodePushPull(CAPTURED)).toEqual({ ...EXCHANGE, unusableMembers: 0 });
    expect(decodePushPull(encodePushPull(EXCHANGE))).toEqual({ ...EXCHANGE, unusableMembers: 0 });
  });

  test("round trip", () => {
    fc.assert(
      fc.property(pushPull, (exchange) =>
        expect(decodePushPull(encodePushPull(exchange))).toEqual({ ...exchange, unusableMembers: 0 }),
      ),
    );
  });

  test("cut short anywhere is null", () => {
    for (let end = 0; end < CAPTURED.length; end++) {
      expect(decodePushPull(CAPTURED.subarray(0, end))).toBeNull();
    }
  });

  test("signed numbers, as newer members write them", () => {
    const header = hex("06 83 a44a6f696e c2 a54e6f646573 d000 ac5573657253746174654c656e d10002 abcd");
    expect(decodePushPull(header)).toMatchObject({ members: [], userState: hex("abcd") });
  });

  test.each([
    ["a negative count of members", "0681a54e6f646573ff"],
    ["a negative length of the user state", "0681ac5573657253746174654c656eff"],
    ["a huge count of members", `0681a54e6f646573ce7fffffff ${"80".repeat(1000)}`],
    ["a huge length of the user state", "0681ac5573657253746174654c656ecf7fffffffffffffff"],
    ["another type", "0880"],
  ])("%s is null", (_name, bytes) => {
    expect(decodePushPull(hex(bytes))).toBeNull();
  });

  test("unusable members are left out and counted", () => {
    const [member] = EXCHANGE.members;
    const members = [
      { ...member!, name: "no address", address: new Uint8Array() },
      { ...member!, name: "fine" },
      { ...member!, name: "no state", state: "lost" as "left" },
    ];
    const received = decodePushPull(encodePushPull({ isJoin: false, members, userState: Uint8Array.of(7) }));
    expect(received?.members.map(({ name }) => name)).toEqual(["fine"]);
    expect(received?.unusableMembers).toBe(2);
    expect(received?.userState).toEqual(Uint8Array.of(7));
  });
});

test("one member with a name that is not UTF-8, or without fields, does not cost the others", () => {
  const header = "0681a54e6f64657303";
  const fine = "83a44e616d65a161a441646472a47f000001a55374617465 00";
  const bytes = hex(`${header} 82a44e616d65a2c328a441646472a47f000001 a0 ${fine}`);
  expect(decodePushPull(bytes)).toMatchObject({ members: [{ name: "a" }], unusableMembers: 2 });
});

describe("user message on a stream", () => {
  test("has its length in front", () => {
    const bytes = hex("08 81 aa557365724d73674c656e 03 0a0b0c");
    expect(encodeStreamUser(hex("0a0b0c")).toHex()).toBe(bytes.toHex());
    expect(decodeStreamUser(bytes)).toEqual(hex("0a0b0c"));
    expect(decodeStreamUser(encodeStreamUser(new Uint8Array()))).toEqual(new Uint8Array());
  });

  test.each([
    ["cut short", "08 81 aa557365724d73674c656e 03 0a0b"],
    ["without a length", "08"],
    ["of negative length", "08 81 aa557365724d73674c656e ff"],
    ["of huge length", "08 81 aa557365724d73674c656e cfffffffffffffffff 00"],
    ["of another type", "06 81 aa557365724d73674c656e 00"],
  ])("%s is null", (_name, bytes) => {
    expect(decodeStreamUser(hex(bytes))).toBeNull();
  });
});

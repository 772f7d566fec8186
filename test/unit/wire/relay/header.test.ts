import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  decodeProxyHeader,
  encodeRelayTask,
  ProxyHeader,
  RELAY_HEADER_MAX_BYTES,
  RelaySigner,
  readRelayValues,
} from "../../../../src/wire/index.ts";
import { addressOf, endpoint } from "../../../support/random/arbitrary-ip.ts";

const KEY = new Uint8Array(32).fill(0x5a);
const EXIT = "exit-1";
const CHALLENGE = Uint8Array.from({ length: 16 }, (_, index) => index);
const CLIENT = { family: 4, bytes: Uint8Array.of(192, 0, 2, 7), offset: 0, port: 5353 } as const;
const PUBLISHED = { family: 4, bytes: Uint8Array.of(192, 0, 2, 10), offset: 0, port: 80 } as const;
const TASK = { service: "web", task: "10.1.0.7:80", targetPort: 80 };

const SIGNATURE = "0d0a0d0a000d0a515549540a";
const TCP4 = "2111";
const LOCAL = "2000";
const ADDRESSES = "c0000207c000020a14e90050";
const SERVICE_VALUE = "e00003776562";
const TASK_VALUE = "e1000b31302e312e302e373a3830";
const PORT_VALUE = "e200020050";
const CHALLENGE_VALUE = "e30010000102030405060708090a0b0c0d0e0f";
/** Nobody's, but of the right form. */
const TAG_VALUE = `e40010${"99".repeat(16)}`;
const NAMES = [SERVICE_VALUE, TASK_VALUE, PORT_VALUE];

const name = fc
  .string({ minLength: 1, maxLength: 80, unit: "grapheme" })
  .filter((text) => Buffer.byteLength(text) <= 255 && text.isWellFormed());
const challenges = fc.uint8Array({ minLength: 16, maxLength: 16 });

function written(
  task: typeof TASK | null = TASK,
  {
    key = KEY,
    exit = EXIT,
    challenge = CHALLENGE,
    source = CLIENT as never,
    destination = PUBLISHED as never,
  } = {},
): Uint8Array {
  const out = new Uint8Array(RELAY_HEADER_MAX_BYTES);
  const encoded = task === null ? null : encodeRelayTask(task.service, task.task, task.targetPort);
  const clients = task === null ? null : { source, destination };
  return out.subarray(0, new RelaySigner(key, exit).write(clients, encoded, challenge, out, 0));
}

function header(command: string, ...rest: string[]): Uint8Array {
  const block = rest.join("");
  return Uint8Array.fromHex(SIGNATURE + command + (block.length / 2).toString(16).padStart(4, "0") + block);
}

/** null: it is no relay header. */
function read(bytes: Uint8Array) {
  const decoded = decodeProxyHeader(bytes, 0, bytes.length, new ProxyHeader());
  return decoded.status === "complete" ? readRelayValues(bytes, 0, decoded) : null;
}

function isSigned(bytes: Uint8Array, { key = KEY, exit = EXIT } = {}): boolean {
  return new RelaySigner(key, exit).isSigned(bytes, 0, bytes.length);
}

describe("RelaySigner", () => {
  // the tags were computed by another program from the description in the source
  test("writes a client's header as described", () => {
    const tag = "e40010532c6c9a1aaba9489f76fa6796d71c73";
    const expected = header(TCP4, ADDRESSES, ...NAMES, CHALLENGE_VALUE, tag);
    expect(written().toHex()).toBe(expected.toHex());
  });

  test("writes a heartbeat's header as described", () => {
    const tag = "e400109d130639ab2ab6a9a2dc45c0923e1d53";
    expect(written(null).toHex()).toBe(header(LOCAL, CHALLENGE_VALUE, tag).toHex());
  });

  test("writes what is read back and is signed, at any offset", () => {
    fc.assert(
      fc.property(
        endpoint,
        endpoint,
        fc.record({ service: name, task: name, targetPort: fc.nat(65_535) }),
        challenges,
        fc.nat(20),
        (source, destination, task, challenge, at) => {
          const signer = new RelaySigner(KEY, EXIT);
          const bytes = new Uint8Array(at + RELAY_HEADER_MAX_BYTES + 3).fill(0xa5);
          const encoded = encodeRelayTask(task.service, task.task, task.targetPort)!;
          const length = signer.write({ source, destination }, encoded, challenge, bytes, at);
          expect(bytes.subarray(at + length).every((byte) => byte === 0xa5)).toBe(true);
          const decoded = decodeProxyHeader(bytes, at, length, new ProxyHeader());
          expect(decoded).toMatchObject({ status: "complete", headerLength: length, transport: "tcp" });
          const family = source.family === 4 && destination.family === 4 ? 4 : 6;
          expect(addressOf(decoded.source, family)).toEqual(addressOf(source, family));
          expect(addressOf(decoded.destination, family)).toEqual(addressOf(destination, family));
          expect([decoded.source.port, decoded.destination.port]).toEqual([source.port, destination.port]);
          const values = readRelayValues(bytes, at, decoded)!;
          expect({ ...values, challenge: values.challenge.toHex() }).toEqual({
            task,
            challenge: challenge.toHex(),
          });
          expect(signer.isSigned(bytes, at, length)).toBe(true);
        },
      ),
    );
  });

  test("the longest header is as long as is said", () => {
    const longest = { service: "s".repeat(255), task: "t".repeat(255), targetPort: 65_535 };
    const source = { family: 6, bytes: new Uint8Array(16).fill(7), offset: 0, port: 1 } as never;
    const bytes = written(longest, { source });
    expect(bytes.length).toBe(RELAY_HEADER_MAX_BYTES);
    expect(read(bytes)?.task).toEqual(longest);
  });
});

describe("a header is not signed", () => {
  test("by another key, nor for another exit node", () => {
    expect(isSigned(written())).toBe(true);
    expect(isSigned(written(), { key: KEY.with(31, 0) })).toBe(false);
    expect(isSigned(written(), { exit: "exit-2" })).toBe(false);
    expect(isSigned(written(), { exit: "exit-" })).toBe(false);
    expect(isSigned(written(TASK, { exit: "" }))).toBe(false);
  });

  test("after a change of any byte", () => {
    for (const task of [TASK, null]) {
      const bytes = written(task);
      for (let at = 0; at < bytes.length; at++) {
        expect([at, isSigned(bytes.with(at, bytes[at]! ^ 1))]).toEqual([at, false]);
      }
    }
  });

  test("after any change of one bit that still can be read", () => {
    const bytes = written();
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), fc.nat(7), (at, bit) => {
        const changed = bytes.with(at, bytes[at]! ^ (1 << bit));
        expect(read(changed) !== null && isSigned(changed)).toBe(false);
      }),
    );
  });

  test("when a piece has been taken out or put in", () => {
    const bytes = written();
    const [head, tag] = [bytes.subarray(0, -19), bytes.subarray(-19)];
    expect(isSigned(Uint8Array.of(...head, 1, 0, 0, ...tag))).toBe(false);
    expect(isSigned(Uint8Array.of(...head.subarray(0, -19), ...tag))).toBe(false);
  });
});

describe("encodeRelayTask", () => {
  test("takes names of 1 to 255 bytes", () => {
    const long = "é".repeat(127);
    expect(encodeRelayTask(`${long}x`, `${long}y`, 1)).not.toBeNull();
    expect(encodeRelayTask("é".repeat(128), "task", 1)).toBeNull();
    expect(encodeRelayTask("web", "é".repeat(128), 1)).toBeNull();
    expect(encodeRelayTask("", "task", 1)).toBeNull();
    expect(encodeRelayTask("web", "", 1)).toBeNull();
  });
});

describe("readRelayValues", () => {
  test("passes over unknown values, in any order; the tag is last", () => {
    const bytes = header(TCP4, ADDRESSES, "010000", PORT_VALUE, CHALLENGE_VALUE, TASK_VALUE)
      .toHex()
      .slice(32);
    const values = read(header(TCP4, bytes, "ee00021234", SERVICE_VALUE, TAG_VALUE))!;
    expect(values.task).toEqual(TASK);
    expect(values.challenge.toHex()).toBe(CHALLENGE_VALUE.slice(6));
  });

  test("a heartbeat is one whatever tasks it names", () => {
    expect(read(header(LOCAL, CHALLENGE_VALUE, TAG_VALUE))?.task).toBeNull();
    expect(read(header(LOCAL, ...NAMES, CHALLENGE_VALUE, TAG_VALUE))?.task).toBeNull();
  });

  test("of two values of one type the later counts", () => {
    const values = read(
      header(
        TCP4,
        ADDRESSES,
        "e00003626164",
        ...NAMES,
        `e30010${"00".repeat(16)}`,
        CHALLENGE_VALUE,
        TAG_VALUE,
      ),
    )!;
    expect(values.task).toEqual(TASK);
    expect(values.challenge.toHex()).toBe(CHALLENGE_VALUE.slice(6));
  });

  const longName = `0100${"61".repeat(256)}`;
  const ipv6 = `${"00".repeat(32)}14e90050`;
  test.each([
    ["a PROXY header of version 1", Buffer.from("PROXY TCP4 192.0.2.7 192.0.2.10 5353 80\r\n")],
    ["a short one of version 1", Buffer.from("PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n")],
    ["no values at all", header(TCP4, ADDRESSES)],
    ["for UDP", header("2112", ADDRESSES, ...NAMES, CHALLENGE_VALUE, TAG_VALUE)],
    ["for no transport", header("2110", ADDRESSES, ...NAMES, CHALLENGE_VALUE, TAG_VALUE)],
    ["without addresses", header("2100", ...NAMES, CHALLENGE_VALUE, TAG_VALUE)],
    ["for a UNIX socket", header("2131", "00".repeat(216), ...NAMES, CHALLENGE_VALUE, TAG_VALUE)],
    ["of the other family", header("2121", ADDRESSES, ...NAMES, CHALLENGE_VALUE, TAG_VALUE)],
    ["of the other family, the other way", header(TCP4, ipv6, ...NAMES, CHALLENGE_VALUE, TAG_VALUE)],
    ["no service", header(TCP4, ADDRESSES, TASK_VALUE, PORT_VALUE, CHALLENGE_VALUE, TAG_VALUE)],
    ["no task", header(TCP4, ADDRESSES, SERVICE_VALUE, PORT_VALUE, CHALLENGE_VALUE, TAG_VALUE)],
    ["no target port", header(TCP4, ADDRESSES, SERVICE_VALUE, TASK_VALUE, CHALLENGE_VALUE, TAG_VALUE)],
    ["no challenge", header(TCP4, ADDRESSES, ...NAMES, TAG_VALUE)],
    ["no tag", header(TCP4, ADDRESSES, ...NAMES, CHALLENGE_VALUE)],
    ["a heartbeat with no challenge", header(LOCAL, TAG_VALUE)],
    ["a heartbeat with no tag", header(LOCAL, CHALLENGE_VALUE)],
    ["a heartbeat with nothing", header(LOCAL)],
    ["a heartbeat with addresses", header("2011", ADDRESSES, CHALLENGE_VALUE, TAG_VALUE)],
    [
      "an empty service",
      header(TCP4, ADDRESSES, "e00000", TASK_VALUE, PORT_VALUE, CHALLENGE_VALUE, TAG_VALUE),
    ],
    [
      "an empty task",
      header(TCP4, ADDRESSES, SERVICE_VALUE, "e10000", PORT_VALUE, CHALLENGE_VALUE, TAG_VALUE),
    ],
    [
      "a service of 256 bytes",
      header(TCP4, ADDRESSES, `e0${longName}`, TASK_VALUE, PORT_VALUE, CHALLENGE_VALUE, TAG_VALUE),
    ],
    [
      "a task of 256 bytes",
      header(TCP4, ADDRESSES, SERVICE_VALUE, `e1${longName}`, PORT_VALUE, CHALLENGE_VALUE, TAG_VALUE),
    ],
    [
      "a port of one byte",
      header(TCP4, ADDRESSES, SERVICE_VALUE, TASK_VALUE, "e2000150", CHALLENGE_VALUE, TAG_VALUE),
    ],
    [
      "a port of three bytes",
      header(TCP4, ADDRESSES, SERVICE_VALUE, TASK_VALUE, "e20003000050", CHALLENGE_VALUE, TAG_VALUE),
    ],
    ["a challenge of 15 bytes", header(TCP4, ADDRESSES, ...NAMES, `e3000f${"00".repeat(15)}`, TAG_VALUE)],
    ["a challenge of 17 bytes", header(TCP4, ADDRESSES, ...NAMES, `e30011${"00".repeat(17)}`, TAG_VALUE)],
    ["a tag of 15 bytes", header(TCP4, ADDRESSES, ...NAMES, CHALLENGE_VALUE, `e4000f${"00".repeat(15)}`)],
    ["a tag of 17 bytes", header(TCP4, ADDRESSES, ...NAMES, CHALLENGE_VALUE, `e40011${"00".repeat(17)}`)],
    ["a tag that is not last", header(TCP4, ADDRESSES, ...NAMES, TAG_VALUE, CHALLENGE_VALUE)],
    [
      "an empty value behind the tag",
      header(TCP4, ADDRESSES, ...NAMES, CHALLENGE_VALUE, TAG_VALUE, "010000"),
    ],
    ["a value past the end", header(TCP4, ADDRESSES, ...NAMES, CHALLENGE_VALUE, TAG_VALUE.slice(0, -2))],
    ["half a value's head at the end", header(TCP4, ADDRESSES, ...NAMES, CHALLENGE_VALUE, TAG_VALUE, "01")],
    ["a heartbeat with half a value's head", header(LOCAL, CHALLENGE_VALUE, TAG_VALUE, "0100")],
  ])("malformed: %s", (_, bytes) => {
    expect(read(bytes)).toBeNull();
  });

  test("well-formed, to compare with", () => {
    expect(read(header(TCP4, ADDRESSES, ...NAMES, CHALLENGE_VALUE, TAG_VALUE))?.task).toEqual(TASK);
    expect(read(header("2121", ipv6, ...NAMES, CHALLENGE_VALUE, TAG_VALUE))?.task).toEqual(TASK);
  });
});

import { expect, test } from "bun:test";
import fc from "fast-check";
import {
  decodeProxyHeader,
  decodeRelaySession,
  encodeProxyV2,
  encodeRelaySession,
  ProxyHeader,
} from "../../../../src/wire/index.ts";
import { addressOf, endpoint } from "../../../support/random/arbitrary-ip.ts";

const CLIENT = { family: 4, bytes: Uint8Array.of(192, 0, 2, 7), offset: 0, port: 5353 } as const;
const PUBLISHED = { family: 4, bytes: Uint8Array.of(192, 0, 2, 10), offset: 0, port: 53 } as const;
const SESSION = {
  source: CLIENT,
  destination: PUBLISHED,
  service: "dns",
  task: "10.1.0.7:53",
  targetPort: 53,
};
const SIGNATURE = "0d0a0d0a000d0a515549540a";
const ADDRESSES = "c0000207c000020a14e90035";
const SERVICE = "e00003646e73";
const TASK = "e1000b31302e312e302e373a3533";
const PORT = "e200020035";

const name = fc
  .string({ minLength: 1, maxLength: 80, unit: "grapheme" })
  .filter((text) => Buffer.byteLength(text) <= 255 && text.isWellFormed());

function header(fixed: string, ...rest: string[]): Uint8Array {
  const block = rest.join("");
  return Uint8Array.fromHex(SIGNATURE + fixed + (block.length / 2).toString(16).padStart(4, "0") + block);
}

function decode(bytes: Uint8Array) {
  return decodeRelaySession(bytes, 0, bytes.length);
}

test("encodeRelaySession writes a PROXY header with three type-length-values", () => {
  const bytes = encodeRelaySession(SESSION)!;
  expect(bytes.toHex()).toBe(header("2112", ADDRESSES, SERVICE, TASK, PORT).toHex());
  const read = decodeProxyHeader(bytes, 0, bytes.length, new ProxyHeader());
  expect(read).toMatchObject({ status: "complete", headerLength: bytes.length, transport: "udp" });
});

test("decodeRelaySession reads back what was written, at any offset", () => {
  fc.assert(
    fc.property(
      endpoint,
      endpoint,
      name,
      name,
      fc.nat(65535),
      (source, destination, service, task, targetPort) => {
        const bytes = encodeRelaySession({ source, destination, service, task, targetPort })!;
        const shifted = new Uint8Array(bytes.length + 9).fill(0xa5);
        shifted.set(bytes, 4);
        const read = decodeRelaySession(shifted, 4, bytes.length)!;
        expect(read).toMatchObject({ service, task, targetPort });
        const family = source.family === 4 && destination.family === 4 ? 4 : 6;
        expect(addressOf(read.source, family)).toEqual(addressOf(source, family));
        expect(addressOf(read.destination, family)).toEqual(addressOf(destination, family));
        expect([read.source.port, read.destination.port]).toEqual([source.port, destination.port]);
      },
    ),
  );
});

test("names may be 255 bytes long and not longer, nor empty", () => {
  const long = "é".repeat(127);
  expect(decode(encodeRelaySession({ ...SESSION, service: `${long}x`, task: `${long}y` })!)).toMatchObject({
    service: `${long}x`,
    task: `${long}y`,
  });
  expect(encodeRelaySession({ ...SESSION, task: "é".repeat(128) })).toBeNull();
  expect(encodeRelaySession({ ...SESSION, service: "" })).toBeNull();
});

test("unknown type-length-values are passed over, in any order", () => {
  expect(decode(header("2112", ADDRESSES, "010000", PORT, TASK, "ee00021234", SERVICE))).toMatchObject({
    service: "dns",
    task: "10.1.0.7:53",
    targetPort: 53,
  });
});

test.each([
  ["nothing", new Uint8Array(0)],
  ["no PROXY header", Buffer.from("GET / HTTP/1.1\r\n\r\n")],
  ["a header for TCP", header("2111", ADDRESSES, SERVICE, TASK, PORT)],
  ["a header without addresses", header("2000", SERVICE, TASK, PORT)],
  ["no service", header("2112", ADDRESSES, TASK, PORT)],
  ["no task", header("2112", ADDRESSES, SERVICE, PORT)],
  ["no target port", header("2112", ADDRESSES, SERVICE, TASK)],
  ["an empty service", header("2112", ADDRESSES, "e00000", TASK, PORT)],
  ["a target port of one byte", header("2112", ADDRESSES, SERVICE, TASK, "e2000135")],
  ["a target port of three bytes", header("2112", ADDRESSES, SERVICE, TASK, "e20003003535")],
  ["a task of 256 bytes", header("2112", ADDRESSES, SERVICE, `e10100${"61".repeat(256)}`, PORT)],
  ["a value past the end", header("2112", ADDRESSES, SERVICE, TASK, "e200050035")],
  ["bytes behind it", Uint8Array.of(...header("2112", ADDRESSES, SERVICE, TASK, PORT), 0)],
])("malformed: %s", (_, bytes) => {
  expect(decode(bytes)).toBeNull();
});

test("decodeRelaySession never throws and reads nothing outside, whatever the values are", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 80 }), fc.nat(90), (values, length) => {
      const bytes = new Uint8Array(200).fill(0xff);
      const end = encodeProxyV2(CLIENT, PUBLISHED, "udp", bytes, 0);
      bytes.set(values, end);
      bytes[15] = 12 + values.length;
      const read = decodeRelaySession(bytes, 0, Math.min(end + length, 200));
      bytes.fill(0, end + values.length);
      expect(decodeRelaySession(bytes, 0, Math.min(end + length, 200))).toEqual(read);
    }),
  );
});

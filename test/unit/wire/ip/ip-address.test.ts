import { expect, test } from "bun:test";
import fc from "fast-check";
import ipaddr from "ipaddr.js";
import { copyAsIpv6, formatIp, isMappedIpv4, parseIp, writeIp } from "../../../../src/wire/index.ts";
import { ip, ipv4Bytes, mappedBytes, pureIpv6Bytes } from "../../../support/random/arbitrary-ip.ts";

test.each([
  ["192.0.2.1", 4, [192, 0, 2, 1]],
  ["0.0.0.0", 4, [0, 0, 0, 0]],
  ["::", 6, Array(16).fill(0)],
  ["2001:DB8::1", 6, [0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]],
  ["::ffff:192.0.2.1", 6, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 1]],
  ["::192.0.2.1", 6, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 192, 0, 2, 1]],
  ["0:0:0:0:0:ffff:192.0.2.1", 6, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 1]],
] as const)("parseIp reads %s", (text, family, bytes) => {
  expect(parseIp(text)).toEqual({ family, bytes: Uint8Array.from(bytes) });
});

test.each([
  "",
  " ",
  "1.2.3",
  "1.2.3.4.5",
  "01.2.3.4",
  "0x7f.0.0.1",
  "256.0.0.1",
  "2130706433",
  "1.2.3.4/8",
  " 1.2.3.4",
  "1::2::3",
  "::01.2.3.4",
  "::1.2.3",
  "1:2:3:4:5:6:7:1.2.3.4",
  "fe80::1%eth0",
  "[::1]",
  "::1/128",
  "12345::",
  "localhost",
])("parseIp refuses %p", (text) => {
  expect(parseIp(text)).toBeNull();
});

test.each([
  ["::", "::"],
  ["::1", "::1"],
  ["1::", "1::"],
  ["2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"],
  ["2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"],
  ["2001:0:0:1:0:0:0:1", "2001:0:0:1::1"],
  ["2001:DB8:00AA::", "2001:db8:aa::"],
  ["::ffff:c000:201", "::ffff:192.0.2.1"],
  ["ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"],
  ["255.255.255.255", "255.255.255.255"],
  ["10.0.100.1", "10.0.100.1"],
])("formatIp writes %s as %s", (text, expected) => {
  const { family, bytes } = parseIp(text)!;
  expect(formatIp(family, bytes)).toBe(expected);
});

test("formatIp agrees with ipaddr.js", () => {
  fc.assert(
    fc.property(ipv4Bytes, (bytes) => {
      expect(formatIp(4, bytes)).toBe(ipaddr.fromByteArray([...bytes]).toString());
    }),
  );
  fc.assert(
    fc.property(pureIpv6Bytes, (bytes) => {
      expect(formatIp(6, bytes)).toBe((ipaddr.fromByteArray([...bytes]) as ipaddr.IPv6).toRFC5952String());
    }),
  );
});

test("parseIp undoes formatIp", () => {
  fc.assert(fc.property(ip, (ip) => expect(parseIp(formatIp(ip.family, ip.bytes))).toEqual(ip)));
});

test("writeIp writes its text at the offset and nothing else", () => {
  fc.assert(
    fc.property(ip, fc.nat(9), ({ family, bytes }, at) => {
      const out = new Uint8Array(60).fill(0xa5);
      const end = writeIp(family, bytes, 0, out, at);
      expect(String.fromCharCode(...out.subarray(at, end))).toBe(formatIp(family, bytes));
      expect(out.subarray(0, at).every((byte) => byte === 0xa5)).toBe(true);
      expect(out.subarray(end).every((byte) => byte === 0xa5)).toBe(true);
    }),
  );
});

test("copyAsIpv6 maps IPv4, and isMappedIpv4 knows exactly those", () => {
  fc.assert(
    fc.property(ipv4Bytes, (bytes) => {
      const mapped = new Uint8Array(20).fill(7);
      copyAsIpv6(4, bytes, 0, mapped, 2);
      expect(isMappedIpv4(mapped, 2)).toBe(true);
      expect([...mapped.subarray(14, 18)]).toEqual([...bytes]);
      expect([mapped[1], mapped[18]]).toEqual([7, 7]);
    }),
  );
  fc.assert(fc.property(pureIpv6Bytes, (bytes) => expect(isMappedIpv4(bytes, 0)).toBe(false)));
  fc.assert(fc.property(mappedBytes, (bytes) => expect(isMappedIpv4(bytes, 0)).toBe(true)));
});

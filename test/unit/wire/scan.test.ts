import { expect, test } from "bun:test";
import fc from "fast-check";
import ipaddr from "ipaddr.js";
import { formatIp } from "../../../src/wire/index.ts";
import { ascii, MALFORMED, NEED_MORE, scanDecimal, scanIpv4, scanIpv6 } from "../../../src/wire/scan.ts";
import { ip } from "../../support/random/arbitrary-ip.ts";

/** Scans the text followed by a space: its address, or "malformed". */
function scanned(text: string): string {
  const bytes = ascii(`${text} `);
  const into = new Uint8Array(16);
  const isIpv6 = text.includes(":");
  const at = isIpv6 ? scanIpv6(bytes, 0, bytes.length, into) : scanIpv4(bytes, 0, bytes.length, into, 0);
  return at === text.length ? formatIp(isIpv6 ? 6 : 4, into) : "malformed";
}

test.each([
  ["0", 1],
  ["65535", 5],
  ["65536", MALFORMED],
  ["00", MALFORMED],
  ["01", MALFORMED],
  ["", MALFORMED],
  ["-1", MALFORMED],
  ["+1", MALFORMED],
])("scanDecimal of %p gives %d", (text, expected) => {
  const bytes = ascii(`${text} `);
  expect(scanDecimal(bytes, 0, bytes.length, 65535)).toBe(expected);
});

test("scanDecimal needs the byte after the number", () => {
  expect(scanDecimal(ascii("123"), 0, 3, 65535)).toBe(NEED_MORE);
  expect(scanDecimal(ascii(""), 0, 0, 65535)).toBe(NEED_MORE);
});

test("scanIpv4 and scanIpv6 undo formatIp", () => {
  fc.assert(
    fc.property(ip, ({ family, bytes }) => {
      const text = formatIp(family, bytes);
      expect(scanned(text)).toBe(text);
      if (family === 6) expect(scanned(text.toUpperCase())).toBe(text);
    }),
  );
});

test("scanIpv6 agrees with ipaddr.js on what an address is", () => {
  const part = fc.constantFrom(":", ":", "::", "0", "1", "ab", "FFFF", "0123", "12345", "g", ".", "1.2.3.4");
  fc.assert(
    fc.property(fc.array(part, { minLength: 1, maxLength: 17 }), (parts) => {
      const text = parts.join("");
      // "::" that stands for no group, and dotted quads (a narrower rule, tested below), are read differently.
      if (!text.includes(":") || text.includes(".") || text.replace("::", ":").split(":").length > 8) return;
      const expected = ipaddr.IPv6.isValid(text)
        ? formatIp(6, Uint8Array.from(ipaddr.IPv6.parse(text).toByteArray()))
        : "malformed";
      expect(scanned(text)).toBe(expected);
    }),
    { numRuns: 3000 },
  );
});

test.each([
  ["::ffff:192.0.2.1", "::ffff:192.0.2.1"],
  ["::192.0.2.1", "::c000:201"],
  ["64:ff9b::192.0.2.1", "64:ff9b::c000:201"],
  ["1:2:3:4:5::1.2.3.4", "1:2:3:4:5:0:102:304"],
  ["1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"],
  ["::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"],
  ["1:2:3:4:5:6::1.2.3.4", "malformed"],
  ["1:2:3:4:5:6:1.2.3.4", "malformed"],
  ["::1.2.3", "malformed"],
  ["::01.2.3.4", "malformed"],
  ["::1.2.3.4:5", "malformed"],
  ["1:2:3:4:5:6:7:8:9", "malformed"],
  ["1:2:3:4:5:6:7::8", "malformed"],
  ["1:2:3:4:5:6:7", "malformed"],
  [":1:2:3:4:5:6:7", "malformed"],
  ["1:2:3:4:5:6:7:", "malformed"],
  [":::", "malformed"],
  ["1::2::3", "malformed"],
  ["fe80::1%1", "malformed"],
  ["1.2.3.4", "1.2.3.4"],
  ["1.2.3.04", "malformed"],
  ["1.2.3", "malformed"],
  ["1.2.3.4.5", "malformed"],
  ["1.2..4", "malformed"],
  ["1.2.3.256", "malformed"],
])("scanIpv4/scanIpv6 of %s gives %s", (text, expected) => {
  expect(scanned(text)).toBe(expected);
});

import { expect, test } from "bun:test";
import { sourceAddress } from "../../../../src/node/facts/source-address.ts";

test.each([
  ["a wildcard, of this machine", "192.0.2.7", "0.0.0.0", true, "192.0.2.7"],
  ["a wildcard of IPv6, of this machine", "2001:db8::7", "::", true, "2001:db8::7"],
  ["a wildcard, behind NAT or gone", "198.51.100.7", "0.0.0.0", false, null],
  ["the announced address", "192.0.2.7", "192.0.2.7", true, "192.0.2.7"],
  ["an address behind NAT", "198.51.100.7", "192.0.2.7", false, "192.0.2.7"],
  ["another address of this machine", "198.51.100.7", "192.0.2.7", true, "192.0.2.7"],
])("bound to %s", (_, announced, bindHost, hasAnnounced, source) => {
  expect(sourceAddress(announced, bindHost, hasAnnounced)).toBe(source);
});

import { expect, test } from "bun:test";
import { defaultAddress } from "../../../src/sys/default-address.ts";

const local = (...entries: [string, string][]) =>
  entries.map(([name, address]) => ({ interface: name, address }));

test.each([
  [
    "of the default route",
    4,
    "eth1",
    local(["lo", "127.0.0.1"], ["eth0", "10.0.0.1"], ["eth1", "192.0.2.1"]),
    "192.0.2.1",
  ],
  [
    "the only one there is",
    4,
    null,
    local(["lo", "127.0.0.1"], ["eth0", "10.0.0.1"], ["eth0", "fe80::1"]),
    "10.0.0.1",
  ],
  [
    "of IPv6, not link-local",
    6,
    "eth0",
    local(["eth1", "fd00::1"], ["eth0", "fe80::1"], ["eth0", "2001:db8::1"], ["eth0", "192.0.2.1"]),
    "2001:db8::1",
  ],
  [
    "of IPv6 the only one there is",
    6,
    null,
    local(["lo", "::1"], ["eth0", "fd00::1"], ["eth0", "10.0.0.1"]),
    "fd00::1",
  ],
  ["none where it would be a guess", 4, null, local(["eth0", "10.0.0.1"], ["eth1", "192.0.2.1"]), null],
  ["not loopback, not link-local", 4, "lo", local(["lo", "127.0.0.1"], ["eth0", "169.254.1.1"]), null],
] as const)("%s", (_, family, route, addresses, expected) => {
  expect(defaultAddress(family, route, addresses)).toBe(expected);
});

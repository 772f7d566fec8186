import { expect, test } from "bun:test";
import { defaultAddress } from "../../../src/sys/default-address.ts";

const local = (...entries: [string, string][]) =>
  entries.map(([name, address]) => ({ interface: name, address }));

test.each([
  [
    "of the default route",
    "eth1",
    local(["lo", "127.0.0.1"], ["eth0", "10.0.0.1"], ["eth1", "192.0.2.1"]),
    "192.0.2.1",
  ],
  [
    "the only one there is",
    null,
    local(["lo", "127.0.0.1"], ["eth0", "10.0.0.1"], ["eth0", "fe80::1"]),
    "10.0.0.1",
  ],
  ["none where it would be a guess", null, local(["eth0", "10.0.0.1"], ["eth1", "192.0.2.1"]), null],
  ["not loopback, not link-local", "lo", local(["lo", "127.0.0.1"], ["eth0", "169.254.1.1"]), null],
] as const)("%s", (_, route, addresses, expected) => {
  expect(defaultAddress(route, addresses)).toBe(expected);
});
